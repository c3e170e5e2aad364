//! Security events of a Cisco ASA and events of address translators (RFC 8158), from the datagram on: bytes are counted once a
//! connection, and events stay events.
//!
//! The numbers of the long connection are those of <https://github.com/phaag/nfdump/issues/116>: created, updated with 2557 and
//! 1117 bytes, updated with 31 and 0, deleted with the sum of both.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::collections::BTreeMap;

use flowsonde_elements::{Mode, Template};
use flowsonde_engine::decode::Collector;
use flowsonde_engine::decode::collector::Config as Collecting;
use flowsonde_engine::decode::records::{Receive, Set, Taken};
use flowsonde_engine::encode::{self, Messages};
use flowsonde_engine::fill::groups_of_collected;
use flowsonde_engine::merge::Merger;
use flowsonde_engine::meter::{Config, Ended};
use flowsonde_engine::transcode::{Home, Lines, Pass, Plan, Transcode};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};

const START: u32 = 1_700_000_000;
const HOME: Home = Home::at([192, 0, 2, 9]);

/// What all events of a firewall begin with: connection, ends, interfaces, protocol, translated ends, event, reason, time.
const EVENT: [(u16, u16); 14] = [
    (148, 4),
    (8, 4),
    (7, 2),
    (10, 2),
    (12, 4),
    (11, 2),
    (14, 2),
    (4, 1),
    (225, 4),
    (226, 4),
    (227, 2),
    (228, 2),
    (233, 1),
    (33_002, 2),
];
const CREATED: u16 = 256;
const DELETED: u16 = 263;
const OLD: u16 = 264;
const PACKETS: u16 = 265;

fn template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let mut body = vec![];
    for number in [id, fields.len() as u16].into_iter().chain(fields.iter().flat_map(|&(id, length)| [id, length])) {
        body.extend(number.to_be_bytes());
    }
    set(0, &body)
}

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &(body.len() as u16 + 4).to_be_bytes(), body].concat()
}

/// A message of NetFlow v9, sent so many seconds after the start.
fn message(seconds: u32, sets: &[Vec<u8>]) -> (u32, Vec<u8>) {
    let mut out = vec![0, 9, 0, 1];
    for word in [1_000_000 + seconds * 1000, START + seconds, 0, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend(sets.concat());
    (seconds, out)
}

fn templates() -> (u32, Vec<u8>) {
    let with = |id, more: &[(u16, u16)]| template(id, &[&EVENT[..], &[(323, 8)], more].concat());
    let acl = (33_000, 12);
    message(
        0,
        &[
            with(CREATED, &[acl, (40_000, 20)]),
            with(DELETED, &[(231, 4), (232, 4), (152, 8)]),
            with(OLD, &[(85, 4)]),
            with(PACKETS, &[(231, 4), (232, 4), (298, 4), (299, 4), (152, 8)]),
        ],
    )
}

/// An event of connection `number`, without what follows the time.
fn event(number: u32, what: u8, reason: u16, seconds: u32) -> Vec<u8> {
    let mut out = number.to_be_bytes().to_vec();
    let port = 50_000 + number as u16;
    for (address, port, interface) in [([10, 0, 50, 10], port, 2u16), ([10, 1, 78, 5], 3128, 3)] {
        out.extend(address);
        out.extend(port.to_be_bytes());
        out.extend(interface.to_be_bytes());
    }
    out.push(6);
    out.extend([198, 51, 100, 7, 10, 1, 78, 5]);
    out.extend([60_000u16 + number as u16, 3128].map(u16::to_be_bytes).concat());
    out.push(what);
    out.extend(reason.to_be_bytes());
    out.extend(((u64::from(START) + u64::from(seconds)) * 1000).to_be_bytes());
    out
}

fn created(number: u32, what: u8, reason: u16, seconds: u32) -> (u32, Vec<u8>) {
    let mut record = event(number, what, reason, seconds);
    record.extend([0x0f, 0x8e, 0x7f, 0xf3, 0xfc, 0x1a, 3, 0x0f, 0, 0, 0, 0]);
    record.extend(b"alice\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    message(seconds, &[set(CREATED, &record)])
}

fn counted(id: u16, number: u32, what: u8, seconds: u32, counts: &[u32]) -> (u32, Vec<u8>) {
    let mut record = event(number, what, 0, seconds);
    record.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    if id != OLD {
        record.extend((u64::from(START) * 1000).to_be_bytes());
    }
    message(seconds, &[set(id, &record)])
}

struct Out<'a> {
    transcoder: &'a mut dyn Transcode,
    messages: Messages,
}

impl Receive for Out<'_> {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        self.transcoder.flows(set, set.about.arrival, &mut self.messages)
    }
}

