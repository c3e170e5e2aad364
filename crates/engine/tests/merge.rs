//! Collected records merged in the cache, from the datagram on, against sums by a map.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use flowsonde_elements::{Mode, Template};
use flowsonde_engine::decode::Collector;
use flowsonde_engine::decode::applications::Vocabulary;
use flowsonde_engine::decode::collector::Config as Collecting;
use flowsonde_engine::decode::records::{Receive, Set, Taken};
use flowsonde_engine::encode::{self, Messages};
use flowsonde_engine::fill::{Env, Names, groups_of_collected};
use flowsonde_engine::merge::Merger;
use flowsonde_engine::meter::config::Biflows;
use flowsonde_engine::meter::flow::EndReason;
use flowsonde_engine::meter::key::Parts;
use flowsonde_engine::meter::{Config, Ended};
use flowsonde_engine::transcode::{Home, Lines, Plan, Transcode};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};

const START: u64 = 1_700_000_000;
const SECOND: u64 = 1_000_000_000;

/// Element and bytes, IPFIX; times in milliseconds of the day.
const FIELDS: [(u16, u16); 22] = [
    (8, 4),
    (12, 4),
    (7, 2),
    (11, 2),
    (4, 1),
    (6, 1),
    (5, 1),
    (2, 4),
    (1, 8),
    (24, 4),
    (23, 8),
    (152, 8),
    (153, 8),
    (10, 4),
    (14, 4),
    (16, 4),
    (17, 4),
    (9, 1),
    (13, 1),
    (15, 4),
    (89, 1),
    (58, 2),
];

/// A record as an exporter sends it. Times are milliseconds from the start.
#[derive(Clone, Copy, Debug)]
struct Record {
    src: (u8, u16),
    dst: (u8, u16),
    protocol: u8,
    flags: u8,
    packets: [u32; 2],
    bytes: [u64; 2],
    first: u64,
    last: u64,
    interfaces: [u32; 2],
    vlan: u16,
}

const WEB: Record = Record {
    src: (1, 50_000),
    dst: (2, 443),
    protocol: 6,
    flags: 0x1b,
    packets: [10, 0],
    bytes: [1000, 0],
    first: 0,
    last: 0,
    interfaces: [3, 4],
    vlan: 0,
};

impl Record {
    fn at(self, first: u64, last: u64) -> Record {
        Record { first, last, ..self }
    }

    fn back(self) -> Record {
        let [input, output] = self.interfaces;
        Record { src: self.dst, dst: self.src, interfaces: [output, input], ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = vec![10, 0, 0, self.src.0, 10, 0, 0, self.dst.0];
        out.extend(self.src.1.to_be_bytes());
        out.extend(self.dst.1.to_be_bytes());
        out.extend([self.protocol, self.flags, 0x28]);
        for way in [0, 1] {
            out.extend(self.packets[way].to_be_bytes());
            out.extend(self.bytes[way].to_be_bytes());
        }
        for time in [self.first, self.last] {
            out.extend((START * 1000 + time).to_be_bytes());
        }
        for number in self.interfaces {
            out.extend(number.to_be_bytes());
        }
        // The AS of a host is 64,500 and its last octet, its prefix 20 and that.
        for host in [self.src.0, self.dst.0] {
            out.extend((64_500 + u32::from(host)).to_be_bytes());
        }
        out.extend([20 + self.src.0 % 4, 20 + self.dst.0 % 4]);
        out.extend([192, 0, 2, self.dst.0, 64]);
        out.extend(self.vlan.to_be_bytes());
        out
    }
}

fn message(domain: u32, export: u64, id: u16, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 10];
    out.extend((16 + 4 + body.len() as u16).to_be_bytes());
    out.extend((export as u32).to_be_bytes());
    out.extend(0u32.to_be_bytes());
    out.extend(domain.to_be_bytes());
    out.extend(id.to_be_bytes());
    out.extend((4 + body.len() as u16).to_be_bytes());
    out.extend(body);
    out
}

fn template() -> Vec<u8> {
    let mut body = vec![1, 0, 0, FIELDS.len() as u8];
    for (id, length) in FIELDS {
        body.extend(id.to_be_bytes());
        body.extend(length.to_be_bytes());
    }
    body
}

/// A flow as it left the cache, from its client's side.
#[derive(Clone, Debug, PartialEq)]
struct Flow {
    client: (u8, u16),
    server: (u8, u16),
    packets: [u64; 2],
    bytes: [u64; 2],
    flags: [u8; 2],
    /// Milliseconds from the start.
    first: u64,
    last: u64,
    reason: EndReason,
}

struct Bench {
    collector: Collector,
    merger: Merger,
    flows: Vec<Flow>,
    json: Option<Box<dyn encode::Encode>>,
    lines: Messages,
    records: u64,
}

struct Out<'a> {
    merger: &'a mut Merger,
    ended: Vec<Ended>,
}

impl Receive for Out<'_> {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        let ended = &mut self.ended;
        self.merger.flows(set, &mut |batch| ended.push(batch.clone()))
    }
}

impl Bench {
    fn new(config: Config) -> Bench {
        Bench::with(config, Collecting::default(), true)
    }

    fn with(config: Config, collecting: Collecting, by_port: bool) -> Bench {
        Bench {
            collector: Collector::new(collecting),
            merger: Merger::new(config, by_port),
            flows: Vec::new(),
            json: None,
            lines: Messages::default(),
            records: 0,
        }
    }

