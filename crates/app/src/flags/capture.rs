//! Where packets come from.

use flowsonde_io::source::filter::Filter;

use super::value::number::number;
use super::value::{Bytes, lines, one_of};
use super::{Flag, Group, Offer, Repeat, Value};
use crate::stop::Stop;

/// What was asked for about packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// What to read, in this order.
    pub inputs: Vec<Input>,
    /// `-i none` was said: having no input is meant.
    pub none: bool,
    /// A BPF filter expression.
    pub filter: Option<String>,
    /// How much of a packet to capture; `None` is as much as is looked at.
    pub snaplen: Option<Bytes>,
    /// Which packets of an interface to take.
    pub direction: Direction,
    /// Whether an interface is to take packets that are not for it.
    pub promiscuous: bool,
    /// Stop after this many packets.
    pub count: Option<u64>,
    /// Read captures at the speed they were recorded.
    pub original_speed: bool,
    /// How many threads meter packets; `None` leaves it to the program.
    pub workers: Option<u16>,
    /// The CPUs threads are bound to, in turn; none if empty.
    pub cpus: Vec<u16>,
    /// How an interface is read.
    pub engine: Engine,
}

impl Default for Capture {
    fn default() -> Self {
        Capture {
            inputs: Vec::new(),
            none: false,
            filter: None,
            snaplen: None,
            direction: Direction::Both,
            promiscuous: true,
            count: None,
            original_speed: false,
            workers: None,
            cpus: Vec::new(),
            engine: Engine::Auto,
        }
    }
}

/// Something packets are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A capture on the standard input.
    Stdin,
    /// An interface, a capture, or a directory of captures; which one is seen when it is opened.
    Named(String),
}

/// Which packets of an interface to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// All.
    Both,
    /// Those it receives.
    Received,
    /// Those it sends.
    Sent,
}

/// How an interface is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A kernel ring where there is one, else libpcap.
    Auto,
    /// A kernel ring, or fail.
    AfPacket,
    /// libpcap.
    Libpcap,
}

impl Capture {
    fn add(&mut self, list: &str) -> Result<(), Stop> {
        for name in list.split(',').map(str::trim) {
            match name {
                "" => return Err("has an empty name; give interfaces or captures parted by commas".into()),
                "-" => self.inputs.push(Input::Stdin),
                "none" => {
                    self.inputs.clear();
                    self.none = true;
                }
                _ if name.starts_with("nf:") || name.starts_with("zc:") => {
                    return Err(Stop::Usage(format!(
                        "'{name}' is a capture system this version has not; give an interface or a capture"
                    )));
                }
                _ => self.inputs.push(Input::Named(name.to_owned())),
            }
        }
        Ok(())
    }
}

