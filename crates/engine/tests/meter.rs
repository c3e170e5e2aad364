//! The flow cache: what begins a flow, what ends it, and that nothing is lost on the way. Timers are tested by moving
//! the clock.

#![allow(clippy::panic, clippy::unwrap_used, dead_code, reason = "a test that panics has failed")]

mod frames;
mod probe;

use flowsonde_engine::meter::config::{Biflows, Config, MinBytes};
use flowsonde_engine::meter::flow::EndReason::{self, Active, Closed, Forced, Idle, Resources};
use flowsonde_engine::meter::key::Parts;

use frames::{ACK, FIN, Host, ICMP, MILLI, Packet, Piece, RST, Random, SECOND, SYN, host, host6};
use probe::{Probe, Record, all_groups};

/// A time of day: the epoch is tested apart.
const T: u64 = 1_700_000_000 * SECOND;

fn at(seconds: u64) -> u64 {
    T + seconds * SECOND
}

fn timeouts(idle: u64, active: u64) -> Config {
    Config { idle: idle * SECOND, active: active * SECOND, random: 1, first_id: 1, ..Config::default() }
}

fn client() -> Host {
    host(1, 50_000)
}

fn server() -> Host {
    host(2, 80)
}

/// From client to server.
fn up(time: u64, flags: u8) -> Packet {
    Packet::tcp(time, client(), server(), flags)
}

/// From server to client.
fn down(time: u64, flags: u8) -> Packet {
    Packet::tcp(time, server(), client(), flags)
}

fn datagram(time: u64) -> Packet {
    Packet::udp(time, host(1, 40_000), host(2, 53), 10)
}

/// All records of these packets, in the order they were handed on.
fn meter(config: Config, packets: &[Packet]) -> Vec<Record> {
    let mut probe = Probe::new(config);
    probe.take_all(packets);
    probe.finish()
}

fn reasons(records: &[Record]) -> Vec<EndReason> {
    records.iter().map(|r| r.reason).collect()
}

fn packets(records: &[Record]) -> Vec<[u64; 2]> {
    records.iter().map(|r| r.packets).collect()
}

// Idle timeout.

#[test]
fn a_flow_ends_when_it_was_idle_for_exactly_the_timeout() {
    let just_before = meter(timeouts(30, 300), &[datagram(at(0)), datagram(at(30) - 1)]);
    assert_eq!((packets(&just_before), reasons(&just_before)), (vec![[2, 0]], vec![Forced]));
    let exactly = meter(timeouts(30, 300), &[datagram(at(0)), datagram(at(30))]);
    assert_eq!((packets(&exactly), reasons(&exactly)), (vec![[1, 0], [1, 0]], vec![Idle, Forced]));
    assert_eq!((exactly[0].id, exactly[1].id), (1, 2));
}

#[test]
fn the_idle_timeout_runs_from_the_last_packet_of_either_direction() {
    let answer = |time| Packet::udp(time, host(2, 53), host(1, 40_000), 20);
    let records = meter(timeouts(30, 300), &[datagram(at(0)), answer(at(29)), datagram(at(58)), answer(at(88))]);
    assert_eq!(packets(&records), [[2, 1], [0, 1]]);
    assert_eq!((records[0].first, records[0].last), (at(0), at(58)));
}

#[test]
fn time_alone_ends_flows() {
    let mut probe = Probe::new(timeouts(30, 300));
    probe.take(&datagram(at(0)));
    probe.tick(at(30) - 1);
    assert_eq!(probe.records, []);
    // The ring is read by ticks of idle / 2048.
    probe.tick(at(30) + 30 * SECOND / 1024);
    assert_eq!(reasons(&probe.records), [Idle]);
    assert_eq!(probe.meter.counters().held, 0);
}

#[test]
fn other_flows_packets_end_a_flow_too() {
    let mut probe = Probe::new(timeouts(30, 300));
    probe.take(&datagram(at(0)));
    for second in 1..40 {
        probe.take(&Packet::udp(at(second), host(3, 1), host(4, 2), 0));
    }
    let c = probe.meter.counters();
    assert_eq!((c.exported, c.held), (1, 1));
}

/// 60 new flows a second, each in a tick of its own: expiry has to keep up with what begins.
#[test]
fn expiry_keeps_up_with_sparse_flows() {
    let mut probe = Probe::new(timeouts(30, 300));
    let built: Vec<_> = (0..60_000_u32)
        .map(|i| Packet::udp(T + u64::from(i) * SECOND / 60, host(i, 40_000), host(2, 53), 0).build())
        .collect();
    for batch in built.chunks(32) {
        probe.frames(&batch.iter().map(|b| b.frame()).collect::<Vec<_>>());
    }
    let held = probe.meter.counters().held;
    assert!(held < 31 * 60 + 64, "{held} flows held, of which only {} are not over", 30 * 60);
}

