//! The flow cache against a naive model of itself: a map, one packet at a time, nothing clever. Same flows, same sums,
//! same ends, whatever the timeouts, and however the packets came in batches.

#![allow(clippy::panic, clippy::unwrap_used, dead_code, reason = "a test that panics has failed")]

mod frames;
mod probe;

use std::collections::HashMap;

use flowsonde_engine::meter::config::{Biflows, Config, MinBytes};
use flowsonde_engine::meter::flow::EndReason;

use frames::{ACK, FIN, Host, ICMP, ICMPV6, MILLI, Packet, RST, Random, SECOND, SYN, TCP, host, host6};
use probe::{Probe, Record, all_groups};

const MINUTE: u64 = 60 * SECOND;

/// Lower end, upper end, protocol, VLAN.
type Key = (Host, Host, u8, u16);

#[derive(Clone, Debug)]
struct Part {
    first: u64,
    packets: [u64; 2],
    bytes: [u64; 2],
    flags: [u8; 2],
    last: u64,
}

#[derive(Clone, Debug)]
struct Flow {
    id: u32,
    client: usize,
    sure: bool,
    isn: Option<u32>,
    fins: [bool; 2],
    closed: bool,
    continued: bool,
    last: u64,
    part: Option<Part>,
}

struct Model {
    config: Config,
    flows: HashMap<Key, Flow>,
    records: Vec<Record>,
    next_id: u32,
    now: u64,
    skip: u32,
    evicted: u64,
    kept_back: u64,
}

/// The request's type for an answer's, as the key has it.
fn icmp_port(packet: &Packet) -> u16 {
    let (kind, code) = packet.icmp;
    let request = match (packet.protocol, kind) {
        (ICMP, 0) => 8,
        (ICMPV6, 129) => 128,
        (_, other) => other,
    };
    u16::from(request) << 8 | u16::from(code)
}

fn key(packet: &Packet) -> (Key, usize) {
    let (mut src, mut dst) = (packet.src, packet.dst);
    if matches!(packet.protocol, ICMP | ICMPV6) {
        (src.1, dst.1) = (icmp_port(packet), icmp_port(packet));
    }
    let vlan = packet.vlan.unwrap_or(0);
    if src <= dst { ((src, dst, packet.protocol, vlan), 0) } else { ((dst, src, packet.protocol, vlan), 1) }
}

/// The direction of the client, and whether a handshake told.
fn client(packet: &Packet, from: usize) -> (usize, bool) {
    if packet.protocol == TCP && packet.flags & (SYN | FIN | RST) == SYN {
        return (if packet.flags & ACK != 0 { 1 - from } else { from }, true);
    }
    let from_server = match packet.protocol {
        ICMP => packet.icmp.0 == 0,
        ICMPV6 => packet.icmp.0 == 129,
        _ => {
            let service = |port: u16| port != 0 && port < 1024;
            service(packet.src.1) && !service(packet.dst.1)
        }
    };
    (if from_server { 1 - from } else { from }, false)
}

impl Model {
    fn new(config: Config) -> Model {
        let (next_id, flows, records) = (config.first_id, HashMap::new(), Vec::new());
        Model { config, flows, records, next_id, now: 0, skip: 0, evicted: 0, kept_back: 0 }
    }

    fn limit(&self, flow: &Flow) -> u64 {
        if flow.closed { self.config.linger.min(self.config.idle) } else { self.config.idle }
    }

    fn over_age(&self, first: u64, now: u64) -> bool {
        now - first >= self.config.active || self.config.by_minute && now / MINUTE > first / MINUTE
    }

    /// Records are cut without waiting for a packet.
    fn cuts_by_itself(&self) -> bool {
        self.config.active < self.config.idle || self.config.by_minute
    }

