//! A folder that programs collect in, and the ledger they leave there.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flowsonde");

/// A folder that is gone when the test ends; programs run in it.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("flowsonde-collect-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).args(["--ledger", "ledger.json"]).current_dir(&self.0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Collects from in.pcap: what was told as JSON.
    pub fn told(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(&["-i", "in.pcap", "--json", "-"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The final ledger, which balances stage by stage.
    pub fn balanced(&self) -> Value {
        let text = fs::read_to_string(self.0.join("ledger.json")).unwrap();
        let ledger: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(ledger["final"], true);
        for stage in ledger["stages"].as_array().unwrap() {
            let number = |name: &str| stage[name].as_u64().unwrap();
            let lost: u64 = stage["lost"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
            assert_eq!(number("held"), 0, "{stage}");
            assert_eq!(number("received"), number("delivered") + lost, "{stage}");
        }
        ledger
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
