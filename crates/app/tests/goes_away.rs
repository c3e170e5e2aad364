//! An interface that is removed while the probe captures from it and another one.
//!
//! Needs root and `ip` (iproute2); says so and passes where they are missing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A namespace with the interface `gone0`, and a folder.
struct Lab(String, PathBuf);

impl Lab {
    fn new() -> Option<Lab> {
        let name = format!("fs{}away", std::process::id());
        let lab = Lab(name.clone(), std::env::temp_dir().join(format!("flowsonde-{name}")));
        std::fs::create_dir_all(&lab.1).unwrap();
        for line in [
            format!("netns add {name}"),
            format!("-n {name} link add gone0 type veth peer name gone1"),
            format!("-n {name} link set gone0 up"),
            format!("-n {name} link set lo up"),
        ] {
            let done = Command::new("ip").args(line.split(' ')).output();
            if !done.is_ok_and(|done| done.status.success()) {
                eprintln!("skipped: needs root, ip (iproute2) and network namespaces: ip {line}");
                return None;
            }
        }
        Some(lab)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

#[test]
fn is_told_at_once() {
    let Some(lab) = Lab::new() else { return };
    let ledger = lab.1.join("ledger.json");
    let mut child = Command::new("ip")
        .args(["netns", "exec", &lab.0, env!("CARGO_BIN_EXE_flowsonde"), "-i", "gone0", "-i", "lo", "--workers", "1"])
        .args(["--json", "/dev/null", "--dont-drop-privileges", "--ledger"])
        .arg(&ledger)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !ledger.exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("ip").args(["-n", &lab.0, "link", "del", "gone0"]).status().unwrap().success());
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = channel();
    std::thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| sender.send(line).unwrap()));
    let next = || lines.recv_timeout(Duration::from_secs(20));
    let told = loop {
        match next() {
            Ok(line) if line.contains("-i gone0: was removed") => break line,
            Ok(_) => {}
            Err(_) => {
                child.kill().unwrap();
                panic!("nothing was told");
            }
        }
    };
    assert!(told.contains("the other workers go on"), "{told}");
    assert!(child.try_wait().unwrap().is_none(), "the other interface goes on");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let rest: Vec<String> = lines.iter().collect();
    assert!(rest.iter().any(|line| line.contains("-i gone0: was removed")), "{rest:?}");
    let ledger: Value = serde_json::from_slice(&std::fs::read(&ledger).unwrap()).unwrap();
    assert_eq!(ledger["final"], true);
}
