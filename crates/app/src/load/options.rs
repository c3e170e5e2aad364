//! What `flowload` can be asked for: a table, from which `--help` is printed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::flow;
use super::layout::{Dialect, LAYOUTS, named};
use super::stream::{Format, Plan};
use crate::flags::value::number::number;
use crate::flags::value::{Collector, Transport, one_of};
use crate::stop::Stop;
use crate::words::{self, Flag, Help, Table, on, path};

/// The name of the program.
pub const PROGRAM: &str = "flowload";

/// What to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Send.
    #[default]
    Run,
    /// Print what can be asked for.
    Help,
    /// Print the version.
    Version,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What to do.
    pub action: Action,
    /// What is generated.
    pub plan: Plan,
    /// Where to.
    pub target: Collector,
    /// The target may be another machine.
    pub allow_remote: bool,
    /// The capture to write in place of sending.
    pub pcap: Option<PathBuf>,
    /// Files to send again in place of generating.
    pub replay: Vec<PathBuf>,
    /// How often.
    pub repeat: u32,
    /// Flows after which it stops.
    pub count: Option<u64>,
    /// Time after which it stops.
    pub time: Option<Duration>,
    /// Flows a second, or datagrams.
    pub rate: Option<u64>,
    /// The rate counts datagrams.
    pub datagrams: bool,
    /// Bytes the receiver may have waiting.
    pub backlog: Option<u64>,
    /// One datagram in so many is left out.
    pub gap: u32,
    /// Datagrams that change places.
    pub shuffle: u16,
    /// When the first export is said to be made, seconds since 1970.
    pub time_base: Option<u64>,
    /// Report as JSON.
    pub json: bool,
    formats: Vec<Format>,
    layouts: Vec<&'static str>,
    exporters: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        let host = crate::flags::value::Host::Addr(std::net::Ipv4Addr::LOCALHOST.into());
        Options {
            action: Action::Run,
            plan: Plan::default(),
            target: Collector { transport: Transport::Udp, host, port: Collector::PORT },
            allow_remote: false,
            pcap: None,
            replay: Vec::new(),
            repeat: 1,
            count: None,
            time: None,
            rate: None,
            datagrams: false,
            backlog: None,
            gap: 0,
            shuffle: 0,
            time_base: None,
            json: false,
            formats: Vec::new(),
            layouts: Vec::new(),
            exporters: None,
        }
    }
}

/// How long it sends unless told otherwise.
const TIME: Duration = Duration::from_secs(10);
/// Most exporters whose receiver is watched: a look costs as much as there are sockets, and more.
const WATCHED: u32 = 1024;
/// Sources of a capture that get an address each, unless told otherwise.
const REPLAYED: u32 = 256;

