//! `flowrelay` and a collector, as their users run them: keys, both ways of attaching, outages.

#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "a test that panics has failed")]

mod exporter;

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use exporter::scratch::Scratch;
use exporter::{FIELDS, V9, record};

const RELAY: &str = env!("CARGO_BIN_EXE_flowrelay");

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn signal(&mut self, signal: &str) {
        Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
    }

    /// Tells it to end; what it said.
    fn end(mut self) -> String {
        self.signal("-TERM");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut said).unwrap();
        assert!(self.0.wait().unwrap().success(), "{said}");
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_udp() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn free_tcp() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A folder with keys, and free ports.
struct Site {
    scratch: Scratch,
    exports: u16,
    link: u16,
}

impl Site {
    fn new() -> Site {
        let site = Site { scratch: Scratch::new(), exports: free_udp(), link: free_tcp() };
        for name in ["relay.key", "inside.key", "other.key"] {
            assert!(site.command(&["keygen", name]).output().unwrap().status.success());
        }
        site
    }

    /// What the relay and the collector are told of the link: the endpoint of each.
    fn ends(&self, inside_binds: bool) -> (String, String) {
        match inside_binds {
            false => (format!("tcp://127.0.0.1:{}c", self.link), format!("zmq://127.0.0.1:{}", self.link)),
            true => (format!("tcp://127.0.0.1:{}", self.link), format!("zmq://*:{}", self.link)),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(RELAY);
        command.args(arguments).current_dir(&self.scratch.0).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn relay(&self, endpoint: &str, more: &[&str]) -> Running {
        let (exports, keys) = (format!("127.0.0.1:{}", self.exports), ["--secret-key", "relay.key"]);
        let place = ["-c", &exports, "-z", endpoint, "--ledger", "relay.json", "--dont-drop-privileges"];
        let relay = Running(self.command(&[&place[..], &keys, more].concat()).spawn().unwrap());
        // It is there when the port is taken.
        let since = Instant::now();
        while UdpSocket::bind(("127.0.0.1", self.exports)).is_ok() {
            assert!(since.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(10));
        }
        relay
    }

    fn collector(&self, place: &str, secret: &str, more: &[&str]) -> Running {
        let keys = ["--relay-key", "relay.key.pub", "--relay-secret-key", secret];
        let rest = ["-3", place, "--json", "out.json", "--dont-drop-privileges"];
        let mut command = self.scratch.command(&[&rest[..], &keys, more].concat());
        Running(command.stderr(Stdio::piped()).spawn().unwrap())
    }

    /// A template, and a message for each number.
    fn send(&self, numbers: core::ops::Range<u32>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = ("127.0.0.1", self.exports);
        socket.send_to(&V9::new(0).template(256, &FIELDS).bytes(), to).unwrap();
        for n in numbers {
            let message = V9::new(n + 1).set(256, record(n as u8, 53, 1, 1000 + n));
            socket.send_to(&message.bytes(), to).unwrap();
        }
    }

    /// `IN_BYTES` of the records there are, once there are so many.
    fn told(&self, count: usize) -> Vec<u64> {
        let since = Instant::now();
        loop {
            let text = fs::read_to_string(self.scratch.0.join("out.json")).unwrap_or_default();
            let lines: Vec<_> = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
            if lines.len() >= count || since.elapsed() > Duration::from_secs(20) {
                let of = |line: &&str| serde_json::from_str::<Value>(line).unwrap()["IN_BYTES"].as_u64().unwrap();
                return lines.iter().map(of).collect();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ledger(&self, name: &str) -> Vec<Value> {
        let ledger: Value = serde_json::from_str(&fs::read_to_string(self.scratch.0.join(name)).unwrap()).unwrap();
        let stages = ledger["stages"].as_array().unwrap().clone();
        for stage in &stages {
            let lost: u64 = stage["lost"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum();
            let number = |name: &str| stage[name].as_u64().unwrap();
            assert_eq!(number("received"), number("delivered") + lost + number("held"), "{stage}");
        }
        stages
    }

    fn stage(&self, ledger: &str, stage: &str) -> Value {
        self.ledger(ledger).into_iter().find(|found| found["stage"] == stage).unwrap()
    }
}

fn numbers(range: core::ops::Range<u64>) -> Vec<u64> {
    range.map(|n| 1000 + n).collect()
}

#[test]
fn records_are_as_if_they_had_come_directly_whoever_attaches() {
    for inside_binds in [false, true] {
        let site = Site::new();
        let (relay_at, collector_at) = site.ends(inside_binds);
        let relay = site.relay(&relay_at, &["-k", "inside.key.pub", "--compress"]);
        let collector = site.collector(&collector_at, "inside.key", &[]);
        site.send(0..100);
        assert_eq!(site.told(100), numbers(0..100));
        // What is no flow export does not pass.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"GET / HTTP/1.1\r\n\r\n", ("127.0.0.1", site.exports)).unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        collector.end();
        assert_eq!(relay.end(), "");
        let receive = site.stage("ledger.json", "receive");
        assert_eq!((&receive["received"], &receive["delivered"]), (&101.into(), &101.into()));
        let of_relay: Vec<_> =
            site.ledger("ledger.json").into_iter().filter(|stage| stage["stage"] == "relay").collect();
        let lost: u64 = of_relay.iter().map(|stage| stage["lost"]["not_flow"].as_u64().unwrap()).sum();
        assert_eq!((of_relay.len(), lost), (2, 1), "{of_relay:?}");
        let relayed = site.stage("relay.json", "relay");
        assert_eq!((&relayed["received"], &relayed["delivered"]), (&101.into(), &101.into()));
        let from = site.stage("ledger.json", "exporter")["exporter"].clone();
        assert!(from.as_str().unwrap().starts_with("127.0.0.1:"), "{from}");
    }
}

#[test]
fn who_has_another_key_gets_nothing() {
    let site = Site::new();
    let (endpoint, place) = site.ends(false);
    let relay = site.relay(&endpoint, &["-k", "inside.key.pub"]);
    let stranger = site.collector(&place, "other.key", &[]);
    site.send(0..10);
    std::thread::sleep(Duration::from_secs(3));
    stranger.end();
    assert!(site.told(0).is_empty());
    // Who has the right one gets all of it.
    let collector = site.collector(&place, "inside.key", &[]);
    assert_eq!(site.told(10), numbers(0..10));
    collector.end();
    let said = relay.end();
    assert_eq!(said.lines().count(), 1, "{said}");
    let other = fs::read_to_string(site.scratch.0.join("other.key.pub")).unwrap();
    assert!(said.contains("turned away") && said.contains(other.trim()) && said.contains("127.0.0.1"), "{said}");
    assert!(!said.contains("without keys"), "{said}");
}

#[test]
fn what_was_spooled_comes_after_both_were_started_anew() {
    let site = Site::new();
    let (endpoint, place) = site.ends(false);
    let more = ["-k", "inside.key.pub", "--spool", "spool"];
    let state = ["--relay-state", "state"];
    let relay = site.relay(&endpoint, &more);
    let collector = site.collector(&place, "inside.key", &state);
    site.send(0..50);
    assert_eq!(site.told(50), numbers(0..50));
    collector.end();
    site.send(50..100);
    std::thread::sleep(Duration::from_millis(300));
    relay.end();
    assert_eq!(site.stage("relay.json", "relay")["held"], 51);
    let relay = site.relay(&endpoint, &more);
    let collector = site.collector(&place, "inside.key", &state);
    assert_eq!(site.told(100), numbers(0..100));
    site.send(100..110);
    assert_eq!(site.told(110), numbers(0..110));
    collector.end();
    relay.end();
    assert_eq!(site.stage("relay.json", "relay")["held"], 0);
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    fs::set_permissions(site.scratch.0.join("relay.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let arguments = ["-c", "1", "-z", "tcp://127.0.0.1:1c", "--secret-key", "relay.key", "-k", "inside.key.pub"];
    let port = site.exports.to_string();
    let refused = site.command(&[&["-c", &port], &arguments[2..]].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("--secret-key relay.key") && said.contains("chmod 600"), "{said}");
}

impl Site {
    /// Records of one of several collectors, each with files of its own.
    fn told_to(&self, name: &str) -> Vec<(String, u64)> {
        let text = fs::read_to_string(self.scratch.0.join(name)).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .map(|r| (r["EXPORTER_IPV4_ADDRESS"].as_str().unwrap().to_owned(), r["IN_BYTES"].as_u64().unwrap()))
            .collect()
    }

    fn collector_named(&self, place: &str, name: &str) -> Running {
        let (key, out) = (format!("{name}.key"), format!("{name}.json"));
        let ledger = format!("{name}-ledger.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowsonde"));
        command.args(["-3", place, "--relay-key", "relay.key.pub", "--relay-secret-key", &key, "--json", &out]);
        command
            .args(["--ledger", &ledger, "--dont-drop-privileges", "--collector-passthrough"])
            .current_dir(&self.scratch.0);
        Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// From 20 exporters, 10 records each.
    fn send_from_many(&self) {
        for exporter in 1..=20u8 {
            let socket = UdpSocket::bind((std::net::Ipv4Addr::new(127, 0, 1, exporter), 0)).unwrap();
            let to = ("127.0.0.1", self.exports);
            socket.send_to(&V9::new(0).template(256, &FIELDS).bytes(), to).unwrap();
            for n in 0..10 {
                let message = V9::new(n + 1).set(256, record(n as u8, 53, 1, 1000 + n));
                socket.send_to(&message.bytes(), to).unwrap();
            }
        }
    }
}

#[test]
fn collectors_share_exporters_or_get_all_of_them() {
    for all in [false, true] {
        let site = Site::new();
        let (endpoint, place) = site.ends(false);
        let keys = ["-k", "inside.key.pub", "-k", "other.key.pub", "-a"];
        let relay = site.relay(&endpoint, &keys[..if all { 5 } else { 4 }]);
        let collectors = ["inside", "other"].map(|name| site.collector_named(&place, name));
        // Both are there.
        std::thread::sleep(Duration::from_millis(1500));
        site.send_from_many();
        std::thread::sleep(Duration::from_millis(1500));
        collectors.into_iter().for_each(|collector| drop(collector.end()));
        relay.end();
        let (inside, other) = (site.told_to("inside.json"), site.told_to("other.json"));
        let exporters = |told: &[(String, u64)]| {
            told.iter().map(|(exporter, _)| exporter.clone()).collect::<std::collections::BTreeSet<_>>()
        };
        let (here, there) = (exporters(&inside), exporters(&other));
        if all {
            assert_eq!((inside.len(), other.len(), here.len(), there.len()), (200, 200, 20, 20));
        } else {
            assert_eq!((inside.len() + other.len(), here.len() + there.len()), (200, 20));
            assert!(here.is_disjoint(&there) && !here.is_empty() && !there.is_empty(), "{here:?} {there:?}");
        }
    }
}

#[test]
fn a_collector_without_keys_gets_nothing_and_says_so() {
    let site = Site::new();
    let (endpoint, place) = site.ends(false);
    let relay = site.relay(&endpoint, &["-k", "inside.key.pub"]);
    let arguments = ["-3", &place, "--json", "out.json", "--dont-drop-privileges"];
    let plain = Running(site.scratch.command(&arguments).stderr(Stdio::piped()).spawn().unwrap());
    site.send(0..10);
    std::thread::sleep(Duration::from_secs(7));
    let said = plain.end();
    assert!(site.told(0).is_empty());
    assert!(said.contains("nothing is encrypted") && said.contains("no relay answers"), "{said}");
    // Once, of several attempts.
    let said = relay.end();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("without keys") && !said.contains("authorised"), "{said}");
    let failed = &site.stage("relay.json", "relay")["notes"]["handshakes_failed"];
    assert!(failed.as_u64().unwrap() > 1, "{failed}");
}

#[test]
fn a_relay_with_a_key_that_is_not_expected_gives_nothing() {
    for inside_binds in [false, true] {
        let site = Site::new();
        let (endpoint, place) = site.ends(inside_binds);
        let relay = site.relay(&endpoint, &["-k", "inside.key.pub"]);
        // The collector expects another relay.
        let mut command = site.scratch.command(&["-3", &place, "--relay-key", "other.key.pub", "--json", "out.json"]);
        command.args(["--relay-secret-key", "inside.key", "--dont-drop-privileges"]).stderr(Stdio::piped());
        let collector = Running(command.spawn().unwrap());
        site.send(0..10);
        std::thread::sleep(Duration::from_secs(7));
        let said = collector.end();
        assert!(site.told(0).is_empty());
        assert!(said.contains("no relay answers") && said.contains("--relay-key"), "{said}");
        let said = relay.end();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("another relay's key") && !said.contains("authorised"), "{said}");
    }
}

#[test]
fn who_failed_at_first_is_let_in_later() {
    for inside_binds in [false, true] {
        let site = Site::new();
        let (endpoint, place) = site.ends(inside_binds);
        // The side that waits is the wrong one first; the side that goes there stays.
        let (relay, collector) = match inside_binds {
            false => {
                let wrong = site.relay(&endpoint, &["-k", "other.key.pub"]);
                let collector = site.collector(&place, "inside.key", &[]);
                std::thread::sleep(Duration::from_secs(2));
                assert!(wrong.end().contains("turned away"));
                (site.relay(&endpoint, &["-k", "inside.key.pub"]), collector)
            }
            true => {
                let relay = site.relay(&endpoint, &["-k", "inside.key.pub"]);
                let arguments = ["-3", &place, "--json", "plain.json", "--dont-drop-privileges"];
                let wrong = Running(site.scratch.command(&arguments).stderr(Stdio::piped()).spawn().unwrap());
                std::thread::sleep(Duration::from_secs(2));
                wrong.end();
                (relay, site.collector(&place, "inside.key", &[]))
            }
        };
        site.send(0..10);
        assert_eq!(site.told(10), numbers(0..10));
        collector.end();
        relay.end();
    }
}

#[test]
fn a_collector_that_met_something_else_finds_the_relay_later() {
    let site = Site::new();
    let (endpoint, place) = site.ends(false);
    let collector = site.collector(&place, "inside.key", &[]);
    // A web server has the relay's port.
    let other = TcpListener::bind(("127.0.0.1", site.link)).unwrap();
    let (mut connection, _) = other.accept().unwrap();
    std::io::Write::write_all(&mut connection, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
    drop((connection, other));
    let relay = site.relay(&endpoint, &["-k", "inside.key.pub"]);
    site.send(0..10);
    assert_eq!(site.told(10), numbers(0..10));
    collector.end();
    relay.end();
}

#[test]
fn that_nobody_collects_is_told_and_a_ledger_that_cannot_be_written() {
    let site = Site::new();
    let relay = site.relay(&site.ends(true).0, &["-k", "inside.key.pub"]);
    site.send(0..10);
    std::thread::sleep(Duration::from_secs(12));
    let said = relay.end();
    assert_eq!(said.lines().count(), 1, "{said}");
    let expected = format!("no collector answers at tcp://127.0.0.1:{} for 10 s; 11 datagrams wait", site.link);
    assert!(said.contains(&expected), "{said}");

    let (port, link) = (site.exports.to_string(), site.ends(false).0);
    let arguments = ["-c", &port, "-z", &link, "--insecure", "--dont-drop-privileges", "--ledger", "no/ledger.json"];
    let refused = site.command(&arguments).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("--ledger=no/ledger.json") && said.contains("give a file that can be written"), "{said}");
}

#[test]
fn one_collector_takes_from_several_relays() {
    let (first, second) = (Site::new(), Site::new());
    let place = |site: &Site| format!("zmq://127.0.0.1:{}", site.link);
    let relays = [&first, &second].map(|site| {
        // One key for both relays, so that one --relay-key serves.
        fs::copy(first.scratch.0.join("relay.key"), site.scratch.0.join("same.key")).unwrap();
        let endpoint = format!("tcp://127.0.0.1:{}c", site.link);
        let inside = first.scratch.0.join("inside.key.pub");
        let mut command = site.command(&["-c", &format!("127.0.0.1:{}", site.exports), "-z", &endpoint]);
        command.args(["--secret-key", "same.key", "-k"]).arg(inside).arg("--dont-drop-privileges");
        Running(command.spawn().unwrap())
    });
    let collector = first.collector(&place(&first), "inside.key", &["-3", &place(&second)]);
    std::thread::sleep(Duration::from_millis(1500));
    first.send(0..10);
    second.send(10..20);
    let mut told = first.told(20);
    told.sort_unstable();
    assert_eq!(told, numbers(0..20));
    collector.end();
    relays.into_iter().for_each(|relay| drop(relay.end()));
}
