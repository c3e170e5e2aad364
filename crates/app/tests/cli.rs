//! The program as its users meet it: exit codes, messages, inputs, outputs, and a ledger that balances.
//!
//! Everything is read from `tests/captures`, nothing needs root or a network beyond loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flowsonde");
const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/captures");

fn capture(name: &str) -> PathBuf {
    fs::canonicalize(CAPTURES).unwrap().join(name).with_extension("pcap")
}

/// A folder that is gone when the test ends; programs run in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("flowsonde-cli-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(&self.0).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    fn ledger(&self, name: &str) -> Ledger {
        Ledger(serde_json::from_str(&self.read(name)).unwrap())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a run ended and what it said.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// What it printed, having ended well without a complaint.
    fn fine(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""));
        self.out
    }
}

struct Ledger(Value);

impl Ledger {
    fn stages(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.0["stages"].as_array().unwrap().iter().filter(move |stage| stage["stage"] == name)
    }

    fn sum(&self, stage: &str, what: &str) -> u64 {
        self.stages(stage).map(|stage| stage[what].as_u64().unwrap()).sum()
    }

    fn lost(&self, stage: &str, reason: &str) -> u64 {
        self.stages(stage).map(|stage| stage["lost"][reason].as_u64().unwrap_or(0)).sum()
    }

