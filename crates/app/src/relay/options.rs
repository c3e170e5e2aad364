//! What `flowrelay` can be asked for: a table, from which `--help` is printed.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use flowsonde_sys::zmq::PublicKey;

use super::keys;
use crate::flags::process::Verbosity;
use crate::flags::value::lines;
use crate::flags::value::network::Networks;
use crate::flags::value::number::number;
use crate::stop::Stop;
use crate::words::{self, Flag, Help, Table, on, path};

/// The name of the program.
pub const PROGRAM: &str = "flowrelay";

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Relay.
    #[default]
    Run,
    /// Make a pair of keys.
    Keygen(PathBuf),
    /// Print what can be asked for.
    Help,
    /// Print the version.
    Version,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to do.
    pub action: Action,
    /// Address, if not all, and port.
    pub ports: Vec<(Option<IpAddr>, u16)>,
    /// As ZeroMQ writes it, and whether collectors come to it.
    pub endpoint: Option<(String, bool)>,
    /// Public keys of collectors.
    pub authorised: Vec<PublicKey>,
    /// A file of them.
    pub authorised_keys: Option<PathBuf>,
    /// The file of our own key.
    pub secret_key: Option<PathBuf>,
    /// Nothing is encrypted.
    pub insecure: bool,
    /// Every collector gets everything.
    pub all: bool,
    /// Exporters that may send, and files of them.
    pub allowed: Networks,
    /// Files of them, read again on SIGHUP.
    pub allow_files: Vec<String>,
    /// Datagrams a second of one address; 0 is any number.
    pub rate: u32,
    /// Where datagrams are kept that do not pass.
    pub bad_packets: Option<PathBuf>,
    /// Directory of the spool.
    pub spool: Option<PathBuf>,
    /// Bytes of it.
    pub spool_max: u64,
    /// What a crash may cost.
    pub spool_sync: Duration,
    /// MiB held in memory.
    pub memory: u16,
    /// How long a datagram waits for others.
    pub delay: Duration,
    /// Batches are compressed.
    pub compress: bool,
    /// The ledger's file.
    pub ledger: Option<PathBuf>,
    /// How often it is written.
    pub ledger_interval: Duration,
    /// Whom to become.
    pub user: Option<String>,
    /// Who was root stays root.
    pub keep_privileges: bool,
    /// Everything stays allowed that the user is.
    pub no_sandbox: bool,
    /// What is told.
    pub verbosity: Verbosity,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            action: Action::Run,
            ports: Vec::new(),
            endpoint: None,
            authorised: Vec::new(),
            authorised_keys: None,
            secret_key: None,
            insecure: false,
            all: false,
            allowed: Networks::default(),
            allow_files: Vec::new(),
            rate: 0,
            bad_packets: None,
            spool: None,
            spool_max: 1 << 30,
            spool_sync: Duration::from_millis(100),
            memory: 32,
            delay: Duration::from_millis(1),
            compress: false,
            ledger: None,
            ledger_interval: Duration::from_secs(5),
            user: None,
            keep_privileges: false,
            no_sandbox: false,
            verbosity: Verbosity::Normal,
        }
    }
}

