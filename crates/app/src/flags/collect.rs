//! Collecting flows from other exporters.

use std::path::PathBuf;

use flowsonde_engine::decode::filter::Filter;
use flowsonde_engine::decode::reforge::Reforge;

use super::value::number::number;
use super::value::{Networks, Seconds, filter, lines, listen::Listen, reforge};
use super::{Flag, Group, Offer, Repeat, Value};

/// What was asked for about collecting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collect {
    /// Where exporters send to.
    pub ports: Vec<Listen>,
    /// Records of one flow are merged.
    pub cache: bool,
    /// Every element is told, as it came.
    pub passthrough: bool,
    /// The port of an exporter does not tell it from another.
    pub ignore_port: bool,
    /// Templates that came over UDP are forgotten when not refreshed for so long; 0 is never.
    pub template_timeout: Seconds,
    /// The relay's public key, or the file it is in.
    pub relay_key: Option<String>,
    /// The file of our own secret key towards relays.
    pub relay_secret_key: Option<PathBuf>,
    /// Where is kept how far relays' datagrams are in the outputs.
    pub relay_state: Option<PathBuf>,
    /// The certificate shown to exporters, and its key.
    pub tls_cert: Option<PathBuf>,
    /// The key.
    pub tls_key: Option<PathBuf>,
    /// Exporters have to show a certificate of this authority.
    pub tls_ca: Option<PathBuf>,
    /// Only templates of these ids are read; empty is all.
    pub template_ids: Vec<u16>,
    /// MiB that what exporters send may make grow.
    pub memory: u16,
    /// Exporters that are listened to; none is all.
    pub allowed: Networks,
    /// Hosts whose flows are left out.
    pub black_list: Networks,
    /// What flows have to meet.
    pub filter: Filter,
    /// Where messages go that cannot be read.
    pub bad_packets: Option<PathBuf>,
    /// Where templates are kept from one run to the next.
    pub template_cache: Option<PathBuf>,
    /// Times are told by our clock.
    pub reforge_times: bool,
    /// Exporters that are told as others.
    pub reforge: Reforge,
    /// Counters are told as they came, not multiplied by the rate of sampling.
    pub plain: bool,
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
            cache: false,
            passthrough: false,
            ignore_port: false,
            template_timeout: Seconds(1800),
            relay_key: None,
            relay_secret_key: None,
            relay_state: None,
            tls_cert: None,
            tls_key: None,
            tls_ca: None,
            template_ids: Vec::new(),
            memory: 128,
            allowed: Networks::default(),
            black_list: Networks::default(),
            filter: Filter::default(),
            bad_packets: None,
            template_cache: None,
            reforge_times: false,
            reforge: Reforge::default(),
            plain: false,
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
            value: Value::One("[TRANSPORT://][IP:]PORT[c]"),
            repeat: Repeat::Adds,
            help: "Collect NetFlow, IPFIX and sFlow that exporters send to this port",
            doc: "NetFlow v1, v5, v7 and v9, IPFIX and sFlow v5 may all come to one port; they are told apart message by \
                  message. Without a transport it is UDP; `tcp://`, `tls://` and `sctp://` carry IPFIX. With `-i` and a capture \
                  the messages are taken from the capture instead: those to that port, or with `any` every one; files \
                  named `.dat` or `.bin` hold one message each. `zmq://host:port` takes what flowrelay hands on there, `zmq://*:port` \
                  what relays bring (docs/relay.md). A `c` behind the port is `--enable-collection-cache`, for all ports.",
            good: &[
                "2055",
                "any",
                "tcp://4739",
                "tls://4740",
                "192.0.2.1:2055",
                "2055c",
                "tcp://[::1]:4739c",
                "zmq://relay.example:5556",
            ],
            bad: &["", "x", "70000", "dtls://4739", "c", "2055cc", "anyc"],
            apply: |options, text| {
                let (place, cache) = Listen::cached(text);
                options.collect.ports.push(Listen::parse(place)?);
                options.collect.cache |= cache;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "enable-collection-cache",
            help: "Merge collected records of one flow, as packets are metered",
            doc: "Records with the same key from the same exporter and interfaces, in either direction, become one flow, \
                  which ends by `-t` and `-d`, counted from the times its exporter tells, and goes to every output the \
                  probe has. `-d` should be longer than the exporters' active timeout, or their records do not meet. What \
                  an exporter tells besides counters, times, flags, addresses and how packets were forwarded is not kept. \
                  `-M`, `-N`, `-p`, `-w` and `-z` count as for packets.",
            apply: |options, _| {
                options.collect.cache = true;
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
            long: "relay-key",
            value: Value::One("KEY"),
            help: "Public key of the relay that zmq:// names",
            doc: "40 characters of Z85, 64 hexadecimal digits, or a file with one of these, as `flowrelay keygen` writes it.",
            offer: Offer::Files,
            good: &["rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", "relay.pub"],
            bad: &[""],
            apply: |options, text| {
                options.collect.relay_key = Some(text.to_owned());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "relay-secret-key",
            value: Value::One("FILE"),
            help: "Own secret key towards relays",
            doc: "As `flowrelay keygen` writes it; its public key has to be among the relay's authorised ones. A file that others \
                  can read is refused.",
            offer: Offer::Files,
            good: &["collector.key"],
            apply: |options, text| {
                options.collect.relay_secret_key = Some(text.into());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "relay-state",
            value: Value::One("FILE"),
            help: "Keep how far relays' datagrams are in the outputs, for the next run",
            doc: "With it `--json` and `--csv` go on where they were, and what a run that was killed wrote to them without telling \
                  the relay is taken back, as it comes again.",
            offer: Offer::Files,
            good: &["relays.state"],
            apply: |options, text| {
                options.collect.relay_state = Some(text.into());
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
        Flag {
            long: "collector-memory",
            value: Value::One("MIB"),
            default: "128",
            help: "Keep what is remembered of exporters within so many MiB",
            doc: "Sessions, templates, samplers, and data that waits for a template. Beyond, exporters are forgotten until an \
                  eighth is free again: first those that sent little, then those that take much, then those longest unheard \
                  of. 10,000 exporters with 5 templates each take about 50.",
            good: &["16", "1024"],
            bad: &["15", "x", ""],
            apply: |options, text| {
                options.collect.memory = number(text, "a number of MiB", 16..=u16::MAX)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "allow",
            value: Value::One("NETWORK,..."),
            repeat: Repeat::Adds,
            help: "Collect only from exporters of these networks",
            doc: "The address a message comes from counts. What others send is counted as `not_allowed`.",
            good: &["192.0.2.0/24,2001:db8::/32", "10.0.0.1"],
            bad: &["", "example.com", "10.0.0.0/33"],
            apply: |options, text| options.collect.allowed.add(text),
            ..Flag::SWITCH
        },
        Flag {
            long: "allow-file",
            value: Value::One("FILE"),
            repeat: Repeat::Adds,
            help: "The same from a file, a network a line",
            doc: "Blank lines and what follows a `#` are passed over.",
            offer: Offer::Files,
            bad: &["/dev/null/none"],
            apply: |options, text| {
                for (number, line) in lines(text)? {
                    options.collect.allowed.add(&line).map_err(|error| error.at(&format!("{text}:{number}")))?;
                }
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "black-list",
            value: Value::One("NETWORK,..."),
            repeat: Repeat::Adds,
            help: "Leave out collected flows from or to these networks",
            good: &["10.0.0.0/8,192.168.0.0/255.255.0.0"],
            bad: &["", "example.com"],
            apply: |options, text| options.collect.black_list.add(text),
            ..Flag::SWITCH
        },
        Flag {
            long: "collection-filter",
            value: Value::One("[!]CONDITION"),
            repeat: Repeat::Adds,
            help: "Collect only flows that meet this condition; with ! those that do not",
            doc: "`NETWORK,...` is met by flows from or to one of the networks; `ELEMENT=VALUE,...` where the element has one of \
                  the values: numbers, ranges of numbers, networks. Given several times, all are to be met. Flows that are \
                  left out are counted as `filtered`. Counters are compared as they were sent, not multiplied by the rate of \
                  sampling.",
            good: &["192.168.0.0/16", "!L4_DST_PORT=53,8000-8999", "PROTOCOL=6", "SRC_AS=64512"],
            bad: &["", "PROTOCOL=tcp", "NOPE=1"],
            apply: |options, text| {
                options.collect.filter.conditions.push(filter::condition(text)?);
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "dump-bad-packets",
            value: Value::One("FILE"),
            help: "Write collected datagrams that cannot be read to this capture",
            doc: "A pcap file, each datagram with the addresses and ports it came from and to; at most 64 MiB. Messages of TCP, TLS \
                  and SCTP are written as datagrams too, their local address as 0.0.0.0.",
            offer: Offer::Files,
            good: &["bad.pcap"],
            apply: |options, text| {
                options.collect.bad_packets = Some(text.into());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "template-cache",
            value: Value::One("FILE"),
            help: "Keep templates of exporters in this file, and begin with them the next time",
            doc: "Templates that came over UDP, with the rates of samplers, so that data is read from the first datagram on after \
                  a restart. Written every 10 seconds and at the end. Templates older than --template-timeout are left out.",
            offer: Offer::Files,
            good: &["templates.cache"],
            apply: |options, text| {
                options.collect.template_cache = Some(text.into());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "collector-reforge-timestamps",
            help: "Tell times by our clock: moved by as much as the export is off its arrival",
            doc: "For exporters whose clock is wrong. Durations stay. The exporter's time of export becomes the arrival. In \
                  pass-through to NetFlow or IPFIX only what is relative to the export is moved.",
            apply: |options, _| {
                options.collect.reforge_times = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "collector-nf-reforge",
            value: Value::One("FILE"),
            help: "Tell exporters as others, and only flows of some interfaces, by a file",
            doc: "A line an exporter: its address, the address it is told as or `*`, and the interfaces wanted, `1,2,5-8` of 0 to \
                  63, or `*`. A flow is wanted that enters or leaves by one of them; others are counted as `interface`. \
                  Exporters that no line names are told as they are.",
            offer: Offer::Files,
            bad: &["/dev/null/none"],
            apply: |options, text| {
                options.collect.reforge = reforge::file(text)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "nflite",
            value: Value::One("PORT[:N]"),
            repeat: Repeat::Adds,
            help: "Collect NetFlow-Lite sent to this UDP port, or N ports from it on",
            doc: "As `-3` does, which takes NetFlow-Lite too: switches that send to a range of ports need them all.",
            good: &["2055", "9000:16"],
            bad: &["", "x", "2055:0", "2055:33", "65535:2"],
            apply: |options, text| {
                let (port, ports) = text.split_once(':').unwrap_or((text, "1"));
                let port: u16 = number(port, "a port", 1..=u16::MAX)?;
                let ports: u16 = number(ports, "a number of ports", 1..=32)?;
                let last = port.checked_add(ports - 1).ok_or("goes beyond port 65535; give fewer ports")?;
                options.collect.ports.extend((port..=last).map(Listen::udp));
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "disable-upscale",
            help: "Tell counters as they came, not multiplied by the rate of sampling",
            doc: "`SAMPLING_INTERVAL` is the rate then, by which they still have to be multiplied.",
            apply: |options, _| {
                options.collect.plain = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
    ],
};