    fn send(&mut self, from: SocketAddr, seconds: u64, bytes: &[u8]) {
        let time = Nanos(seconds * SECOND);
        let datagram = Datagram { time, transport: Transport::Udp, from, to: 4739, local: None, bytes };
        let mut out = Out { merger: &mut self.merger, ended: Vec::new() };
        self.collector.message(&datagram, &mut out).unwrap();
        let ended = out.ended;
        ended.iter().for_each(|batch| self.take(batch));
        self.check();
    }

    /// Records of one exporter and domain that arrive so many seconds from the start.
    fn records(&mut self, from: &str, domain: u32, seconds: u64, records: &[Record]) {
        let from: SocketAddr = from.parse().unwrap();
        self.send(from, START + seconds, &message(domain, START + seconds, 2, &template()));
        let body: Vec<u8> = records.iter().flat_map(Record::bytes).collect();
        self.send(from, START + seconds, &message(domain, START + seconds, 256, &body));
        self.records += records.len() as u64;
    }

    fn take(&mut self, batch: &Ended) {
        for view in batch.views() {
            if let Some(json) = &mut self.json {
                json.encode(&view, &Env::default(), &mut self.lines);
            }
            let (base, c, s) = (view.base, view.side(), view.other());
            let ends = [base.key.first(), base.key.second()].map(|end| end.octets4()[3]);
            let ports = [base.key.ports().0, base.key.ports().1];
            let time = |time: Nanos| time.0 / 1_000_000 - START * 1000;
            self.flows.push(Flow {
                client: (ends[c], ports[c]),
                server: (ends[s], ports[s]),
                packets: [base.packets[c], base.packets[s]],
                bytes: [base.bytes[c], base.bytes[s]],
                flags: [base.tcp_flags[c], base.tcp_flags[s]],
                first: time(base.first),
                last: time(base.last_seen()),
                reason: base.state.reason(),
            });
        }
    }

    /// The books balance at any time.
    fn check(&self) {
        let c = self.merger.counters();
        assert_eq!(c.packets, c.metered);
        assert_eq!(c.started, c.exported + c.too_small + c.one_way + c.two_way + c.other_application + c.held);
        assert_eq!(c.exported, self.flows.len() as u64 + c.gathered);
    }

    fn tick(&mut self, seconds: u64) {
        let mut ended = Vec::new();
        self.merger.tick(Nanos((START + seconds) * SECOND), &mut |batch| ended.push(batch.clone()));
        ended.iter().for_each(|batch| self.take(batch));
        self.check();
    }

    fn end(mut self) -> Vec<Flow> {
        self.flush();
        self.flows
    }

    fn flush(&mut self) {
        let mut ended = Vec::new();
        self.merger.flush(&mut |batch| ended.push(batch.clone()));
        ended.iter().for_each(|batch| self.take(batch));
        self.check();
        let counters = self.merger.counters();
        assert_eq!((counters.held, counters.metered), (0, self.records));
    }
}

const EXPORTER: &str = "192.0.2.1:2055";

#[test]
fn records_of_one_flow_become_one() {
    let mut bench = Bench::new(Config::default());
    bench.records(EXPORTER, 0, 5, &[WEB.at(0, 1000), WEB.at(1000, 2000)]);
    bench.records(EXPORTER, 0, 6, &[WEB.at(2000, 5500)]);
    let expected = Flow {
        client: (1, 50_000),
        server: (2, 443),
        packets: [30, 0],
        bytes: [3000, 0],
        flags: [0x1b, 0],
        first: 0,
        last: 5500,
        reason: EndReason::Forced,
    };
    assert_eq!(bench.end(), [expected]);
}

#[test]
fn two_exporters_are_not_merged_and_two_domains_of_one_are() {
    let count = |by_port: bool, from: [(&str, u32); 2]| {
        let mut bench = Bench::with(Config::default(), Collecting::default(), by_port);
        for (from, domain) in from {
            bench.records(from, domain, 1, &[WEB]);
        }
        bench.end().len()
    };
    assert_eq!(count(true, [("192.0.2.1:2055", 0), ("192.0.2.2:2055", 0)]), 2);
    assert_eq!(count(true, [("192.0.2.1:2055", 0), ("192.0.2.1:2056", 0)]), 2);
    assert_eq!(count(false, [("192.0.2.1:2055", 0), ("192.0.2.1:2056", 0)]), 1);
    assert_eq!(count(false, [("192.0.2.1:2055", 0), ("192.0.2.2:2055", 0)]), 2);
    assert_eq!(count(true, [("192.0.2.1:2055", 0), ("192.0.2.1:2055", 1)]), 1);
    let parts = Parts { exporter: false, ..Parts::default() };
    let mut bench = Bench::new(Config { parts: parts.into(), ..Config::default() });
    bench.records("192.0.2.1:2055", 0, 1, &[WEB]);
    bench.records("192.0.2.2:2055", 0, 1, &[Record { interfaces: [7, 8], ..WEB }]);
    assert_eq!(bench.end().len(), 1);
}