// Active timeout.

#[test]
fn a_record_is_cut_when_it_covers_exactly_the_active_timeout() {
    let just_before =
        meter(timeouts(30, 60), &[datagram(at(0)), datagram(at(29)), datagram(at(58)), datagram(at(60) - 1)]);
    assert_eq!(packets(&just_before), [[4, 0]]);
    let exactly = meter(timeouts(30, 60), &[datagram(at(0)), datagram(at(29)), datagram(at(58)), datagram(at(60))]);
    assert_eq!((packets(&exactly), reasons(&exactly)), (vec![[3, 0], [1, 0]], vec![Active, Forced]));
    assert_eq!(exactly.iter().map(|r| r.continued).collect::<Vec<_>>(), [false, true]);
    assert_eq!((exactly[1].id, exactly[1].first), (exactly[0].id, at(60)));
}

#[test]
fn the_client_is_kept_over_a_cut() {
    // Ports that say nothing, and the server speaks first after the cut.
    let (a, b) = (host(9, 40_000), host(5, 50_000));
    let mut all =
        vec![Packet::tcp(at(0), a, b, SYN), Packet::tcp(at(0) + 1, b, a, SYN | ACK), Packet::tcp(at(0) + 2, a, b, ACK)];
    for second in (10..200).step_by(10) {
        all.push(Packet { payload: 100, ..Packet::tcp(at(second), b, a, ACK) });
    }
    let records = meter(timeouts(30, 60), &all);
    assert_eq!(records.len(), 4);
    assert!(records.iter().all(|r| r.client == a && r.server == b), "{records:#?}");
    assert_eq!(records.iter().map(|r| r.continued).collect::<Vec<_>>(), [false, true, true, true]);
    let sum = |of: fn(&Record) -> [u64; 2]| records.iter().map(of).fold([0, 0], |s, v| [s[0] + v[0], s[1] + v[1]]);
    assert_eq!(sum(|r| r.packets), [2, 20]);
    assert_eq!(sum(|r| r.bytes), [80, 40 + 19 * 140]);
}

#[test]
fn latency_and_sequence_numbers_outlive_a_cut() {
    let config = Config { groups: all_groups(), ..timeouts(30, 60) };
    let segment = |time, seq| Packet { seq, ack: 501, payload: 100, ..up(time, ACK) };
    let all = [
        Packet { seq: 99, ..up(at(0), SYN) },
        Packet { seq: 500, ack: 100, ..down(at(0) + 20 * MILLI, SYN | ACK) },
        Packet { seq: 100, ack: 501, ..up(at(0) + 30 * MILLI, ACK) },
        segment(at(1), 100),
        Packet { seq: 501, ack: 200, payload: 9, ..down(at(1) + 150 * MILLI, ACK) },
        segment(at(30), 200),
        segment(at(59), 300),
        // Behind the cut, and sent again.
        segment(at(61), 300),
        segment(at(62), 400),
    ];
    let records = meter(config, &all);
    assert_eq!(reasons(&records), [Active, Forced]);
    for record in &records {
        assert_eq!(record.latency, Some([10_000, 20_000, 150_000]));
    }
    assert_eq!(records[0].again, Some([0, 0]));
    assert_eq!(records[1].again, Some([1, 0]));
}

#[test]
fn sums_do_not_depend_on_the_timeouts() {
    let mut random = Random(7);
    let packets: Vec<Packet> =
        (0..3000).map(|i| Packet { payload: random.below(1000) as usize, ..datagram(at(i)) }).collect();
    let expected: u64 = packets.iter().map(Packet::ip_len).sum();
    for (idle, active) in [(1, 1), (1, 60), (30, 60), (60, 30), (300, 3), (86_400, 86_400)] {
        let records = meter(timeouts(idle, active), &packets);
        assert_eq!(records.iter().map(|r| r.packets[0]).sum::<u64>(), 3000);
        assert_eq!(records.iter().map(|r| r.bytes[0]).sum::<u64>(), expected);
    }
}

/// `-d` over `-t`: a record is cut when it is due, not at its flow's next packet.
#[test]
fn a_short_active_timeout_does_not_wait_for_the_idle_timeout() {
    let mut probe = Probe::new(timeouts(300, 10));
    probe.take(&datagram(at(0)));
    probe.tick(at(10) - 1);
    assert_eq!(probe.records, []);
    probe.tick(at(10));
    assert_eq!(reasons(&probe.records), [Active]);
    // The flow goes on, without a record until it has a packet.
    assert_eq!(probe.meter.counters().held, 0);
    probe.take(&datagram(at(200)));
    probe.tick(at(210));
    assert_eq!(packets(&probe.records), [[1, 0], [1, 0]]);
    assert_eq!((probe.records[1].id, probe.records[1].continued), (1, true));
    // Idle at last: no empty record comes of it, and a new flow begins.
    probe.tick(at(600));
    probe.take(&datagram(at(601)));
    assert_eq!(probe.records.len(), 2);
    let records = probe.finish();
    assert_eq!((records[2].id, records[2].continued), (2, false));
}

