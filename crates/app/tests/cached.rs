//! The cached way of collecting as its users meet it: fewer records, the same sums, a ledger that balances.

#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "a test that panics has failed")]

mod exporter;

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use exporter::scratch::Scratch;
use exporter::{FIELDS, V9, capture, record};

const LOAD: &str = env!("CARGO_BIN_EXE_flowload");
const ROUTER: [u8; 4] = [192, 0, 2, 7];
const OTHER: [u8; 4] = [192, 0, 2, 8];
const ASKED: &str = "%IPV4_SRC_ADDR %IPV4_DST_ADDR %IPV6_SRC_ADDR %IPV6_DST_ADDR %L4_SRC_PORT %L4_DST_PORT %PROTOCOL %IN_PKTS \
                     %IN_BYTES %OUT_PKTS %OUT_BYTES %EXPORTER_IPV4_ADDRESS %INPUT_SNMP %SRC_AS %FIREWALL_EVENT";

/// Collects from in.pcap: what was told, and the ledger.
fn collect(scratch: &Scratch, arguments: &[&str]) -> (Vec<Value>, Value) {
    (scratch.told(arguments), scratch.balanced())
}

fn load(scratch: &Scratch, arguments: &[&str]) {
    let output = Command::new(LOAD)
        .args(arguments)
        .args(["--time-base", "1700000000", "--pcap", "in.pcap"])
        .current_dir(&scratch.0)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn write(scratch: &Scratch, datagrams: &[([u8; 4], V9)]) {
    let datagrams: Vec<_> = datagrams.iter().map(|(from, message)| (*from, message.bytes())).collect();
    capture(&scratch.0.join("in.pcap"), &datagrams);
}

fn sum(ledger: &Value, stage: &str, column: &str) -> u64 {
    let stages = ledger["stages"].as_array().unwrap().iter().filter(|one| one["stage"] == stage);
    stages.map(|stage| stage[column].as_u64().unwrap()).sum()
}

/// Events of firewalls without traffic, which become no flow.
fn events(ledger: &Value) -> u64 {
    let merge = ledger["stages"].as_array().unwrap().iter().filter(|one| one["stage"] == "merge");
    merge.flat_map(|stage| stage["lost"].as_object().unwrap().values()).map(|lost| lost.as_u64().unwrap()).sum()
}

/// What comes goes on, from the datagram to the record of the only output.
fn assert_chain(ledger: &Value, records: u64) {
    let before = if sum(ledger, "filter", "received") > 0 { "filter" } else { "records" };
    for (from, to) in
        [("receive", "decode"), ("decode", "exporter"), (before, "merge"), ("cache", "queue"), ("queue", "encode")]
    {
        assert_eq!(sum(ledger, from, "delivered"), sum(ledger, to, "received"), "{from} to {to}: {ledger}");
    }
    assert_eq!(sum(ledger, "merge", "received"), records, "{ledger}");
}

/// Packets and bytes there and back by address and port of both ends, protocol and exporter, whichever end is the source.
fn sums(records: &[Value]) -> BTreeMap<String, [u64; 4]> {
    let mut sums = BTreeMap::<_, [u64; 4]>::new();
    for record in records {
        let end = |side: &str| {
            let text = |name: String| record[name].to_string();
            (text(format!("IPV4_{side}_ADDR")), text(format!("IPV6_{side}_ADDR")), text(format!("L4_{side}_PORT")))
        };
        let (source, destination) = (end("SRC"), end("DST"));
        let [a, b, c, d] = ["IN_PKTS", "IN_BYTES", "OUT_PKTS", "OUT_BYTES"].map(|name| record[name].as_u64().unwrap());
        let (key, counts) = if source <= destination {
            ((source, destination), [a, b, c, d])
        } else {
            ((destination, source), [c, d, a, b])
        };
        let key = format!("{key:?} {} {}", record["PROTOCOL"], record["EXPORTER_IPV4_ADDRESS"]);
        for (sum, count) in sums.entry(key).or_default().iter_mut().zip(counts) {
            *sum += count;
        }
    }
    sums
}

#[test]
fn sums_are_those_of_the_same_records_not_cached() {
    for (what, records) in [
        (&["--format", "v9,v5,ipfix", "--exporters", "3"][..], 9000),
        (&["--format", "sflow", "--sampling", "10", "--exporters", "2"], 9000),
        (&["--format", "v9,ipfix", "--layout", "mixed", "--sampling", "7"], 9000),
        (&["--format", "v9", "--shuffle", "50"], 9000),
    ] {
        let scratch = Scratch::new();
        load(&scratch, &[what, &["--flows", "500", "--count", "9000", "--rate", "1000"]].concat());
        let (plain, _) = collect(&scratch, &["-3", "any", "-T", ASKED]);
        for cached in
            [&["-3", "any", "--enable-collection-cache", "-T", ASKED][..], &["-3", "2055c", "-T", ASKED, "-M", "100"]]
        {
            let (merged, ledger) = collect(&scratch, cached);
            assert_eq!(sums(&merged), sums(&plain), "{what:?} {cached:?}");
            assert_chain(&ledger, records);
            // A layout of flowload's is NSEL's: half of its events have no bytes.
            let silent = plain.iter().filter(|record| record["IN_BYTES"] == 0 && record["FIREWALL_EVENT"] != 0).count();
            assert_eq!(events(&ledger), silent as u64, "{ledger}");
            assert_eq!(sum(&ledger, "send", "delivered"), merged.len() as u64);
            assert!(
                cached.contains(&"-M") || merged.len() * 3 < plain.len(),
                "{what:?}: {} of {}",
                merged.len(),
                plain.len()
            );
        }
    }
}

#[test]
fn two_exporters_stay_two_and_p_makes_them_one() {
    let scratch = Scratch::new();
    let message = |sequence| {
        let twice = [record(1, 53, 2, 100), record(1, 53, 3, 150)].concat();
        V9::new(sequence).template(256, &FIELDS).set(256, twice)
    };
    write(&scratch, &[(ROUTER, message(0)), (OTHER, message(1)), (ROUTER, message(2))]);
    let told = |arguments: &[&str]| {
        let arguments = [&["-3", "2055c", "-T", "%IN_PKTS %IN_BYTES %EXPORTER_IPV4_ADDRESS"], arguments].concat();
        let (records, ledger) = collect(&scratch, &arguments);
        assert_chain(&ledger, 6);
        let mut told: Vec<_> = records.iter().map(Value::to_string).collect();
        told.sort();
        told
    };
    assert_eq!(
        told(&[]),
        [
            r#"{"EXPORTER_IPV4_ADDRESS":"192.0.2.7","IN_BYTES":500,"IN_PKTS":10}"#,
            r#"{"EXPORTER_IPV4_ADDRESS":"192.0.2.8","IN_BYTES":250,"IN_PKTS":5}"#
        ]
    );
    assert_eq!(told(&["-p", "1/1/1/1/0/1/0"]), [r#"{"EXPORTER_IPV4_ADDRESS":"0.0.0.0","IN_BYTES":750,"IN_PKTS":15}"#]);
}

#[test]
fn timeouts_are_by_the_time_of_the_records() {
    let scratch = Scratch::new();
    // A record a second, then nothing for a minute, then one more.
    let mut messages: Vec<_> =
        (0..5).map(|n| (ROUTER, V9::new(n).template(256, &FIELDS).set(256, record(1, 53, 1, 50)))).collect();
    messages.extend((5..66).map(|n| (ROUTER, V9::new(n).set(256, record(2, 53, 1, 50)))));
    messages.push((ROUTER, V9::new(66).set(256, record(1, 53, 1, 50))));
    write(&scratch, &messages);
    let told = |arguments: &[&str]| {
        let (records, ledger) = collect(
            &scratch,
            &[&["-3", "any", "--enable-collection-cache", "-T", "%IPV4_SRC_ADDR %IN_PKTS"], arguments].concat(),
        );
        assert_chain(&ledger, 67);
        let of = |host: &str| -> Vec<u64> {
            let own = records.iter().filter(|record| record["IPV4_SRC_ADDR"] == host);
            own.map(|record| record["IN_PKTS"].as_u64().unwrap()).collect()
        };
        (of("10.0.0.1"), of("10.0.0.2"))
    };
    assert_eq!(told(&[]), (vec![5, 1], vec![61]));
    assert_eq!(told(&["-d", "90"]), (vec![6], vec![61]));
    assert_eq!(told(&["-t", "20"]), (vec![5, 1], vec![20, 20, 20, 1]));
}

#[test]
fn every_output_of_the_probe_takes_merged_flows() {
    let scratch = Scratch::new();
    load(&scratch, &["--format", "v9", "--flows", "100", "--count", "1000", "--rate", "1000"]);
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let to = collector.local_addr().unwrap().to_string();
    for version in ["5", "9", "10"] {
        let output = scratch
            .command(&[
                "-i",
                "in.pcap",
                "-3",
                "2055c",
                "-n",
                &to,
                "-V",
                version,
                "--csv",
                "out.csv",
                "--ipfix-file",
                "out.ipfix",
            ])
            .args(["-P", "dump", "-D", "j"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let ledger = scratch.balanced();
        assert_eq!((sum(&ledger, "merge", "delivered"), sum(&ledger, "queue", "delivered")), (1000, 100));
        let sends: Vec<_> =
            ledger["stages"].as_array().unwrap().iter().filter(|stage| stage["stage"] == "send").collect();
        assert_eq!(sends.iter().map(|stage| stage["delivered"].as_u64().unwrap()).collect::<Vec<_>>(), [100; 4]);
        let mut buffer = [0; 65_536];
        let (length, _) = collector.recv_from(&mut buffer).unwrap();
        assert!(length > 24);
        assert_eq!(&buffer[..2], &u16::to_be_bytes(version.parse().unwrap()));
        collector.set_nonblocking(true).unwrap();
        while collector.recv_from(&mut buffer).is_ok() {}
        collector.set_nonblocking(false).unwrap();
        let lines = fs::read_to_string(scratch.0.join("out.csv")).unwrap();
        assert_eq!(lines.lines().count(), 101);
    }
}

#[test]
fn what_comes_from_the_network_is_merged_and_told_at_the_end() {
    let scratch = Scratch::new();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = format!("127.0.0.1:{port}c");
    let mut child = scratch
        .command(&["-3", &place, "--json", "out.json", "-T", "%IN_PKTS %L4_SRC_PORT", "--ledger-interval", "1"])
        .spawn()
        .unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let start = Instant::now();
    let template = V9::new(0).template(256, &FIELDS).bytes();
    let merged = || -> u64 {
        let text = fs::read_to_string(scratch.0.join("ledger.json")).unwrap_or_default();
        serde_json::from_str::<Value>(&text).map_or(0, |ledger| sum(&ledger, "merge", "delivered"))
    };
    // It is not known when the port is open: sent until something was merged.
    let mut sent = 0;
    while merged() == 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was merged");
        let _ = sender.send_to(&template, ("127.0.0.1", port));
        let _ = sender.send_to(&V9::new(sent).set(256, record(1, 53, 1, 50)).bytes(), ("127.0.0.1", port));
        sent += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(child.wait().unwrap().success());
    let ledger = scratch.balanced();
    let records = sum(&ledger, "merge", "delivered");
    assert_chain(&ledger, records);
    let lines = fs::read_to_string(scratch.0.join("out.json")).unwrap();
    let told: u64 =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["IN_PKTS"].as_u64().unwrap()).sum();
    assert_eq!(told, records);
    assert_eq!(sum(&ledger, "send", "delivered"), lines.lines().count() as u64);
}

#[test]
fn what_cannot_be_is_refused() {
    let scratch = Scratch::new();
    for (arguments, error) in [
        (
            &["-3", "2055c", "--json=-", "--collector-passthrough"][..],
            "--collector-passthrough: tells records as they came",
        ),
        (&["-3", "2055c"], "--collector-port: nowhere to put the flows"),
        (&["-3", "2055cc", "--json=-"], "--collector-port=2055cc"),
    ] {
        let output = scratch.command(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(error), "{text}");
    }
}
