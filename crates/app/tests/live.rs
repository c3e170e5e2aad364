//! The probe on interfaces: between the ends of a veth pair, in network namespaces of the test's own.
//!
//! Needs root, `ip` (iproute2) and `tcpreplay`; says so and passes where they are missing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PROBE: &str = env!("CARGO_BIN_EXE_flowsonde");

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/demo.pcap.gz")
}

/// Two namespaces and the veth pair between them, gone when dropped.
struct Lab {
    names: [String; 2],
    folder: PathBuf,
}

impl Lab {
    /// `None`, and why on stderr, where it cannot be made.
    fn new(test: &str) -> Option<Lab> {
        let has = |program: &str| Command::new(program).arg("-V").output().is_ok();
        if !has("ip") || !has("tcpreplay") {
            eprintln!("skipped: {test} needs ip (iproute2) and tcpreplay");
            return None;
        }
        let id = std::process::id();
        let lab = Lab {
            names: [format!("fs{id}{test}a"), format!("fs{id}{test}b")],
            folder: std::env::temp_dir().join(format!("flowsonde-{id}-{test}")),
        };
        std::fs::create_dir_all(&lab.folder).unwrap();
        let [a, b] = &lab.names;
        for line in [
            format!("netns add {a}"),
            format!("netns add {b}"),
            format!("link add v0 netns {a} type veth peer name v1 netns {b}"),
            format!("-n {a} link set v0 up"),
            format!("-n {b} link set v1 up"),
            format!("-n {b} link set lo up"),
        ] {
            let done = Command::new("ip").args(line.split(' ')).output().unwrap();
            if !done.status.success() {
                eprintln!("skipped: {test} needs root and network namespaces: ip {line}: {}", text(&done.stderr));
                return None;
            }
        }
        // IPv6 talks on its own; the packets counted are to be ours.
        for name in &lab.names {
            let _ = lab.inside(name, "sysctl", &["-q", "-w", "net.ipv6.conf.all.disable_ipv6=1"]).output();
        }
        Some(lab)
    }

    fn inside(&self, name: &str, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", name, program]).args(arguments);
        command
    }