/// Topics with their options, in the order help shows them.
pub const FLAGS: &Table<Options> = &[
    (
        "Exporters",
        &[
            Flag {
                short: Some('c'),
                long: "collector-port",
                value: "[IP:]PORT[,PORT...]",
                help: "Receive NetFlow, IPFIX and sFlow at these ports (UDP); may be given several times",
                good: &["2055", "2055,6343", "192.0.2.1:2055", "[::1]:4739"],
                bad: &["", "x", "0", "70000", "a:1"],
                apply: |o, text| ports(o, text),
                ..Flag::PLAIN
            },
            Flag {
                long: "allow",
                value: "CIDR[,CIDR...]",
                help: "Only exporters of these networks may send",
                good: &["192.0.2.0/24", "10.0.0.0/8,2001:db8::/32"],
                bad: &["", "x", "10.0.0.0/33"],
                apply: |o, text| o.allowed.add(text),
                ..Flag::PLAIN
            },
            Flag {
                long: "allow-file",
                value: "FILE",
                help: "The same from a file, a network a line; read again on SIGHUP",
                good: &["exporters.txt"],
                apply: |o, text| {
                    o.allow_files.push(text.to_owned());
                    Ok(())
                },
                ..Flag::PLAIN
            },
            Flag {
                long: "exporter-rate",
                value: "N",
                default: "no limit",
                help: "Datagrams a second that one address may send; what is more is dropped",
                good: &["10000"],
                bad: &["0", "x"],
                apply: |o, text| number(text, "datagrams", 1..=100_000_000_u32).map(|n| o.rate = n),
                ..Flag::PLAIN
            },
            Flag {
                long: "dump-bad-packets",
                value: "FILE",
                help: "Write datagrams that do not pass to this capture, up to 64 MiB",
                good: &["bad.pcap"],
                apply: |o, text| path(&mut o.bad_packets, text),
                ..Flag::PLAIN
            },
        ],
    ),
    (
        "Collectors",
        &[
            Flag {
                short: Some('z'),
                long: "zmq",
                value: "ENDPOINT[c]",
                help: "Hand on at tcp://HOST:PORT; with a c behind it collectors come there (tcp://*:5556c), without it one is gone to",
                good: &["tcp://*:5556c", "tcp://192.0.2.9:5556", "zmq://[::1]:5556c"],
                bad: &["", "x", "tcp://a", "udp://a:1", "tcp://a:b", "tcp://*:5556"],
                apply: |o, text| endpoint(text).map(|endpoint| o.endpoint = Some(endpoint)),
                ..Flag::PLAIN
            },
            Flag {
                short: Some('k'),
                long: "authorised-key",
                value: "KEY|FILE",
                help: "Public key of a collector that may come; may be given several times",
                bad: &["x"],
                apply: |o, text| keys::public(text).map(|key| o.authorised.push(key)),
                ..Flag::PLAIN
            },
            Flag {
                long: "authorised-keys",
                value: "FILE",
                help: "The same from a file, a key a line; read again on SIGHUP",
                good: &["inside.keys"],
                apply: |o, text| path(&mut o.authorised_keys, text),
                ..Flag::PLAIN
            },
            Flag {
                long: "secret-key",
                value: "FILE",
                help: "Own secret key, as flowrelay keygen writes it",
                good: &["relay.key"],
                apply: |o, text| path(&mut o.secret_key, text),
                ..Flag::PLAIN
            },
            Flag {
                long: "insecure",
                help: "Encrypt nothing, and let anyone collect",
                apply: |o, _| on(&mut o.insecure),
                ..Flag::PLAIN
            },
            Flag {
                short: Some('a'),
                long: "all-collectors",
                help: "Give everything to every collector; without it each exporter has one of them",
                apply: |o, _| on(&mut o.all),
                ..Flag::PLAIN
            },
            Flag {
                long: "compress",
                help: "Compress what is handed on (Zstandard)",
                apply: |o, _| on(&mut o.compress),
                ..Flag::PLAIN
            },
            Flag {
                long: "delay",
                value: "MS",
                default: "1",
                help: "How long a datagram may wait for others to go with",
                good: &["1", "10"],
                bad: &["x", "10001"],
                apply: |o, text| {
                    number(text, "milliseconds", 0..=10_000_u32).map(|n| o.delay = Duration::from_millis(n.into()))
                },
                ..Flag::PLAIN
            },
        ],
    ),
    (
        "While no collector is there",
        &[
            Flag {
                long: "memory",
                value: "MIB",
                default: "32",
                help: "Keep so much in memory for each collector",
                good: &["32", "256"],
                bad: &["0", "x"],
                apply: |o, text| number(text, "MiB", 1..=16_384_u16).map(|n| o.memory = n),
                ..Flag::PLAIN
            },
            Flag {
                long: "spool",
                value: "DIR",
                help: "Keep what does not fit, and what a crash would lose, in this directory",
                good: &["/var/spool/flowrelay"],
                apply: |o, text| path(&mut o.spool, text),
                ..Flag::PLAIN
            },
            Flag {
                long: "spool-max",
                value: "SIZE",
                default: "1G",
                help: "Keep so much there for each collector, the oldest goes first; with K, M, G or T",
                good: &["1G", "500M", "8589934592"],
                bad: &["0", "x", "1K"],
                apply: |o, text| size(text).map(|size| o.spool_max = size),
                ..Flag::PLAIN
            },
            Flag {
                long: "spool-sync",
                value: "MS",
                default: "100",
                help: "Lose at most so much by a crash",
                good: &["100", "1000"],
                bad: &["0", "x"],
                apply: |o, text| {
                    number(text, "milliseconds", 2..=60_000_u32).map(|n| o.spool_sync = Duration::from_millis(n.into()))
                },
                ..Flag::PLAIN
            },
        ],
    ),
    (
        "The program",
        &[
            Flag {
                long: "ledger",
                value: "FILE",
                help: "Keep an account of every datagram in this file (JSON)",
                good: &["relay-ledger.json"],
                apply: |o, text| path(&mut o.ledger, text),
                ..Flag::PLAIN
            },
            Flag {
                long: "ledger-interval",
                value: "SECONDS",
                default: "5",
                help: "How often it is written",
                good: &["5"],
                bad: &["0", "x"],
                apply: |o, text| {
                    number(text, "seconds", 1..=86_400_u32).map(|n| o.ledger_interval = Duration::from_secs(n.into()))
                },
                ..Flag::PLAIN
            },
            Flag {
                long: "unprivileged-user",
                value: "USER",
                default: "flowsonde, else nobody",
                help: "Whom to become once ports are open, when started by root",
                good: &["nobody"],
                apply: |o, text| {
                    o.user = Some(text.to_owned());
                    Ok(())
                },
                ..Flag::PLAIN
            },
            Flag {
                long: "dont-drop-privileges",
                help: "Stay root",
                apply: |o, _| on(&mut o.keep_privileges),
                ..Flag::PLAIN
            },
            Flag {
                long: "no-sandbox",
                help: "Do not give up what the relay does not need: other files, TCP ports, programs, system calls (Linux)",
                apply: |o, _| on(&mut o.no_sandbox),
                ..Flag::PLAIN
            },
            Flag {
                short: Some('v'),
                long: "verbose",
                help: "Tell what happens, and the ledger at the end",
                apply: |o, _| {
                    o.verbosity = Verbosity::Ledger;
                    Ok(())
                },
                ..Flag::PLAIN
            },
            Flag {
                long: "version",
                help: "Print the version",
                apply: |o, _| {
                    o.action = Action::Version;
                    Ok(())
                },
                ..Flag::PLAIN
            },
            Flag {
                short: Some('h'),
                long: "help",
                help: "Print this",
                apply: |o, _| {
                    o.action = Action::Help;
                    Ok(())
                },
                ..Flag::PLAIN
            },
        ],
    ),
];