/// Topics with their options, in the order help shows them.
pub const FLAGS: &Table<Options> = &[
    (
        "Where to",
        &[
            Flag {
                long: "target",
                value: "TARGET",
                default: "udp://127.0.0.1:2055",
                help: "Collector to send to, [udp|tcp]://host:port; may be given without --target",
                good: &["udp://127.0.0.1:2055", "tcp://[::1]:4739", "localhost"],
                bad: &["", "127.0.0.1:0", "tls://127.0.0.1", "a b"],
                apply: |o, text| target(text).map(|target| o.target = target),
                ..Flag::PLAIN
            },
            Flag {
                long: "allow-remote",
                help: "Allow a target that is not this machine",
                apply: |o, _| on(&mut o.allow_remote),
                ..Flag::PLAIN
            },
            Flag {
                long: "pcap",
                value: "FILE",
                help: "Write the packets to a capture file in place of sending them",
                good: &["load.pcap"],
                apply: |o, text| path(&mut o.pcap, text),
                ..Flag::PLAIN
            },
        ],
    ),
    (
        "What",
        &[
            Flag {
                long: "format",
                value: "LIST",
                default: "v9",
                help: "v5, v9, ipfix, sflow, or several with commas; each exporter speaks all of them",
                good: &["v9", "v5,v9,ipfix,sflow"],
                bad: &["v8", "v5,", "netflow"],
                apply: |o, text| {
                    for word in text.split(',') {
                        o.formats.push(one_of(word, &Format::NAMES)?);
                    }
                    Ok(())
                },
                ..Flag::PLAIN
            },
            Flag {
                long: "layout",
                value: "LIST",
                default: "basic20",
                help: "Templates of v9 and IPFIX, taking turns: see below",
                good: &["basic20", "ipv6,variable", "mixed"],
                bad: &["basic", "ipv6,"],
                apply: |o, text| text.split(',').try_for_each(|word| layout(o, word)),
                ..Flag::PLAIN
            },
            Flag {
                long: "exporters",
                value: "N",
                default: "1",
                help: "Exporters, each from an address or port of its own as far as the limit of open files goes, then \
                       with a domain of its own; of a replayed capture, sources told apart, 256 if not said",
                good: &["1", "10000"],
                bad: &["0", "65537", "x"],
                apply: |o, text| number(text, "exporters", 1..=65_536).map(|n| o.exporters = Some(n)),
                ..Flag::PLAIN
            },
            Flag {
                long: "flows",
                value: "N",
                default: "10000",
                help: "Distinct flows, shared out among the exporters, over and over",
                good: &["1", "16777216"],
                bad: &["0", "16777217"],
                apply: |o, text| number(text, "flows", 1..=flow::MOST).map(|n| o.plan.flows = n),
                ..Flag::PLAIN
            },
            Flag {
                long: "flows-per-packet",
                value: "N",
                default: "as fit 1400 bytes",
                help: "Most flows in a packet, of up to 65,000 bytes (v5: 30 flows)",
                good: &["1", "30"],
                bad: &["0", "5001"],
                apply: |o, text| number(text, "flows", 1..=5000).map(|n| o.plan.flows_per_packet = Some(n)),
                ..Flag::PLAIN
            },
            Flag {
                long: "templates",
                value: "N",
                default: "1",
                help: "Template ids each layout is announced under and used with in turn",
                good: &["1", "100"],
                bad: &["0", "101"],
                apply: |o, text| number(text, "templates", 1..=100).map(|n| o.plan.templates = n),
                ..Flag::PLAIN
            },
            Flag {
                long: "template-every",
                value: "N",
                default: "1000",
                help: "Packets of an exporter from one announcement of its templates to the next; 0 for the first only",
                good: &["1", "0"],
                bad: &["-1", "4294967296"],
                apply: |o, text| number(text, "packets", 0..=u32::MAX).map(|n| o.plan.template_every = n),
                ..Flag::PLAIN
            },
            Flag {
                long: "sampling",
                value: "N",
                default: "1",
                help: "Tell that one packet in N was sampled: v5 header, v9 and IPFIX options data, sFlow samples",
                good: &["1", "1000"],
                bad: &["0"],
                apply: |o, text| number(text, "packets", 1..=1_000_000).map(|n| o.plan.sampling = n),
                ..Flag::PLAIN
            },
            Flag {
                long: "expanded",
                help: "sFlow's expanded samples",
                apply: |o, _| on(&mut o.plan.expanded),
                ..Flag::PLAIN
            },
            Flag {
                long: "seed",
                value: "N",
                default: "1",
                help: "Decides everything that is drawn: the same seed makes the same flows",
                good: &["7"],
                bad: &["x"],
                apply: |o, text| number(text, "a seed", 0..=u64::MAX).map(|n| o.plan.seed = n),
                ..Flag::PLAIN
            },
            Flag {
                long: "time-base",
                value: "SECONDS",
                default: "now",
                help: "Time of the first export, since 1970; time then goes on with what is sent, so that all is the same \
                       every time",
                good: &["1700000000"],
                bad: &["now", "4294967296"],
                apply: |o, text| number(text, "seconds", 0..=u32::MAX).map(|n| o.time_base = Some(u64::from(n))),
                ..Flag::PLAIN
            },
            Flag {
                long: "replay",
                value: "FILES",
                help: "Send the UDP payloads of captures again, or files of one payload each (.dat, .bin), in place of \
                       making flows up; a list with commas",
                good: &["a.pcap,b.dat"],
                bad: &["", "a.pcap,"],
                apply: |o, text| {
                    if text.split(',').any(str::is_empty) {
                        return Err("a name is empty; give files with commas between".into());
                    }
                    o.replay.extend(text.split(',').map(PathBuf::from));
                    Ok(())
                },
                ..Flag::PLAIN
            },
            Flag {
                long: "repeat",
                value: "N",
                default: "1",
                help: "How often the files are sent",
                good: &["10"],
                bad: &["0"],
                apply: |o, text| number(text, "times", 1..=u32::MAX).map(|n| o.repeat = n),
                ..Flag::PLAIN
            },
        ],
    ),
    (
        "How much, how fast",
        &[
            Flag {
                long: "count",
                value: "N",
                help: "Stop after N flows",
                good: &["1000000"],
                bad: &["0", "many"],
                apply: |o, text| number(text, "flows", 1..=u64::MAX).map(|n| o.count = Some(n)),
                ..Flag::PLAIN
            },
            Flag {
                long: "time",
                value: "SECONDS",
                default: "10; with --count or --replay none",
                help: "Stop after this long; of a capture, its own time",
                good: &["60"],
                bad: &["0", "1.5", "86400001"],
                apply: |o, text| {
                    number(text, "seconds", 1..=86_400_000_u32)
                        .map(|n| o.time = Some(Duration::from_secs(u64::from(n))))
                },
                ..Flag::PLAIN
            },
            Flag {
                long: "rate",
                value: "N",
                default: "unlimited; 10000 in a capture",
                help: "Flows a second",
                good: &["100000"],
                bad: &["0", "1000000001"],
                apply: |o, text| rate(o, text, "flows", false),
                ..Flag::PLAIN
            },
            Flag {
                long: "datagram-rate",
                value: "N",
                help: "Datagrams a second, in place of --rate",
                good: &["5000"],
                bad: &["0", "1000000001"],
                apply: |o, text| rate(o, text, "datagrams", true),
                ..Flag::PLAIN
            },
            Flag {
                long: "backlog",
                value: "BYTES",
                help: "Wait while more than this waits in the receiver's socket, so that it loses nothing (Linux, this \
                       machine); the kernel counts 2 to 4 KB for a packet of 1,400 bytes",
                good: &["100000"],
                bad: &["0", "1k"],
                apply: |o, text| number(text, "bytes", 1..=u64::from(u32::MAX)).map(|n| o.backlog = Some(n)),
                ..Flag::PLAIN
            },
            Flag {
                long: "gap",
                value: "N",
                help: "Leave one datagram in N out; sequence numbers count it",
                good: &["100"],
                bad: &["1", "0"],
                apply: |o, text| number(text, "datagrams", 2..=u32::MAX).map(|n| o.gap = n),
                ..Flag::PLAIN
            },
            Flag {
                long: "shuffle",
                value: "N",
                help: "Mix up the order of datagrams, N of an exporter at a time",
                good: &["8"],
                bad: &["1", "65"],
                apply: |o, text| number(text, "datagrams", 2..=64).map(|n| o.shuffle = n),
                ..Flag::PLAIN
            },
        ],
    ),
    (
        "The program",
        &[
            Flag {
                long: "json",
                help: "Say at the end what was done as JSON",
                apply: |o, _| on(&mut o.json),
                ..Flag::PLAIN
            },
            Flag {
                long: "help",
                help: "Print this and exit",
                apply: |o, _| {
                    o.action = Action::Help;
                    Ok(())
                },
                ..Flag::PLAIN
            },
            Flag {
                long: "version",
                help: "Print the version and exit",
                apply: |o, _| {
                    o.action = Action::Version;
                    Ok(())
                },
                ..Flag::PLAIN
            },
        ],
    ),
];

