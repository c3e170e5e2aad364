//! Which applications flows are of, and which are exported.

use std::path::PathBuf;

use super::value::number::number;
use super::value::one_of;
use super::{Flag, Group, Offer, Repeat, Value};
use crate::stop::Stop;

/// What was asked for about applications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Application {
    /// Find none out.
    pub none: bool,
    /// Save calls of the library.
    pub fast: bool,
    /// Do not guess by port and address.
    pub no_guess: bool,
    /// A file of protocols.
    pub protocols: Option<PathBuf>,
    /// A file of categories.
    pub categories: Option<PathBuf>,
    /// Packets to look at.
    pub packets: Packets,
    /// Export only flows of these, by name or number.
    pub only: Vec<String>,
    /// Export flows by whether their application is known.
    pub known: Known,
}

impl Application {
    /// Flows are exported by their application.
    pub fn chooses(&self) -> bool {
        !self.only.is_empty() || self.known != Known::All
    }

    /// Options that say how applications are found out, and whether each was given.
    pub fn tuned(&self) -> [(bool, &'static str); 5] {
        [
            (self.fast, "fast-dpi"),
            (self.no_guess, "disable-l7-protocol-guess"),
            (self.packets != Packets::default(), "ndpi-max-packets"),
            (self.protocols.is_some(), "ndpi-custom-protos"),
            (self.categories.is_some(), "ndpi-custom-categories"),
        ]
    }
}

/// Packets of a flow behind which its application is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packets {
    /// Of TCP.
    pub tcp: u8,
    /// Of all else.
    pub other: u8,
}

impl Default for Packets {
    fn default() -> Self {
        Packets { tcp: 80, other: 24 }
    }
}

/// Which flows are exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// All.
    #[default]
    All,
    /// Those of a known application.
    Only,
    /// Those of none that is known.
    Never,
}

/// The options.
pub const SPEC: Group = Group {
    name: "application",
    title: "Applications",
    flags: &[
        Flag {
            long: "disable-dpi",
            help: "Do not look into packets for applications",
            doc: "Flows then have none, and the default template no L7_PROTO. This is the way to run where libndpi, which is \
                  written in C, is not to see packets; a build without the feature `ndpi` does not have it at all.",
            apply: |options, _| {
                options.application.none = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "fast-dpi",
            help: "Look at fewer packets for applications",
            doc: "A flow is looked at no further once its application is known, so that risks a certificate would tell are not. And \
                  where the last flows of a server (address, port and protocol) were all of one application, the next is \
                  taken for the same without being looked at, but for one in 16; it has no risks and no L7_INFO. Names differ \
                  for less than one flow in a hundred.",
            apply: |options, _| {
                options.application.fast = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "disable-l7-protocol-guess",
            help: "Do not guess an application by port and address where packets told nothing",
            apply: |options, _| {
                options.application.no_guess = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "ndpi-max-packets",
            value: Value::One("TCP[:OTHER]"),
            default: "80:24",
            help: "Packets of a flow to look at before its application is given up",
            doc: "Fewer cost less, and leave more flows to be guessed.",
            good: &["10", "40:10", "80:24"],
            bad: &["0", "x", "10:0", "256", "1:2:3"],
            apply: |options, text| {
                let packets = |text: &str| {
                    number(text, "packets", 1..=254).map_err(|_| {
                        Stop::Usage(format!("'{text}' is not a number of packets; give TCP[:OTHER], like 80:24"))
                    })
                };
                let (tcp, other) = text.split_once(':').map_or((text, None), |(tcp, other)| (tcp, Some(other)));
                let mut asked = Packets { tcp: packets(tcp)?, ..Packets::default() };
                if let Some(other) = other {
                    asked.other = packets(other)?;
                }
                options.application.packets = asked;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "ndpi-custom-protos",
            value: Value::One("FILE"),
            help: "Protocols of your own, in nDPI's form",
            doc: "Lines like `tcp:81,udp:5000-5005@MyService`, `host:\"example.com\"@MySite` or `ip:192.0.2.0/24@MyNet`, as in \
                  nDPI's example/protos.txt.",
            offer: Offer::Files,
            good: &["protos.txt"],
            apply: |options, text| {
                options.application.protocols = Some(text.into());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "ndpi-custom-categories",
            value: Value::One("FILE"),
            help: "Categories of hosts and networks of your own, in nDPI's form",
            doc: "Lines of a host or network, a tab and a number, like `example.com` and 101, or `192.0.2.0/24` and 100, as in \
                  nDPI's example/categories.txt.",
            offer: Offer::Files,
            good: &["categories.txt"],
            apply: |options, text| {
                options.application.categories = Some(text.into());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('O'),
            long: "ndpi-protocols",
            value: Value::One("LIST"),
            repeat: Repeat::Adds,
            help: "Export only flows of these applications",
            doc: "Names or numbers of L7_PROTO_NAME and L7_PROTO, one each, parted by commas: `TLS` takes TLS and everything \
                  inside it, `Google` what is Google's in TLS, DNS and others. What is kept back is counted as \
                  `other_application`. Collected flows (-3) are not chosen from.",
            good: &["TLS,DNS", "91", "TLS, DNS"],
            bad: &["", "TLS,", "TLS, ,DNS"],
            apply: |options, text| {
                for name in text.split(',').map(str::trim) {
                    if name.is_empty() {
                        return Err("has an empty name; give names or numbers, like TLS,DNS".into());
                    }
                    options.application.only.push(name.to_owned());
                }
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "discard-unknown-flows",
            value: Value::One("WHICH"),
            default: "0",
            help: "Export all flows (0), only those of a known application (1), only the others (2)",
            doc: "What is kept back is counted as `other_application`. Collected flows (-3) are not chosen from.",
            good: &["1", "2", "0"],
            bad: &["3", "x"],
            apply: |options, text| {
                options.application.known =
                    one_of(text, &[("0", Known::All), ("1", Known::Only), ("2", Known::Never)])?;
                Ok(())
            },
            ..Flag::SWITCH
        },
    ],
};
