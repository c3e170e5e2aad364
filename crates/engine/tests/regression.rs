//! What was once broken, named for what broke.

#![allow(clippy::panic, clippy::unwrap_used, dead_code, reason = "a test that panics has failed")]

mod frames;
mod probe;

use flowsonde_engine::meter::Config;
use flowsonde_engine::meter::flow::EndReason;
use flowsonde_engine::meter::key::Parts;
use flowsonde_wire::{Frame, LinkType, Nanos};

use frames::{ACK, FIN, MILLI, Packet, RST, SECOND, SYN, host};
use probe::Probe;

/// With a cache of one flow and thousands of stale entries in the ring, the entries taken out for a batch were those of
/// all flows there were, so that eviction found none and two flows shared a place: a record was lost. Which packet of a
/// batch meets the eviction decides, so every offset is tried.
#[test]
fn eviction_in_a_tiny_cache_loses_no_record() {
    const T: u64 = 1000 * SECOND;
    let tcp = |at, source, port, flags, seq| Packet { seq, ..Packet::tcp(at, host(source, port), host(99, 80), flags) };
    for resets in 22..=24 {
        for offset in 0..32 {
            let mut packets = Vec::new();
            for i in 0..8194u32 {
                let at = if i < 60 { T - 2 * SECOND } else { T };
                packets.push(Some(tcp(at, 1, 5000, SYN, 1 + 10 * i)));
            }
            packets.extend(core::iter::repeat_n(None, offset));
            let mut at = T;
            for _ in 0..resets {
                at += 31 * SECOND;
                packets.push(Some(tcp(at, 1, 5000, RST, 0)));
            }
            packets.extend(core::iter::repeat_n(None, 31 - resets));
            packets.push(Some(tcp(T - 2 * SECOND, 1, 5000, SYN, 999_999)));
            packets.push(Some(tcp(at + SECOND / 100, 2, 6000, SYN, 5)));

            let frames: Vec<_> = packets.iter().map(|packet| packet.as_ref().map(Packet::build)).collect();
            let mut probe = Probe::new(Config { max_flows: 1, random: 1, ..Config::default() });
            let mut time = Nanos(T);
            let all: Vec<Frame<'_>> = frames
                .iter()
                .map(|built| match built {
                    Some(built) => {
                        time = built.frame().time;
                        built.frame()
                    }
                    // No packet: it only takes its place in a batch.
                    None => Frame { time, link: LinkType::RAW, wire_len: 20, interface: 0, bytes: &[0; 20] },
                })
                .collect();
            for batch in all.chunks(32) {
                probe.frames(batch);
            }
            probe.flush();
        }
    }
}

/// A capture older than the one before it had its flows cut every few packets, until the clock was taken to be set back.
#[test]
fn an_older_capture_behind_another_is_metered_as_alone() {
    let udp = |at, port| Packet::udp(at, host(1, port), host(2, 53), 10);
    let capture = |start: u64| -> Vec<Packet> {
        (0..400).map(|i| udp(start + i / 20 * SECOND / 2, 1000 + (i % 20) as u16)).collect()
    };
    let mut probe = Probe::new(Config { random: 1, ..Config::default() });
    for (number, start) in [5000 * SECOND, 1000 * SECOND].into_iter().enumerate() {
        if number > 0 {
            probe.meter.another_capture();
        }
        let built: Vec<_> = capture(start).iter().map(Packet::build).collect();
        let frames: Vec<_> = built.iter().map(|built| built.frame()).collect();
        for batch in frames.chunks(32) {
            probe.frames(batch);
        }
    }
    let records = probe.finish();
    assert_eq!(records.len(), 40);
    assert!(records.iter().all(|record| record.packets == [20, 0] && record.reason == EndReason::Forced));
}

/// Without ports in the key (`-p`) every SYN began a new record, and segments of one connection were taken for those of
/// another sent again.
#[test]
fn many_connections_in_one_flow_are_one_record() {
    let parts = Parts { ports: false, ..Parts::default() };
    let mut probe =
        Probe::new(Config { parts: parts.into(), groups: probe::all_groups(), random: 1, ..Config::default() });
    for connection in 0..5u64 {
        let (client, server) = (host(1, 4000 + connection as u16), host(2, 80));
        let at = (1000 + connection) * SECOND;
        let seq = connection as u32 * 7_000_000;
        for (i, (up, flags, seq)) in [
            (true, SYN, seq),
            (false, SYN | ACK, 9),
            (true, ACK, seq + 1),
            (true, FIN | ACK, seq + 1),
            (false, FIN | ACK, 10),
            (true, ACK, seq + 2),
        ]
        .into_iter()
        .enumerate()
        {
            let at = at + i as u64 * MILLI;
            let packet =
                if up { Packet::tcp(at, client, server, flags) } else { Packet::tcp(at, server, client, flags) };
            probe.take(&Packet { seq, ..packet });
        }
    }
    let records = probe.finish();
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].packets, records[0].again, records[0].latency), ([20, 10], None, None));
}