fn send(collector: &mut Collector, (seconds, bytes): &(u32, Vec<u8>), out: &mut dyn Receive) {
    let from = ([192, 0, 2, 1], 2055).into();
    let time = Nanos::new((START + seconds).into(), 0);
    collector.message(&Datagram { time, from, to: 0, local: None, transport: Transport::Udp, bytes }, out).unwrap();
}

fn through(transcoder: &mut dyn Transcode, messages: &[(u32, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut collector = Collector::new(Collecting::default());
    let mut out = Out { transcoder, messages: Messages::default() };
    messages.iter().for_each(|message| send(&mut collector, message, &mut out));
    let Out { transcoder, mut messages } = out;
    transcoder.flush(&mut messages);
    messages.iter().map(|(message, _)| message.to_vec()).collect()
}

/// Every line's members. No value here has a comma in it.
fn lines(plan: Plan, messages: &[(u32, Vec<u8>)]) -> Vec<Line> {
    let all = [vec![templates()], messages.to_vec()].concat();
    let out = through(&mut Lines::new(plan, HOME), &all).concat();
    let members = |line: &str| {
        let members = line.trim_matches(['{', '}']).split(',').map(|member| member.split_once(':').unwrap());
        Line(members.map(|(name, value)| [name, value].map(|text| text.trim_matches('"').to_owned()).into()).collect())
    };
    String::from_utf8(out).unwrap().lines().map(members).collect()
}

/// A line of JSON.
struct Line(BTreeMap<String, String>);

impl Line {
    /// The values of these, `-` where there is none.
    fn get<const N: usize>(&self, names: [&str; N]) -> [&str; N] {
        names.map(|name| self.0.get(name).map_or("-", String::as_str))
    }
}

/// Bytes there and back, packets there and back, of each record.
fn counts(messages: &[(u32, Vec<u8>)]) -> Vec<[u64; 4]> {
    let template = Template::parse("%IN_BYTES %OUT_BYTES %IN_PKTS %OUT_PKTS", Mode::Collector).unwrap();
    let names = ["IN_BYTES", "OUT_BYTES", "IN_PKTS", "OUT_PKTS"];
    let told = lines(Plan::Template(template), messages);
    told.iter().map(|line| line.get(names).map(|value| value.parse().unwrap())).collect()
}

/// The connection of the issue, with the update that comes with the deletion.
fn long(last: [(u8, [u32; 2]); 2]) -> Vec<(u32, Vec<u8>)> {
    let [one, two] = last.map(|(what, counts)| counted(DELETED, 1, what, 150, &counts));
    vec![
        created(1, 1, 0, 0),
        counted(DELETED, 1, 5, 61, &[2557, 1117]),
        counted(DELETED, 1, 5, 122, &[31, 0]),
        one,
        two,
    ]
}

#[test]
fn a_deletion_adds_what_no_update_told() {
    let all = counts(&long([(5, [0, 0]), (2, [2588, 1117])]));
    assert_eq!(all, [[0; 4], [2557, 1117, 1, 1], [31, 0, 1, 0], [0; 4], [0; 4]]);
    // The last interval had 12 and 40 bytes. The update may come behind the deletion it belongs to, or never.
    assert_eq!(counts(&long([(5, [12, 40]), (2, [2600, 1157])]))[3..], [[12, 40, 1, 1], [0; 4]]);
    assert_eq!(counts(&long([(2, [2600, 1157]), (5, [12, 40])]))[3..], [[12, 40, 1, 1], [0; 4]]);
    assert_eq!(counts(&long([(2, [2600, 1157]), (2, [2600, 1157])]))[3..], [[12, 40, 1, 1], [0; 4]]);
    // An update that was lost is told by the deletion.
    let mut lossy = long([(5, [12, 40]), (2, [2600, 1157])]);
    lossy.remove(1);
    assert_eq!(counts(&lossy)[1..], [[31, 0, 1, 0], [12, 40, 1, 1], [2557, 1117, 1, 1]]);
}

#[test]
fn a_short_connection_has_its_bytes_from_the_deletion() {
    let all = counts(&[
        created(1, 1, 0, 0),
        counted(DELETED, 1, 2, 5, &[100, 200]),
        counted(OLD, 2, 2, 6, &[300]),
        counted(PACKETS, 3, 2, 7, &[400, 500, 6, 7]),
        // Another connection between the same ends, under a number of its own.
        counted(DELETED, 1 + (1 << 16), 2, 8, &[100, 200]),
    ]);
    assert_eq!(all, [[0; 4], [100, 200, 1, 1], [300, 0, 1, 0], [400, 500, 6, 7], [100, 200, 1, 1]]);
}

#[test]
fn totals_that_grow_are_told_as_what_is_new() {
    let all = counts(&[
        counted(OLD, 1, 5, 60, &[1000]),
        counted(OLD, 1, 5, 120, &[1500]),
        // Late, then again.
        counted(OLD, 1, 5, 61, &[1000]),
        counted(OLD, 1, 2, 121, &[1700]),
        counted(OLD, 1, 2, 121, &[1700]),
        counted(OLD, 2, 5, 60, &[0xffff_ff00]),
        counted(OLD, 2, 2, 90, &[0x100]),
    ]);
    let bytes: Vec<_> = all.iter().map(|[bytes, ..]| *bytes).collect();
    assert_eq!(bytes, [1000, 500, 0, 200, 0, 0xffff_ff00, 0x200]);
    assert!(all.iter().all(|[bytes, _, packets, _]| *packets == u64::from(*bytes > 0)));
}

#[test]
fn totals_without_events_are_of_a_flow_that_began_then() {
    // Source, destination, ports, protocol, total bytes and packets, begun.
    let fields = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (85, 8), (86, 4), (152, 8)];
    let record = |port: u16, bytes: u64, packets: u32, began: u64| {
        let mut out = vec![10, 0, 0, 1, 5, 5, 5, 5];
        out.extend([port, 63].map(u16::to_be_bytes).concat());
        out.push(17);
        out.extend(bytes.to_be_bytes());
        out.extend(packets.to_be_bytes());
        out.extend((u64::from(START) * 1000 + began).to_be_bytes());
        message(1, &[set(300, &out)])
    };
    // https://github.com/ntop/nProbe/issues/307: 6076 of 4, 7594 of 5, 9112 of 6.
    let all = counts(&[
        message(0, &[template(300, &fields)]),
        record(63, 6076, 4, 0),
        record(63, 7594, 5, 0),
        record(63, 9112, 6, 0),
        record(64, 1518, 1, 0),
        record(63, 1518, 1, 90),
    ]);
    assert_eq!(all, [[6076, 0, 4, 0], [1518, 0, 1, 0], [1518, 0, 1, 0], [1518, 0, 1, 0], [1518, 0, 1, 0]]);
}

#[test]
fn denied_flows_have_a_reason_and_no_bytes() {
    let template = "%IPV4_SRC_ADDR %FIREWALL_EVENT %FW_EXT_EVENT %INGRESS_ACL_ID %AAA_USERNAME %IN_BYTES %IN_PKTS";
    let messages = [created(1, 3, 1001, 4), counted(OLD, 2, 3, 5, &[77])];
    let told = lines(Plan::Template(Template::parse(template, Mode::Collector).unwrap()), &messages);
    assert_eq!(
        told[0].get(["IPV4_SRC_ADDR", "FIREWALL_EVENT", "FW_EXT_EVENT", "INGRESS_ACL_ID", "AAA_USERNAME"]),
        ["10.0.50.10", "3", "1001", "0f8e7ff3fc1a030f00000000", "alice"]
    );
    for line in &told {
        assert_eq!(line.get(["IN_BYTES", "IN_PKTS", "FIREWALL_EVENT"]), ["0", "0", "3"]);
    }
}

#[test]
fn passed_on_a_record_is_as_it_was_sent() {
    let messages = long([(5, [0, 0]), (2, [2588, 1117])]);
    let sent = ["INITIATOR_OCTETS", "RESPONDER_OCTETS"];
    let ours = ["IN_BYTES", "OUT_BYTES", "IN_PKTS", "OUT_PKTS"];
    let last = &lines(Plan::Everything, &messages)[4];
    assert_eq!((last.get(sent), last.get(ours)), (["2588", "1117"], ["-"; 4]));
    // To ntopng initiator's and responder's counters are a flow's so far, which it takes apart itself.
    let last = &lines(Plan::Ntopng, &messages)[2];
    assert_eq!((last.get(sent), last.get(ours)), (["-"; 2], ["31", "0", "1", "0"]));
    let passed = through(
        &mut Pass::<encode::NetFlow9>::new(&encode::Options::default(), false),
        &[templates(), messages[4].clone()],
    );
    let record = &messages[4].1[24..];
    assert!(passed.concat().windows(record.len()).any(|window| window == record), "byte for byte");
    assert!(!passed.concat().windows(4).any(|window| window == [0, 23, 0, 8]), "no field of ours");
}

/// 310: a port block is given (natEvent 16). 311: a quota is used up (13), of nobody's in particular (RFC 8158, section 4.3).
fn nat() -> Vec<(u32, Vec<u8>)> {
    let block = [(323, 8), (230, 1), (8, 4), (225, 4), (361, 2), (362, 2), (283, 4)];
    let mut record = (u64::from(START) * 1000 + 1500).to_be_bytes().to_vec();
    record.extend([16, 100, 64, 0, 7, 203, 0, 113, 5]);
    record.extend([1024u16, 2047].map(u16::to_be_bytes).concat());
    record.extend(9u32.to_be_bytes());
    let quota = [(323, 8), (230, 1), (466, 4), (463, 4)];
    let mut exceeded = (u64::from(START) * 1000 + 1600).to_be_bytes().to_vec();
    exceeded.extend([13, 0, 0, 0, 1, 0, 0, 0, 3]);
    vec![message(2, &[template(310, &block), template(311, &quota), set(310, &record), set(311, &exceeded)])]
}

#[test]
fn events_of_translators_stay_events() {
    let told = lines(Plan::Everything, &nat());
    let begun = u64::from(START) * 1000 + 1500;
    let block: BTreeMap<_, _> = [
        ("observationTimeMilliseconds", begun.to_string().as_str()),
        ("NAT_EVENT", "16"),
        ("IPV4_SRC_ADDR", "100.64.0.7"),
        ("POST_NAT_SRC_IPV4_ADDR", "203.0.113.5"),
        ("PORT_RANGE_START", "1024"),
        ("PORT_RANGE_END", "2047"),
        ("natPoolId", "9"),
        ("EXPORTER_IPV4_ADDRESS", "192.0.2.1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    assert_eq!(told[0].0, block, "and nothing else");
    assert_eq!(told[1].get(["NAT_EVENT", "natQuotaExceededEvent", "natInstanceID"]), ["13", "1", "3"]);
    assert_eq!(counts(&nat()), [[0; 4]; 2]);
    let template = Template::parse("%NAT_EVENT %PORT_RANGE_START %FIRST_SWITCHED %IN_BYTES", Mode::Collector).unwrap();
    let asked = lines(Plan::Template(template), &nat());
    let first = (START + 1).to_string();
    assert_eq!(
        asked[0].get(["NAT_EVENT", "PORT_RANGE_START", "FIRST_SWITCHED", "IN_BYTES"]),
        ["16", "1024", first.as_str(), "0"]
    );
}

#[test]
fn events_without_traffic_become_no_flow() {
    struct Merging(Merger, Vec<([u64; 2], [u64; 2])>);
    impl Merging {
        fn keep(all: &mut Vec<([u64; 2], [u64; 2])>, ended: &Ended) {
            all.extend(ended.views().map(|flow| (flow.base.bytes, flow.base.packets)));
        }
    }
    impl Receive for Merging {
        fn flows(&mut self, set: &Set<'_>) -> Taken {
            let Merging(merger, flows) = self;
            merger.flows(set, &mut |ended| Self::keep(flows, ended))
        }
    }
    let template = Template::parse("%IN_BYTES %OUT_BYTES", Mode::Collector).unwrap();
    let config = Config { groups: groups_of_collected(&template), ..Config::default() };
    let mut merging = Merging(Merger::new(config, true), Vec::new());
    let mut collector = Collector::new(Collecting::default());
    let long = long([(5, [12, 40]), (2, [2600, 1157])]);
    let all = [vec![templates()], long, vec![created(2, 3, 1002, 151)], nat()].concat();
    all.iter().for_each(|message| send(&mut collector, message, &mut merging));
    let Merging(mut merger, mut flows) = merging;
    merger.flush(&mut |ended| Merging::keep(&mut flows, ended));
    let sum = |at: usize| flows.iter().map(|(bytes, _)| bytes[at]).sum::<u64>();
    let mut both = [sum(0), sum(1)];
    both.sort_unstable();
    assert_eq!(both, [1157, 2600], "{flows:?}");
    assert!(flows.iter().all(|(bytes, _)| *bytes != [0; 2]), "{flows:?}");
    let events: Vec<_> = merger.events().filter(|(_, count)| *count > 0).collect();
    assert_eq!(events, [("event_created", 1), ("event_deleted", 1), ("event_denied", 1), ("event_nat", 2)]);
}