#[test]
fn other_interfaces_are_another_flow_and_the_same_the_other_way_round_are_not() {
    let mut bench = Bench::new(Config::default());
    let [input, output] = WEB.interfaces;
    for interfaces in [[input, output], [output, input], [input, 9]] {
        bench.records(EXPORTER, 0, 1, &[Record { interfaces, ..WEB }]);
    }
    let mut packets: Vec<_> = bench.end().into_iter().map(|flow| flow.packets[0]).collect();
    packets.sort_unstable();
    assert_eq!(packets, [10, 20]);
}

#[test]
fn the_client_is_who_began_whatever_comes_first() {
    let (request, answer) = (WEB.at(100, 900), Record { packets: [7, 0], bytes: [9000, 0], ..WEB.at(150, 950) }.back());
    for order in [[request, answer], [answer, request]] {
        let mut bench = Bench::new(Config::default());
        bench.records(EXPORTER, 0, 1, &order);
        let flows = bench.end();
        assert_eq!(flows.len(), 1);
        assert_eq!((flows[0].client, flows[0].packets, flows[0].bytes), ((1, 50_000), [10, 7], [1000, 9000]));
        assert_eq!((flows[0].first, flows[0].last), (100, 950));
    }
}

#[test]
fn a_lone_syn_tells_the_client_and_so_does_a_record_of_both_ways() {
    let early = WEB.back().at(0, 10);
    for (late, packets) in [
        (Record { flags: 2, ..WEB.at(5, 20) }, [10, 10]),
        (Record { packets: [3, 4], bytes: [30, 40], ..WEB.at(5, 20) }, [3, 14]),
    ] {
        for order in [[early, late], [late, early]] {
            let mut bench = Bench::new(Config::default());
            bench.records(EXPORTER, 0, 1, &order);
            let flows = bench.end();
            assert_eq!(flows.len(), 1);
            assert_eq!((flows[0].client, flows[0].packets), ((1, 50_000), packets));
        }
    }
}

#[test]
fn sampled_records_are_scaled_before_they_are_merged() {
    let mut bench = Bench::with(Config::default(), Collecting { rate: Some(100), ..Collecting::default() }, true);
    bench.records(EXPORTER, 0, 1, &[WEB]);
    // Options data: scope 149, then 34 samplingInterval; this user's rate goes before it.
    let flows = bench.end();
    assert_eq!((flows[0].packets, flows[0].bytes), ([1000, 0], [100_000, 0]));
    let mut bench = Bench::new(Config::default());
    let options = [1, 1, 0, 2, 0, 1, 0, 149, 0, 4, 0, 34, 0, 4];
    let from = EXPORTER.parse().unwrap();
    bench.send(from, START, &message(0, START, 3, &options));
    bench.send(from, START, &message(0, START, 257, &[0, 0, 0, 0, 0, 0, 0, 10]));
    bench.records(EXPORTER, 0, 1, &[WEB]);
    bench.send(from, START, &message(0, START, 257, &[0, 0, 0, 0, 0, 0, 0, 20]));
    bench.records(EXPORTER, 0, 1, &[WEB]);
    let flows = bench.end();
    assert_eq!((flows[0].packets, flows[0].bytes), ([300, 0], [30_000, 0]));
}