/// A packet that comes late must not hide its record from the active timeout.
#[test]
fn a_record_whose_first_packet_came_late_is_cut_in_time() {
    let mut probe = Probe::new(timeouts(300, 10));
    probe.take_all(&[datagram(at(5)), datagram(at(4))]);
    probe.tick(at(16));
    assert_eq!(packets(&probe.records), [[2, 0]]);
}

#[test]
fn every_minute_cuts() {
    let minute = T - T % (60 * SECOND) + 60 * SECOND;
    let config = || Config { by_minute: true, ..timeouts(300, 3600) };
    let packets_at = [minute - 2 * SECOND, minute - 1, minute, minute + 59 * SECOND, minute + 60 * SECOND];
    let records = meter(config(), &packets_at.map(datagram));
    assert_eq!(packets(&records), [[2, 0], [2, 0], [1, 0]]);
    assert_eq!(reasons(&records), [Active, Active, Forced]);
    let mut probe = Probe::new(config());
    probe.take(&datagram(minute - 1));
    probe.tick(minute);
    assert_eq!(probe.records.len(), 1, "a minute turns without packets too");
}

/// What a record's end is called must not depend on how the packets came in batches.
#[test]
fn reasons_do_not_depend_on_batches() {
    let other = |time| Packet::udp(time, host(8, 1), host(9, 2), 0);
    let reopened =
        [Packet { seq: 1, ..up(at(0), SYN) }, other(at(15)), other(at(16)), Packet { seq: 2, ..up(at(20), SYN) }];
    let reset = [up(at(0), SYN), down(at(1), RST), other(at(5)), other(at(11)), other(at(12)), up(at(13), ACK)];
    let idle = [datagram(at(0)), other(at(15)), other(at(16)), datagram(at(400))];
    for packets in [&reopened[..], &reset, &idle] {
        for (d, t) in [(300, 10), (30, 60), (10, 10)] {
            let config = Config { linger: 100 * SECOND, ..timeouts(d, t) };
            let mut one_by_one = meter(config.clone(), packets);
            let mut at_once = Probe::new(config);
            let built: Vec<_> = packets.iter().map(Packet::build).collect();
            at_once.frames(&built.iter().map(|b| b.frame()).collect::<Vec<_>>());
            let mut at_once = at_once.finish();
            for records in [&mut one_by_one, &mut at_once] {
                records.sort_by_key(|r| (r.first, r.id));
            }
            assert_eq!(one_by_one, at_once, "-d {d} -t {t}");
        }
    }
}

// The end of a connection.

#[test]
fn fin_both_ways_ends_a_flow_after_its_linger() {
    let closing = [up(at(0), SYN), down(at(0), SYN | ACK), up(at(1), FIN | ACK), down(at(2), FIN | ACK)];
    let mut late = closing.to_vec();
    late.push(up(at(7) - 1, ACK));
    let records = meter(timeouts(30, 300), &late);
    assert_eq!((packets(&records), reasons(&records)), (vec![[3, 2]], vec![Closed]), "it lingers");
    let mut too_late = closing.to_vec();
    too_late.push(up(at(7), ACK));
    let records = meter(timeouts(30, 300), &too_late);
    assert_eq!((packets(&records), reasons(&records)), (vec![[2, 2], [1, 0]], vec![Closed, Forced]));
    assert_eq!((records[0].id, records[1].id), (1, 2));

    let mut probe = Probe::new(timeouts(30, 300));
    probe.take_all(&closing);
    probe.tick(at(7) - 1);
    assert_eq!(probe.records, []);
    probe.tick(at(7) + 30 * SECOND / 1024);
    assert_eq!(reasons(&probe.records), [Closed]);
}

#[test]
fn one_fin_does_not() {
    let records = meter(timeouts(30, 300), &[up(at(0), FIN | ACK), up(at(1), FIN | ACK), down(at(20), ACK)]);
    assert_eq!((packets(&records), reasons(&records)), (vec![[2, 1]], vec![Forced]));
}

#[test]
fn rst_ends_a_flow_after_its_linger() {
    let records = meter(timeouts(30, 300), &[up(at(0), SYN), down(at(0), RST | ACK), down(at(4), RST), up(at(9), ACK)]);
    assert_eq!((packets(&records), reasons(&records)), (vec![[1, 2], [1, 0]], vec![Closed, Forced]));
}

