//! What ntopng gets of a capture, read by a subscriber and beside what the same run says in JSON lines.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod subscriber;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

use subscriber::{Message, Subscriber};

/// Runs the probe on a capture; gives what it said on its standard output, and its messages up to `flows` records.
fn run(arguments: &[&str], flows: usize) -> (String, Vec<Message>) {
    let subscriber = Subscriber::new();
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures/dns-udp-tcp.pcap");
    let run = Command::new(env!("CARGO_BIN_EXE_flowsonde"))
        .arg("-i")
        .arg(capture)
        .args(["--zmq", &subscriber.endpoint, "--zmq-probe-mode", "--zmq-disable-compression", "--json", "-"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A subscriber that listens says what it wants when it looks for messages.
    let mut messages = Vec::new();
    let mut records = 0;
    while records < flows {
        let (topic, payload) = subscriber.next().unwrap();
        if topic == "flow" {
            records += if payload[0] == 1 { tlv(&payload).len() } else { json(&payload).len() };
        }
        messages.push((topic, payload));
    }
    let run = run.wait_with_output().unwrap();
    assert!(run.status.success());
    (String::from_utf8(run.stdout).unwrap(), messages)
}

fn json(payload: &[u8]) -> Vec<Map<String, Value>> {
    serde_json::from_slice(payload).unwrap()
}

/// Items: a byte of the types of key and value, then both.
fn tlv(payload: &[u8]) -> Vec<Map<String, Value>> {
    assert_eq!(payload[..2], [1, 1]);
    let mut rest = &payload[2..];
    let mut take = |length: usize| {
        let (taken, after) = rest.split_at(length);
        rest = after;
        (taken.to_vec(), after.is_empty())
    };
    fn number(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte))
    }
    let mut records = Vec::new();
    let mut record = Map::new();
    loop {
        let (kinds, last) = take(1);
        if kinds[0] == 1 {
            records.push(core::mem::take(&mut record));
            if last {
                return records;
            }
            continue;
        }
        let mut value = |kind: u8| match kind {
            2..=5 => Value::from(number(&take(1 << (kind - 2)).0)),
            10 => Value::from(f32::from_le_bytes(take(4).0.try_into().unwrap())),
            11 => {
                let length = number(&take(2).0) as usize;
                Value::from(String::from_utf8(take(length).0).unwrap())
            }
            other => panic!("type {other}"),
        };
        let key = match value(kinds[0] >> 4) {
            Value::String(name) => name,
            id => id.to_string(),
        };
        let value = value(kinds[0] & 15);
        assert!(record.insert(key, value).is_none());
    }
}

fn records(messages: &[Message], read: fn(&[u8]) -> Vec<Map<String, Value>>) -> Vec<Map<String, Value>> {
    messages.iter().filter(|(topic, _)| topic == "flow").flat_map(|(_, payload)| read(payload)).collect()
}

/// The same, a float as near as four bytes come, truth as a number.
fn same(told: &Value, line: &Value) -> bool {
    match (told, line) {
        (told, Value::Bool(truth)) => told.as_u64() == Some((*truth).into()),
        (told, Value::Number(n)) if n.is_f64() => (told.as_f64().unwrap() - n.as_f64().unwrap()).abs() < 1e-3,
        _ => told == line,
    }
}

#[test]
fn flows_are_what_the_lines_say() {
    let template = "@NTOPNG@ %IN_PKTS %MAX_TTL %MPLS_LABEL_1";
    for (format, read) in [("t", tlv as fn(&[u8]) -> _), ("j", json)] {
        let (lines, messages) = run(&["-T", template, "--json-labels", "--zmq-format", format], LINES);
        let lines: Vec<Map<String, Value>> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told = records(&messages, read);
        assert_eq!((lines.len(), told.len()), (LINES, LINES));
        for (line, told) in lines.iter().zip(&told) {
            // It counts what this output exported before.
            for (name, value) in line.iter().filter(|(name, _)| *name != "TOTAL_FLOWS_EXP") {
                assert!(same(&told[name], value), "{format}: {name}: {} for {value}", told[name]);
            }
        }
    }
}

/// Flows of the capture.
const LINES: usize = 15;

#[test]
fn what_ntopng_needs_is_told_unasked_by_number() {
    let (_, messages) = run(&["-T", "%SRC_TOS", "--zmq-batch", "2"], LINES);
    let topics: Vec<&str> = messages.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(topics, [&["hello", "template"][..], &["flow"; 8]].concat());
    for record in records(&messages, tlv) {
        let keys: Vec<&str> = record.keys().map(String::as_str).collect();
        let mut needed = ["1", "2", "23", "24", "4", "7", "11", "8", "12", "27", "28", "60", "22", "21", "130", "5"];
        needed.sort_unstable();
        assert_eq!(keys, needed);
    }
    let names = json(&messages[1].1);
    let named = |field: u64| names.iter().find(|row| row["field"] == field).map(|row| row["name"].clone());
    for (id, name) in [(22, "FIRST_SWITCHED"), (24, "OUT_PKTS"), (5, "SRC_TOS"), (60, "IP_PROTOCOL_VERSION")] {
        assert_eq!(named(id), Some(name.into()));
    }
}
