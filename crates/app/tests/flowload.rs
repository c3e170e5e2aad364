//! The load generator as its users meet it; nothing is sent but to this machine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

/// A folder that is gone when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("flowload-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flowload")).args(words).output().unwrap()
}

/// Runs it, successfully, and gives what it said was done.
fn done(words: &[&str]) -> Value {
    let output = run(&[words, &["--json"]].concat());
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn listener() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let target = format!("udp://{}", socket.local_addr().unwrap());
    (socket, target)
}

/// What TShark tells of a capture; `None` where it is not installed.
fn tshark(capture: &str, words: &[&str]) -> Option<String> {
    let decode = ["-d", "udp.port==2055,cflow", "-d", "udp.port==6343,sflow"];
    let output = Command::new("tshark").args(["-n", "-r", capture]).args(decode).args(words).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn tshark_finds_nothing_wrong() {
    let scratch = Scratch::new();
    let capture = scratch.path("load.pcap");
    for (words, target, flows) in [
        (&["--format=v5", "--sampling=100"][..], "127.0.0.1:2055", "cflow.srcaddr"),
        (&["--format=v9", "--layout=basic20", "--sampling=100"], "127.0.0.1:2055", "cflow.srcaddr"),
        (&["--format=v9", "--layout=ipv6"], "[::1]:2055", "cflow.srcaddrv6"),
        (&["--format=v9", "--layout=nsel"], "127.0.0.1:2055", "cflow.srcaddr"),
        (&["--format=ipfix", "--layout=basic20", "--sampling=100"], "127.0.0.1:2055", "cflow.srcaddr"),
        (&["--format=ipfix", "--layout=ipv6"], "127.0.0.1:2055", "cflow.srcaddrv6"),
        (&["--format=ipfix", "--layout=variable"], "127.0.0.1:2055", "cflow.srcaddr"),
        (&["--format=sflow", "--sampling=100"], "127.0.0.1:6343", "sflow_245.sampletype==1"),
        (&["--format=sflow", "--expanded"], "127.0.0.1:6343", "sflow_245.sampletype==3"),
        (&["--format=v5,v9,ipfix", "--layout=mixed", "--exporters=3"], "127.0.0.1:2055", ""),
    ] {
        let count = 2000;
        let report = done(&[words, &[target, "--pcap", &capture, "--count=2000"]].concat());
        assert_eq!(report["flows"].as_u64(), Some(count), "{words:?}");
        // One exporter that speaks several protocols has several sequences, which TShark takes for one.
        let suspect =
            if flows.is_empty() { "_ws.malformed" } else { "_ws.malformed || _ws.expert.severity >= 0x600000" };
        let Some(wrong) = tshark(&capture, &["-Y", suspect]) else {
            eprintln!("skipped: tshark is not installed");
            return;
        };
        assert_eq!(wrong, "", "{words:?}");
        let checked = ["-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"];
        let bad = [&checked[..], &["-Y", "udp.checksum.status == 0 || ip.checksum.status == 0"]].concat();
        assert_eq!(tshark(&capture, &bad).unwrap(), "", "{words:?}: checksums");
        if flows.starts_with("cflow") {
            let values = tshark(&capture, &["-T", "fields", "-e", flows, "-E", "aggregator=,"]).unwrap();
            let found = values.split(['\n', ',']).filter(|value| !value.is_empty()).count() as u64;
            assert_eq!(found, count, "{words:?}");
        } else if let Some((field, kind)) = flows.split_once("==") {
            let values = tshark(&capture, &["-T", "fields", "-e", field, "-E", "aggregator=,"]).unwrap();
            let found = values.split(['\n', ',']).filter(|value| *value == kind).count() as u64;
            assert_eq!(found, count, "{words:?}");
        }
    }
}

#[test]
fn the_same_seed_and_time_make_the_same_capture() {
    let scratch = Scratch::new();
    let make = |name: &str, seed: &str| {
        let path = scratch.path(name);
        let fixed = ["--format=v5,v9,ipfix,sflow", "--layout=mixed", "--time-base=1700000000", "--time=1"];
        done(&[&fixed[..], &["--exporters=3", "--gap=7", "--pcap", &path, "--seed", seed]].concat());
        fs::read(path).unwrap()
    };
    let first = make("a", "1");
    assert!(first.len() > 100_000 && first == make("b", "1"));
    assert!(first != make("c", "2"));
}

#[test]
fn another_machine_is_refused_unless_allowed() {
    let output = run(&["udp://192.0.2.1:2055", "--count=1"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("flowload: --target=udp://192.0.2.1:2055: ") && said.contains("--allow-remote"), "{said}");
    // What is written to a file goes nowhere, but the option is the same: what is tried out stays what is sent.
    let scratch = Scratch::new();
    let report = done(&["192.0.2.1", "--allow-remote", "--count=5", "--pcap", &scratch.path("x")]);
    assert_eq!(report["flows"].as_u64(), Some(5));
}

#[test]
fn datagrams_arrive_as_counted() {
    let (socket, target) = listener();
    let report = done(&[&target, "--count=100", "--flows-per-packet=10", "--format=v5"]);
    let (datagrams, flows) = (report["datagrams"].as_u64(), report["flows"].as_u64());
    assert_eq!((datagrams, flows), (Some(10), Some(100)));
    let mut buffer = [0; 2000];
    for number in 0..10_u32 {
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!((length, buffer[3]), (24 + 480, 10));
        assert_eq!(buffer[16..20], (number * 10).to_be_bytes());
    }
}

#[test]
fn exporters_have_addresses_of_their_own() {
    let (socket, target) = listener();
    done(&[&target, "--exporters=5", "--count=10", "--flows-per-packet=1", "--datagram-rate=1000"]);
    let mut sources = std::collections::HashSet::new();
    for _ in 0..10 {
        sources.insert(socket.recv_from(&mut [0; 2000]).unwrap().1);
    }
    assert_eq!(sources.len(), 5);
    assert!(!cfg!(target_os = "linux") || sources.iter().any(|source| source.ip().to_string() == "127.1.0.5"));
}

#[test]
fn gaps_and_shuffling_are_seen_in_the_sequence() {
    let (socket, target) = listener();
    let words = [&target, "--count=40", "--flows-per-packet=1", "--gap=5", "--shuffle=4", "--template-every=0"];
    let report = done(&words);
    assert_eq!(report["left_out"]["datagrams"].as_u64(), Some(8));
    let mut sequences = Vec::new();
    for _ in 0..32 {
        let mut buffer = [0; 2000];
        socket.recv(&mut buffer).unwrap();
        sequences.push(u32::from_be_bytes(buffer[12..16].try_into().unwrap()));
    }
    assert!(!sequences.is_sorted(), "{sequences:?}");
    sequences.sort_unstable();
    sequences.dedup();
    assert!(sequences.len() == 32 && sequences.last() <= Some(&39), "{sequences:?}");
}

#[test]
fn a_capture_is_replayed_as_it_is() {
    let scratch = Scratch::new();
    let (capture, raw) = (scratch.path("load.pcap"), scratch.path("one.dat"));
    done(&["--pcap", &capture, "--count=50", "--flows-per-packet=5", "--exporters=2", "--format=v5"]);
    fs::write(&raw, [5; 99]).unwrap();
    let (socket, target) = listener();
    let files = format!("{capture},{raw}");
    let report = done(&[&target, "--replay", &files, "--repeat=2", "--datagram-rate=10000"]);
    assert_eq!((report["datagrams"].as_u64(), report["flows"].as_u64()), (Some(22), None));
    let mut sources = std::collections::HashMap::new();
    for number in 0..22 {
        let mut buffer = [0; 2000];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(length, if number % 11 == 10 { 99 } else { 24 + 240 });
        *sources.entry(from).or_insert(0) += 1;
    }
    // The file of one payload is the first exporter's.
    let mut counts: Vec<i32> = sources.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [10, 12]);
    let output = run(&["--replay=/nonexistent/x.pcap"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("--replay=/nonexistent/x.pcap: "), "{said}");
}

#[test]
fn ipfix_goes_over_a_connection() {
    use std::io::Read;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let report = done(&[&target, "--format=ipfix", "--count=500"]);
    let bytes = reader.join().unwrap();
    assert_eq!(report["bytes"].as_u64(), Some(bytes.len() as u64));
    let (mut at, mut messages) = (0, 0);
    while at < bytes.len() {
        assert_eq!(bytes[at..at + 2], [0, 10]);
        at += usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        messages += 1;
    }
    assert_eq!((at, Some(messages)), (bytes.len(), report["datagrams"].as_u64()));
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_receiver_drops_is_told() {
    // Nobody reads: the socket takes what fits, the rest is dropped, and both can be seen.
    let (_socket, target) = listener();
    let report = done(&[&target, "--count=2000000"]);
    let (sent, dropped) = (report["datagrams"].as_u64().unwrap(), report["receiver_drops"].as_u64().unwrap());
    assert!(dropped > 0 && dropped < sent, "{report}");
    // With a backlog nothing is dropped: it waits until its time is up.
    let (_socket, target) = listener();
    let report = done(&[&target, "--backlog=50000", "--time=1"]);
    assert_eq!(report["receiver_drops"].as_u64(), Some(0), "{report}");
}

#[test]
fn help_and_version_are_printed() {
    let help = run(&["--help"]);
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("--allow-remote"));
    assert!(String::from_utf8(run(&["--version"]).stdout).unwrap().starts_with("flowload "));
    assert_eq!(run(&["--nonsense"]).status.code(), Some(2));
}