fn ports(options: &mut Options, text: &str) -> Result<(), Stop> {
    const REMEDY: &str = "give [ip:]port, such as 2055,6343 or 192.0.2.1:2055";
    let (address, list) = match text.rsplit_once(':') {
        None => (None, text),
        Some((address, list)) => {
            let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
            let parsed = bare.parse().map_err(|_| Stop::Usage(format!("'{address}' is no IP address; {REMEDY}")))?;
            (Some(parsed), list)
        }
    };
    for port in list.split(',') {
        let port = number(port, "a port", 1..=u16::MAX)
            .map_err(|_| Stop::Usage(format!("'{port}' is no port of 1 to 65535; {REMEDY}")))?;
        options.ports.push((address, port));
    }
    Ok(())
}

fn endpoint(text: &str) -> Result<(String, bool), Stop> {
    let wrong = |why: &str| {
        Stop::Usage(format!("{why}; give tcp://HOST:PORT of a collector, or tcp://*:PORTc for those that come"))
    };
    let rest =
        text.strip_prefix("tcp://").or_else(|| text.strip_prefix("zmq://")).ok_or_else(|| wrong("not an endpoint"))?;
    let (rest, binds) = rest
        .strip_suffix('c')
        .filter(|rest| rest.ends_with(|c: char| c.is_ascii_digit()))
        .map_or((rest, false), |rest| (rest, true));
    let (host, port) = rest.rsplit_once(':').filter(|(host, _)| !host.is_empty()).ok_or_else(|| wrong("no port"))?;
    let port: u16 = number(port, "a port", 1..=u16::MAX).map_err(|_| wrong("not a port"))?;
    if host == "*" && !binds {
        return Err(wrong("* is no collector to go to"));
    }
    Ok((format!("tcp://{host}:{port}"), binds))
}

