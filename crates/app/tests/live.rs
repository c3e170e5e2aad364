//! The probe on interfaces: between the ends of a veth pair, in network namespaces of the test's own.
//!
//! Needs root, `ip` (iproute2), `tcpreplay` and `sysctl` (procps). Where they are missing it says so and passes, unless
//! FLOWSONDE_LIVE is set: then it fails.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Far longer than anything here takes, on any machine.
const LONG: Duration = Duration::from_secs(120);

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
        let has = |program: &&str| Command::new(program).arg("-V").output().is_ok();
        if !["ip", "tcpreplay", "sysctl"].iter().all(has) {
            skip(test, "needs ip (iproute2), tcpreplay and sysctl (procps)");
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
        ] {
            let done = Command::new("ip").args(line.split(' ')).output().unwrap();
            if !done.status.success() {
                skip(test, &format!("needs root and network namespaces: ip {line}: {}", text(&done.stderr)));
                return None;
            }
        }
        // IPv6 talks on its own as soon as a link is up; the packets counted are to be ours.
        for name in &lab.names {
            done(&mut lab.inside(name, "sysctl", &["-q", "-e", "-w", "net.ipv6.conf.all.disable_ipv6=1"]));
        }
        for (name, link) in [(a, "v0"), (b, "v1"), (b, "lo")] {
            done(Command::new("ip").args(["-n", name, "link", "set", link, "up"]));
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
        done(&mut self.inside(&self.names[0], "tcpreplay", &arguments));
    }

    /// Replays again and again, until `enough`.
    fn replay_until(&self, what: &str, capture: &Path, mut enough: impl FnMut() -> bool) {
        wait_for(what, || {
            self.replay(capture, &["--pps", "20000"]);
            enough()
        });
    }

    /// A collector on [`COLLECTOR`], in the probe's namespace.
    fn collector(&self) -> Collector {
        let program = std::env::current_exe().unwrap();
        let arguments = ["--exact", "inner_collector", "--ignored", "--nocapture"];
        let mut child = self
            .inside(&self.names[1], program.to_str().unwrap(), &arguments)
            .env("LIVE_COLLECTOR", COLLECTOR)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("READY")), "the collector does not start");
        Collector(child)
    }

    /// The demo capture, unpacked for tcpreplay.
    fn plain_demo(&self) -> PathBuf {
        let plain = self.folder.join("demo.pcap");
        let unpacked = Command::new("gzip").args(["-dc"]).arg(demo()).output().unwrap();
        std::fs::write(&plain, unpacked.stdout).unwrap();
        plain
    }

    /// A capture of UDP packets of `length` bytes, each of another flow.
    fn datagrams(&self, count: u32, length: u16) -> PathBuf {
        let path = self.folder.join("datagrams.pcap");
        let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0];
        for number in 0..count {
            let [_, a, b, c] = number.to_be_bytes();
            for word in [0, 0, u32::from(length) + 14, u32::from(length) + 14] {
                file.extend(word.to_le_bytes());
            }
            let begin = file.len();
            file.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0]);
            file.extend(length.to_be_bytes());
            file.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, a, b, c, 10, 255, 0, 1, 0x20, 0, 0, 53]);
            file.extend((length - 20).to_be_bytes());
            file.resize(begin + usize::from(length) + 14, 0);
        }
        std::fs::write(&path, file).unwrap();
        path
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

/// Where a collector listens. The namespace is the test's own.
const COLLECTOR: &str = "127.0.0.1:4739";

/// Gone when dropped, in the middle of whatever it does.
struct Collector(Child);

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "run by others, in a namespace"]
fn inner_collector() {
    let Ok(address) = std::env::var("LIVE_COLLECTOR") else { return };
    let listener = TcpListener::bind(address).unwrap();
    println!("READY");
    for connection in listener.incoming() {
        let _ = std::io::copy(&mut connection.unwrap(), &mut std::io::sink());
    }
}

struct Running {
    child: Child,
    ledger: PathBuf,
}

/// A test that fails leaves nothing running.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// What the ledger says now; it is written every second.
    fn stages(&self) -> Vec<Value> {
        let ledger: Option<Value> =
            std::fs::read(&self.ledger).ok().and_then(|text| serde_json::from_slice(&text).ok());
        ledger.and_then(|ledger| ledger["stages"].as_array().cloned()).unwrap_or_default()
    }

    /// `ip netns exec` becomes the program it runs, so that signals reach it.
    fn signal(&self, name: &str) {
        done(Command::new("sh").args(["-c", &format!("kill -s {name} {}", self.child.id())]));
    }

    /// SIGTERM, and what was left: its ledger, final and in balance.
    fn stop(self) -> Vec<Value> {
        self.stop_with(0)
    }

    /// Stops it by a signal; it ends with this exit status.
    fn stop_with(mut self, code: i32) -> Vec<Value> {
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!(status.code(), Some(code), "{errors}");
        let ledger: Value = serde_json::from_slice(&std::fs::read(&self.ledger).unwrap()).unwrap();
        assert_eq!(ledger["final"], true, "{errors}");
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

/// Said past the test harness, which keeps what tests that pass print.
fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("FLOWSONDE_LIVE").is_none(), "{test} {why}");
    let _ = writeln!(std::io::stderr(), "skipped: live test '{test}' {}", why.trim_end());
}

/// Runs a command that has to succeed.
fn done(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
}