fn target(text: &str) -> Result<Collector, Stop> {
    Collector::parse(text).map_err(|_| {
        Stop::from("not a target; give [udp://|tcp://]host[:port], an IPv6 address with a port in brackets")
    })
}

fn layout(options: &mut Options, word: &str) -> Result<(), Stop> {
    if word == "mixed" {
        options.layouts.extend(LAYOUTS.iter().map(|layout| layout.name));
        return Ok(());
    }
    match named(word) {
        Some(layout) => options.layouts.push(layout.name),
        None => {
            let known: Vec<&str> = LAYOUTS.iter().map(|layout| layout.name).collect();
            return Err(Stop::Usage(format!("'{word}' is no layout; give {} or mixed", known.join(", "))));
        }
    }
    Ok(())
}

fn rate(options: &mut Options, text: &str, what: &str, datagrams: bool) -> Result<(), Stop> {
    if options.rate.is_some() && options.datagrams != datagrams {
        return Err("there is another rate; give --rate or --datagram-rate".into());
    }
    options.rate = Some(number(text, what, 1..=1_000_000_000_u64)?);
    options.datagrams = datagrams;
    Ok(())
}

impl Options {
    /// Reads the words of the command line, without the program's name.
    pub fn read<T: Into<OsString>>(arguments: impl IntoIterator<Item = T>) -> Result<Options, Stop> {
        let mut options = Options::default();
        words::read(FLAGS, &mut options, arguments, |options, word, _| {
            options.target = target(word).map_err(|stop| stop.at(word))?;
            Ok(true)
        })?;
        if options.action == Action::Run {
            options.check()?;
        }
        Ok(options)
    }

