//! Collected flows on their way out: exported again, in files, as text. The exporters' messages are made by hand here, and
//! what comes out is read by a small reader made from RFC 3954 and RFC 7011.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flowsonde");
const SECONDS: u32 = 1_700_000_000;
const PASS: &str = "--collector-passthrough";

/// A folder that is gone when the test ends; programs run in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("flowsonde-out-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let base = ["-3", "any", "-i", "messages.pcap", "--ledger", "ledger.json"];
        Command::new(PROGRAM).args(base).args(arguments).current_dir(&self.0).output().unwrap()
    }

    /// Runs without a complaint, with a ledger in which nothing is missing.
    fn fine(&self, arguments: &[&str]) -> Value {
        self.fine_but(arguments, "")
    }

    /// The same, with this complaint and no other.
    fn fine_but(&self, arguments: &[&str], complaint: &str) -> Value {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        let complaints = usize::from(!complaint.is_empty());
        assert_eq!((output.status.code(), said.lines().count()), (Some(0), complaints), "{said}");
        assert!(said.starts_with(complaint), "{said}");
        let ledger: Value = serde_json::from_slice(&fs::read(self.0.join("ledger.json")).unwrap()).unwrap();
        for stage in ledger["stages"].as_array().unwrap() {
            let lost: u64 = stage["lost"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
            let [received, delivered] = ["received", "delivered"].map(|name| stage[name].as_u64().unwrap());
            assert_eq!((received, stage["held"].as_u64()), (delivered + lost, Some(0)), "{stage}");
        }
        ledger
    }

    /// Files of a folder in the order of their names.
    fn files(&self, folder: &str) -> Vec<Vec<u8>> {
        let mut paths: Vec<_> = fs::read_dir(self.0.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
        paths.iter().map(|path: &PathBuf| fs::read(Path::new(path)).unwrap()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The sum of a stage's counter.
fn sum(ledger: &Value, stage: &str, what: impl Fn(&Value) -> Option<u64>) -> u64 {
    let stages = ledger["stages"].as_array().unwrap().iter().filter(|found| found["stage"] == stage);
    stages.map(|stage| what(stage).unwrap_or(0)).sum()
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    [&words(&[id, body.len() as u16 + 4]), body].concat()
}

/// Messages of two exporters: NetFlow v9 sampled 1:10, and IPFIX of IPv6. In each message after the first of them `records`
/// flows of 100 bytes.
fn messages(count: u8, records: u8) -> Vec<(u8, Vec<u8>)> {
    let v9 = |n: u8, sets: &[u8]| {
        let mut message = vec![0, 9, 0, 0];
        for word in [60_000 + u32::from(n) * 1000, SECONDS + u32::from(n), n.into(), 3] {
            message.extend(word.to_be_bytes());
        }
        [&message, sets].concat()
    };
    let ipfix = |n: u8, sets: &[u8]| {
        let mut message = words(&[10, sets.len() as u16 + 16]);
        for word in [SECONDS + u32::from(n), u32::from(n) * u32::from(records), 4] {
            message.extend(word.to_be_bytes());
        }
        [&message, sets].concat()
    };
    let v9_templates = [
        set(0, &words(&[256, 7, 8, 4, 12, 4, 1, 4, 2, 4, 22, 4, 21, 4, 57_472 + 180, 4])),
        set(1, &words(&[257, 4, 4, 1, 4, 34, 4])),
        set(257, &[0, 0, 0, 3, 0, 0, 0, 10]),
    ];
    let mut ipfix_template = words(&[256, 4, 27, 16, 1, 8, 152, 8, 0x8007, 65_535]);
    ipfix_template.extend(99u32.to_be_bytes());
    let mut all = vec![(1, v9(0, &v9_templates.concat())), (2, ipfix(0, &set(2, &ipfix_template)))];
    for n in 0..count {
        let (mut four, mut six) = (Vec::new(), Vec::new());
        for r in 0..records {
            four.extend([10, 0, n, r, 10, 1, 0, 1, 0, 0, 0, 100, 0, 0, 0, 2]);
            four.extend(50_000u32.to_be_bytes());
            four.extend((60_000 + u32::from(n) * 1000).to_be_bytes());
            four.extend(*b"host");
            six.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n, r, 0, 0, 0, 0, 0, 0, 0, 100]);
            six.extend((u64::from(SECONDS) * 1000).to_be_bytes());
            six.extend([3, b'a', b'b', b'c']);
        }
        all.push((1, v9(n, &set(256, &four))));
        all.push((2, ipfix(n, &set(256, &six))));
    }
    all
}

/// Writes them as UDP datagrams of 192.0.2.1 and 192.0.2.2, a second apart, in a capture of raw IP.
fn capture(to: &Scratch, messages: &[(u8, Vec<u8>)]) {
    let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0];
    for (second, (host, message)) in (0u32..).zip(messages) {
        let udp = [&words(&[40_000, 2055, 8 + message.len() as u16, 0])[..], message].concat();
        let ip = [&words(&[0x4500, 20 + udp.len() as u16, 0, 0, 0x4011, 0])[..], &[192, 0, 2, *host, 198, 51, 100, 1]];
        let packet = [ip.concat(), udp].concat();
        for word in [SECONDS + second, 0, packet.len() as u32, packet.len() as u32] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(packet);
    }
    fs::write(to.0.join("messages.pcap"), bytes).unwrap();
}

type Fields = BTreeMap<(u32, u16), Vec<u8>>;

/// Enterprise number, id, length; the first so many are scopes.
struct Template {
    scopes: usize,
    fields: Vec<(u32, u16, u16)>,
}

/// A receiver: templates by domain and id, and what it read.
#[derive(Default)]
struct Reader {
    templates: BTreeMap<(u32, u16), Template>,
    next: BTreeMap<u32, u32>,
    records: Vec<Fields>,
    options: Vec<Fields>,
}

fn n16(bytes: &[u8], at: usize) -> usize {
    usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])
}