/// Captures of programs that write times from 0 on.
#[test]
fn linger_and_idle_hold_at_the_epoch() {
    for linger in [2, 5] {
        let config = Config { linger: linger * SECOND, ..timeouts(30, 300) };
        let records = meter(config, &[up(0, SYN), down(SECOND, RST), up((1 + linger) * SECOND, ACK)]);
        assert_eq!(packets(&records), [[1, 1], [1, 0]]);
    }
    let records = meter(timeouts(30, 300), &[datagram(0), datagram(30 * SECOND - 1), datagram(61 * SECOND)]);
    assert_eq!(packets(&records), [[2, 0], [1, 0]]);
}

#[test]
fn the_linger_is_never_longer_than_the_idle_timeout() {
    let config = Config { linger: 100 * SECOND, ..timeouts(30, 300) };
    let records = meter(config, &[up(at(0), SYN), down(at(1), RST), up(at(31) - 1, ACK), up(at(61), ACK)]);
    assert_eq!((packets(&records), reasons(&records)), (vec![[2, 1], [1, 0]], vec![Closed, Forced]));
}

#[test]
fn a_syn_with_another_number_opens_a_new_flow() {
    let opening = |time, seq| Packet { seq, ..up(time, SYN) };
    let again = meter(timeouts(30, 300), &[opening(at(0), 5), opening(at(1), 5), opening(at(3), 5)]);
    assert_eq!(packets(&again), [[3, 0]], "the same SYN opens nothing");
    let anew = meter(timeouts(30, 300), &[opening(at(0), 5), down(at(0), SYN | ACK), opening(at(1), 6)]);
    assert_eq!((packets(&anew), reasons(&anew)), (vec![[1, 1], [1, 0]], vec![Closed, Forced]));
    assert_eq!((anew[0].id, anew[1].id, anew[1].continued), (1, 2, false));
    let after_reset = [opening(at(0), 5), down(at(0), RST), opening(at(1), 5), down(at(1), RST), opening(at(2), 7)];
    assert_eq!(packets(&meter(timeouts(30, 300), &after_reset)), [[2, 2], [1, 0]]);
    let mid_stream = [up(at(0), ACK), down(at(0), ACK), opening(at(1), 6)];
    assert_eq!(packets(&meter(timeouts(30, 300), &mid_stream)), [[1, 1], [1, 0]]);
    // The other end connects from the same port.
    let turned = [opening(at(0), 5), down(at(0), SYN | ACK), down(at(1), RST), Packet { seq: 9, ..down(at(2), SYN) }];
    let turned = meter(timeouts(30, 300), &turned);
    assert_eq!((packets(&turned), turned[1].client), (vec![[1, 2], [1, 0]], server()));
}

#[test]
fn a_syn_sent_again_after_a_cut_opens_nothing() {
    let opening = |time| Packet { seq: 5, ..up(time, SYN) };
    let all = [0, 1, 3, 7, 15, 31, 63, 127].map(|second| opening(at(second)));
    let records = meter(timeouts(100, 60), &all);
    assert_eq!(packets(&records), [[6, 0], [1, 0], [1, 0]]);
    assert!(records.iter().all(|r| r.id == 1));
}

#[test]
fn a_simultaneous_open_is_one_flow() {
    let all = [
        Packet { seq: 5, ..up(at(0), SYN) },
        Packet { seq: 9, ..down(at(0) + 1, SYN) },
        Packet { seq: 5, ack: 10, ..up(at(0) + 2, SYN | ACK) },
        Packet { seq: 9, ack: 6, ..down(at(0) + 3, SYN | ACK) },
        up(at(1), ACK),
    ];
    let records = meter(timeouts(30, 300), &all);
    assert_eq!((packets(&records), records[0].client), (vec![[3, 2]], client()));
}

#[test]
fn an_answer_that_overtakes_its_syn_is_of_the_same_flow() {
    let all = [down(at(0), SYN | ACK), Packet { seq: 5, ..up(at(0) + 1, SYN) }, up(at(0) + 2, ACK)];
    let records = meter(timeouts(30, 300), &all);
    assert_eq!((packets(&records), records[0].client), (vec![[2, 1]], client()));
}

// Who is client, and captures of one direction.

#[test]
fn captures_of_one_side_have_the_right_client() {
    let from_server = [down(at(0), SYN | ACK), down(at(1), ACK), down(at(2), FIN | ACK)];
    let records = meter(timeouts(30, 300), &from_server);
    assert_eq!((records.len(), records[0].client, records[0].packets), (1, client(), [0, 3]));
    let mid_stream = meter(timeouts(30, 300), &[down(at(1), ACK)]);
    assert_eq!((mid_stream[0].client, mid_stream[0].packets), (client(), [0, 1]));
    let from_client = meter(timeouts(30, 300), &[up(at(1), ACK), up(at(2), FIN | ACK)]);
    assert_eq!((from_client[0].client, from_client[0].packets), (client(), [2, 0]));
    let answer = meter(timeouts(30, 300), &[Packet::udp(at(0), host(2, 53), host(1, 40_000), 90)]);
    assert_eq!((answer[0].client, answer[0].packets), (host(1, 40_000), [0, 1]));
}