/// Bytes, with K, M, G or T behind the number.
fn size(text: &str) -> Result<u64, Stop> {
    const LEAST: u64 = 1 << 20;
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        Some((at, 'T' | 't')) => (&text[..at], 40),
        _ => (text, 0),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)).filter(|bytes| *bytes >= LEAST);
    bytes.ok_or_else(|| Stop::Usage("not a size; give 1M or more, such as 500M or 10G".into()))
}

impl Options {
    /// Reads the words of the command line.
    pub fn read<T: Into<OsString>>(arguments: impl IntoIterator<Item = T>) -> Result<Options, Stop> {
        let mut options = Options::default();
        words::read(FLAGS, &mut options, arguments, |options, word, words| {
            let known = word == "keygen";
            if known {
                let path = words.word()?;
                let path = path
                    .ok_or_else(|| Stop::Usage("keygen: needs a file for the secret key; give keygen FILE".into()))?;
                options.action = Action::Keygen(path.into());
            }
            Ok(known)
        })?;
        if options.action == Action::Run {
            options.check()?;
        }
        Ok(options)
    }

    /// Refuses what does not go together.
    fn check(&self) -> Result<(), Stop> {
        let wrong = |text: &str| Err(Stop::Usage(text.to_owned()));
        if self.ports.is_empty() {
            return wrong("-c: no port to receive at; give -c [ip:]port, such as -c 2055,6343");
        }
        if self.endpoint.is_none() {
            return wrong(
                "-z: nobody to hand on to; give -z tcp://*:5556c for collectors that come, or -z tcp://HOST:PORT of one",
            );
        }
        let keys = !self.authorised.is_empty() || self.authorised_keys.is_some();
        match (self.insecure, &self.secret_key, keys) {
            (true, None, false) | (false, Some(_), true) => {}
            (true, ..) => {
                return wrong("--insecure: goes without keys; leave it out, or --secret-key, -k and --authorised-keys");
            }
            (false, None, _) => {
                return wrong(
                    "--secret-key: is needed, so that collectors know this relay; flowrelay keygen FILE makes one (or --insecure)",
                );
            }
            (false, Some(_), false) => {
                return wrong(
                    "-k: is needed, the public key of a collector that may come; or --authorised-keys FILE (or --insecure)",
                );
            }
        }
        if self.all && self.insecure {
            return wrong("--all-collectors: needs keys, by which collectors are told apart; leave out --insecure");
        }
        Ok(())
    }

    /// Keys of those who may come, and networks that may send, from their files as they are now.
    pub fn authorised(&self) -> Result<Vec<PublicKey>, Stop> {
        let mut keys = self.authorised.clone();
        if let Some(path) = &self.authorised_keys {
            keys.extend(keys::authorised("--authorised-keys", path)?);
        }
        let mut once: Vec<PublicKey> = Vec::new();
        keys.into_iter().for_each(|key| {
            if !once.contains(&key) {
                once.push(key)
            }
        });
        if once.is_empty() && !self.insecure {
            return Err(Stop::Usage("--authorised-keys: no key in it; give a file with a public key a line".into()));
        }
        Ok(once)
    }