    /// Refuses what does not go together, and fills in what was not said.
    fn check(&mut self) -> Result<(), Stop> {
        let wrong = |text: String| Err(Stop::Usage(text));
        if self.formats.is_empty() {
            self.formats.push(Format::V9);
        }
        self.plan.formats.clone_from(&self.formats);
        if self.layouts.is_empty() {
            self.layouts.push("basic20");
        }
        self.plan.layouts = self.layouts.iter().filter_map(|name| named(name)).collect();
        for (format, dialect, name) in [(Format::V9, Dialect::V9, "v9"), (Format::Ipfix, Dialect::Ipfix, "ipfix")] {
            if self.formats.contains(&format) && !self.plan.layouts.iter().any(|layout| layout.fits(dialect)) {
                let layouts = self.layouts.join(",");
                return wrong(format!("--layout={layouts}: is not for --format {name}; give another, like basic20"));
            }
        }
        let replays = !self.replay.is_empty();
        if replays && self.count.is_some() {
            return wrong("--count: flows of replayed files are not counted; give --repeat or --time".to_owned());
        }
        if replays && self.rate.is_some() && !self.datagrams {
            return wrong("--rate: flows of replayed files are not counted; give --datagram-rate".to_owned());
        }
        if self.target.transport == Transport::Tcp && self.pcap.is_none() {
            if replays || self.formats.iter().any(|format| *format != Format::Ipfix) {
                return wrong(format!(
                    "--target={}: only IPFIX is sent over a connection; give --format ipfix or a udp:// target",
                    self.target
                ));
            }
            if self.gap > 0 || self.shuffle > 0 {
                return wrong("--gap, --shuffle: a connection loses nothing; give a udp:// target".to_owned());
            }
        }
        self.plan.exporters = self.exporters.unwrap_or(if replays { REPLAYED } else { 1 });
        if let Some(bytes) = self.backlog.filter(|_| self.plan.exporters > WATCHED) {
            return wrong(format!(
                "--backlog={bytes}: the kernel's table of sockets is too long to be looked at with {} exporters; give \
                 at most {WATCHED}, or --rate",
                self.plan.exporters
            ));
        }
        if self.time.is_none() && self.count.is_none() && !replays {
            self.time = Some(TIME);
        }
        Ok(())
    }
}

