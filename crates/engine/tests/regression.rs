//! What was once broken, named for what broke.

#![allow(clippy::panic, clippy::unwrap_used, dead_code, reason = "a test that panics has failed")]

mod frames;
mod probe;

use flowsonde_engine::meter::Config;
use flowsonde_wire::{Frame, LinkType, Nanos};

use frames::{Packet, RST, SECOND, SYN, host};
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