    /// Networks that may send; `None` is all.
    pub fn allowed(&self) -> Result<Option<Networks>, Stop> {
        let mut allowed = self.allowed.clone();
        for file in &self.allow_files {
            for (number, line) in lines(file).map_err(|stop| stop.at(&format!("--allow-file={file}")))? {
                allowed.add(&line).map_err(|error| error.at(&format!("--allow-file={file}:{number}")))?;
            }
        }
        let none = self.allowed.is_empty() && self.allow_files.is_empty();
        Ok((!none).then_some(allowed))
    }
}

/// The text of `--version`.
pub fn version() -> String {
    format!("{PROGRAM} {}\n", env!("CARGO_PKG_VERSION"))
}

/// The text of `--help`.
pub fn help() -> String {
    let head = format!(
        "{} - hands flow export on through a firewall, encrypted\n\n\
         Usage: flowrelay -c [IP:]PORT -z ENDPOINT --secret-key FILE -k KEY [OPTIONS]\n       \
         flowrelay keygen FILE          makes a pair of keys, FILE and FILE.pub\n",
        version().trim_end()
    );
    let mut help = Help::new(head, 34);
    help.table(FLAGS);
    help.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        words::check(FLAGS, &help());
    }

    #[test]
    fn words_are_read() {
        let options =
            Options::read(["-c2055,6343", "-c", "[::1]:1", "-z", "tcp://*:5556c", "--insecure", "--spool-max=2M"]);
        let options = options.unwrap();
        assert_eq!(options.ports, [(None, 2055), (None, 6343), (Some("::1".parse().unwrap()), 1)]);
        assert_eq!((options.endpoint, options.spool_max), (Some(("tcp://*:5556".to_owned(), true)), 2 << 20));
        let options = Options::read(["-c", "1", "-z", "zmq://192.0.2.1:5556", "--insecure"]).unwrap();
        assert_eq!(options.endpoint, Some(("tcp://192.0.2.1:5556".to_owned(), false)));
        assert_eq!(Options::read(["keygen", "x"]).unwrap().action, Action::Keygen("x".into()));
        assert_eq!(Options::read(["-h"]).unwrap().action, Action::Help);
    }

    #[test]
    fn errors_name_option_value_and_remedy() {
        let key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
        for (words, error) in [
            (&["-c"][..], "--collector-port: needs a value; give [IP:]PORT[,PORT...], like 2055"),
            (&["-c", "x"], "--collector-port=x: 'x' is no port of 1 to 65535; give [ip:]port"),
            (&["-z", "tcp://*:1"], "--zmq=tcp://*:1: * is no collector to go to; give tcp://HOST:PORT"),
            (&["-k", "x"], "--authorised-key=x: neither a key nor a file"),
            (&["-x"], "-x: unknown option"),
            (&["relay"], "relay: unknown option"),
            (&["keygen"], "keygen: needs a file"),
            (&["-z", "tcp://*:1c", "--insecure"], "-c: no port"),
            (&["-c", "1", "--insecure"], "-z: nobody"),
            (&["-c", "1", "-z", "tcp://*:1c"], "--secret-key: is needed"),
            (&["-c", "1", "-z", "tcp://*:1c", "--secret-key", "x"], "-k: is needed"),
            (&["-c", "1", "-z", "tcp://*:1c", "--insecure", "-k", key], "--insecure: goes without keys"),
            (&["-c", "1", "-z", "tcp://*:1c", "--insecure", "-a"], "--all-collectors: needs keys"),
            (&["--compress=1"], "--compress=1: takes no value; give --compress alone"),
        ] {
            let stop = Options::read(words.iter().copied()).unwrap_err();
            assert!(matches!(stop, Stop::Usage(_)) && stop.to_string().starts_with(error), "{words:?}: {stop}");
        }
    }
}