#[test]
fn a_late_handshake_corrects_a_guess() {
    // Ports mislead: the connection is opened from 80 to 50000.
    let records = meter(timeouts(30, 300), &[up(at(0), ACK), up(at(1), SYN | ACK)]);
    assert_eq!(records[0].client, server());
}

#[test]
fn icmp_request_and_answer_are_one_flow() {
    let (a, b) = (host(7, 0), host(3, 0));
    let all = [Packet::icmp(at(0), b, a, (0, 0)), Packet::icmp(at(1), a, b, (8, 0)), Packet::icmp(at(2), a, b, (3, 1))];
    let records = meter(timeouts(30, 300), &all);
    assert_eq!(packets(&records), [[1, 1], [1, 0]]);
    assert_eq!((records[0].client.0, records[0].protocol), (a.0, ICMP));
    let (a, b) = (host6(7, 0), host6(3, 0));
    let six = meter(timeouts(30, 300), &[Packet::icmp(at(0), a, b, (128, 0)), Packet::icmp(at(1), b, a, (129, 0))]);
    assert_eq!((packets(&six), six[0].client.0), (vec![[1, 1]], a.0));
}

// What is exported.

#[test]
fn biflow_policy_keeps_back_and_counts() {
    let all = [datagram(at(0)), up(at(0), SYN), down(at(0), SYN | ACK)];
    for (biflows, exported, one_way, two_way) in
        [(Biflows::All, 2, 0, 0), (Biflows::TwoWay, 1, 1, 0), (Biflows::OneWay, 1, 0, 1)]
    {
        let mut probe = Probe::new(Config { biflows, ..timeouts(30, 300) });
        probe.take_all(&all);
        probe.flush();
        let c = probe.meter.counters();
        assert_eq!((c.exported, c.one_way, c.two_way, c.started), (exported, one_way, two_way, 2));
    }
}

#[test]
fn small_flows_are_kept_back_by_protocol() {
    let all = [
        Packet { payload: 60, ..up(at(0), ACK) },
        Packet::udp(at(0), host(1, 1), host(2, 2), 71),
        Packet::udp(at(0), host(1, 1), host(2, 3), 72),
        Packet::icmp(at(0), host(1, 0), host(2, 0), (8, 0)),
    ];
    let min_bytes = MinBytes { tcp: 101, udp: 100, other: 28 };
    let mut probe = Probe::new(Config { min_bytes, ..timeouts(30, 300) });
    probe.take_all(&all);
    probe.flush();
    let c = probe.meter.counters();
    assert_eq!((c.exported, c.too_small), (2, 2));
    assert_eq!(probe.records.iter().map(|r| r.bytes[0]).collect::<Vec<_>>(), [100, 28]);
}

#[test]
fn sampling_takes_one_in_n() {
    let mut probe = Probe::new(Config { sample: 10, ..timeouts(30, 300) });
    for i in 0..105 {
        probe.take(&datagram(T + i));
    }
    let c = probe.meter.counters();
    assert_eq!((c.packets, c.metered, c.sampled_out), (105, 10, 95));
    assert_eq!(packets(&probe.finish()), [[10, 0]]);
}

#[test]
fn frames_that_are_not_ip_are_counted_by_their_kind() {
    let mut probe = Probe::new(timeouts(30, 300));
    let mut arp = datagram(at(0)).build();
    arp.bytes[12..14].copy_from_slice(&[0x08, 0x06]);
    let mut short = datagram(at(0)).build();
    short.bytes.truncate(30);
    probe.frames(&[arp.frame(), short.frame(), datagram(at(0)).build().frame()]);
    let c = probe.meter.counters();
    assert_eq!((c.packets, c.metered, c.undecoded), (3, 1, [1, 1, 0, 0, 0]));
}

#[test]
fn whole_frames_can_be_counted() {
    let records = meter(Config { account_l2: true, ..timeouts(30, 300) }, &[datagram(at(0))]);
    assert_eq!(records[0].bytes, [14 + 38, 0]);
}

#[test]
fn vlans_part_flows_unless_left_out() {
    let all = [1, 2].map(|vlan| Packet { vlan: Some(vlan), ..datagram(at(0)) });
    assert_eq!(meter(timeouts(30, 300), &all).len(), 2);
    let parts = Parts { vlan_inner: false, ..Parts::default() };
    assert_eq!(meter(Config { parts: parts.into(), ..timeouts(30, 300) }, &all).len(), 1);
}