    /// The probe on `v1`, capturing by the time this returns.
    fn probe(&self, arguments: &[&str]) -> Running {
        let ledger = self.folder.join("ledger.json");
        let _ = std::fs::remove_file(&ledger);
        let mut all = vec!["-i", "v1", "--ledger", ledger.to_str().unwrap(), "--ledger-interval", "1"];
        all.push("--dont-drop-privileges");
        all.extend(arguments);
        let child =
            self.inside(&self.names[1], PROBE, &all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for("the probe's first ledger", || ledger.exists());
        Running { child, ledger }
    }

    fn replay(&self, capture: &Path, speed: &[&str]) {
        let mut arguments = vec!["-q", "-i", "v0"];
        arguments.extend(speed);
        arguments.push(capture.to_str().unwrap());
        let done = self.inside(&self.names[0], "tcpreplay", &arguments).output().unwrap();
        assert!(done.status.success(), "tcpreplay: {}", text(&done.stderr));
    }

    /// The demo capture, unpacked for tcpreplay.
    fn plain_demo(&self) -> PathBuf {
        let plain = self.folder.join("demo.pcap");
        let unpacked = Command::new("gzip").args(["-dc"]).arg(demo()).output().unwrap();
        std::fs::write(&plain, unpacked.stdout).unwrap();
        plain
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

struct Running {
    child: Child,
    ledger: PathBuf,
}

impl Running {
    fn received(&self) -> u64 {
        stages(&self.ledger).map_or(0, |stages| sum(&stages, "capture", "received"))
    }

    /// SIGTERM, and what was left: its ledger, final and in balance.
    fn stop(self) -> Vec<Value> {
        self.stop_with(0)
    }

    /// Stops it by a signal; it ends with this exit status.
    fn stop_with(mut self, code: i32) -> Vec<Value> {
        // `ip netns exec` becomes the program it runs, so that the signal reaches it.
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!(status.code(), Some(code), "{errors}");
        let ledger: Value = serde_json::from_slice(&std::fs::read(&self.ledger).unwrap()).unwrap();
        assert_eq!(ledger["final"], true);
        let stages = ledger["stages"].as_array().unwrap().clone();
        for stage in &stages {
            let lost: u64 = stage["lost"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
            let number = |name: &str| stage[name].as_u64().unwrap();
            assert_eq!(number("received"), number("delivered") + lost, "{stage}");
            assert_eq!(number("held"), 0, "{stage}");
        }
        for (from, to) in [("capture", "meter"), ("cache", "queue")] {
            assert_eq!(sum(&stages, from, "delivered"), sum(&stages, to, "received"), "{from} to {to}");
        }
        stages
    }
}

fn stages(ledger: &Path) -> Option<Vec<Value>> {
    let ledger: Value = serde_json::from_slice(&std::fs::read(ledger).ok()?).ok()?;
    Some(ledger["stages"].as_array()?.clone())
}

fn sum(stages: &[Value], stage: &str, number: &str) -> u64 {
    stages.iter().filter(|s| s["stage"] == stage).map(|s| s[number].as_u64().unwrap()).sum()
}

fn lost(stages: &[Value], stage: &str, reason: &str) -> u64 {
    stages.iter().filter(|s| s["stage"] == stage).filter_map(|s| s["lost"][reason].as_u64()).sum()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(20), "no {what} after 20 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Packets and bytes by ends, client first.
type Flows = BTreeMap<String, [u64; 5]>;

fn flows(json: &Path) -> Flows {
    let mut flows = Flows::new();
    for line in std::fs::read_to_string(json).unwrap().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| record[name].to_string();
        let names = ["IPV4_SRC_ADDR", "IPV6_SRC_ADDR", "L4_SRC_PORT", "IPV4_DST_ADDR", "IPV6_DST_ADDR", "L4_DST_PORT"];
        let key = names.map(field).join(" ") + &field("PROTOCOL") + &field("SRC_VLAN");
        let sums = flows.entry(key).or_default();
        for (sum, name) in sums.iter_mut().zip(["IN_PKTS", "IN_BYTES", "OUT_PKTS", "OUT_BYTES"]) {
            *sum += record[name].as_u64().unwrap();
        }
        sums[4] += 1;
    }
    flows
}

const LONG: [&str; 4] = ["-t", "86400", "-d", "86400"];

fn as_from_the_file(test: &str, more: &[&str]) {
    let Some(lab) = Lab::new(test) else { return };
    let (live, file) = (lab.folder.join("live.json"), lab.folder.join("file.json"));
    let running = lab.probe(&[&LONG[..], more, &["--json", live.to_str().unwrap()]].concat());
    let capture = lab.plain_demo();
    lab.replay(&capture, &["--mbps", "100"]);
    let done = Command::new(PROBE)
        .args(["-i", capture.to_str().unwrap(), "--json", file.to_str().unwrap()])
        .args(LONG)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    let expected = 6621;
    wait_for("packets", || running.received() >= expected);
    let stages = running.stop();
    assert_eq!(lost(&stages, "capture", "kernel_drop"), 0);
    let (live, file) = (flows(&live), flows(&file));
    assert!(file.len() > 1000);
    for (key, sums) in &file {
        assert_eq!(live.get(key), Some(sums), "{key}");
    }
    assert_eq!(live.len(), file.len());
}

#[test]
fn a_replayed_capture_gives_the_flows_of_the_file() {
    as_from_the_file("one", &[]);
}

#[test]
fn two_workers_give_them_too() {
    as_from_the_file("two", &["--workers", "2"]);
}

#[test]
fn libpcap_gives_them_too() {
    as_from_the_file("pcap", &["--capture-engine", "libpcap"]);
}

#[test]
fn overload_is_in_the_ledger() {
    let Some(lab) = Lab::new("load") else { return };
    // More work a packet than a packet is long, records to a reader that is slow, and no room for flows.
    let template = "%IPV4_SRC_ADDR %IN_BYTES %OUT_BYTES %RETRANSMITTED_OUT_PKTS %APPL_LATENCY_MS %SRC_TO_DST_IAT_AVG";
    let json = lab.folder.join("load.json");
    let running = lab.probe(&["-M", "100", "-T", template, "--json", json.to_str().unwrap()]);
    let capture = lab.plain_demo();
    lab.replay(&capture, &["--topspeed", "--loop", "20", "-K"]);
    wait_for("packets", || running.received() >= 20 * 6621);
    let stages = running.stop();
    // With kernel drops, if any: every packet that was sent is accounted for.
    assert_eq!(sum(&stages, "capture", "received"), 20 * 6621);
    assert!(sum(&stages, "cache", "received") > 1000);
}

#[test]
fn a_collector_that_dies_is_in_the_ledger() {
    let Some(lab) = Lab::new("dies") else { return };
    let capture = lab.plain_demo();
    // Nobody listens on the UDP port, and the TCP collector goes away after its first message. Both are on the loopback
    // of the probe's own namespace, where this process is not: so they never answer at all.
    let ports = [UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(), {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }];
    let [udp, tcp] = [format!("udp://127.0.0.1:{}", ports[0]), format!("tcp://127.0.0.1:{}", ports[1])];
    let running = lab.probe(&["-a", "-n", &udp, "-n", &tcp, "-V", "10", "-d", "1", "-l", "1"]);
    for _ in 0..3 {
        lab.replay(&capture, &["--mbps", "200"]);
        std::thread::sleep(Duration::from_millis(700));
    }
    wait_for("packets", || running.received() >= 3 * 6621);
    // The TCP collector got nothing at all.
    let stages = running.stop_with(1);
    assert!(sum(&stages, "send", "received") > 1000, "{stages:?}");
}