/// Those of the sources that begin so.
fn of(stages: &[Value], source: &str) -> Vec<Value> {
    stages.iter().filter(|stage| stage["source"].as_str().unwrap().starts_with(source)).cloned().collect()
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
        assert!(begin.elapsed() < LONG, "no {what} after {} s", LONG.as_secs());
        thread::sleep(Duration::from_millis(20));
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

const NO_TIMEOUTS: [&str; 4] = ["-t", "86400", "-d", "86400"];

fn as_from_the_file(test: &str, more: &[&str]) {
    let Some(lab) = Lab::new(test) else { return };
    let (live, file) = (lab.folder.join("live.json"), lab.folder.join("file.json"));
    let running = lab.probe(&[&NO_TIMEOUTS[..], more, &["--json", live.to_str().unwrap()]].concat());
    let capture = lab.plain_demo();
    // No faster than the kernel's queue before the ring can be emptied on a busy machine: nobody counts what it loses.
    lab.replay(&capture, &["--pps", "2000"]);
    done(
        Command::new(PROBE).args(["-i", capture.to_str().unwrap(), "--json", file.to_str().unwrap()]).args(NO_TIMEOUTS),
    );
    wait_for("packets", || sum(&running.stages(), "capture", "received") >= 6621);
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
fn packets_the_kernel_drops_are_in_the_ledger() {
    let Some(lab) = Lab::new("drop") else { return };
    let capture = lab.datagrams(2000, 1400);
    let running = lab.probe(&["--workers", "1", "-M", "100"]);
    let mut sent = 0;
    wait_for("drop", || {
        // Twice what the ring has room for.
        running.signal("STOP");
        lab.replay(&capture, &["--topspeed", "--loop", "50", "-K"]);
        running.signal("CONT");
        sent += 50 * 2000;
        let told = sum(&running.stages(), "capture", "received");
        wait_for("ledger", || sum(&running.stages(), "capture", "received") > told);
        lost(&running.stages(), "capture", "kernel_drop") > 0
    });
    let stages = running.stop();
    let received = sum(&stages, "capture", "received");
    assert!(received <= sent, "{received} of {sent}");
    assert!(sum(&stages, "meter", "delivered") > 1000, "{stages:?}");
}

/// Reads a pipe slowly until told to hurry, and counts the lines.
fn slow_reader(pipe: &Path, hurry: &Arc<AtomicBool>) -> thread::JoinHandle<u64> {
    let (pipe, hurry) = (pipe.to_owned(), Arc::clone(hurry));
    thread::spawn(move || {
        let (mut file, mut buffer, mut lines) = (File::open(pipe).unwrap(), [0; 4096], 0);
        loop {
            let length = file.read(&mut buffer).unwrap();
            if length == 0 {
                return lines;
            }
            lines += buffer[..length].iter().filter(|&&byte| byte == b'\n').count() as u64;
            if !hurry.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(50));
            }
        }
    })
}

#[test]
fn overload_is_in_the_ledger() {
    let Some(lab) = Lab::new("load") else { return };
    // A flow a packet, no room for flows, and a reader that takes some thousand records a second.
    let capture = lab.datagrams(20_000, 46);
    let (pipe, hurry) = (lab.folder.join("load.json"), Arc::new(AtomicBool::new(false)));
    done(Command::new("mkfifo").arg(&pipe));
    let reader = slow_reader(&pipe, &hurry);
    let running = lab.probe(&["--workers", "1", "-M", "100", "-T", "%L4_DST_PORT", "--json", pipe.to_str().unwrap()]);
    let mut sent = 0;
    wait_for("full queue", || {
        lab.replay(&capture, &["--topspeed", "--loop", "5", "-K"]);
        sent += 5 * 20_000;
        lost(&running.stages(), "queue", "export_queue_full") > 0
    });
    hurry.store(true, Ordering::Relaxed);
    let stages = running.stop();
    let received = sum(&stages, "capture", "received");
    assert!(received <= sent, "{received} of {sent}");
    assert!(lost(&stages, "queue", "export_queue_full") > 0);
    assert_eq!(sum(&stages, "send", "delivered"), reader.join().unwrap());
}

#[test]
fn a_collector_that_dies_is_in_the_ledger() {
    let Some(lab) = Lab::new("dies") else { return };
    let capture = lab.plain_demo();
    let collector = lab.collector();
    let [tcp, udp] = [format!("tcp://{COLLECTOR}"), format!("udp://{COLLECTOR}")];
    let running = lab.probe(&["-a", "-n", &udp, "-n", &tcp, "-V", "10", "-d", "1", "-l", "1"]);
    let delivered = || sum(&of(&running.stages(), "tcp://"), "send", "delivered");
    let unsent = |stages: &[Value]| -> u64 {
        ["connection", "reconnect", "not_connected"].map(|why| lost(&of(stages, "tcp://"), "send", why)).iter().sum()
    };
    lab.replay_until("delivery", &capture, || delivered() > 0);
    drop(collector);
    lab.replay_until("loss", &capture, || unsent(&running.stages()) > 0);
    let before = delivered();
    let _collector = lab.collector();
    lab.replay_until("delivery to the collector that is back", &capture, || delivered() > before);
    let stages = running.stop();
    assert!(unsent(&stages) > 0);
    // By UDP nobody ever listened, which is no reason to lose anything.
    let udp = of(&stages, "udp://");
    assert!(sum(&udp, "send", "received") > 1000, "{stages:?}");
    assert_eq!(sum(&udp, "send", "received"), sum(&udp, "send", "delivered"), "{stages:?}");
}