// Fragments.

fn piece(time: u64, id: u32, offset: u16, more: bool) -> Packet {
    Packet { piece: Some(Piece { id, offset, more }), payload: 64, ..datagram(time) }
}

fn piece6(time: u64, id: u32, offset: u16, more: bool) -> Packet {
    Packet { src: host6(9, 40_000), dst: host6(4, 53), ..piece(time, id, offset, more) }
}

#[test]
fn fragments_find_their_flow_in_any_order() {
    type Make = fn(u64, u32, u16, bool) -> Packet;
    for make in [piece as Make, piece6] {
        let parts = [make(at(0), 7, 0, true), make(at(0), 7, 72, true), make(at(0), 7, 136, false)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
            let mut probe = Probe::new(Config { groups: all_groups(), ..timeouts(30, 300) });
            let mut first_seen = false;
            for (time, part) in order.into_iter().enumerate() {
                probe.take(&Packet { at: at(time as u64), ..parts[part].clone() });
                first_seen |= part == 0;
                assert_eq!(probe.meter.counters().parked, if first_seen { 0 } else { time as u64 + 1 });
            }
            let fragments = probe.meter.counters().fragments;
            assert_eq!((fragments.fragments, fragments.overlapping, fragments.orphans), (3, 0, 0));
            let records = probe.finish();
            assert_eq!(packets(&records), [[3, 0]], "{order:?}");
            assert_eq!((records[0].server.1, records[0].first, records[0].last), (53, at(0), at(2)));
        }
    }
}

#[test]
fn an_orphan_is_metered_without_ports_when_it_is_given_up() {
    let mut probe = Probe::new(timeouts(30, 300));
    probe.take(&piece(at(0), 7, 72, false));
    assert_eq!(probe.meter.counters().parked, 1);
    probe.tick(at(30));
    assert_eq!(probe.meter.counters().parked, 1);
    probe.tick(at(31));
    let c = probe.meter.counters();
    assert_eq!((c.parked, c.metered, c.fragments.orphans, c.fragments.incomplete), (0, 1, 1, 1));
    let records = probe.finish();
    assert_eq!((records[0].client.1, records[0].server.1, records[0].packets), (0, 0, [1, 0]));
}

#[test]
fn orphans_are_metered_at_the_end_of_a_capture() {
    let records = meter(timeouts(30, 300), &[piece(at(0), 7, 72, false), piece6(at(0), 7, 72, false)]);
    assert_eq!(packets(&records), [[1, 0], [1, 0]]);
}

#[test]
fn overlapping_fragments_are_counted_and_metered() {
    let mut probe = Probe::new(timeouts(30, 300));
    probe.take_all(&[piece(at(0), 7, 0, true), piece(at(0), 7, 64, false), piece(at(0), 7, 64, false)]);
    assert_eq!(probe.meter.counters().fragments.overlapping, 2);
    assert_eq!(packets(&probe.finish()), [[3, 0]]);
}

/// Both ends use the same identification at the same time.
#[test]
fn fragments_of_both_directions_do_not_mix() {
    let back = |offset, more| {
        let there = piece(at(0), 7, offset, more);
        Packet { src: there.dst, dst: there.src, ..there }
    };
    let all = [piece(at(0), 7, 72, false), back(72, false), piece(at(0), 7, 0, true), back(0, true)];
    let records = meter(timeouts(30, 300), &all);
    assert_eq!((packets(&records), records[0].server.1), (vec![[2, 2]], 53));
}

/// RFC 8200, section 4.5: a datagram is told by addresses and identification; what the fragment header says comes next
/// may be a further extension header, which only the first fragment holds.
#[test]
fn later_fragments_of_a_chain_find_the_transport() {
    let first = {
        let mut built = piece6(at(0), 7, 0, true).build();
        let at = 14 + 40;
        // Destination options between the fragment header and UDP.
        built.bytes[at] = 60;
        built.bytes.splice(at + 8..at + 8, [frames::UDP, 0, 1, 4, 0, 0, 0, 0]);
        built.bytes[19] += 8;
        built
    };
    let later = {
        let mut built = piece6(at(0), 7, 80, false).build();
        built.bytes[14 + 40] = 60;
        built
    };
    for order in [[&first, &later], [&later, &first]] {
        let mut probe = Probe::new(timeouts(30, 300));
        probe.frames(&order.map(|b| b.frame()));
        let records = probe.finish();
        assert_eq!(packets(&records), [[2, 0]]);
        assert_eq!((records[0].protocol, records[0].server.1), (frames::UDP, 53));
    }
}

// Eviction.