#[test]
fn counters_that_are_not_scaled_have_their_rate_beside_them() {
    let template = Template::parse("%IN_PKTS %SAMPLING_INTERVAL %ORIGINAL_SAMPLING_INTERVAL", Mode::Collector).unwrap();
    for (upscale, told) in [
        (true, r#"{"IN_PKTS":200,"SAMPLING_INTERVAL":1,"ORIGINAL_SAMPLING_INTERVAL":10}"#),
        (false, r#"{"IN_PKTS":20,"SAMPLING_INTERVAL":10,"ORIGINAL_SAMPLING_INTERVAL":10}"#),
    ] {
        let options = encode::Options { template: template.clone(), collected: true, ..encode::Options::default() };
        let collecting = Collecting { rate: Some(10), upscale, ..Collecting::default() };
        let mut bench = Bench::with(Config::default(), collecting, true);
        bench.json = Some((encode::format("json").unwrap().start)(&options).unwrap());
        bench.records(EXPORTER, 0, 1, &[WEB, WEB]);
        bench.flush();
        assert_eq!(String::from_utf8_lossy(bench.lines.bytes()), format!("{told}\n"));
    }
}

#[test]
fn times_that_are_reforged_are_by_our_clock() {
    let collecting = Collecting { reforge_times: true, ..Collecting::default() };
    let mut bench = Bench::with(Config::default(), collecting, true);
    let body = WEB.at(1000, 2000).bytes();
    // Exported three seconds after the start by a clock that is an hour slow.
    for (id, body) in [(2, template()), (256, body)] {
        bench.send(EXPORTER.parse().unwrap(), START + 3603, &message(0, START + 3, id, &body));
    }
    bench.records = 1;
    let flows = bench.end();
    assert_eq!((flows[0].first, flows[0].last), (3_601_000, 3_602_000));
}

#[test]
fn the_idle_timeout_runs_from_the_last_packet() {
    let mut bench = Bench::new(Config::default());
    bench.records(EXPORTER, 0, 0, &[WEB.at(0, 0)]);
    bench.records(EXPORTER, 0, 29, &[WEB.at(29_000, 29_000)]);
    bench.tick(58);
    assert_eq!(bench.flows.len(), 0);
    bench.tick(62);
    assert_eq!((bench.flows.len(), bench.flows[0].packets[0], bench.flows[0].reason), (1, 20, EndReason::Idle));
    bench.records(EXPORTER, 0, 63, &[WEB.at(63_000, 63_000)]);
    // Without a tick in between: the next record finds that it is over.
    bench.records(EXPORTER, 0, 100, &[WEB.at(100_000, 100_000)]);
    assert_eq!(bench.end().iter().map(|flow| flow.packets[0]).collect::<Vec<_>>(), [20, 10, 10]);
}

#[test]
fn the_active_timeout_cuts_and_the_client_stays() {
    let config = Config { active: 60 * SECOND, ..Config::default() };
    let mut bench = Bench::new(config);
    for second in (0..130).step_by(10) {
        // The server's side comes first from the second record on.
        let answer = WEB.back().at(second * 1000 + 1, second * 1000 + 5000);
        let request = WEB.at(second * 1000 + 2, second * 1000 + 5000);
        let order = if second == 0 { [WEB.at(0, 5000), answer] } else { [answer, request] };
        bench.records(EXPORTER, 0, second + 5, &order);
    }
    let flows = bench.end();
    assert!(flows.iter().all(|flow| flow.client == (1, 50_000)), "{flows:?}");
    let reasons: Vec<_> = flows.iter().map(|flow| (flow.reason, flow.packets)).collect();
    assert_eq!(reasons, [(EndReason::Active, [60, 60]), (EndReason::Active, [60, 60]), (EndReason::Forced, [10, 10])]);
}

#[test]
fn records_that_come_late_or_from_another_time_are_merged_all_the_same() {
    // Four minutes late, as from an exporter with a long timeout, both directions in separate messages.
    let mut bench = Bench::new(Config::default());
    bench.records("192.0.2.9:1", 0, 1000, &[WEB.at(1_000_000, 1_000_000)]);
    bench.records(EXPORTER, 0, 1000, &[WEB.at(760_000, 761_000)]);
    bench.records("192.0.2.9:1", 0, 1001, &[WEB.at(1_001_000, 1_001_000)]);
    bench.records(EXPORTER, 0, 1001, &[WEB.back().at(760_500, 761_500)]);
    bench.records(EXPORTER, 0, 1002, &[WEB.at(750_000, 759_000)]);
    let mut flows = bench.end();
    flows.sort_by_key(|flow| flow.first);
    assert_eq!(flows.iter().map(|flow| flow.packets).collect::<Vec<_>>(), [[20, 10], [20, 0]]);
    assert_eq!((flows[0].first, flows[0].last), (750_000, 761_500));
    // An exporter whose clock is a day behind beside one that is right.
    let mut bench = Bench::new(Config::default());
    let body: Vec<u8> = [WEB.at(0, 1000), WEB.at(0, 2000)].iter().flat_map(Record::bytes).collect();
    for second in [86_400, 86_410] {
        bench.records("192.0.2.9:1", 0, second, &[WEB.at(second * 1000, second * 1000)]);
        bench.send(EXPORTER.parse().unwrap(), START + second, &message(0, START + 2, 2, &template()));
        bench.send(EXPORTER.parse().unwrap(), START + second, &message(0, START + 2, 256, &body));
        bench.records += 2;
    }
    bench.tick(86_425);
    assert_eq!(bench.flows.len(), 0);
    let mut packets: Vec<_> = bench.end().iter().map(|flow| flow.packets[0]).collect();
    packets.sort_unstable();
    assert_eq!(packets, [20, 40]);
}

#[test]
fn a_full_cache_ends_the_longest_unseen_and_loses_nothing() {
    let mut bench = Bench::new(Config { max_flows: 4, ..Config::default() });
    for n in 0..100u16 {
        let seconds = u64::from(n / 10);
        bench.records(
            EXPORTER,
            0,
            seconds,
            &[Record { src: (1, 1000 + n % 7), ..WEB.at(seconds * 1000, seconds * 1000) }],
        );
    }
    assert!(bench.merger.counters().evicted > 0);
    let flows = bench.end();
    assert_eq!(flows.iter().map(|flow| flow.packets[0]).sum::<u64>(), 1000);
    assert!(flows.iter().any(|flow| flow.reason == EndReason::Resources));
}

#[test]
fn records_that_count_nothing_are_flows_too() {
    let nothing = Record { packets: [0, 0], bytes: [0, 0], ..WEB };
    let mut bench = Bench::new(Config::default());
    bench.records(EXPORTER, 0, 1, &[nothing, nothing, Record { bytes: [500, 0], ..nothing }]);
    bench.records(EXPORTER, 0, 2, &[Record { src: (9, 9), ..nothing }]);
    let mut flows = bench.end();
    flows.sort_by_key(|flow| flow.client);
    assert_eq!(flows.iter().map(|flow| flow.bytes).collect::<Vec<_>>(), [[500, 0], [0, 0]]);
    let mut bench = Bench::new(Config { biflows: Biflows::TwoWay, ..Config::default() });
    bench.records(EXPORTER, 0, 1, &[nothing]);
    bench.flush();
    assert_eq!((bench.merger.counters().one_way, bench.flows.len()), (1, 0));
}

/// Ends in order, protocol, exporter, interfaces in order, VLAN.
type Key = ((u8, u16), (u8, u16), u8, IpAddr, [u32; 2], u16);

#[test]
fn sums_are_those_of_a_map() {
    let mut random = 7u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for max_flows in [1 << 20, 50] {
        let mut bench = Bench::new(Config { max_flows, room: 64, ..Config::default() });
        let mut model: HashMap<Key, [u64; 4]> = HashMap::new();
        for step in 0..400u64 {
            let exporter = ["192.0.2.1:2055", "192.0.2.2:2055", "[2001:db8::1]:2055"][next(3) as usize];
            let records: Vec<Record> = (0..1 + next(40))
                .map(|_| {
                    let (a, b) =
                        ((1 + next(2) as u8, 1000 + next(2) as u16), (10 + next(2) as u8, [53, 443][next(2) as usize]));
                    let record = Record {
                        src: a,
                        dst: b,
                        protocol: [6, 17][next(2) as usize],
                        packets: [1 + next(1000) as u32, if next(3) == 0 { next(50) as u32 } else { 0 }],
                        bytes: [40 + next(1 << 40), if next(3) == 0 { next(5000) } else { 0 }],
                        interfaces: [1, 2 + next(2) as u32],
                        vlan: next(2) as u16 * 10,
                        flags: next(64) as u8,
                        ..WEB
                    };
                    // Up to two minutes old, in any order.
                    let last = (200 + step / 4) * 1000 - next(120_000);
                    let record = record.at(last - next(10_000), last);
                    if next(2) == 0 { record } else { record.back() }
                })
                .collect();
            let address = exporter.parse::<SocketAddr>().unwrap().ip();
            for r in &records {
                let (there, back) = if r.src < r.dst { (0, 1) } else { (1, 0) };
                let ends = [r.src, r.dst];
                let mut interfaces = r.interfaces;
                interfaces.sort_unstable();
                let key = (ends[there], ends[back], r.protocol, address, interfaces, r.vlan);
                let sums = model.entry(key).or_default();
                sums[there] += u64::from(r.packets[0]);
                sums[back] += u64::from(r.packets[1]);
                sums[2 + there] += r.bytes[0];
                sums[2 + back] += r.bytes[1];
            }
            bench.records(exporter, step as u32 % 3, 200 + step / 4, &records);
        }
        bench.json = None;
        let (records, keys) = (bench.records, model.len());
        bench.flush();
        let mut by_ends: HashMap<_, [u64; 4]> = HashMap::new();
        for flow in &bench.flows {
            let (there, back) = if flow.client < flow.server { (0, 1) } else { (1, 0) };
            let ends = [flow.client, flow.server];
            let sums = by_ends.entry((ends[there], ends[back])).or_default();
            for (to, from) in [(there, 0), (back, 1)] {
                sums[to] += flow.packets[from];
                sums[2 + to] += flow.bytes[from];
            }
        }
        let mut expected: HashMap<_, [u64; 4]> = HashMap::new();
        for ((a, b, ..), sums) in model {
            let all = expected.entry((a, b)).or_default();
            for (to, from) in all.iter_mut().zip(sums) {
                *to += from;
            }
        }
        assert_eq!(by_ends, expected);
        if max_flows > 50 {
            // Nothing timed out but by the active timeout, none over-merged.
            assert!(bench.flows.len() >= keys && (bench.flows.len() as u64) < records / 3, "{}", bench.flows.len());
        } else {
            assert!(bench.flows.len() > keys);
        }
    }
}

/// What is told, as JSON, of records of these fields.
fn told(fields: &[(u16, u16)], records: &[&[u8]], asked: &str) -> Vec<String> {
    let template = Template::parse(asked, Mode::Collector).unwrap();
    let groups = groups_of_collected(&template);
    let options = encode::Options { template, collected: true, ..encode::Options::default() };
    let mut bench = Bench::new(Config { groups, ..Config::default() });
    let mut head = vec![1, 0, 0, fields.len() as u8];
    fields.iter().for_each(|(id, length)| head.extend([id.to_be_bytes(), length.to_be_bytes()].concat()));
    for (id, body) in [(2, &head), (256, &records.concat())] {
        bench.send(EXPORTER.parse().unwrap(), START, &message(0, START, id, body));
    }
    let mut json = (encode::format("json").unwrap().start)(&options).unwrap();
    let mut lines = Messages::default();
    bench.merger.flush(&mut |ended| ended.views().for_each(|view| json.encode(&view, &Env::default(), &mut lines)));
    String::from_utf8_lossy(lines.bytes()).lines().map(str::to_owned).collect()
}

#[test]
fn a_record_that_names_its_exporter_is_that_exporters() {
    let fields = [(8, 4), (12, 4), (2, 1), (130, 4)];
    let record = |exporter: u8| [10, 0, 0, 1, 10, 0, 0, 2, 1, 198, 51, 100, exporter];
    let records = [record(1), record(2), record(1)];
    let lines = told(&fields, &records.each_ref().map(|r| r.as_slice()), "%EXPORTER_IPV4_ADDRESS %IN_PKTS");
    assert_eq!(
        lines,
        [
            r#"{"EXPORTER_IPV4_ADDRESS":"198.51.100.1","IN_PKTS":2}"#,
            r#"{"EXPORTER_IPV4_ADDRESS":"198.51.100.2","IN_PKTS":1}"#
        ]
    );
}

#[test]
fn an_answer_belongs_to_its_echo_wherever_its_type_stands() {
    const ASKED: &str = "%IPV4_SRC_ADDR %ICMP_TYPE %IN_PKTS %OUT_PKTS";
    let line = r#"{"IPV4_SRC_ADDR":"10.0.0.1","ICMP_TYPE":2048,"IN_PKTS":3,"OUT_PKTS":4}"#;
    // 32; 176 and 177; NetFlow v5's destination port.
    for (own, ports) in [(&[(32, 2)][..], false), (&[(176, 1), (177, 1)], false), (&[], true)] {
        let fields = [&[(8, 4), (12, 4), (4, 1), (2, 1), (7, 2), (11, 2)][..], own].concat();
        let record = |src: u8, dst: u8, kind: u8, packets: u8| {
            let port = if ports { kind } else { 0 };
            let own: &[u8] = if ports { &[] } else { &[kind, 0] };
            [&[10, 0, 0, src, 10, 0, 0, dst, 1, packets, 0, 0, port, 0][..], own].concat()
        };
        assert_eq!(told(&fields, &[&record(1, 2, 8, 3), &record(2, 1, 0, 4)], ASKED), [line], "{own:?}");
    }
}

#[test]
fn a_template_of_both_families_is_read_by_its_version() {
    let fields = [(8, 4), (12, 4), (27, 16), (28, 16), (60, 1), (2, 1)];
    let v4 = [&[10, 0, 0, 1, 10, 0, 0, 2][..], &[0; 32], &[4, 1]].concat();
    let mut v6 = [&[0; 40][..], &[6, 2]].concat();
    (v6[23], v6[39]) = (7, 9);
    let asked = "%IP_PROTOCOL_VERSION %IPV4_SRC_ADDR %IPV6_SRC_ADDR %IPV6_DST_ADDR %IN_PKTS";
    let lines = [
        r#"{"IP_PROTOCOL_VERSION":4,"IPV4_SRC_ADDR":"10.0.0.1","IPV6_SRC_ADDR":"::","IPV6_DST_ADDR":"::","IN_PKTS":1}"#,
        r#"{"IP_PROTOCOL_VERSION":6,"IPV4_SRC_ADDR":"0.0.0.0","IPV6_SRC_ADDR":"::7","IPV6_DST_ADDR":"::9","IN_PKTS":2}"#,
    ];
    assert_eq!(told(&fields, &[&v4, &v6], asked), lines);
    // The same without the version: the family that is not zero.
    let without = |bytes: &[u8]| [&bytes[..40], &bytes[41..]].concat();
    let fields = [&fields[..4], &fields[5..]].concat();
    assert_eq!(told(&fields, &[&without(&v4), &without(&v6)], asked), lines);
}

#[test]
fn a_flow_between_two_vlans_is_one_both_ways() {
    let fields = [(8, 4), (12, 4), (58, 2), (59, 2), (2, 1)];
    let there = [10, 0, 0, 1, 10, 0, 0, 2, 0, 10, 0, 20, 1];
    let back = [10, 0, 0, 2, 10, 0, 0, 1, 0, 20, 0, 10, 2];
    let other = [10, 0, 0, 1, 10, 0, 0, 2, 0, 10, 0, 30, 4];
    let lines = told(&fields, &[&there, &back, &other], "%SRC_VLAN %DST_VLAN %IN_PKTS %OUT_PKTS");
    assert_eq!(
        lines,
        [
            r#"{"SRC_VLAN":10,"DST_VLAN":20,"IN_PKTS":1,"OUT_PKTS":2}"#,
            r#"{"SRC_VLAN":10,"DST_VLAN":30,"IN_PKTS":4,"OUT_PKTS":0}"#
        ]
    );
}

/// Both ways at once: what is told record by record must be what is told of flows, added up.
struct Both<'a> {
    out: Out<'a>,
    lines: Lines,
    told: Messages,
}

impl Receive for Both<'_> {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        let taken = self.lines.flows(set, Nanos(0), &mut self.told);
        assert_eq!(self.out.flows(set), taken);
        taken
    }
}

