//! Bugs that users met, each test named for what broke.
//!
//! Everything is read from `tests/captures`, nothing needs root or a network beyond loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flowsonde");
const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/captures");

fn capture(name: &str) -> String {
    let path = fs::canonicalize(CAPTURES).unwrap().join(name).with_extension("pcap");
    path.to_str().unwrap().to_owned()
}

/// A folder that is gone when the test ends; programs run in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("flowsonde-bug-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(&self.0).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// A stage of the ledger `ledger.json`.
    fn stage(&self, name: &str) -> Value {
        let ledger: Value = serde_json::from_str(&self.read("ledger.json")).unwrap();
        ledger["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == name).unwrap().clone()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a run ended and what it said.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

#[test]
fn evictions_and_fragments_are_told() {
    let scratch = Scratch::new();
    let run = |name: &str| scratch.run(&["-i", &capture(name), "-M", "16", "-b", "1", "--ledger", "ledger.json"]);
    let ran = run("scan");
    let evicted = scratch.stage("cache")["notes"]["evicted"].as_u64().unwrap();
    assert!(evicted > 0);
    let line = format!("\n{evicted} flows were exported early: -M 16 was reached\n");
    assert!(ran.out.contains(&line), "{}", ran.out);
    assert!(ran.err.contains(&format!("(evicted {evicted})")), "{}", ran.err);

    let ran = run("fragments");
    assert!(!ran.out.contains("exported early"), "{}", ran.out);
    let notes = scratch.stage("meter")["notes"].clone();
    assert!(notes["fragments"].as_u64() > Some(0), "{notes}");
    for reason in ["overlapping", "incomplete", "orphaned", "evicted"] {
        assert!(notes[format!("fragments_{reason}")].is_u64(), "{notes}");
    }
}

#[test]
fn what_a_full_disk_took_is_a_failure() {
    let scratch = Scratch::new();
    let tls = capture("tls");
    for option in ["--json", "--csv", "--ipfix-file"] {
        let ran = scratch.run(&["-i", &tls, option, "/dev/full"]);
        let last = ran.err.lines().last().unwrap();
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let end = " records were not written: No space left on device (os error 28)";
        assert!(last.starts_with(&format!("flowsonde: {option} /dev/full: ")) && last.ends_with(end), "{last}");
    }
    // The table, and what only prints.
    for arguments in [&["-i", &tls][..], &["--help"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = scratch.command(arguments).stdout(full).output().unwrap();
        let err = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{err}");
        assert!(err.starts_with("flowsonde: cannot write to the standard output: No space left"), "{err}");
    }
    // Nobody reads: `| head`.
    let mut child = scratch.command(&["-i", &tls]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_collector_that_never_got_anything_is_a_failure() {
    let scratch = Scratch::new();
    // A port where nobody listens any more.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let collector = format!("tcp://{address}");
    let ran = scratch.run(&["-i", &capture("tls"), "-V", "10", "-n", &collector]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let last = ran.err.lines().last().unwrap();
    assert!(last.ends_with(&format!(" records not sent: never connected (-n {collector})")), "{last}");
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

/// The messages of an IPFIX file: sequence number, data records of flows (template ids 257 and 258), and whether there
/// are templates.
fn messages(bytes: &[u8]) -> Vec<(u32, usize, bool)> {
    let number = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let end = at + number(at + 2);
        let sequence = u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap());
        let (mut flows, mut templates, mut set) = (0, false, at + 16);
        while set < end {
            let length = number(set + 2);
            match number(set) {
                2 => templates = true,
                // The tests ask for one element of two bytes.
                257 => flows += (length - 4) / 2,
                _ => {}
            }
            set += length;
        }
        found.push((sequence, flows, templates));
        at = end;
    }
    found
}

#[test]
fn binary_dumps_hold_no_more_than_asked_and_each_begins_at_zero() {
    let scratch = Scratch::new();
    let scan = capture("scan");
    let arguments =
        ["-i", &scan, "-P", "dump", "-D", "b", "-F", "86400", "-T", "%L4_DST_PORT", "--ledger", "ledger.json"];
    for lines in [1, 2, 7, 50] {
        let _ = fs::remove_dir_all(scratch.file("dump"));
        let mut arguments = arguments.to_vec();
        let text = lines.to_string();
        arguments.extend(["--max-log-lines", &text]);
        let ran = scratch.run(&arguments);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
        let mut all = 0;
        let files = files(&scratch.file("dump"));
        for path in &files {
            let messages = messages(&fs::read(path).unwrap());
            let records: usize = messages.iter().map(|(_, flows, _)| flows).sum();
            assert!(records > 0 && records <= lines.max(2), "{records} of {lines}");
            assert_eq!((messages[0].0, messages[0].2), (0, true), "{messages:?}");
            // Three options records go with the templates.
            let mut sequence = 3;
            for (told, flows, templates) in &messages[1..] {
                assert_eq!((*told, *templates), (sequence, false), "{messages:?}");
                sequence += u32::try_from(*flows).unwrap();
            }
            all += records;
        }
        assert_eq!(Some(all as u64), scratch.stage("send")["delivered"].as_u64());
        assert!(files.len() >= all / lines.max(2));
    }
}

#[test]
fn records_tell_what_was_exported_before_them() {
    let scratch = Scratch::new();
    let template = "%TOTAL_BYTES_EXP %TOTAL_PKTS_EXP %TOTAL_FLOWS_EXP %OUT_PKTS %NPROBE_IPV4_ADDRESS";
    let ran = scratch.run(&["-i", &capture("tls"), "-T", template, "--json", "-"]);
    let mut bytes = 0;
    for (number, line) in ran.out.lines().enumerate() {
        let before = format!("{{\"TOTAL_BYTES_EXP\":{bytes},\"TOTAL_PKTS_EXP\":{number},\"TOTAL_FLOWS_EXP\":{number},");
        assert!(line.starts_with(&before) && line.ends_with("\"127.0.0.1\"}"), "{line}");
        bytes += line.len() + 1;
    }
    assert!(bytes > 0);
}

#[test]
fn options_that_change_nothing_are_taken() {
    let scratch = Scratch::new();
    let tls = capture("tls");
    let plain = scratch.run(&["-i", &tls, "--json", "-"]);
    let mut arguments = vec!["-i", &tls, "--json", "-"];
    let names = ["--disable-cache", "--bi-directional", "--accurate-hash", "--disable-startup-checks"];
    arguments.extend(names);
    let quiet = scratch.run(&arguments);
    assert_eq!((quiet.code, quiet.err.as_str(), &quiet.out), (Some(0), "", &plain.out));
    arguments.extend(["-b", "2"]);
    let loud = scratch.run(&arguments);
    for name in names {
        assert!(loud.err.contains(&format!("flowsonde: {name}: accepted, without effect\n")), "{}", loud.err);
    }
    let ran = scratch.run(&["--check-license"]);
    assert!(ran.code == Some(0) && ran.out.starts_with("there is no licence key"), "{ran:?}");
}

#[test]
fn what_ipfix_leaves_out_for_want_of_biflows_is_told() {
    let scratch = Scratch::new();
    let tls = capture("tls");
    let told = |names: &str, are: &str| {
        format!(
            "flowsonde: {names} {are} told in IPFIX only with --ipfix-biflow; each direction is a record of its own\n"
        )
    };
    let file = ["-i", &tls, "--ipfix-file", "a"];
    let run = |outputs: &[&str], more: &[&str]| scratch.run(&[outputs, more].concat());
    let ran = run(&file, &["-T", "%IN_BYTES %OUT_BYTES %OUT_PKTS"]);
    assert_eq!((ran.code, ran.err), (Some(0), told("OUT_BYTES, OUT_PKTS", "are")));
    let ran = run(&["-i", &tls, "-P", "dump", "-D", "b"], &["-T", "%IN_BYTES %OUT_BYTES"]);
    assert_eq!((ran.code, ran.err), (Some(0), told("OUT_BYTES", "is")));
    for more in [&[][..], &["-T", "%IN_BYTES"], &["-T", "%IN_BYTES %OUT_BYTES", "--ipfix-biflow"]] {
        let ran = run(&file, more);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{more:?}");
    }
    let ran = run(&file, &["-T", "%OUT_BYTES"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.ends_with(": IPFIX tells OUT_BYTES only with --ipfix-biflow; give it too\n"), "{}", ran.err);
}

#[test]
fn an_output_is_never_an_input_or_another_output() {
    let scratch = Scratch::new();
    fs::copy(capture("tls"), scratch.file("x.pcap")).unwrap();
    fs::hard_link(scratch.file("x.pcap"), scratch.file("hard")).unwrap();
    std::os::unix::fs::symlink("x.pcap", scratch.file("soft")).unwrap();
    fs::create_dir(scratch.file("folder")).unwrap();
    let before = fs::read(scratch.file("x.pcap")).unwrap();
    for arguments in [
        &["--json", "x.pcap"][..],
        &["--csv", "hard"],
        &["--ipfix-file", "soft"],
        &["--ledger", "./x.pcap"],
        &["--json", "new", "--csv", "folder/../new"],
        &["--json", "new", "--ledger", "new"],
        &["--ipfix-file", "-"],
        &["--ledger", "-"],
    ] {
        for more in [&[][..], &["--check-config"]] {
            let ran = scratch.run(&[&["-i", "x.pcap"], arguments, more].concat());
            assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
            assert!(!scratch.file("new").exists());
        }
        assert!(fs::read(scratch.file("x.pcap")).unwrap() == before, "{arguments:?}");
    }
    let ran = scratch.run(&["-i", "x.pcap", "--json", "/dev/null", "--csv", "/dev/null", "--ledger", "new"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

#[test]
fn a_link_type_that_is_not_read_is_told() {
    let scratch = Scratch::new();
    let mut bytes = fs::read(capture("tls")).unwrap();
    assert_eq!(bytes[20..24], [1, 0, 0, 0], "Ethernet, little-endian");
    bytes[20] = 105;
    fs::write(scratch.file("wifi.pcap"), &bytes).unwrap();
    let ran = scratch.run(&["-i", "wifi.pcap", "--json", "-", "--ledger", "ledger.json"]);
    let packets = scratch.stage("meter")["lost"]["link_type"].as_u64().unwrap();
    assert!(packets > 0);
    let told = format!(
        "flowsonde: wifi.pcap: link type 105 (IEEE 802.11) is not read: its {packets} packets are counted as link_type\n"
    );
    assert_eq!((ran.code, ran.err), (Some(0), told));
}

#[test]
fn a_wrong_filter_or_template_is_wrong_usage_told_with_its_line() {
    let scratch = Scratch::new();
    let tls = capture("tls");
    for (option, value, error) in [
        ("-f", "prot 53", "-f/--bpf-filter=prot 53: not a filter: "),
        ("-T", "%IN_BYTEZ", "-T/--flow-templ=%IN_BYTEZ: unknown element %IN_BYTEZ; did you mean %IN_BYTES?"),
    ] {
        for more in [&[][..], &["--check-config"]] {
            let ran = scratch.run(&[&["-i", &tls, option, value], more].concat());
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.err.starts_with(&format!("flowsonde: {error}")), "{}", ran.err);
        }
        fs::write(scratch.file("probe.conf"), format!("-i={tls}\n{option}={value}\n")).unwrap();
        let ran = scratch.run(&["probe.conf", "--check-config"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.starts_with(&format!("flowsonde: probe.conf:2: {error}")), "{}", ran.err);
    }
    // What only some link types have.
    for filter in ["ether host 02:00:00:00:00:01", "inbound", "vlan 7"] {
        let ran = scratch.run(&["-i", &tls, "-f", filter, "--check-config"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let ran = scratch.run(&["-i", &capture("raw"), "-f", "ether host 02:00:00:00:00:01"]);
    assert!(ran.code == Some(2) && ran.err.starts_with("flowsonde: -f 'ether host 02:"), "{ran:?}");
    let ran = scratch.run(&["-i", &tls, "-n", "127.0.0.1", "-V", "10", "-T", "%OUT_BYTES", "--check-config"]);
    assert!(ran.code == Some(2) && ran.err.starts_with("flowsonde: -T/--flow-templ: "), "{ran:?}");
}

/// Waits for the ledger to hold what is looked for.
fn until(what: &str, mut found: impl FnMut() -> bool) {
    let began = Instant::now();
    while !found() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_closed_terminal_loses_no_flow() {
    let scratch = Scratch::new();
    let arguments = ["-i", "-", "--json", "flows.json", "--ledger", "ledger.json", "--ledger-interval", "1"];
    let bytes = fs::read(capture("tls")).unwrap();
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    for nohup in [false, true] {
        let _ = fs::remove_file(scratch.file("ledger.json"));
        // The tests themselves may run under nohup, which children inherit.
        let mut command = Command::new(if nohup { "nohup" } else { "env" });
        command.args((!nohup).then_some("--default-signal=HUP"));
        command.arg(PROGRAM).args(arguments).current_dir(&scratch.0);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(if nohup { first } else { &bytes }).unwrap();
        stdin.flush().unwrap();
        let metered = |least: u64| {
            scratch.file("ledger.json").exists() && scratch.stage("meter")["delivered"].as_u64() >= Some(least)
        };
        until("it does not meter", || metered(if nohup { 1 } else { 108 }));
        let hang_up = || Command::new("kill").args(["-s", "HUP", &child.id().to_string()]).status().unwrap();
        assert!(hang_up().success());
        if nohup {
            // It goes on until its input ends.
            stdin.write_all(rest).unwrap();
            drop(stdin);
        }
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
        assert_eq!(scratch.read("flows.json").lines().count(), 5);
        assert_eq!(scratch.stage("meter")["delivered"], 108);
    }
}

#[test]
fn what_is_said_is_neat() {
    let scratch = Scratch::new();
    let tls = capture("tls");
    for option in ["-v", "--version"] {
        assert_eq!(scratch.run(&[option]).out.lines().count(), 1);
        assert!(scratch.run(&[option]).out.ends_with('\n'));
    }
    let table = scratch.run(&["-i", &tls, "--count", "10"]).out;
    assert!(table.starts_with("10 packets captured, 10 metered, "), "{table}");
    fs::write(scratch.file("none"), "not a capture").unwrap();
    let none = fs::File::open(scratch.file("none")).unwrap();
    let ran = scratch.command(&["-i", "-"]).stdin(none).output().unwrap();
    assert_eq!((ran.status.code(), ran.stdout.len()), (Some(1), 0), "{}", String::from_utf8_lossy(&ran.stderr));
    if Path::new("/sys/class/net/lo").exists() {
        let ran = scratch.run(&["lo"]);
        let told = "flowsonde: lo: not a configuration file; to capture from an interface give -i lo\n";
        assert_eq!((ran.code, ran.err.as_str()), (Some(2), told));
    }
}

/// libndpi passed over what it did not understand, crashed at a host that is empty, and never came back from port 65535.
#[cfg(feature = "ndpi")]
#[test]
fn a_file_of_rules_that_is_not_sound_is_refused() {
    let (scratch, tls) = (Scratch::new(), capture("tls"));
    fs::write(scratch.file("rules"), "# mine\ntcp:81@Mine\nhost:,x@Mine\n").unwrap();
    fs::write(scratch.file("hosts"), "example.com 101\n").unwrap();
    fs::write(scratch.file("ports"), "udp:65000-65535@Mine\n").unwrap();
    for (flag, file, told) in [
        ("--ndpi-custom-protos", "rules", "line 3 is no rule"),
        ("--ndpi-custom-categories", "hosts", "line 1 is no category"),
        ("--ndpi-custom-protos", "ports", "line 1 is no rule"),
        ("--ndpi-custom-protos", "nowhere", "cannot be read"),
        ("--ndpi-custom-categories", ".", "cannot be read"),
    ] {
        let ran = scratch.run(&["-i", &tls, "--json", "-", flag, file]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.err.starts_with(&format!("flowsonde: {flag}={file}: {told}")), "{ran:?}");
    }
    fs::write(scratch.file("rules"), "tcp:443@Mine\n").unwrap();
    let ran = scratch.run(&["-i", &tls, "--json", "-", "-T", "%L7_PROTO_NAME", "--ndpi-custom-protos", "rules"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("Mine"), "{ran:?}");
    // What the library says of more than it takes is not among the records.
    let many: String = (1..400).map(|n| format!("tcp:{n}@Mine{n}\n")).collect();
    fs::write(scratch.file("rules"), many).unwrap();
    let ran = scratch.run(&["-i", &tls, "--json", "-", "--ndpi-custom-protos", "rules"]);
    assert!(ran.out.lines().all(|line| line.starts_with('{')), "{ran:?}");
}
