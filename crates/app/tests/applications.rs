//! Applications of collected flows by the names their exporter tells, in every way of collecting. The exporters' bytes are by
//! hand.

#![allow(clippy::unwrap_used, dead_code, reason = "a test that panics has failed")]

mod exporter;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use exporter::scratch::Scratch;
use exporter::{FIELDS, V9, capture, record};

const ROUTER: [u8; 4] = [192, 0, 2, 7];

/// Applications as NBAR2 numbers them: ports (3) and Cisco's own list (13).
const DNS: u32 = 0x0300_0035;
const TEAMS: u32 = 0x0d00_01df;
const SSH: u32 = 0x0d00_0050;
const OTHER: u32 = 0x0d00_0fff;

/// What the exporter calls them, then one flow of each from 10.0.0.1, 10.0.0.2, ...: a table of ids and names by scope of the
/// system (RFC 6759, section 5.1).
fn messages() -> Vec<([u8; 4], Vec<u8>)> {
    let shape = [400, 4, 8, 1, 4, 95, 4, 96, 12].into_iter().flat_map(u16::to_be_bytes).collect();
    let named = |id: u32, name: &str| {
        let mut record = [&ROUTER[..], &id.to_be_bytes(), name.as_bytes()].concat();
        record.resize(20, 0);
        record
    };
    let table = [named(DNS, "dns"), named(TEAMS, "ms-teams"), named(SSH, "ssh")].concat();
    let fields = [&FIELDS[..], &[(95, 4)]].concat();
    let flow = |(n, id): (u8, u32)| [record(n, 53, 2, 100), id.to_be_bytes().to_vec()].concat();
    let flows = [(1, DNS), (2, TEAMS), (3, SSH), (4, OTHER)].map(flow).concat();
    let first = V9::new(0).set(1, shape).set(400, table);
    vec![(ROUTER, first.bytes()), (ROUTER, V9::new(1).template(256, &fields).set(256, flows).bytes())]
}

/// By client, what was told of the application.
fn told(records: &[Value]) -> BTreeMap<String, [Value; 2]> {
    let of = |record: &Value| {
        let names = ["L7_PROTO_NAME", "APPLICATION_NAME"].map(|name| record[name].clone());
        (record["IPV4_SRC_ADDR"].as_str().unwrap().to_owned(), names)
    };
    records.iter().map(of).collect()
}

fn expected() -> BTreeMap<String, [Value; 2]> {
    let rows = [
        ("10.0.0.1", ["DNS", "dns"]),
        ("10.0.0.2", ["ms-teams", "ms-teams"]),
        // As nDPI has it, whatever the port says.
        ("10.0.0.3", ["SSH", "ssh"]),
        // Not in the table: by its port, as ever.
        ("10.0.0.4", ["DNS", ""]),
    ];
    rows.map(|(client, names)| (client.to_owned(), names.map(|name| json!(name)))).into()
}

const ASKED: &str = "%IPV4_SRC_ADDR %L7_PROTO %L7_PROTO_NAME %APPLICATION_NAME";

#[test]
fn flows_are_called_as_their_exporter_calls_them() {
    for way in [&["-3", "any"][..], &["-3", "any", "--enable-collection-cache"]] {
        let scratch = Scratch::new();
        capture(&scratch.0.join("in.pcap"), &messages());
        let records = scratch.told(&[way, &["-T", ASKED]].concat());
        assert_eq!(told(&records), expected(), "{way:?}");
        // SSH has the same number as a flow of packets has: 92, since nDPI's beginnings.
        let ssh = records.iter().find(|record| record["IPV4_SRC_ADDR"] == "10.0.0.3").unwrap();
        assert_eq!(ssh["L7_PROTO"], "92", "{way:?}");
        scratch.balanced();
    }
}

/// The exporter's names need no nDPI.
#[test]
fn names_are_told_without_dpi() {
    for way in [&["-3", "any"][..], &["-3", "any", "--enable-collection-cache"]] {
        let scratch = Scratch::new();
        capture(&scratch.0.join("in.pcap"), &messages());
        let asked = ["-T", "%IPV4_SRC_ADDR %APPLICATION_NAME", "--disable-dpi"];
        let records = scratch.told(&[way, &asked].concat());
        let names = told(&records).into_iter().map(|(client, [_, name])| (client, name));
        let of_exporter = expected().into_iter().map(|(client, [_, name])| (client, name));
        assert!(names.eq(of_exporter), "{way:?}: {records:?}");
    }
}