#[test]
fn layouts_of_any_shape_are_read_as_the_other_outputs_read_them() {
    const KNOWN: [u16; 52] = [
        1, 2, 23, 24, 85, 86, 231, 232, 298, 299, 4, 5, 6, 7, 11, 8, 12, 27, 28, 44, 45, 60, 32, 139, 176, 177, 178,
        179, 10, 14, 252, 253, 16, 17, 9, 13, 29, 30, 15, 62, 18, 63, 89, 61, 56, 80, 58, 59, 243, 82, 130, 131,
    ];
    const TIMES: [u16; 14] = [21, 22, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159, 322, 323];
    let mut random = 3u64;
    let mut next = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let counts = Template::parse("%IN_BYTES %IN_PKTS %OUT_BYTES %OUT_PKTS", Mode::Collector).unwrap();
    let (mut read, mut merged) = (0, 0);
    for round in 0..3000u64 {
        let mut fields =
            vec![[8u16, 12], [27, 28]][next(2) as usize].map(|id| (id, if id < 20 { 4 } else { 16 })).to_vec();
        for _ in 0..next(12) {
            let times = next(4) == 0;
            let id = if times { TIMES[next(14) as usize] } else { KNOWN[next(52) as usize] };
            // Counters of at most four bytes, so that no sum saturates.
            let length = match next(8) {
                0 => u16::MAX,
                1 => 1 + next(20) as u16,
                2 => [16, 6, 8][next(3) as usize],
                _ => [1, 2, 3, 4][next(4) as usize],
            };
            let counter = matches!(id, 1 | 2 | 23 | 24 | 85 | 86 | 231 | 232 | 298 | 299);
            fields.push((id, if counter { 1 + next(4) as u16 } else { length }));
        }
        let at = next(fields.len() as u64) as usize;
        fields.swap(0, at);
        let mut head = vec![1, 0, 0, fields.len() as u8];
        let mut body = Vec::new();
        fields.iter().for_each(|(id, length)| head.extend([id.to_be_bytes(), length.to_be_bytes()].concat()));
        for _ in 0..next(40) {
            for &(id, length) in &fields {
                let length = if length == u16::MAX { next(30) as u16 } else { length };
                if fields.contains(&(id, u16::MAX)) {
                    body.push(length as u8);
                }
                // Few hosts and ports, so that there is something to merge.
                body.extend((0..length).map(|i| if i + 1 < length { 0 } else { next(3) as u8 }));
            }
        }
        body.truncate(1300);
        let mut collector = Collector::new(Collecting::default());
        let mut merger = Merger::new(Config { max_flows: 1 + (round % 5 * 10) as u32, ..Config::default() }, true);
        let out = Out { merger: &mut merger, ended: Vec::new() };
        let lines = Lines::new(Plan::Template(counts.clone()), Home::at([127, 0, 0, 1]));
        let mut both = Both { out, lines, told: Messages::default() };
        for (id, body) in [(2, &head), (256, &body)] {
            let bytes = message(0, START, id, body);
            let (time, from) = (Nanos(START * SECOND), EXPORTER.parse().unwrap());
            let datagram = Datagram { time, transport: Transport::Udp, from, to: 4739, local: None, bytes: &bytes };
            collector.message(&datagram, &mut both).unwrap();
        }
        let mut expected = [0u64; 4];
        for line in String::from_utf8_lossy(both.told.bytes()).lines() {
            let numbers = line.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
            expected.iter_mut().zip(numbers).for_each(|(sum, n)| *sum += n.parse::<u64>().unwrap());
        }
        let (told, mut ended) = (both.told.records(), both.out.ended);
        read += told;
        merger.flush(&mut |batch| ended.push(batch.clone()));
        let mut found = [0u64; 4];
        for view in ended.iter().flat_map(Ended::views) {
            merged += 1;
            found[0] += view.base.bytes[0] + view.base.bytes[1];
            found[1] += view.base.packets[0] + view.base.packets[1];
        }
        assert_eq!(found[..2], [expected[0] + expected[2], expected[1] + expected[3]], "{fields:?}");
        let counters = merger.counters();
        assert_eq!((counters.metered, counters.started), (told, counters.exported));
    }
    assert!(read > 20_000 && merged < read * 3 / 4, "{read} {merged}");
}