    /// The last one of a run: every stage balances and holds nothing, and what one delivers the next receives.
    fn assert_closed(&self) {
        let ledger = &self.0;
        assert_eq!((&ledger["version"], &ledger["final"]), (&Value::from(1), &Value::from(true)), "{ledger}");
        for stage in ledger["stages"].as_array().unwrap() {
            let keys = stage.as_object().unwrap().keys().map(String::as_str);
            let keys: Vec<&str> = keys.filter(|key| *key != "notes").collect();
            assert_eq!(keys, ["delivered", "held", "lost", "received", "source", "stage", "unit"], "{stage}");
            let lost: u64 = stage["lost"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
            let [received, delivered, held] =
                ["received", "delivered", "held"].map(|what| stage[what].as_u64().unwrap());
            assert_eq!(received, delivered + lost + held, "{stage}");
            assert_eq!(held, 0, "{stage}");
        }
        assert_eq!(self.sum("capture", "delivered"), self.sum("meter", "received"), "{ledger}");
        assert_eq!(self.sum("cache", "delivered"), self.sum("queue", "received"), "{ledger}");
        let handed_on = self.sum("queue", "delivered");
        // Collectors take turns: what they take adds up. Everything else takes all.
        let (collectors, files): (Vec<&Value>, Vec<&Value>) =
            self.stages("encode").partition(|stage| stage["source"].as_str().unwrap().contains("://"));
        assert!(files.iter().all(|stage| stage["received"].as_u64() == Some(handed_on)), "{ledger}");
        let taken: u64 = collectors.iter().map(|stage| stage["received"].as_u64().unwrap()).sum();
        assert!(collectors.is_empty() || taken == handed_on, "{ledger}");
        for (encode, send) in self.stages("encode").zip(self.stages("send")) {
            assert_eq!(encode["source"], send["source"], "{ledger}");
            let [flows, records] = [encode["delivered"].as_u64().unwrap(), send["received"].as_u64().unwrap()];
            assert!((flows..=2 * flows).contains(&records), "a flow is one or two records: {ledger}");
        }
    }
}

/// Counts of TShark, by capture.
fn truths() -> Value {
    serde_json::from_str(&fs::read_to_string(Path::new(CAPTURES).join("truths.json")).unwrap()).unwrap()
}

#[test]
fn wrong_usage_is_2_and_says_what_would_be_right() {
    let scratch = Scratch::new();
    let vlan = capture("vlan");
    let vlan = vlan.to_str().unwrap();
    for (arguments, line) in [
        (&[][..], "--interface: nothing to read; give -i with an interface, a capture, a directory or -"),
        (&["--wrong"], "--wrong: unknown option; see --help"),
        (&["-i", vlan, "-t", "abc"], "-t/--lifetime-timeout=abc: not a number of seconds; give 1 to 86400000"),
        (&["-i", vlan, "-V", "7"], "-V/--flow-version=7: not one of its values; give 5, 9 or 10"),
        (
            &["-i", vlan, "-T", "%IPV4_SRC_ADR"],
            "-T/--flow-templ=%IPV4_SRC_ADR: unknown element %IPV4_SRC_ADR; did you mean %IPV4_SRC_ADDR? (word 1 of the template)",
        ),
        (
            &["-i", vlan, "--json", "-", "--csv", "-"],
            "--csv=-: --json writes to the standard output already; give one of them a file",
        ),
        (
            &["-i", vlan, "-n", "127.0.0.1", "-n", "127.0.0.1:2055"],
            "--collector=udp://127.0.0.1:2055: is named twice, and would get flows twice or out of turn; name each once",
        ),
        (
            &["-i", "lo", "-i", "lo"],
            "--interface=lo: is named twice, and its packets would count twice; name each interface once",
        ),
        (&["-H", "NOSUCHWORD"], "--help-netflow=NOSUCHWORD: no group and no element has that word"),
    ] {
        let ran = scratch.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{arguments:?}");
        assert_eq!(ran.err, format!("flowsonde: {line}\n"));
    }
}

#[test]
fn a_failure_is_1_and_says_why() {
    let scratch = Scratch::new();
    scratch.file("words.pcap", "no capture at all, but words");
    scratch.file("empty.pcap", "");
    fs::create_dir(scratch.0.join("folder")).unwrap();
    let vlan = capture("vlan");
    let vlan = vlan.to_str().unwrap();
    for (arguments, beginning) in [
        (&["-i", "nowhere"][..], "-i nowhere: no such file, directory or interface; interfaces here: "),
        (&["-i", "words.pcap"], "-i words.pcap: not a pcap or pcapng capture: starts with 6e 6f 20 63 61 70 "),
        (&["-i", "empty.pcap"], "-i empty.pcap: not a pcap or pcapng capture: empty"),
        (&["-i", "folder"], "-i folder: a directory without files"),
        (&["-i", vlan, "--json", "no/where"], "--json no/where: No such file or directory"),
        (
            &["-i", vlan, "--json", "-", "--ledger", "no/where"],
            "--ledger=no/where: No such file or directory (os error 2); give a path that can be written",
        ),
        (&["nowhere.conf"], "nowhere.conf: cannot read the configuration file: "),
    ] {
        let ran = scratch.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(ran.err.starts_with(&format!("flowsonde: {beginning}")), "{arguments:?}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    }
}

#[test]
fn a_capture_cut_in_mid_packet_is_no_failure() {
    let scratch = Scratch::new();
    let whole = fs::read(capture("http-latency")).unwrap();
    scratch.file("cut.pcap", &whole[..whole.len() - 10]);
    let ran = scratch.run(&["-i", "cut.pcap", "--json", "-", "--ledger", "ledger.json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.starts_with("flowsonde: cut.pcap: ends in mid-packet, after 61 packets"), "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 3);
    let ledger = scratch.ledger("ledger.json");
    ledger.assert_closed();
    assert_eq!((ledger.sum("capture", "received"), ledger.lost("capture", "unreadable")), (62, 1));
}

#[test]
fn what_is_asked_for_is_told() {
    let scratch = Scratch::new();
    let help = scratch.run(&["--help"]).fine();
    assert!(help.starts_with("flowsonde ") && help.contains("-i, --interface INPUT"), "{help}");
    assert_eq!(scratch.run(&["-h"]).fine(), help);
    let elements = scratch.run(&["-H"]).fine();
    assert!(elements.contains("%IPV4_SRC_ADDR") && elements.lines().count() > 900);
    assert!(scratch.run(&["-H", "retransmitted"]).fine().contains("%RETRANSMITTED_IN_PKTS"));
    let version = scratch.run(&["--version"]).fine();
    assert!(version.starts_with(concat!("flowsonde ", env!("CARGO_PKG_VERSION"))), "{version}");
    assert!(scratch.run(&["--man"]).fine().starts_with(".TH"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(scratch.run(&["--completions", shell]).fine().contains("lifetime-timeout"), "{shell}");
    }
}

#[test]
fn a_configuration_file_says_what_the_command_line_can() {
    let scratch = Scratch::new();
    let tls = capture("tls");
    let tls = tls.to_str().unwrap();
    let text = format!("# all of it\n-i={tls}\n-T=\"%L4_SRC_PORT %OUT_BYTES\"\n--json=flows.json\n");
    let file = scratch.file("probe.conf", text);
    let file = file.to_str().unwrap();
    assert_eq!(scratch.run(&[file, "--check-config"]).fine(), "the configuration is good\n");
    assert!(!scratch.0.join("flows.json").exists(), "nothing was run");
    assert_eq!(scratch.run(&[file]).fine(), "");
    let by_line = scratch.run(&["-i", tls, "-T", "%L4_SRC_PORT %OUT_BYTES", "--json", "-"]).fine();
    assert_eq!(scratch.read("flows.json"), by_line);
    // The command line is read last.
    let other = scratch.run(&[file, "-T", "%L4_DST_PORT %OUT_PKTS", "--json", "-"]).fine();
    assert!(other.starts_with("{\"L4_DST_PORT\":"), "{other}");

    let bad = scratch.file("bad.conf", format!("-i={tls}\n\n-t=soon\n"));
    let ran = scratch.run(&[bad.to_str().unwrap(), "--check-config"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.starts_with(&format!("flowsonde: {}:3: -t/--lifetime-timeout=soon: ", bad.display())),
        "{}",
        ran.err
    );
}

#[test]
fn a_capture_is_the_same_however_it_comes() {
    let scratch = Scratch::new();
    let plain = fs::read(capture("http-latency")).unwrap();
    let expected = scratch.run(&["-i", capture("http-latency").to_str().unwrap(), "--json", "-"]).fine();
    assert_eq!(expected.lines().count(), 3);

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    scratch.file("a.pcap.gz", &gzip);
    scratch.file("named-otherwise", &gzip);
    scratch.file("a.pcap.zst", zstd::encode_all(plain.as_slice(), 1).unwrap());
    for name in ["a.pcap.gz", "named-otherwise", "a.pcap.zst"] {
        assert_eq!(scratch.run(&["-i", name, "--json", "-"]).fine(), expected, "{name}");
    }
    for bytes in [&plain, &gzip] {
        let mut child = scratch.command(&["-i", "-", "--json", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(bytes).unwrap();
        drop(stdin);
        assert_eq!(Ran::from(child.wait_with_output().unwrap()).fine(), expected);
    }
}

#[test]
fn many_captures_are_one_run() {
    let scratch = Scratch::new();
    let folder = scratch.0.join("folder");
    fs::create_dir(&folder).unwrap();
    fs::copy(capture("http-latency"), folder.join("1.pcap")).unwrap();
    fs::copy(capture("keepalive"), folder.join("2.pcap")).unwrap();
    fs::write(folder.join("3.txt"), "not a capture").unwrap();
    scratch.file("list", "# in this order\nfolder/1.pcap\n\nfolder/2.pcap\n");
    let by_list = scratch.run(&["-i", "folder/1.pcap,folder/2.pcap", "--json", "-"]).fine();
    assert_eq!(by_list.lines().count(), 4);
    let by_two = scratch.run(&["-i", "folder/1.pcap", "-i", "folder/2.pcap", "--json", "-"]).fine();
    assert_eq!(by_two, by_list);
    assert_eq!(scratch.run(&["--pcap-file-list", "list", "--json", "-"]).fine(), by_list);
    let by_folder = scratch.run(&["-i", "folder", "--json", "-"]);
    assert_eq!((by_folder.code, by_folder.out), (Some(0), by_list));
    assert!(by_folder.err.starts_with("flowsonde: passed over: -i folder/3.txt: not a pcap"), "{}", by_folder.err);
}

#[test]
fn the_same_capture_gives_the_same_output() {
    let scratch = Scratch::new();
    let arguments = ["-i", CAPTURES, "--json", "-", "-T", "@NTOPNG@"];
    let [one, two] = [(); 2].map(|()| scratch.run(&arguments));
    assert_eq!(one.code, Some(0), "{}", one.err);
    assert!(one.out.lines().count() > 500);
    assert!(one.out == two.out, "two runs differ");
}

#[test]
fn outputs_stand_side_by_side() {
    let scratch = Scratch::new();
    let tls = capture("tls");
    let outputs = ["--json", "flows.json", "--csv", "flows.csv", "--csv-separator", ";", "--ipfix-file", "flows.ipfix"];
    let mut arguments = vec!["-i", tls.to_str().unwrap(), "--ledger", "ledger.json", "-P", "dump", "-D", "j"];
    arguments.extend(outputs);
    fs::create_dir(scratch.0.join("dump")).unwrap();
    assert_eq!(scratch.run(&arguments).fine(), "");

    let json = scratch.read("flows.json");
    let records: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 5);
    let csv = scratch.read("flows.csv");
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(';').collect();
    assert_eq!(names.len(), records[0].as_object().unwrap().len());
    for (line, record) in lines.zip(&records) {
        for (name, text) in names.iter().zip(line.split(';')) {
            let value = &record[*name];
            assert_eq!(value.as_str().map_or_else(|| value.to_string(), str::to_owned), text, "{name}");
        }
    }

    // Messages of version 10, one behind the other, to the end of the file.
    let ipfix = fs::read(scratch.0.join("flows.ipfix")).unwrap();
    let mut rest = ipfix.as_slice();
    while let [version_high, version_low, high, low, ..] = *rest {
        assert_eq!((version_high, version_low), (0, 10));
        rest = &rest[usize::from(u16::from_be_bytes([high, low]))..];
    }
    assert!(rest.is_empty() && ipfix.len() > 500);

    let dumped = files(&scratch.0.join("dump"));
    assert_eq!(dumped.iter().map(|path| path.extension().unwrap().to_owned()).collect::<Vec<_>>(), ["json"]);
    assert_eq!(fs::read_to_string(&dumped[0]).unwrap(), json);

    let ledger = scratch.ledger("ledger.json");
    ledger.assert_closed();
    let sources: Vec<&str> = ledger.stages("send").map(|stage| stage["source"].as_str().unwrap()).collect();
    assert_eq!(sources.len(), 4, "{sources:?}");
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_dump_command_gets_each_complete_file() {
    let scratch = Scratch::new();
    let captures =
        [capture("tls"), capture("vlan"), capture("raw")].map(|path| path.to_str().unwrap().to_owned()).join(",");
    fs::create_dir(scratch.0.join("dump")).unwrap();
    let arguments = ["-i", &captures, "-P", "dump", "-F", "10", "--dont-nest-dump-dirs", "-R", "cp -t ."];
    assert_eq!(scratch.run(&arguments).fine(), "");
    let dumped = files(&scratch.0.join("dump"));
    assert!(dumped.len() > 1, "{dumped:?}");
    for path in &dumped {
        let whole = fs::read_to_string(path).unwrap();
        assert!(whole.starts_with("IPV4_SRC_ADDR|"), "{}", path.display());
        // On a slow machine a command may outlast the program.
        let copy = scratch.0.join(path.file_name().unwrap());
        wait_for("copy", || fs::read_to_string(&copy).is_ok_and(|copy| copy == whole));
    }
}

#[test]
fn without_an_output_there_is_a_table() {
    let scratch = Scratch::new();
    let latency = capture("http-latency");
    let table = scratch.run(&["-i", latency.to_str().unwrap()]).fine();
    assert!(table.starts_with("62 packets captured, 62 metered, 3 flows, "), "{table}");
    for heading in ["Top ports", "Top talkers", "TCP quality"] {
        assert!(table.contains(heading), "{table}");
    }
    let both = scratch.run(&["-i", latency.to_str().unwrap(), "--json", "flows.json", "--summary"]).fine();
    assert_eq!(both, table);
    assert_eq!(scratch.read("flows.json").lines().count(), 3);
}

#[test]
fn collectors_get_datagrams() {
    let scratch = Scratch::new();
    let latency = capture("http-latency");
    for version in ["5", "9", "10"] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let collector = socket.local_addr().unwrap().to_string();
        let arguments = ["-i", latency.to_str().unwrap(), "-n", &collector, "-V", version, "--ledger", "ledger.json"];
        assert_eq!(scratch.run(&arguments).fine(), "");
        let mut datagram = [0; 2000];
        let len = socket.recv(&mut datagram).unwrap();
        assert!(len > 24);
        assert_eq!(u16::from_be_bytes([datagram[0], datagram[1]]).to_string(), version);
        let ledger = scratch.ledger("ledger.json");
        ledger.assert_closed();
        // v9 has both directions in one record by its default template's OUT_* elements, the others one each.
        assert_eq!(ledger.sum("send", "delivered"), if version == "9" { 3 } else { 6 });
    }
}

#[test]
fn the_ledger_balances_on_every_capture() {
    let scratch = Scratch::new();
    let truths = truths();
    let truths = truths.as_object().unwrap();
    assert!(truths.len() > 30);
    for (name, truth) in truths {
        let path = capture(name);
        let ran = scratch.run(&["-i", path.to_str().unwrap(), "--json", "flows.json", "--ledger", "ledger.json"]);
        assert_eq!(ran.fine(), "", "{name}");
        let ledger = scratch.ledger("ledger.json");
        ledger.assert_closed();
        assert_eq!(ledger.sum("capture", "received"), truth["packets"].as_u64().unwrap(), "{name}");
        let records = scratch.read("flows.json").lines().count() as u64;
        assert_eq!(ledger.sum("send", "delivered"), records, "{name}");
        let packets: u64 = scratch.read("flows.json").lines().map(packets).sum();
        assert_eq!(ledger.sum("meter", "delivered"), packets, "{name}");
    }
}

/// Packets of a record, both directions.
fn packets(line: &str) -> u64 {
    let record: Value = serde_json::from_str(line).unwrap();
    record["IN_PKTS"].as_u64().unwrap() + record["OUT_PKTS"].as_u64().unwrap()
}

#[test]
fn what_is_left_out_is_in_the_ledger() {
    let scratch = Scratch::new();
    for (name, options, stage, reason, number) in [
        ("http-latency", &["--count", "20"][..], "meter", "count_limit", None),
        ("http-latency", &["-S", "2"], "meter", "sampled_out", Some(31)),
        ("http-latency", &["-f", "src port 80"], "capture", "filtered", Some(33)),
        ("icmp", &["-N", "1"], "cache", "one_way", Some(17)),
        ("icmp", &["-N", "2"], "cache", "two_way", Some(2)),
        ("dns-udp-tcp", &["-z", "700:180:100"], "cache", "too_small", Some(7)),
        ("dns-udp-tcp", &["-S", "1:1:5"], "queue", "export_sampled_out", Some(12)),
        ("vlan", &[], "meter", "not_ip", Some(2)),
    ] {
        let path = capture(name);
        let mut arguments = vec!["-i", path.to_str().unwrap(), "--json", "flows.json", "--ledger", "ledger.json"];
        arguments.extend(options);
        assert_eq!(scratch.run(&arguments).fine(), "");
        let ledger = scratch.ledger("ledger.json");
        ledger.assert_closed();
        match number {
            Some(number) => assert_eq!(ledger.lost(stage, reason), number, "{name} {options:?} {}", ledger.0),
            None => assert!(ledger.sum("meter", "delivered") == 20, "{name} {options:?} {}", ledger.0),
        }
    }
}

#[test]
fn a_full_cache_evicts_and_accounts_for_each_flow() {
    let scratch = Scratch::new();
    let scan = capture("scan");
    let arguments = ["-i", scan.to_str().unwrap(), "-M", "16", "--json", "-", "--ledger", "ledger.json"];
    let out = scratch.run(&arguments).fine();
    let ledger = scratch.ledger("ledger.json");
    ledger.assert_closed();
    assert_eq!(out.lines().count() as u64, ledger.sum("cache", "received"));
    assert_eq!(out.lines().map(packets).sum::<u64>(), ledger.sum("meter", "delivered"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let scratch = Scratch::new();
    let arguments = ["-i", CAPTURES, "--json", "-", "--ledger", "ledger.json", "-T", "@NTOPNG@"];
    let mut child = scratch.command(&arguments).spawn().unwrap();
    drop(child.stdout.take());
    let ran = finished(&mut child);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("flowsonde: --json -: Broken pipe"), "{}", ran.err);
    let ledger = scratch.ledger("ledger.json");
    ledger.assert_closed();
    assert!(ledger.lost("send", "broken_pipe") > 0);
}

/// Far longer than anything here takes, on any machine.
const LONG: Duration = Duration::from_secs(120);

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < LONG, "no {what} in {} s", LONG.as_secs());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_reader_that_stalls_does_not_keep_it_from_ending() {
    let scratch = Scratch::new();
    let arguments = ["-i", CAPTURES, "--json", "-", "--ledger", "ledger.json", "-T", "@NTOPNG@"];
    let mut child = scratch.command(&arguments).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    // There is a ledger from the start on. Then the pipe fills, unless the signal comes first.
    let began = Instant::now();
    while !scratch.0.join("ledger.json").exists() {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "TERM");
    let ran = finished(&mut child);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let mut taken = String::new();
    out.read_to_string(&mut taken).unwrap();
    let ledger = scratch.ledger("ledger.json");
    ledger.assert_closed();
    assert_eq!(ledger.sum("send", "delivered"), taken.matches('\n').count() as u64);
    assert_eq!(ledger.sum("send", "received") - ledger.sum("send", "delivered"), ledger.lost("send", "closed"));
}

/// timeout(1) signals its child, and then its group, which the child is in.
#[test]
fn a_signal_sent_twice_is_one() {
    let scratch = Scratch::new();
    let arguments = ["-i", "-", "--json", "flows.json", "--ledger", "ledger.json"];
    let mut child = scratch.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&fs::read(capture("http-latency")).unwrap()).unwrap();
    wait_for("ledger", || scratch.0.join("ledger.json").exists());
    signal(&child, "TERM");
    signal(&child, "TERM");
    let ran = finished(&mut child);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    scratch.ledger("ledger.json").assert_closed();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let scratch = Scratch::new();
    assert!(Command::new("mkfifo").arg(scratch.0.join("fifo")).status().unwrap().success());
    let vlan = capture("vlan");
    // Nobody opens the other end, so that the first signal cannot end it.
    let arguments = ["-i", vlan.to_str().unwrap(), "--json", "fifo", "--pid-file", "pid"];
    let mut child = scratch.command(&arguments).spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if scratch.0.join("pid").exists() {
            signal(&child, "TERM");
        }
        if began.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(finished(&mut child).code, Some(1));
}

/// The end of a program that should end by itself.
fn finished(child: &mut Child) -> Ran {
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > LONG {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    Ran { code: status.code(), out: String::new(), err }
}

fn signal(child: &Child, name: &str) {
    // The shell has it built in; the program is in a package of its own.
    let kill = format!("kill -s {name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// Waits until the ledger, written every second, shows that all packets sent so far were metered.
fn metered(scratch: &Scratch, packets: u64) {
    wait_for("ledger of all packets", || {
        let text = fs::read_to_string(scratch.0.join("ledger.json")).unwrap_or_default();
        serde_json::from_str(&text).is_ok_and(|value| Ledger(value).sum("meter", "delivered") >= packets)
    });
}

/// Runs on a standard input that stays open, ends it by a signal, and gives its records.
fn ended_by(name: &str, trickle: bool) {
    let scratch = Scratch::new();
    let arguments =
        ["-i", "-", "--json", "flows.json", "--ledger", "ledger.json", "--ledger-interval", "1", "--no-progress"];
    let mut child = scratch.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = fs::read(capture("half-open")).unwrap();
    stdin.write_all(&bytes).unwrap();
    stdin.flush().unwrap();
    let last = &bytes[bytes.len() - 16 - 66..];
    // A ledger is written by a program that knows what to do about signals.
    metered(&scratch, 18);
    if trickle {
        for sent in 0..500 {
            // Once it has ended nobody reads. What it leaves unread has room in the pipe.
            let _ = stdin.write_all(last);
            if sent == 200 {
                signal(&child, name);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    } else {
        signal(&child, name);
    }
    let ran = finished(&mut child);
    drop(stdin);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let records = scratch.read("flows.json");
    assert_eq!(records.lines().count(), 3, "every flow is written");
    let ledger = scratch.ledger("ledger.json");
    ledger.assert_closed();
    assert_eq!(ledger.sum("meter", "delivered"), records.lines().map(packets).sum::<u64>());
}

#[test]
fn sigint_flushes_every_flow() {
    ended_by("INT", true);
}

#[test]
fn sigterm_flushes_every_flow() {
    ended_by("TERM", true);
}

#[test]
fn a_ledger_that_cannot_be_written_does_not_stop_it() {
    for mended in [true, false] {
        let scratch = Scratch::new();
        let folder = scratch.0.join("folder");
        fs::create_dir(&folder).unwrap();
        let arguments = ["-i", "-", "--json", "flows.json", "--ledger", "folder/ledger.json", "--ledger-interval", "1"];
        let mut child = scratch.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let began = Instant::now();
        while !folder.join("ledger.json").exists() {
            assert!(began.elapsed() < Duration::from_secs(30), "no ledger at the start");
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::rename(&folder, scratch.0.join("away")).unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let warning = lines.next().unwrap().unwrap();
        assert!(warning.starts_with("flowsonde: --ledger=folder/ledger.json: No such file"), "{warning}");
        assert!(child.try_wait().unwrap().is_none());
        if mended {
            fs::rename(scratch.0.join("away"), &folder).unwrap();
        }
        stdin.write_all(&fs::read(capture("half-open")).unwrap()).unwrap();
        drop(stdin);
        // To its end, or it would be killed by the next line it says.
        lines.for_each(drop);
        assert_eq!(child.wait().unwrap().code(), Some(if mended { 0 } else { 1 }));
        assert_eq!(scratch.read("flows.json").lines().count(), 3);
        if mended {
            scratch.ledger("folder/ledger.json").assert_closed();
        }
    }
}

#[test]
fn sigint_ends_a_silent_input() {
    ended_by("INT", false);
}

#[cfg(feature = "zmq")]
#[test]
fn endpoints_that_are_none_are_refused_before_anything_is_done() {
    let scratch = Scratch::new();
    for (endpoint, said) in [
        ("tcp://nowhere", "no port"),
        ("tcp://192.0.2.1:", "not a port"),
        ("tcp://192.0.2.1:x", "not a port"),
        ("tcp://*:70000", "not a port"),
        ("ipx://a", "not an endpoint"),
        ("", "needs a value"),
    ] {
        for arguments in [&["-3", "any", "-i", "in.pcap", "--zmq", endpoint][..], &["-i", "in.pcap", "--zmq", endpoint]]
        {
            let ran = scratch.run(arguments);
            assert_eq!(ran.code, Some(2), "{endpoint}: {}", ran.err);
            assert!(ran.err.contains("--zmq") && ran.err.contains(said), "{endpoint}: {}", ran.err);
        }
    }
}