/// Names that do not fit are refused, which the ledger notes.
#[test]
fn a_table_that_is_too_long_is_cut_and_noted() {
    let scratch = Scratch::new();
    let shape: Vec<u8> = [400, 4, 8, 1, 4, 95, 4, 96, 4].into_iter().flat_map(u16::to_be_bytes).collect();
    let named = |n: u16| [&ROUTER[..], &[13, 0], &n.to_be_bytes(), format!("{n:04x}").as_bytes()].concat();
    // 4,096 a domain: 104 too many.
    let mut datagrams: Vec<_> = (0..42u16)
        .map(|message| {
            let names = (0..100).map(|n| named(message * 100 + n));
            V9::new(message.into()).set(1, shape.clone()).set(400, names.collect::<Vec<_>>().concat()).bytes()
        })
        .map(|bytes| (ROUTER, bytes))
        .collect();
    let fields = [&FIELDS[..], &[(95, 4)]].concat();
    let flow = |n: u8, id: u32| [record(n, 53, 2, 100), id.to_be_bytes().to_vec()].concat();
    let flows = [flow(1, 0x0d00_0000 + 4095), flow(2, 0x0d00_0000 + 4096)].concat();
    datagrams.push((ROUTER, V9::new(42).template(256, &fields).set(256, flows).bytes()));
    capture(&scratch.0.join("in.pcap"), &datagrams);
    let records = scratch.told(&["-3", "any", "-T", ASKED]);
    assert_eq!(told(&records)["10.0.0.1"], ["0fff", "0fff"].map(|name| json!(name)));
    assert_eq!(told(&records)["10.0.0.2"], ["DNS", ""].map(|name| json!(name)));
    let ledger = scratch.balanced();
    let stages = ledger["stages"].as_array().unwrap();
    let notes = |name: &str| stages.iter().filter_map(|stage| stage["notes"][name].as_u64()).sum::<u64>();
    assert_eq!(notes("applications_refused"), 4200 - 4096);
}

/// Queries for "example.com" to 192.0.2.1, port 53, each from a port of its own: a capture of raw IP, as [`capture`] writes.
fn queries(path: &std::path::Path, count: u16) {
    let mut out = [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 1 << 16, 101].map(u32::to_le_bytes).concat();
    // RFC 1035, section 4.1: id, recursion wanted, one question; its name, type A, class IN.
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
    for n in 0..count {
        let length = 28 + question.len() as u16;
        let addresses = [10, 0, 0, 1, 192, 0, 2, 1];
        let ip = [&[0x45, 0][..], &length.to_be_bytes(), &[0, 0, 0, 0, 64, 17, 0, 0], &addresses].concat();
        let udp = [40_000 + n, 53, length - 20, 0].map(u16::to_be_bytes).concat();
        let packet = [&ip[..], &udp, question].concat();
        for word in [exporter::BEGIN, u32::from(n), packet.len() as u32, packet.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(packet);
    }
    std::fs::write(path, out).unwrap();
}

/// What was shown to the detector, and what was not, is noted: a hundred flows of a packet each, of which a server that is
/// known saves all but the first four and then one in 16.
#[test]
fn the_ledger_notes_what_was_looked_at() {
    let scratch = Scratch::new();
    queries(&scratch.0.join("in.pcap"), 100);
    let asked = ["-T", "%L7_PROTO_NAME"];
    let notes = |arguments: &[&str]| {
        let names = scratch.told(&[&asked, arguments].concat());
        assert!(names.iter().all(|record| record["L7_PROTO_NAME"] == "DNS"), "{names:?}");
        let ledger = scratch.balanced();
        let stages = ledger["stages"].as_array().unwrap();
        let note = |stage: &str, name: &str| {
            let stage = stages.iter().find(|found| found["stage"] == stage).unwrap();
            stage["notes"][name].as_u64().unwrap()
        };
        (names.len(), [note("meter", "dpi_packets"), note("meter", "dpi_no_room"), note("cache", "dpi_granted")])
    };
    assert_eq!(notes(&[]), (100, [100, 0, 0]));
    assert_eq!(notes(&["--fast-dpi"]), (100, [10, 0, 90]));
}

/// A flow to a network that nDPI knows (8.8.8.8 is Google's), between ports it does not know, and one to its DNS.
#[cfg(feature = "ndpi")]
#[test]
fn addresses_tell_what_ports_do_not() {
    let to_google = |n, port| {
        let mut record = record(n, port, 2, 100);
        record[4..8].copy_from_slice(&[8, 8, 8, 8]);
        record
    };
    let message = || {
        let flows = [to_google(1, 40_404), to_google(2, 53), record(3, 40_404, 2, 100)].concat();
        V9::new(0).template(256, &FIELDS).set(256, flows).bytes()
    };
    for (way, google) in [
        (&["-3", "any"][..], "Google"),
        (&["-3", "any", "--enable-collection-cache"], "Google"),
        (&["-3", "any", "--disable-l7-protocol-guess"], "Unknown"),
    ] {
        let scratch = Scratch::new();
        capture(&scratch.0.join("in.pcap"), &[(ROUTER, message())]);
        let records = scratch.told(&[way, &["-T", ASKED]].concat());
        let told: BTreeMap<_, _> = told(&records).into_iter().map(|(client, [name, _])| (client, name)).collect();
        assert_eq!([&told["10.0.0.1"], &told["10.0.0.3"]], [google, "Unknown"], "{way:?}");
        if google == "Google" {
            assert_eq!(told["10.0.0.2"], "DNS", "{way:?}");
        }
    }
}