/// The least recently seen goes, touched ones stay; the books say how many.
#[test]
fn eviction_takes_the_least_recently_seen() {
    let flow =
        |time: u64, n: u32| Packet::udp(T + time * 20 * MILLI + u64::from(n) * 1711, host(n, 40_000), host(2, 53), 0);
    let mut probe = Probe::new(Config { max_flows: 10, ..timeouts(30, 300) });
    for n in 0..10 {
        probe.take(&flow(n.into(), n + 10));
    }
    // Touch the even ones, in another order; then five more flows.
    for (i, n) in [8, 2, 6, 0, 4].into_iter().enumerate() {
        probe.take(&flow(20 + i as u64, n + 10));
    }
    assert_eq!(probe.meter.counters().evicted, 0);
    let evicted = |probe: &Probe| -> Vec<u32> {
        let address = |r: &Record| match r.client.0 {
            core::net::IpAddr::V4(a) => u32::from(a) & 0xff,
            core::net::IpAddr::V6(_) => 0,
        };
        probe.records.iter().map(|r| address(r) - 10).collect()
    };
    for n in 0..5_u32 {
        probe.take(&flow(40 + u64::from(n), n + 30));
        assert_eq!(probe.meter.counters().evicted, u64::from(n) + 1);
        assert_eq!(probe.meter.counters().held, 10);
    }
    probe.tick(at(1));
    // What was evicted has not been handed on yet where it was the batch's last; a tick does.
    assert_eq!(evicted(&probe), [1, 3, 5, 7, 9]);
    for n in 0..5_u32 {
        probe.take(&flow(60 + u64::from(n), n + 40));
    }
    probe.tick(at(2));
    assert_eq!(evicted(&probe)[5..], [8, 2, 6, 0, 4]);
    assert!(probe.records.iter().all(|r| r.reason == Resources));
    assert_eq!(probe.meter.counters().evicted, 10);
}

#[test]
fn a_cache_of_one_flow_works() {
    let mut probe = Probe::new(Config { max_flows: 1, ..timeouts(30, 300) });
    for n in 0..100 {
        probe.take(&Packet::udp(T + u64::from(n), host(n % 3, 1), host(9, 53), 0));
    }
    assert_eq!(probe.meter.counters().evicted, 99);
    assert_eq!(probe.finish().len(), 100);
}

/// A flow that was over anyway ended by its timeout, full cache or not.
#[test]
fn what_is_over_is_not_evicted() {
    let mut probe = Probe::new(Config { max_flows: 2, ..timeouts(30, 300) });
    probe.take_all(&[datagram(at(0)), Packet::udp(at(1), host(3, 1), host(4, 2), 0)]);
    probe.take(&Packet::udp(at(30), host(5, 1), host(4, 2), 0));
    assert_eq!(probe.meter.counters().evicted, 0);
    assert_eq!(reasons(&probe.finish()), [Idle, Forced, Forced]);
}

// Time.

#[test]
fn packets_out_of_order_in_time_are_all_counted() {
    let times = [at(10), at(3), at(12), at(11), at(1)];
    let records = meter(timeouts(30, 300), &times.map(datagram));
    assert_eq!((packets(&records), records[0].first, records[0].last), (vec![[5, 0]], at(1), at(12)));
}

#[test]
fn a_capture_from_1970_that_jumps_to_2026() {
    let now = 1_795_000_000 * SECOND;
    let flow = |time: u64, n: u32| Packet::udp(time, host(n, 40_000), host(2, 53), 0);
    let mut probe = Probe::new(timeouts(30, 3000));
    for n in 0..2000 {
        probe.take(&flow(u64::from(n) * MILLI, n));
    }
    let started = std::time::Instant::now();
    // The old ones end, and order is kept among the new ones.
    for n in 0..40_000 {
        probe.take(&flow(now + u64::from(n) * 10 * MILLI, 10_000 + n % 1000));
    }
    probe.tick(now + 400 * SECOND);
    assert_eq!(probe.meter.counters().held, 1000);
    assert_eq!(probe.records.len(), 2000);
    assert!(probe.records.iter().all(|r| r.reason == Idle && r.last < 3 * SECOND));
    probe.tick(now + 500 * SECOND);
    assert_eq!(probe.records.len(), 3000, "all have gone by in time");
    assert!(started.elapsed().as_secs() < 60, "years were walked through: {:?}", started.elapsed());
}