/// Reads `0,2,4-7`.
fn cpus(list: &str) -> Result<Vec<u16>, Stop> {
    let one = |text: &str| {
        number(text, "a CPU", 0..=1023_u16).map_err(|_| {
            Stop::Usage(format!("'{text}' is not a CPU of 0 to 1023; give numbers or ranges, like 0,2,4-7"))
        })
    };
    let mut cpus = Vec::new();
    for item in list.split(',').map(str::trim) {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (one(first)?, one(last)?);
        if first > last {
            return Err(Stop::Usage(format!("'{item}' runs backwards; give the smaller CPU first, like 4-7")));
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

/// The options.
pub const SPEC: Group = Group {
    name: "capture",
    title: "Capture",
    flags: &[
        Flag {
            short: Some('i'),
            long: "interface",
            value: Value::One("INPUT"),
            repeat: Repeat::Replaces,
            help: "Interfaces, captures (pcap, pcapng) or directories to read, or - for the standard input",
            doc: "A list parted by commas is read in its order; a directory stands for the captures in it, in the \
                  order of their names, and is read once. Time is that of the packets, so a capture gives the same \
                  flows at any speed.\n\nMay be given more than once. Given on the command line, it replaces what a \
                  configuration file says. `none` reads no packets.",
            offer: Offer::Interfaces,
            good: &["eth0", "traffic.pcap", "a.pcap,b.pcapng", "-", "none"],
            bad: &["a,,b", "zc:eth0"],
            apply: |options, text| options.capture.add(text),
            ..Flag::SWITCH
        },
        Flag {
            long: "pcap-file-list",
            value: Value::One("FILE"),
            repeat: Repeat::Adds,
            help: "Read the captures named in FILE, one a line, in that order",
            doc: "Blank lines and lines that begin with `#` are skipped. Relative names start at the working directory. \
                  The captures are read after those named before this option.",
            offer: Offer::Files,
            bad: &["/nonexistent/list"],
            apply: |options, text| {
                let names = lines(text)?.into_iter().map(|(_, name)| Input::Named(name));
                options.capture.inputs.extend(names);
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('f'),
            long: "bpf-filter",
            value: Value::One("EXPRESSION"),
            help: "Take only packets that match a BPF filter",
            doc: "The expression is that of tcpdump and libpcap. It works on captures as on interfaces.",
            good: &["tcp port 443", "net 10.0.0.0/8"],
            bad: &["prot 53", "port"],
            apply: |options, text| {
                Filter::check(text)
                    .map_err(|said| Stop::Usage(format!("not a filter: {said}; see pcap-filter(7) for the syntax")))?;
                options.capture.filter = Some(text.to_owned());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('s'),
            long: "snaplen",
            value: Value::One("BYTES"),
            help: "Capture at most this much of a packet",
            doc: "Flows count the whole length of a packet, however little of it is captured. By default as much is \
                  captured as is looked at.",
            good: &["128", "65535"],
            bad: &["63", "262145", "all"],
            apply: |options, text| {
                options.capture.snaplen = Some(Bytes(number(text, "bytes", 64..=262_144)?));
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "capture-direction",
            value: Value::One("0|1|2"),
            default: "0",
            help: "Packets of an interface to take: 0 all, 1 received, 2 sent",
            offer: Offer::Words(&["0", "1", "2"]),
            good: &["0", "1", "2"],
            bad: &["3", "rx"],
            apply: |options, text| {
                let directions = [("0", Direction::Both), ("1", Direction::Received), ("2", Direction::Sent)];
                options.capture.direction = one_of(text, &directions)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "no-promisc",
            help: "Take only packets addressed to the interface",
            doc: "By default the interface is put into promiscuous mode, and takes all it sees.",
            apply: |options, _| {
                options.capture.promiscuous = false;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "capture-engine",
            value: Value::One("ENGINE"),
            default: "auto",
            help: "How an interface is read: auto, af_packet or libpcap",
            doc: "`af_packet` is a ring shared with the Linux kernel, and spreads packets over the workers. `auto` takes \
                  it where it can be had, and libpcap elsewhere.",
            offer: Offer::Words(&["auto", "af_packet", "libpcap"]),
            good: &["auto", "af_packet", "libpcap"],
            bad: &["dpdk"],
            apply: |options, text| {
                let engines = [("auto", Engine::Auto), ("af_packet", Engine::AfPacket), ("libpcap", Engine::Libpcap)];
                options.capture.engine = one_of(text, &engines)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "workers",
            value: Value::One("N"),
            default: "auto",
            help: "Threads that meter the packets of an interface",
            doc: "`auto` is half of the CPUs, 8 at most. All packets between two hosts meet the same worker. Captures are \
                  read by one thread.",
            good: &["auto", "1", "4"],
            bad: &["0", "many", "257"],
            apply: |options, text| {
                options.capture.workers = match text {
                    "auto" => None,
                    _ => Some(number(text, "threads", 1..=256)?),
                };
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('g'),
            long: "cpu-affinity",
            value: Value::One("LIST"),
            help: "CPUs to bind threads to, in turn",
            doc: "Numbers and ranges parted by commas. The worker threads take them in order, starting over at the end.",
            good: &["0,2,4-7", "3"],
            bad: &["a", "3-1", "1024", "1,"],
            apply: |options, text| {
                options.capture.cpus = cpus(text)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "count",
            value: Value::One("N"),
            help: "Stop after this many packets",
            good: &["1000"],
            bad: &["0", "x"],
            apply: |options, text| {
                options.capture.count = Some(number(text, "packets", 1..=u64::MAX)?);
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            long: "original-speed",
            help: "Read captures at the speed they were recorded",
            doc: "By default they are read as fast as possible.",
            apply: |options, _| {
                options.capture.original_speed = true;
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
    fn inputs_keep_their_order() {
        let mut capture = Capture::default();
        capture.add("b.pcap, a.pcap").unwrap();
        capture.add("-").unwrap();
        let named = |name: &str| Input::Named(name.to_owned());
        assert_eq!(capture.inputs, [named("b.pcap"), named("a.pcap"), Input::Stdin]);
        capture.add("none").unwrap();
        assert!(capture.inputs.is_empty() && capture.none);
    }

    #[test]
    fn cpu_lists_are_read() {
        assert_eq!(cpus("0,2, 4-6"), Ok(vec![0, 2, 4, 5, 6]));
    }

    #[test]
    fn a_list_file_names_captures() {
        let path = std::env::temp_dir().join(format!("flowsonde-list-{}", std::process::id()));
        std::fs::write(&path, "# captures\nb.pcap\n\n  a,1.pcap\n").unwrap();
        let options = crate::flags::read(["--pcap-file-list", path.to_str().unwrap()]).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(options.capture.inputs, [Input::Named("b.pcap".into()), Input::Named("a,1.pcap".into())]);
    }
}