#[test]
fn what_only_the_exporter_knows_is_told() {
    const ASKED: &str = "%IPV4_SRC_ADDR %IPV4_DST_ADDR %L4_SRC_PORT %IN_PKTS %OUT_PKTS %INPUT_SNMP %OUTPUT_SNMP %SRC_AS %DST_AS \
                         %IPV4_SRC_MASK %IPV4_DST_MASK %IPV4_NEXT_HOP %SRC_VLAN %EXPORTER_IPV4_ADDRESS %FORWARDING_STATUS \
                         %SRC_TOS %149 %305 %FLOW_SOURCE %SAMPLING_INTERVAL %ORIGINAL_SAMPLING_INTERVAL %SAMPLING_SOURCE \
                         %FIRST_SWITCHED";
    let template = Template::parse(ASKED, Mode::Collector).unwrap();
    let options = encode::Options { template: template.clone(), collected: true, ..encode::Options::default() };
    let groups = groups_of_collected(&template);
    let mut bench = Bench::with(
        Config { groups, ..Config::default() },
        Collecting { rate: Some(2), ..Collecting::default() },
        true,
    );
    bench.json = Some((encode::format("json").unwrap().start)(&options).unwrap());
    let there = Record { vlan: 7, ..WEB.at(1000, 2000) };
    bench.records(EXPORTER, 9, 3, &[there, Record { packets: [4, 0], ..there.back() }.at(1500, 2500), there]);
    bench.flush();
    let line = concat!(
        r#"{"IPV4_SRC_ADDR":"10.0.0.1","IPV4_DST_ADDR":"10.0.0.2","L4_SRC_PORT":50000,"IN_PKTS":40,"OUT_PKTS":8,"#,
        r#""INPUT_SNMP":3,"OUTPUT_SNMP":4,"SRC_AS":64501,"DST_AS":64502,"IPV4_SRC_MASK":21,"IPV4_DST_MASK":22,"#,
        r#""IPV4_NEXT_HOP":"192.0.2.2","SRC_VLAN":7,"EXPORTER_IPV4_ADDRESS":"192.0.2.1","FORWARDING_STATUS":64,"#,
        r#""SRC_TOS":40,"observationDomainId":9,"samplingPacketInterval":2,"FLOW_SOURCE":1,"SAMPLING_INTERVAL":1,"#,
        r#""ORIGINAL_SAMPLING_INTERVAL":2,"SAMPLING_SOURCE":"user","FIRST_SWITCHED":1700000001}"#,
        "\n"
    );
    assert_eq!(String::from_utf8_lossy(bench.lines.bytes()), line);
    // One direction a record: that of the server has the server's view of the same.
    let options = encode::Options {
        template: Template::parse(
            "%IPV4_SRC_ADDR %INPUT_SNMP %SRC_AS %IPV4_DST_MASK %IPV4_NEXT_HOP %IN_PKTS",
            Mode::Collector,
        )
        .unwrap(),
        ..options
    };
    let mut json = (encode::format("json").unwrap().start)(&options).unwrap();
    let mut bench = Bench::new(Config { groups, ..Config::default() });
    bench.json = None;
    bench.records(EXPORTER, 9, 3, &[there, there.back().at(1500, 2500)]);
    let mut lines = Messages::default();
    bench.merger.flush(&mut |ended| ended.views().for_each(|view| json.encode(&view, &Env::default(), &mut lines)));
    assert_eq!(
        String::from_utf8_lossy(lines.bytes()),
        concat!(
            r#"{"IPV4_SRC_ADDR":"10.0.0.1","INPUT_SNMP":3,"SRC_AS":64501,"IPV4_DST_MASK":22,"IPV4_NEXT_HOP":"192.0.2.2","IN_PKTS":10}"#,
            "\n",
            r#"{"IPV4_SRC_ADDR":"10.0.0.2","INPUT_SNMP":4,"SRC_AS":64502,"IPV4_DST_MASK":21,"IPV4_NEXT_HOP":"192.0.2.1","IN_PKTS":10}"#,
            "\n"
        )
    );
}