    fn end(&mut self, key: Key, flow: &mut Flow, reason: EndReason) {
        let Some(part) = flow.part.take() else { return };
        let (least, two_way) = (self.config.min_bytes, part.packets[0] > 0 && part.packets[1] > 0);
        let least = match key.2 {
            TCP => least.tcp,
            frames::UDP => least.udp,
            _ => least.other,
        };
        let wanted = match self.config.biflows {
            Biflows::All => true,
            Biflows::TwoWay => two_way,
            Biflows::OneWay => !two_way,
        };
        if part.bytes[0] + part.bytes[1] < least || !wanted {
            self.kept_back += 1;
            return;
        }
        let (c, s) = (flow.client, 1 - flow.client);
        let ends = [key.0, key.1];
        self.records.push(Record {
            id: flow.id,
            protocol: key.2,
            client: ends[c],
            server: ends[s],
            vlan: key.3,
            packets: [part.packets[c], part.packets[s]],
            bytes: [part.bytes[c], part.bytes[s]],
            flags: [part.flags[c], part.flags[s]],
            first: part.first,
            last: part.last,
            reason,
            continued: flow.continued,
            latency: None,
            again: None,
        });
    }

    /// How a flow that is over ended, or `otherwise` when it is not.
    fn reason(&self, flow: &Flow, now: u64, otherwise: EndReason) -> EndReason {
        let idle_at = flow.last + self.config.idle;
        let first = flow.part.as_ref().map_or(now, |part| part.first);
        if flow.closed {
            EndReason::Closed
        } else if self.cuts_by_itself() && self.over_age(first, now.min(idle_at)) {
            EndReason::Active
        } else if now >= idle_at {
            EndReason::Idle
        } else {
            otherwise
        }
    }

    fn take(&mut self, packet: &Packet) {
        if self.config.sample > 1 {
            self.skip += 1;
            if self.skip < self.config.sample {
                return;
            }
            self.skip = 0;
        }
        let now = packet.at;
        self.now = now;
        let (key, from) = key(packet);
        let mut flow = self.flows.remove(&key);
        if let Some(old) = &mut flow {
            let mut over = now - old.last >= self.limit(old);
            let mut reason = self.reason(old, now, EndReason::Idle);
            if !over && old.part.as_ref().is_some_and(|part| self.over_age(part.first, now)) {
                let reason = if old.closed { EndReason::Closed } else { EndReason::Active };
                self.end(key, old, reason);
                old.continued = true;
            }
            if !over && packet.protocol == TCP && packet.flags & (SYN | ACK | RST) == SYN {
                let again = old.isn == Some(packet.seq) && old.client == from;
                let silent = old.part.as_ref().is_none_or(|part| part.packets[from] == 0);
                over = !again && (!silent || old.continued || old.closed);
                reason = EndReason::Closed;
            }
            if over {
                self.end(key, old, reason);
                flow = None;
            }
        }
        let mut flow = match flow {
            Some(flow) => flow,
            None => {
                if self.flows.len() >= self.config.max_flows as usize {
                    self.evict();
                }
                let (client, sure) = client(packet, from);
                let id = self.next_id;
                self.next_id += 1;
                let fins = [false; 2];
                Flow { id, client, sure, isn: None, fins, closed: false, continued: false, last: now, part: None }
            }
        };
        let part =
            flow.part.get_or_insert(Part { first: now, packets: [0; 2], bytes: [0; 2], flags: [0; 2], last: now });
        part.packets[from] += 1;
        part.bytes[from] += if self.config.account_l2 { packet.build().bytes.len() as u64 } else { packet.ip_len() };
        part.last = now;
        flow.last = now;
        if packet.protocol == TCP {
            part.flags[from] |= packet.flags;
            if let (client, true) = client(packet, from) {
                if !flow.sure {
                    (flow.client, flow.sure) = (client, true);
                }
                // A SYN-ACK names the SYN it answers.
                if flow.isn.is_none() {
                    let answer = packet.flags & ACK != 0;
                    flow.isn = Some(if answer { packet.ack.wrapping_sub(1) } else { packet.seq });
                }
            }
            flow.fins[from] |= packet.flags & FIN != 0 && packet.flags & RST == 0;
            flow.closed |= packet.flags & RST != 0 || flow.fins == [true; 2];
        }
        self.flows.insert(key, flow);
    }

    fn evict(&mut self) {
        let oldest = *self.flows.iter().min_by_key(|(_, flow)| flow.last).map(|(key, _)| key).unwrap();
        let mut flow = self.flows.remove(&oldest).unwrap();
        self.evicted += u64::from(self.now - flow.last < self.limit(&flow));
        let reason = self.reason(&flow, self.now, EndReason::Resources);
        self.end(oldest, &mut flow, reason);
    }

