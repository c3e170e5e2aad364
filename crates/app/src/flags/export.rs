//! Export to collectors.

use std::path::PathBuf;

use super::value::number::number;
use super::value::{Bytes, Collector, Millis, Seconds, Sender, one_of};
use super::{Flag, Group, Offer, Options, Repeat, Value};
use crate::stop::Stop;

/// What was asked for about export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Where flows are sent.
    pub collectors: Vec<Collector>,
    /// `-n none` was said: having no output is meant.
    pub none: bool,
    /// Every flow is sent to all collectors, instead of to one in turn.
    pub all_collectors: bool,
    /// The export protocol.
    pub version: Version,
    /// Templates are sent again after this many export packets; 0 never counts packets.
    pub template_packets: u32,
    /// Templates are sent again after this time; 0 never looks at time.
    pub template_interval: Seconds,
    /// What the exporter calls itself.
    pub engine: Engine,
    /// An export packet is sent when it holds this many flows; `None` when it is full. Either way it is sent when the
    /// queue timeout passes.
    pub min_flows: Option<u16>,
    /// The pause after export packets.
    pub pause: Millis,
    /// How many export packets are sent between two pauses.
    pub pause_after: u32,
    /// The local address export packets leave from.
    pub sender: Option<Sender>,
    /// Nothing is exported while this file exists.
    pub lock: Option<PathBuf>,
    /// Largest packet on the way to a collector, IP header included; see [`Export::payload`].
    pub mtu: Bytes,
    /// IPFIX records hold both directions (RFC 5103).
    pub biflow: bool,
}

impl Export {
    /// Most flows in a NetFlow v5 packet.
    pub const V5_FLOWS: u16 = 30;

    /// Room for an export packet behind the IP and UDP header.
    pub fn payload(&self, v6: bool) -> Bytes {
        Bytes(self.mtu.0.saturating_sub(if v6 { 48 } else { 28 }))
    }
}

impl Default for Export {
    fn default() -> Self {
        Export {
            collectors: Vec::new(),
            none: false,
            all_collectors: false,
            version: Version::V9,
            template_packets: 20,
            template_interval: Seconds(60),
            engine: Engine { kind: 0, id: 0 },
            min_flows: None,
            pause: Millis(0),
            pause_after: 1,
            sender: None,
            lock: None,
            mtu: Bytes(1500),
            biflow: false,
        }
    }
}

/// The export protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// NetFlow version 5.
    V5,
    /// NetFlow version 9, RFC 3954.
    V9,
    /// IPFIX, RFC 7011.
    Ipfix,
}

/// What an exporter calls itself, to tell it from others on the same machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Engine type of NetFlow v5.
    pub kind: u8,
    /// Engine id of NetFlow v5.
    pub id: u8,
}

impl Engine {
    /// The source id of NetFlow v9 and observation domain id of IPFIX: type and id in 16 bits.
    pub fn domain(self) -> u32 {
        u32::from(u16::from_be_bytes([self.kind, self.id]))
    }

    fn parse(text: &str) -> Result<Self, Stop> {
        let byte = |text: &str| {
            number(text, "", 0..=255_u8)
                .map_err(|_| Stop::Usage(format!("'{text}' is not a number of 0 to 255; give type:id, like 0:1")))
        };
        let (kind, id) =
            text.split_once(':').ok_or_else(|| Stop::Usage("has no ':'; give type:id, like 0:1".to_owned()))?;
        Ok(Engine { kind: byte(kind)?, id: byte(id)? })
    }
}

fn add_collectors(options: &mut Options, list: &str) -> Result<(), Stop> {
    for text in list.split(',').map(str::trim) {
        if text == "none" {
            options.export.collectors.clear();
            options.export.none = true;
        } else {
            options.export.collectors.push(Collector::parse(text)?);
        }
    }
    Ok(())
}