/// After a jump the least recently seen flow still goes first.
#[test]
fn eviction_keeps_its_order_after_a_jump() {
    let now = 1_795_000_000 * SECOND;
    let flow = |time: u64, n: u32| Packet::udp(time, host(n, 40_000), host(2, 53), 0);
    let mut probe = Probe::new(Config { max_flows: 100, ..timeouts(30, 300) });
    for n in 0..100 {
        probe.take(&flow(u64::from(n) * MILLI, n));
    }
    for n in 0..100 {
        probe.take(&flow(now + u64::from(n) * 20 * MILLI + 3, 1000 + n));
    }
    for n in 0..50 {
        probe.take(&flow(now + u64::from(100 + n) * 20 * MILLI + 77, 1000 + n));
    }
    for n in 0..50 {
        probe.take(&flow(now + u64::from(150 + n) * 20 * MILLI + 99, 2000 + n));
    }
    probe.tick(now + 201 * 20 * MILLI);
    let evicted: Vec<_> = probe.records.iter().filter(|r| r.reason == Resources).map(|r| r.client).collect();
    assert_eq!(evicted, (50..100).map(|n| host(1000 + n, 40_000)).collect::<Vec<_>>());
}

/// One packet from the future, as a damaged capture has it, or a clock that was wrong and is set back: what follows is
/// metered as if it had not been.
#[test]
fn time_set_back_does_not_chop_flows() {
    let packets = |from: u64| {
        (0..5000_u64).map(move |i| Packet::udp(from + i * 10 * MILLI, host((i % 50) as u32, 40_000), host(99, 53), 0))
    };
    let with_future = packets(at(0)).take(1000).chain([datagram(at(1 << 30))]).chain(packets(at(0)).skip(1000));
    let set_back = packets(at(7200)).chain(packets(at(0)));
    for (name, all, most) in [("future", with_future.collect::<Vec<_>>(), 200), ("back", set_back.collect(), 250)] {
        let mut probe = Probe::new(timeouts(30, 300));
        let built: Vec<_> = all.iter().map(Packet::build).collect();
        for batch in built.chunks(32) {
            probe.frames(&batch.iter().map(|b| b.frame()).collect::<Vec<_>>());
        }
        let records = probe.finish();
        assert!(records.len() < most, "{name}: {} records of 50 flows", records.len());
        assert_eq!(records.iter().map(|r| r.packets[0]).sum::<u64>(), all.len() as u64);
    }
}

/// Ended flows are gathered for a second at most, also after the clock was set back.
#[test]
fn time_set_back_does_not_keep_ended_flows() {
    let mut probe = Probe::new(timeouts(30, 300));
    for time in (7200..7205).chain([0; 200]) {
        probe.take(&datagram(at(time)));
    }
    let before = probe.records.len();
    probe.take_all(&[up(at(10), SYN), down(at(10) + 1, RST)]);
    for time in 11..60 {
        probe.take(&datagram(at(time)));
    }
    assert_eq!(reasons(&probe.records[before..]), [Closed]);
}

#[test]
fn the_last_moment_of_time_can_be_metered() {
    let records = meter(
        Config { by_minute: true, ..timeouts(30, 300) },
        &[datagram(0), datagram(u64::MAX), up(u64::MAX, RST), datagram(u64::MAX - 1), datagram(0)],
    );
    assert_eq!(records.iter().map(|r| r.packets[0]).sum::<u64>(), 5);
}

// The places of flows that are gone.

/// The ring tells flows by 16 bits of their number. A flow that ended early leaves an entry behind, which must not be
/// taken for anything when the numbers have gone round to it.
#[test]
fn an_entry_left_behind_ends_nothing_twice() {
    let mut probe = Probe::new(Config { first_id: 0, ..timeouts(30, 300) });
    probe.take_all(&[Packet { seq: 1, ..up(at(0), SYN) }, down(at(0) + 1, RST)]);
    let built: Vec<_> = (1..1 << 15).map(|n| Packet::udp(at(1), host(n, 40_000), host(2, 53), 0).build()).collect();
    for batch in built.chunks(32) {
        probe.frames(&batch.iter().map(|b| b.frame()).collect::<Vec<_>>());
    }
    probe.tick(at(6));
    assert_eq!(reasons(&probe.records), [Closed]);
    probe.tick(at(40));
    probe.flush();
    assert_eq!(probe.records.len(), 1 << 15);
    assert_eq!(probe.records.iter().filter(|r| r.reason == Closed).count(), 1);
}

/// Connections opened over and over on the same ports: what they leave in the ring stays bounded.
#[test]
fn port_reuse_does_not_grow_the_ring() {
    let mut probe = Probe::new(Config { max_flows: 1000, ..timeouts(30, 300) });
    let mut built = up(0, SYN).build();
    let before = probe.meter.bytes();
    for n in 0..1_000_000_u32 {
        built.at = T + u64::from(n) * 10_000;
        built.bytes[38..42].copy_from_slice(&n.to_be_bytes());
        probe.meter.frames(&[built.frame()], &mut |_| ());
    }
    let grown = probe.meter.bytes() - before;
    assert_eq!(probe.balance().started, 1_000_000);
    assert!(grown < 6 << 20, "{grown} bytes for one flow");
}