    fn finish(mut self) -> (Vec<Record>, u64, u64) {
        for (key, mut flow) in core::mem::take(&mut self.flows) {
            let reason = self.reason(&flow, self.now, EndReason::Forced);
            self.end(key, &mut flow, reason);
        }
        (self.records, self.evicted, self.kept_back)
    }
}

/// Traffic of `hosts` hosts, with `pause` nanoseconds between two packets on average.
fn traffic(random: &mut Random, packets: usize, hosts: u64, pause: u64, closes: bool) -> Vec<Packet> {
    let mut now = 1_700_000_000 * SECOND;
    (0..packets)
        .map(|_| {
            now += match random.below(100) {
                // Long pauses, and exact seconds, so that timeouts are met exactly.
                0 => random.below(40) * SECOND,
                1 => SECOND - now % SECOND,
                2 => 0,
                _ => random.below(2 * pause),
            };
            any_packet(random, now, hosts, closes)
        })
        .collect()
}

fn any_packet(random: &mut Random, now: u64, hosts: u64, closes: bool) -> Packet {
    let six = random.one_in(4);
    let end = |n: u64, port| if six { host6(n as u16, port) } else { host(n as u32, port) };
    let a = end(random.below(hosts), 40_000);
    let port = random.of(&[80, 443, 50_001]);
    let b = end(40_000 + random.below(3), port);
    let (src, dst) = if random.one_in(2) { (a, b) } else { (b, a) };
    let payload = random.below(300) as usize;
    let packet = match random.below(10) {
        0..6 => {
            let usual = random.of(&[SYN, SYN | ACK, ACK, ACK, ACK, ACK, ACK, ACK, ACK, ACK, 0]);
            let last = random.of(&[FIN | ACK, SYN | FIN, RST, RST | ACK, FIN, FIN | RST, ACK, ACK]);
            let flags = if closes && random.one_in(6) { last } else { usual };
            Packet { seq: random.below(3) as u32, payload, ..Packet::tcp(now, src, dst, flags) }
        }
        6..9 => Packet::udp(now, src, dst, payload),
        _ if six => Packet::icmp(now, src, dst, (random.of(&[128, 129, 1]), 0)),
        _ => Packet::icmp(now, src, dst, (random.of(&[8, 0, 3]), random.of(&[0, 1]))),
    };
    Packet { vlan: random.one_in(20).then_some(7), ..packet }
}

/// Runs both, in batches of random sizes and with ticks in between, and compares.
fn compare(random: &mut Random, config: Config, packets: &[Packet], what: &str) {
    let mut model = Model::new(config.clone());
    let mut probe = Probe::new(config);
    let mut rest = packets;
    while !rest.is_empty() {
        let n = (random.below(70) as usize + 1).min(rest.len());
        let (batch, later) = rest.split_at(n);
        let built: Vec<_> = batch.iter().map(Packet::build).collect();
        probe.frames(&built.iter().map(|b| b.frame()).collect::<Vec<_>>());
        for packet in batch {
            model.take(packet);
        }
        if random.one_in(4) {
            model.now = batch.last().map_or(0, |packet| packet.at);
            probe.tick(model.now);
        }
        rest = later;
    }
    probe.flush();
    let counters = probe.meter.counters();
    let (mut expected, evicted, kept_back) = model.finish();
    let mut found = probe.records;
    for record in &mut found {
        (record.latency, record.again) = (None, None);
    }
    for records in [&mut found, &mut expected] {
        records.sort_by_key(|r| (r.id, r.first, r.last));
    }
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "{what}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
    assert_eq!(counters.evicted, evicted, "{what}");
    assert_eq!(counters.one_way + counters.two_way + counters.too_small, kept_back, "{what}");
}