/// The options.
pub const SPEC: Group = Group {
    name: "export",
    title: "Export to collectors",
    flags: &[
        Flag {
            short: Some('n'),
            long: "collector",
            value: Value::One("[udp|tcp://]HOST[:PORT]"),
            repeat: Repeat::Adds,
            help: "Send flows to this collector, or to none",
            doc: "May be given more than once, or with a list parted by commas. The default port is 2055, the default \
                  transport UDP. An IPv6 address with a port is put in brackets: `[2001:db8::1]:2055`. `none` takes \
                  back the collectors named before it. Flows are dealt out to the collectors in turn, unless `-a` is \
                  given. Without this option nothing is sent.",
            good: &["10.0.0.1:2055", "tcp://flows.example.com:4739", "[2001:db8::1]:9996", "10.0.0.1,10.0.0.2", "none"],
            bad: &["10.0.0.1:0", "http://x", "[::1", "10.0.0.1,,10.0.0.2", "sctp://10.0.0.1"],
            apply: add_collectors,
            ..Flag::SWITCH
        },
        Flag {
            short: Some('a'),
            long: "all-collectors",
            help: "Send every flow to all collectors, instead of to one in turn",
            apply: |options, _| {
                options.export.all_collectors = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('V'),
            long: "flow-version",
            value: Value::One("5|9|10"),
            default: "9",
            help: "Export as NetFlow 5, NetFlow 9, or IPFIX (10)",
            doc: "NetFlow v5 has a fixed format and knows IPv4 only: IPv6 flows are left out, and counted in the ledger.",
            offer: Offer::Words(&["5", "9", "10"]),
            good: &["5", "9", "10"],
            bad: &["7", "ipfix"],
            apply: |options, text| {
                let versions = [("5", Version::V5), ("9", Version::V9), ("10", Version::Ipfix)];
                options.export.version = one_of(text, &versions)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "ipfix-biflow",
            help: "IPFIX records hold both directions (RFC 5103)",
            doc: "The reverse direction is told by reverse elements. By default a flow is one record a direction. Needs \
                  `-V 10`, `--ipfix-file`, or `-P` with `-D b`.",
            apply: |options, _| {
                options.export.biflow = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('o'),
            long: "v9-ipfix-temp-policy",
            value: Value::One("PACKETS"),
            default: "20",
            help: "Send templates again after this many export packets",
            doc: "0 leaves it to `--template-resend-interval`. On TCP templates are sent once a connection; options \
                  records, with the exporter's statistics, are sent again.",
            good: &["10", "0"],
            bad: &["often", "1000001"],
            apply: |options, text| {
                options.export.template_packets = number(text, "packets", 0..=1_000_000)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "template-resend-interval",
            value: Value::One("SECONDS"),
            default: "60",
            help: "Send templates again after this time",
            doc: "0 leaves it to `--v9-ipfix-temp-policy`. Whichever comes first counts.",
            good: &["30", "0"],
            bad: &["x"],
            apply: |options, text| {
                options.export.template_interval = Seconds::parse(text, 0)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('E'),
            long: "flow-engine",
            value: Value::One("TYPE:ID"),
            default: "0:0",
            help: "What the exporter calls itself: two numbers of 0 to 255",
            doc: "Engine type and id in NetFlow v5; in NetFlow v9 the source id, in IPFIX the observation domain id is \
                  256 * type + id.",
            good: &["0:1", "255:255"],
            bad: &["1", "256:0", "a:b"],
            apply: |options, text| {
                options.export.engine = Engine::parse(text)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('m'),
            long: "min-num-flows",
            value: Value::One("FLOWS"),
            help: "Send an export packet as soon as it holds this many flows",
            doc: "By default it is sent when it is full. A flow waits for others no longer than the queue timeout (`-l`) \
                  either way.",
            good: &["10"],
            bad: &["0", "x", "1001"],
            apply: |options, text| {
                options.export.min_flows = Some(number(text, "flows", 1..=1000)?);
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('e'),
            long: "flow-delay",
            value: Value::One("MILLISECONDS"),
            default: "0",
            help: "Pause after sending, for collectors that cannot keep up",
            doc: "After each export packet, or after as many as `-B` says. After a signal what is left is sent without \
                  pauses.",
            good: &["5", "1000"],
            bad: &["1001", "x"],
            apply: |options, text| {
                options.export.pause = Millis(number(text, "milliseconds", 0..=1000)?);
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('B'),
            long: "packet-count",
            value: Value::One("PACKETS"),
            default: "1",
            help: "Send this many export packets before each pause of -e",
            good: &["10"],
            bad: &["0", "x"],
            apply: |options, text| {
                options.export.pause_after = number(text, "packets", 1..=1_000_000)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('q'),
            long: "flow-sender",
            value: Value::One("HOST[:PORT]"),
            help: "Local address, and port, that export packets leave from",
            good: &["10.0.0.7", "10.0.0.7:2000", "[fd00::7]:2000"],
            bad: &["10.0.0.7:x", "10.0.0", "[::1"],
            apply: |options, text| {
                options.export.sender = Some(Sender::parse(text)?);
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "mtu",
            value: Value::One("BYTES"),
            default: "1500",
            help: "Largest packet on the way to a collector, IP header included",
            doc: "Export packets hold 28 bytes less (1472) to an IPv4 address and 48 less (1452) to an IPv6 address, so \
                  that they are never cut into fragments.",
            good: &["1280", "9000"],
            bad: &["575", "65536", "jumbo"],
            apply: |options, text| {
                options.export.mtu = Bytes(number(text, "bytes", 576..=65_535)?);
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('C'),
            long: "flow-lock",
            value: Value::One("FILE"),
            help: "Send nothing to collectors while this file exists",
            doc: "For a stand-by: its flows are dropped, and counted in the ledger, until the file is taken away.",
            offer: Offer::Files,
            good: &["/run/flowsonde.lock"],
            apply: |options, text| {
                options.export.lock = Some(PathBuf::from(text));
                Ok(())
            },
            ..Flag::SWITCH
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_takes_back_the_collectors_before_it() {
        let mut options = Options::default();
        add_collectors(&mut options, "10.0.0.1,10.0.0.2").unwrap();
        assert_eq!(options.export.collectors.len(), 2);
        add_collectors(&mut options, "none").unwrap();
        assert!(options.export.collectors.is_empty() && options.export.none);
        add_collectors(&mut options, "10.0.0.3").unwrap();
        assert_eq!(options.export.collectors.len(), 1);
    }

    #[test]
    fn the_engine_is_the_observation_domain() {
        assert_eq!(Engine { kind: 1, id: 2 }.domain(), 258);
    }

    #[test]
    fn the_payload_leaves_room_for_headers() {
        let export = Export::default();
        assert_eq!((export.payload(false), export.payload(true)), (Bytes(1472), Bytes(1452)));
    }
}
