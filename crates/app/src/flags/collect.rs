//! Collecting flows from other exporters.

use std::path::PathBuf;

use super::value::number::number;
use super::value::{Seconds, listen::Listen};
use super::{Flag, Group, Offer, Repeat, Value};

/// What was asked for about collecting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collect {
    /// Where exporters send to.
    pub ports: Vec<Listen>,
    /// Every element is told, as it came.
    pub passthrough: bool,
    /// The port of an exporter does not tell it from another.
    pub ignore_port: bool,
    /// Templates that came over UDP are forgotten when not refreshed for so long; 0 is never.
    pub template_timeout: Seconds,
    /// The certificate shown to exporters, and its key.
    pub tls_cert: Option<PathBuf>,
    /// The key.
    pub tls_key: Option<PathBuf>,
    /// Exporters have to show a certificate of this authority.
    pub tls_ca: Option<PathBuf>,
    /// Only templates of these ids are read; empty is all.
    pub template_ids: Vec<u16>,
}

impl Collect {
    /// Whether flows are collected at all.
    pub fn any(&self) -> bool {
        !self.ports.is_empty()
    }
}

impl Default for Collect {
    fn default() -> Self {
        Collect {
            ports: Vec::new(),
            passthrough: false,
            ignore_port: false,
            template_timeout: Seconds(1800),
            tls_cert: None,
            tls_key: None,
            tls_ca: None,
            template_ids: Vec::new(),
        }
    }
}

/// The options.
pub const SPEC: Group = Group {
    name: "collect",
    title: "Collecting",
    flags: &[
        Flag {
            short: Some('3'),
            long: "collector-port",
            value: Value::One("[TRANSPORT://][IP:]PORT"),
            repeat: Repeat::Adds,
            help: "Collect NetFlow, IPFIX and sFlow that exporters send to this port",
            doc: "NetFlow v1, v5, v7 and v9, IPFIX and sFlow v5 may all come to one port; they are told apart message by \
                  message. Without a transport it is UDP; `tcp://`, `tls://` and `sctp://` carry IPFIX. With `-i` and a capture \
                  the messages are taken from the capture instead: those to that port, or with `any` every one; files \
                  named `.dat` or `.bin` hold one message each.",
            good: &["2055", "any", "tcp://4739", "tls://4740", "192.0.2.1:2055"],
            bad: &["", "x", "70000", "dtls://4739", "2055c"],
            apply: |options, text| {
                options.collect.ports.push(Listen::parse(text)?);
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "collector-passthrough",
            help: "Tell every element an exporter sends, as it came, instead of those of -T",
            doc: "In JSON and for ntopng counters are multiplied by the rate of sampling, times are of the day, and elements \
                  without a name are `ENTERPRISE.NUMBER`, their value in hex. To `-n`, and in files of IPFIX, records keep \
                  the bytes they came with, but for counters that were sampled.",
            apply: |options, _| {
                options.collect.passthrough = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('J'),
            long: "ignore-exporter-port",
            help: "Take all ports of an address for one exporter",
            doc: "For exporters that send from another port every time.",
            apply: |options, _| {
                options.collect.ignore_port = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "template-timeout",
            value: Value::One("SECONDS"),
            default: "1800",
            help: "Forget templates that came over UDP and were not sent again for so long; 0 is never",
            good: &["600", "0"],
            bad: &["x", "-1"],
            apply: |options, text| {
                options.collect.template_timeout = Seconds::parse(text, 0)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "tls-cert",
            value: Value::One("FILE"),
            help: "Certificate shown to exporters that send to tls:// (PEM)",
            offer: Offer::Files,
            good: &["collector.pem"],
            apply: |options, text| {
                options.collect.tls_cert = Some(text.into());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "tls-priv-key",
            value: Value::One("FILE"),
            help: "Private key of that certificate (PEM)",
            offer: Offer::Files,
            good: &["collector.key"],
            apply: |options, text| {
                options.collect.tls_key = Some(text.into());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "tls-ca",
            value: Value::One("FILE"),
            help: "Take exporters only that show a certificate of this authority (PEM)",
            offer: Offer::Files,
            good: &["exporters.pem"],
            apply: |options, text| {
                options.collect.tls_ca = Some(text.into());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "template-ids",
            value: Value::One("ID,..."),
            help: "Read only data of templates with these ids",
            good: &["256,260"],
            bad: &["255", "x", ""],
            apply: |options, text| {
                for id in text.split(',') {
                    let id = number(id.trim(), "a template id", 256..=u16::MAX)
                        .map_err(|_| "not a template id; give ids of 256 to 65535, parted by commas")?;
                    options.collect.template_ids.push(id);
                }
                Ok(())
            },
            ..Flag::SWITCH
        },
    ],
};