#[test]
fn the_cache_is_the_model() {
    for seed in 0..120_u64 {
        let mut random = Random(seed);
        let idle = random.of(&[1, 2, 5, 30, 300]) * SECOND;
        let active = random.of(&[1, 3, 10, 60, 120, 3600]) * SECOND;
        let min_bytes = if random.one_in(4) { MinBytes { tcp: 100, udp: 200, other: 40 } } else { MinBytes::default() };
        let config = Config {
            idle,
            active,
            linger: random.of(&[0, 1, 5, 100]) * SECOND,
            by_minute: random.one_in(4),
            groups: if random.one_in(2) { all_groups() } else { Default::default() },
            account_l2: random.one_in(4),
            sample: random.of(&[1, 1, 1, 3]),
            min_bytes,
            biflows: random.of(&[Biflows::All, Biflows::All, Biflows::TwoWay, Biflows::OneWay]),
            random: seed,
            first_id: 1,
            ..Config::default()
        };
        let hosts = random.of(&[2, 20, 200]);
        let pause = random.of(&[MILLI, 20 * MILLI, 300 * MILLI]);
        let packets = traffic(&mut random, 4000, hosts, pause, true);
        let what = format!("seed {seed}: {config:?}");
        compare(&mut random, config, &packets, &what);
    }
}

/// With eviction. Times lie a tick of the ring apart, where its order is exact; connections do not close, as those go
/// before others.
#[test]
fn the_cache_evicts_as_the_model_does() {
    for seed in 0..60_u64 {
        let mut random = Random(1000 + seed);
        let idle = random.of(&[2, 5, 60]) * SECOND;
        let config = Config {
            idle,
            active: random.of(&[1, 20, 120]) * SECOND,
            max_flows: random.of(&[1, 2, 10, 50, 200]),
            random: seed,
            first_id: 1,
            ..Config::default()
        };
        let mut now = 1_700_000_000 * SECOND;
        let packets: Vec<_> = (0..3000)
            .map(|_| {
                now += idle / 1000 + random.below(idle / 100);
                any_packet(&mut random, now, 100, false)
            })
            .collect();
        let what = format!("seed {seed}: {config:?}");
        compare(&mut random, config, &packets, &what);
    }
}

/// Enough flows at once that the cache takes its larger ways.
#[test]
fn a_large_cache_is_the_model_too() {
    for (seed, active) in [(1, 4), (2, 60)] {
        let mut random = Random(seed);
        let config =
            Config { idle: 8 * SECOND, active: active * SECOND, random: seed, first_id: 1, ..Config::default() };
        let packets = traffic(&mut random, 150_000, 20_000, MILLI / 5, true);
        compare(&mut random, config, &packets, &format!("active {active}"));
    }
}

/// Times in any order: which packets fall into which record then depends on batches, but none is lost and none is
/// counted twice.
#[test]
fn nothing_is_lost_when_time_runs_anyhow() {
    for seed in 0..40_u64 {
        let mut random = Random(5000 + seed);
        let config = Config {
            idle: random.of(&[1, 30]) * SECOND,
            active: random.of(&[1, 60]) * SECOND,
            by_minute: random.one_in(2),
            max_flows: random.of(&[3, 50, 1 << 20]),
            groups: all_groups(),
            random: seed,
            ..Config::default()
        };
        let mut packets = traffic(&mut random, 3000, 50, 20 * MILLI, true);
        let mut set_back = 0_u64;
        for packet in &mut packets {
            match random.below(200) {
                0 => packet.at = 0,
                1 => packet.at = random.next(),
                2 => packet.at = u64::MAX,
                3 => set_back = random.below(1000) * SECOND,
                _ => packet.at = packet.at.saturating_sub(set_back + random.below(200) * MILLI),
            }
        }
        let mut probe = Probe::new(config);
        for batch in packets.chunks(1 + random.below(64) as usize) {
            let built: Vec<_> = batch.iter().map(Packet::build).collect();
            probe.frames(&built.iter().map(|b| b.frame()).collect::<Vec<_>>());
        }
        probe.flush();
        let sum = |of: fn(&Record) -> [u64; 2]| probe.records.iter().map(of).map(|[a, b]| a + b).sum::<u64>();
        assert_eq!(sum(|r| r.packets), 3000, "seed {seed}");
        assert_eq!(sum(|r| r.bytes), packets.iter().map(Packet::ip_len).sum::<u64>(), "seed {seed}");
        assert!(probe.records.iter().all(|r| r.first <= r.last && r.packets != [0, 0]));
    }
}