fn n32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

impl Reader {
    fn file(bytes: &[u8]) -> Reader {
        let mut reader = Reader::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (message, after) = rest.split_at(n16(rest, 2));
            reader.message(message);
            rest = after;
        }
        reader
    }

    fn message(&mut self, message: &[u8]) {
        let ipfix = n16(message, 0) == 10;
        let (mut at, domain, sequence) = match ipfix {
            true => (16, n32(message, 12), n32(message, 8)),
            false => (20, n32(message, 16), n32(message, 12)),
        };
        assert_eq!(*self.next.entry(domain).or_insert(sequence), sequence, "sequence of {domain}");
        let before = self.records.len() + self.options.len();
        while at < message.len() {
            let (id, length) = (n16(message, at) as u16, n16(message, at + 2));
            let set = &message[at + 4..at + length];
            at += length;
            match id {
                0 | 2 => self.template(domain, ipfix, false, set),
                1 | 3 => self.template(domain, ipfix, true, set),
                id => self.data(domain, id, set),
            }
        }
        let read = self.records.len() + self.options.len() - before;
        self.next.insert(domain, sequence + if ipfix { read as u32 } else { 1 });
    }

    fn template(&mut self, domain: u32, ipfix: bool, options: bool, set: &[u8]) {
        let (count, scopes, mut at) = match (ipfix, options) {
            (_, false) => (n16(set, 2), 0, 4),
            (true, true) => (n16(set, 2), n16(set, 4), 6),
            (false, true) => ((n16(set, 2) + n16(set, 4)) / 4, n16(set, 2) / 4, 6),
        };
        let mut fields = Vec::new();
        for _ in 0..count {
            let (id, length) = (n16(set, at) as u16, n16(set, at + 2) as u16);
            at += 4;
            if ipfix && id >= 0x8000 {
                fields.push((n32(set, at), id & 0x7fff, length));
                at += 4;
            } else {
                fields.push((0, id, length));
            }
        }
        self.templates.insert((domain, n16(set, 0) as u16), Template { scopes, fields });
    }

    fn data(&mut self, domain: u32, id: u16, set: &[u8]) {
        let Template { scopes, fields } = self.templates.get(&(domain, id)).unwrap();
        let mut at = 0;
        while set.len() - at > 3 {
            let mut record = Fields::new();
            for &(pen, id, length) in fields {
                let length = if length == 65_535 {
                    at += 1;
                    set[at - 1].into()
                } else {
                    usize::from(length)
                };
                record.insert((pen, id), set[at..at + length].to_vec());
                at += length;
            }
            if *scopes > 0 { self.options.push(record) } else { self.records.push(record) }
        }
    }

    /// A number of every record that has it.
    fn numbers(&self, id: u16) -> Vec<u64> {
        self.records.iter().filter_map(|record| record.get(&(0, id))).map(|octets| number(octets)).collect()
    }
}

fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |n, &octet| n << 8 | u64::from(octet))
}

/// Everything a run sends to one collector.
fn sent(scratch: &Scratch, arguments: &[&str]) -> (Vec<Vec<u8>>, Value) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let collector = socket.local_addr().unwrap().to_string();
    let v9 = arguments == ["-V", "9", PASS];
    let complaint = if v9 { "flowsonde: --flow-version=9: NetFlow v9 has no place for" } else { "" };
    let ledger = scratch.fine_but(&[&["-n", &collector], arguments].concat(), complaint);
    (arrived(&socket), ledger)
}

/// What waits in the socket's buffer, the program having ended.
fn arrived(socket: &UdpSocket) -> Vec<Vec<u8>> {
    socket.set_nonblocking(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut buffer = [0; 65_536];
    std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec())).collect()
}

#[test]
fn every_file_that_is_passed_on_can_be_read_by_itself() {
    let scratch = Scratch::new();
    capture(&scratch, &messages(6, 10));
    let dump = ["-P", "files", "-D", "b", "--dont-nest-dump-dirs", "--max-log-lines", "40", "-F", "3600"];
    scratch.fine(&[&dump[..], &[PASS]].concat());
    let files = scratch.files("files");
    assert!(files.len() >= 3, "{}", files.len());
    let mut told = Vec::new();
    for file in &files {
        let reader = Reader::file(file);
        assert!((1..=40).contains(&reader.records.len()));
        assert!(reader.options.iter().any(|options| options.contains_key(&(0, 130))));
        told.extend(reader.records);
    }
    assert_eq!(told.len(), 120);
    let of = |key: (u32, u16)| told.iter().filter_map(|record| record.get(&key)).collect::<Vec<_>>();
    // 1:10, in the exporter's own four bytes; what was not sampled in eight.
    assert_eq!(of((0, 1)).iter().filter(|octets| ***octets == 1000u32.to_be_bytes()).count(), 60);
    assert_eq!(of((0, 1)).iter().filter(|octets| ***octets == 100u64.to_be_bytes()).count(), 60);
    assert!(of((35_632, 180)).iter().all(|octets| **octets == b"host") && of((99, 7)).len() == 60);
}

#[test]
fn domains_and_their_start_are_announced() {
    let scratch = Scratch::new();
    capture(&scratch, &messages(2, 1));
    scratch.fine(&["--ipfix-file", "flows.ipfix", PASS]);
    let reader = Reader::file(&fs::read(scratch.0.join("flows.ipfix")).unwrap());
    let numbers = |options: &Fields, ids: &[u16]| ids.iter().map(|id| number(&options[&(0, *id)])).collect::<Vec<_>>();
    let told: Vec<_> = reader.options.iter().filter(|options| options.contains_key(&(0, 130))).collect();
    // Domain of ours, exporter, its own domain, interval; of the sampled one what it was.
    assert_eq!(numbers(told[0], &[149, 130, 405, 34, 305, 306]), [1, 0xc000_0201, 3, 1, 10, 0]);
    assert_eq!(numbers(told[1], &[149, 130, 405, 34]), [2, 0xc000_0202, 4, 1]);
    let start = reader.options.iter().find(|options| options.contains_key(&(0, 160))).unwrap();
    let start = number(&start[&(0, 160)]);
    assert_eq!(start, u64::from(SECONDS) * 1000 - 60_000);
    assert_eq!(start + reader.numbers(22)[0], u64::from(SECONDS) * 1000 - 10_000);
}