/// The version, as `--version` prints it.
pub fn version() -> String {
    format!("{PROGRAM} {}\n", env!("CARGO_PKG_VERSION"))
}

/// The text of `--help`.
pub fn help() -> String {
    let head = format!(
        "{} - flow export made up or replayed, to try collectors with\n\nUsage: flowload [OPTIONS] [TARGET]\n",
        version().trim_end()
    );
    let mut help = Help::new(head, 26);
    help.table(FLAGS);
    help.title("Layouts");
    for layout in LAYOUTS {
        help.entry(&format!("  {}", layout.name), layout.help);
    }
    help.entry("  mixed", "all that fit the format");
    help.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::all;

    #[test]
    fn the_table_is_sound() {
        let text = help();
        words::check(FLAGS, &text);
        assert!(all(FLAGS).all(|flag| flag.value.is_empty() == flag.good.is_empty()));
        assert!(LAYOUTS.iter().all(|layout| text.contains(&format!("  {} ", layout.name))));
    }

    #[test]
    fn words_are_read() {
        let options =
            Options::read(["--format", "v5,sflow", "--format=ipfix", "--rate=7", "tcp://[::1]:99", "--pcap", "x"]);
        let options = options.unwrap();
        assert_eq!(options.plan.formats, [Format::V5, Format::Sflow, Format::Ipfix]);
        assert_eq!((options.target.to_string().as_str(), options.rate), ("tcp://[::1]:99", Some(7)));
        assert_eq!(options.time, Some(TIME));
        let options = Options::read(["--count=5", "--layout=mixed"]).unwrap();
        assert_eq!((options.time, options.plan.layouts.len()), (None, LAYOUTS.len()));
        let options = Options::read(["--replay=a.pcap,b.bin"]).unwrap();
        assert_eq!((options.time, options.replay.len(), options.plan.exporters), (None, 2, REPLAYED));
        assert_eq!(Options::read(["-h"]).unwrap().action, Action::Help);
    }

    #[test]
    fn errors_name_option_value_and_remedy() {
        for (words, error) in [
            (&["--rate"][..], "--rate: needs a value; give N, like 100000"),
            (&["--rate=0"], "--rate=0: too small or too large; give 1 to 1000000000 flows"),
            (&["--json=1"], "--json=1: takes no value; give --json alone"),
            (&["--nonsense"], "--nonsense: unknown option; see --help"),
            (&["-x"], "-x: unknown option; see --help"),
            (&["ftp://x"], "ftp://x: not a target; give [udp://|tcp://]host[:port]"),
            (&["--rate=1", "--datagram-rate=1"], "--datagram-rate=1: there is another rate; give"),
            (&["--layout=nsel", "--format=ipfix"], "--layout=nsel: is not for --format ipfix; give"),
            (&["--replay=x", "--count=1"], "--count: flows of replayed"),
            (&["--replay=x", "--rate=1"], "--rate: flows of replayed"),
            (&["tcp://127.0.0.1"], "--target=tcp://127.0.0.1:2055: only IPFIX is sent over a connection; give"),
            (&["--backlog=1", "--exporters=1025"], "--backlog=1: the kernel's table of sockets is too long"),
            (&["tcp://127.0.0.1", "--format=ipfix", "--gap=9"], "--gap, --shuffle: a connection"),
        ] {
            let stop = Options::read(words.iter().copied()).unwrap_err();
            assert!(matches!(stop, Stop::Usage(_)) && stop.to_string().starts_with(error), "{words:?}: {stop}");
        }
    }
}
