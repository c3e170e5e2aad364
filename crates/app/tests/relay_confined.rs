//! The relay does its work with nothing but what that takes: what the kernel says of its threads, and that all still works.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A folder with keys, and programs that are gone when the test ends.
struct Lab {
    folder: PathBuf,
    children: Vec<Child>,
    exports: u16,
    link: u16,
}

impl Lab {
    fn new(name: &str) -> Lab {
        let folder = std::env::temp_dir().join(format!("flowsonde-confined-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("lists")).unwrap();
        let exports = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let link = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let lab = Lab { folder, children: Vec::new(), exports, link };
        for key in ["relay.key", "inside.key"] {
            let done = lab.command(env!("CARGO_BIN_EXE_flowrelay"), &["keygen", key]).output().unwrap();
            assert!(done.status.success(), "{done:?}");
        }
        fs::write(lab.folder.join("lists/allow"), "127.0.0.0/8\n").unwrap();
        fs::copy(lab.folder.join("inside.key.pub"), lab.folder.join("lists/keys")).unwrap();
        lab
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    fn start(&mut self, program: &str, arguments: &[&str], more: &[&str]) -> u32 {
        let child = self.command(program, arguments).args(more).arg("--dont-drop-privileges").spawn().unwrap();
        let id = child.id();
        self.children.push(child);
        id
    }

    /// Starts a relay whose files are in folders of their own, and waits for its ledger.
    fn relay(&mut self, endpoint: &str, more: &[&str]) -> u32 {
        fs::create_dir_all(self.folder.join("books")).unwrap();
        let port = format!("127.0.0.1:{}", self.exports);
        let id = self.start(
            env!("CARGO_BIN_EXE_flowrelay"),
            &["-c", &port, "-z", endpoint, "--secret-key", "relay.key", "--authorised-keys", "lists/keys"],
            &[&["--spool", "spool", "--ledger", "books/ledger", "--ledger-interval", "1"], more].concat(),
        );
        self.until("a ledger", || self.folder.join("books/ledger").exists().then_some(()));
        id
    }

    fn collector(&mut self, place: &str) {
        self.start(
            env!("CARGO_BIN_EXE_flowsonde"),
            &["-3", place, "--relay-key", "relay.key.pub", "--relay-secret-key", "inside.key"],
            &["--json", "told"],
        );
    }

    /// One message of NetFlow v5 with one record, of that many packets.
    fn export(&self, packets: u32) {
        let mut message = [5_u16, 1].map(u16::to_be_bytes).concat();
        message.extend([1000_u32, 1_700_000_000, 0, 0, 0].map(u32::to_be_bytes).concat());
        message.extend([0x0a00_0001_u32, 0x0a00_0002, 0, 0, packets, 100, 200, 300].map(u32::to_be_bytes).concat());
        message.extend([0, 80, 0, 81, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        self.send(&message);
    }

    fn send(&self, bytes: &[u8]) {
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        from.send_to(bytes, ("127.0.0.1", self.exports)).unwrap();
    }

    /// Packets of records that the collector told so far.
    fn told(&self) -> Vec<u64> {
        let text = fs::read_to_string(self.folder.join("told")).unwrap_or_default();
        let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        whole.map(|line| line["IN_PKTS"].as_u64().unwrap()).collect()
    }

    /// A number of the relay's ledger, all sources of the stage together.
    fn counted(&self, stage: &str, pointer: &str) -> u64 {
        let text = fs::read_to_string(self.folder.join("books/ledger")).unwrap();
        let ledger: Value = serde_json::from_str(&text).unwrap();
        let stages = ledger["stages"].as_array().unwrap().iter().filter(|one| one["stage"] == stage);
        stages.filter_map(|one| one.pointer(pointer)?.as_u64()).sum()
    }

    fn until<T>(&self, what: &str, get: impl Fn() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            match get() {
                Some(found) => return found,
                None => assert!(began.elapsed() < Duration::from_secs(20), "{what} does not come"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends messages until the first comes through, as a collector takes a moment to arrive.
    fn relays(&self, packets: u32) {
        self.until("a record", || {
            self.export(packets);
            std::thread::sleep(Duration::from_millis(100));
            self.told().contains(&u64::from(packets)).then_some(())
        });
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn signal(id: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().unwrap().success());
}

/// What the kernel says of each thread under that name.
fn threads(id: u32, name: &str) -> Vec<String> {
    let of = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")).unwrap().to_owned()
    };
    fs::read_dir(format!("/proc/{id}/task")).unwrap().map(|thread| of(thread.unwrap())).collect()
}

#[test]
fn every_thread_is_confined_and_all_goes_on() {
    let mut lab = Lab::new("all");
    let link = lab.link;
    let relay = lab.relay(
        &format!("tcp://127.0.0.1:{link}c"),
        &["--allow-file", "lists/allow", "--dump-bad-packets", "books/bad.pcap"],
    );
    // This one, one of the port, and libzmq's.
    assert!(threads(relay, "Seccomp").len() >= 4);
    for (name, value) in [("Seccomp", "2"), ("NoNewPrivs", "1")] {
        assert!(threads(relay, name).iter().all(|of| of == value), "{name}: {:?}", threads(relay, name));
    }
    // Nobody is there: to the spool.
    lab.export(7);
    lab.until("a spool", || (lab.counted("relay", "/notes/spool_bytes") > 0).then_some(()));
    lab.collector(&format!("zmq://127.0.0.1:{link}"));
    lab.until("what was in the spool", || lab.told().contains(&7).then_some(()));
    lab.relays(8);
    // What does not pass is written, and the lists are read again: one changed in place, as editors do that rename.
    lab.send(b"no export");
    lab.until("the ledger's next", || (lab.counted("exporter", "/lost/not_flow") == 1).then_some(()));
    fs::write(lab.folder.join("lists/new"), "192.0.2.0/24\n").unwrap();
    fs::rename(lab.folder.join("lists/new"), lab.folder.join("lists/allow")).unwrap();
    signal(relay, "HUP");
    lab.until("a refusal", || {
        lab.export(9);
        (lab.counted("exporter", "/lost/not_allowed") > 0).then_some(())
    });
    signal(relay, "TERM");
    assert!(lab.children[0].wait().unwrap().success());
    // The header of a capture is 24 bytes.
    assert!(fs::metadata(lab.folder.join("books/bad.pcap")).unwrap().len() > 24);
    assert!(fs::read_dir(lab.folder.join("spool")).unwrap().count() > 0);
}

#[test]
fn a_relay_that_goes_to_a_name_finds_it_again_and_again() {
    let mut lab = Lab::new("name");
    let link = lab.link;
    lab.relay(&format!("tcp://localhost:{link}"), &[]);
    lab.collector(&format!("zmq://*:{link}"));
    lab.relays(1);
    // A connection that is lost is made again, name and all.
    lab.children[1].kill().unwrap();
    lab.children[1].wait().unwrap();
    fs::remove_file(lab.folder.join("told")).unwrap();
    lab.collector(&format!("zmq://*:{link}"));
    lab.relays(2);
}

#[test]
fn no_sandbox_leaves_all_as_it_was() {
    let mut lab = Lab::new("none");
    let link = lab.link;
    let relay = lab.relay(&format!("tcp://127.0.0.1:{link}c"), &["--no-sandbox"]);
    assert!(threads(relay, "Seccomp").iter().all(|of| of == &threads(std::process::id(), "Seccomp")[0]));
    assert!(threads(relay, "NoNewPrivs").iter().all(|of| of == &threads(std::process::id(), "NoNewPrivs")[0]));
}