#[test]
fn collectors_get_every_version_both_ways() {
    let scratch = Scratch::new();
    capture(&scratch, &messages(3, 10));
    for (version, options) in [("9", &[][..]), ("10", &[]), ("9", &[PASS][..]), ("10", &[PASS])] {
        let (datagrams, ledger) = sent(&scratch, &[&["-V", version], options].concat());
        assert!(datagrams.iter().all(|message| message.len() <= 1472));
        let mut reader = Reader::default();
        datagrams.iter().for_each(|message| reader.message(message));
        let mut bytes = reader.numbers(1);
        bytes.sort_unstable();
        assert_eq!(bytes, [vec![100; 30], vec![1000; 30]].concat(), "{version} {options:?}");
        assert_eq!(sum(&ledger, "send", |stage| stage["delivered"].as_u64()), 60);
    }
    let (datagrams, ledger) = sent(&scratch, &["-V", "5"]);
    let records: usize = datagrams.iter().map(|message| n16(message, 2)).sum();
    assert_eq!(records, 30, "of IPv4 only");
    assert_eq!(sum(&ledger, "encode", |stage| stage["lost"]["v5_ipv6"].as_u64()), 30);
    let message = &datagrams[0];
    // Bytes, and the start by the header's own times.
    assert_eq!(n32(message, 24 + 20), 1000);
    let zero = u64::from(n32(message, 8)) * 1000 - u64::from(n32(message, 4));
    assert_eq!(zero + u64::from(n32(message, 24 + 24)), u64::from(SECONDS) * 1000 - 10_000);
}

#[test]
fn collectors_take_turns_or_get_all() {
    let scratch = Scratch::new();
    capture(&scratch, &messages(4, 5));
    for (option, each) in [(&[][..], [20, 20]), (&["-a"], [40, 40])] {
        let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let [first, second] = sockets.each_ref().map(|socket| socket.local_addr().unwrap().to_string());
        scratch.fine(&[&["-n", &first, "-n", &second, "-V", "10"], option].concat());
        let records = sockets.each_ref().map(|socket| {
            let mut reader = Reader::default();
            arrived(socket).iter().for_each(|message| reader.message(message));
            reader.records.len()
        });
        assert_eq!(records, each);
    }
}

#[test]
fn text_has_its_line_of_names() {
    let scratch = Scratch::new();
    capture(&scratch, &messages(1, 2));
    let template = ["-T", "%IPV4_SRC_ADDR %IPV6_SRC_ADDR %IN_BYTES %FIRST_SWITCHED"];
    scratch.fine(&[&["--csv", "flows.csv", "-P", "files", "-D", "t", "--dont-nest-dump-dirs"][..], &template].concat());
    let start = SECONDS - 10;
    let expected = format!(
        "IPV4_SRC_ADDR|IPV6_SRC_ADDR|IN_BYTES|FIRST_SWITCHED\n10.0.0.0|::|1000|{start}\n10.0.0.1|::|1000|{start}\n\
         0.0.0.0|2001:db8::|100|{SECONDS}\n0.0.0.0|2001:db8::1|100|{SECONDS}\n"
    );
    assert_eq!(fs::read_to_string(scratch.0.join("flows.csv")).unwrap(), expected);
    let files = scratch.files("files");
    assert_eq!(files.concat(), expected.as_bytes());
    let refused = scratch.run(&["--csv", "x.csv", PASS]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--csv: a text file has one line of names"));
}