/// What an exporter calls an application stays with the flow, whatever its records tell later.
#[test]
fn a_flow_keeps_what_its_exporter_calls_its_application() {
    let vocabulary = Arc::new(Vocabulary::new(&["Unknown", "FTP", "SSH"].map(str::to_owned)));
    let template = Template::parse("%L4_DST_PORT %L7_PROTO %L7_PROTO_NAME %APPLICATION_NAME", Mode::Collector).unwrap();
    let groups = groups_of_collected(&template);
    let options = encode::Options { template, collected: true, applications: true, ..encode::Options::default() };
    let collecting = Collecting { vocabulary: Some(Arc::clone(&vocabulary)), ..Collecting::default() };
    let mut bench = Bench::with(Config { groups, ..Config::default() }, collecting, true);
    let from: SocketAddr = EXPORTER.parse().unwrap();
    // An options template of IPFIX with one scope: id and name.
    let shape = [400u16, 2, 1, 95, 4, 96, 8].map(u16::to_be_bytes).concat();
    bench.send(from, START, &message(0, START, 3, &shape));
    let table = [&b"\x0d\0\0\x50ssh\0\0\0\0\0"[..], b"\x0d\0\x01\xdfms-teams", b"\x0d\0\0\x01unknown\0"].concat();
    bench.send(from, START, &message(0, START, 400, &table));
    let fields = [8u16, 4, 12, 4, 7, 2, 11, 2, 4, 1, 95, 4, 1, 4, 2, 4].map(u16::to_be_bytes).concat();
    bench.send(from, START, &message(0, START, 2, &[&[1, 44, 0, 8], &fields[..]].concat()));
    let record = |port: u8, id: u32| {
        let ends = [10, 0, 0, 1, 10, 0, 0, 2, 0xc0, 0, 0, port, 6];
        [&ends[..], &id.to_be_bytes(), &9u32.to_be_bytes(), &1u32.to_be_bytes()].concat()
    };
    let records = [
        // Not known at first, then known, then something else: the first that says something counts.
        record(1, 0x0d00_0001),
        record(1, 0x0d00_01df),
        record(1, 0x0d00_0050),
        record(2, 0x0d00_0050),
        record(2, 0),
        record(3, 0x0d00_0001),
        record(4, 0x0d00_0fff),
    ];
    bench.send(from, START, &message(0, START, 300, &records.concat()));
    let env = Env { vocabulary: Some(vocabulary), names: Arc::new(names()), ..Env::default() };
    let mut json = (encode::format("json").unwrap().start)(&options).unwrap();
    let mut lines = Messages::default();
    bench.merger.flush(&mut |ended| ended.views().for_each(|view| json.encode(&view, &env, &mut lines)));
    let mut told: Vec<_> = String::from_utf8_lossy(lines.bytes()).lines().map(str::to_owned).collect();
    told.sort();
    let line = |port, number, name, exporters| {
        format!(
            r#"{{"L4_DST_PORT":{port},"L7_PROTO":"{number}","L7_PROTO_NAME":"{name}","APPLICATION_NAME":"{exporters}"}}"#
        )
    };
    let expected = [
        line(1, 0, "ms-teams", "ms-teams"),
        line(2, 2, "SSH", "ssh"),
        line(3, 0, "Unknown", "unknown"),
        line(4, 0, "Unknown", ""),
    ];
    assert_eq!(told, expected);
}

fn names() -> Names {
    Names { protocols: ["Unknown", "FTP", "SSH"].map(str::to_owned).into(), ..Names::default() }
}
