//! Flows to ntopng over ZeroMQ.

use super::value::number::number;
use super::value::one_of;
use super::{Flag, Group, Offer, Repeat, Value};

/// What was asked for about ZeroMQ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zmq {
    /// Where to publish.
    pub endpoints: Vec<String>,
    /// Connect there instead of waiting for subscribers.
    pub probe_mode: bool,
    /// How flows are written.
    pub format: Format,
    /// The layout of the first frame.
    pub header: Header,
    /// JSON is sent as it is.
    pub plain: bool,
    /// ntopng's public key.
    pub key: Option<String>,
    /// The password of the old way to hide messages.
    pub password: String,
    /// Names instead of numbers as keys.
    pub labels: bool,
    /// Every message to every endpoint.
    pub fanout: bool,
    /// Messages that may wait for each subscriber.
    pub queue: u32,
    /// Most records in a message.
    pub batch: u8,
}

impl Default for Zmq {
    fn default() -> Self {
        Zmq {
            endpoints: Vec::new(),
            probe_mode: false,
            format: Format::default(),
            header: Header::default(),
            plain: false,
            key: None,
            password: String::new(),
            labels: false,
            fanout: false,
            queue: 2000,
            batch: 64,
        }
    }
}

/// How flows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Binary.
    #[default]
    Tlv,
    /// Arrays of objects.
    Json,
}

/// The layout of the first frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// 24 bytes.
    #[default]
    V1,
    /// 28 bytes.
    V2,
    /// 36 bytes.
    V4,
}

/// The options.
pub const SPEC: Group = Group {
    name: "zmq",
    title: "ntopng (ZeroMQ)",
    flags: &[
        Flag {
            long: "zmq",
            aliases: &["ntopng"],
            value: Value::One("ENDPOINT"),
            repeat: Repeat::Adds,
            help: "Publish flows for ntopng, as in tcp://*:5556",
            doc: "ntopng connects to it with `-i tcp://HOST:5556`. With several endpoints messages take turns, or go to all \
                  with `--zmq-fanout`. Who subscribes late gets what is sent from then on; nothing waits for nobody.",
            good: &["tcp://*:5556", "zmq://127.0.0.1:5556"],
            bad: &["udp://1.2.3.4:5", "5556"],
            apply: |options, text| {
                if !["tcp://", "zmq://", "ipc://"].iter().any(|scheme| text.starts_with(scheme)) {
                    return Err("not an endpoint; give tcp://host:port, where host may be *, or ipc://path".into());
                }
                options.zmq.endpoints.push(text.to_owned());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "zmq-probe-mode",
            help: "Connect to the endpoints instead of waiting there for ntopng",
            doc: "For an ntopng that waits, as with `-i tcp://*:5556c`.",
            apply: |options, _| {
                options.zmq.probe_mode = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "zmq-format",
            value: Value::One("FORMAT"),
            default: "t",
            help: "How flows are written: t is TLV, j is JSON",
            doc: "ntopng Community 6 and later ignores flows in JSON. nProbe's m, JSON of several lines, is not written: what \
                  it looks like nobody says, and ntopng reads a message as one JSON text.",
            offer: Offer::Words(&["t", "j"]),
            good: &["j", "t"],
            bad: &["x", "", "m"],
            apply: |options, text| {
                options.zmq.format = one_of(text, &[("t", Format::Tlv), ("j", Format::Json)])?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "zmq-header",
            value: Value::One("VERSION"),
            default: "1",
            help: "Layout of the frame before each message: 1, 2 or 4",
            doc: "1 is read by every ntopng since 3.8, 2 since 5.4, 4 since 6.2.",
            offer: Offer::Words(&["1", "2", "4"]),
            good: &["2", "1"],
            bad: &["3", "0"],
            apply: |options, text| {
                options.zmq.header = one_of(text, &[("1", Header::V1), ("2", Header::V2), ("4", Header::V4)])?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "zmq-max-queue",
            value: Value::One("MESSAGES"),
            default: "2000",
            help: "Most messages that wait for a subscriber who is slow",
            doc: "What does not fit is lost, and counted as `queue_full`. A message has some kilobytes.",
            good: &["100000"],
            bad: &["0", "x"],
            apply: |options, text| {
                options.zmq.queue = number(text, "a number of messages", 1..=10_000_000)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "zmq-batch",
            value: Value::One("RECORDS"),
            default: "64",
            help: "Most flows in a message, up to 255",
            doc: "ntopng counts no more than 255 in one.",
            good: &["255"],
            bad: &["0", "256"],
            apply: |options, text| {
                options.zmq.batch = number(text, "a number of flows", 1..=255_u8)
                    .map_err(|_| "not a number of flows; give 1 to 255")?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "zmq-disable-compression",
            help: "Send JSON as it is",
            doc: "TLV is never compressed.",
            apply: |options, _| {
                options.zmq.plain = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "zmq-encryption-key",
            aliases: &["zmq-encryption"],
            value: Value::One("KEY"),
            help: "Encrypt for the ntopng that has this public key (CURVE)",
            doc: "40 characters of Z85, or the 80 hexadecimal digits that ntopng's page shows.",
            good: &["rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"],
            apply: |options, text| {
                options.zmq.key = Some(text.to_owned());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "zmq-encrypt-pwd",
            value: Value::One("PASSWORD"),
            help: "Hide messages behind a password, the old way",
            doc: "It keeps nobody out who means it; use --zmq-encryption-key.",
            good: &["secret"],
            apply: |options, text| {
                options.zmq.password = text.to_owned();
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "json-labels",
            help: "Names instead of numbers as keys in messages for ntopng",
            apply: |options, _| {
                options.zmq.labels = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "zmq-fanout",
            help: "Send every message to every endpoint",
            apply: |options, _| {
                options.zmq.fanout = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
    ],
};
