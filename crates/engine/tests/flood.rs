//! A SYN flood: far more flows than the cache may hold. Memory stays bounded, and every flow is accounted for.

#![allow(clippy::panic, clippy::unwrap_used, dead_code, reason = "a test that panics has failed")]

mod frames;

use flowsonde_elements::Template;
use flowsonde_engine::fill;
use flowsonde_engine::meter::Config;
use flowsonde_engine::meter::Meter;
use flowsonde_engine::meter::flow::EndReason;
use flowsonde_wire::{Frame, LinkType, Nanos};

use frames::{Packet, SECOND, SYN, host};

const FLOWS: u64 = 5_000_000;
const MAX_FLOWS: u32 = 100_000;
/// What an empty cache takes (the ring's 4,096 queues, the smallest index, spare queues) and the last, part-filled chunk
/// of flows.
const FIXED: usize = 6 << 20;

struct Flood {
    /// Nanoseconds from one SYN to the next.
    pause: u64,
    /// Largest `Meter::bytes` on the way.
    most: usize,
    /// Flows handed on, by reason.
    ended: [u64; 6],
    meter: Meter,
}

impl Flood {
    fn new(pause: u64, config: Config) -> Flood {
        Flood { pause, most: 0, ended: [0; 6], meter: Meter::new(config) }
    }

    /// One SYN each of `flows` different sources.
    fn run(&mut self, flows: u64) {
        let template = Packet::tcp(0, host(1, 1), host(2, 80), SYN).build().bytes;
        let mut bytes: [Vec<u8>; 32] = core::array::from_fn(|_| template.clone());
        for start in (0..flows).step_by(32) {
            for (n, bytes) in (start..).zip(&mut bytes) {
                let n = n as u32;
                bytes[26..30].copy_from_slice(&(n.wrapping_mul(0x9e37_79b1)).to_be_bytes());
                bytes[34..36].copy_from_slice(&(n as u16).to_be_bytes());
            }
            let frames: [Frame<'_>; 32] = core::array::from_fn(|i| Frame {
                time: Nanos(1_700_000_000 * SECOND + (start + i as u64) * self.pause),
                link: LinkType::ETHERNET,
                wire_len: 60,
                interface: 0,
                bytes: &bytes[i],
            });
            let ended = &mut self.ended;
            self.meter.frames(&frames, &mut |flows| {
                for view in flows.views() {
                    assert_eq!(view.base.packets, if view.side() == 0 { [1, 0] } else { [0, 1] });
                    ended[view.base.state.reason() as usize] += 1;
                }
            });
            if start % (1 << 14) == 0 {
                self.most = self.most.max(self.meter.bytes());
            }
        }
        self.most = self.most.max(self.meter.bytes());
    }

    fn finish(&mut self) {
        let ended = &mut self.ended;
        self.meter.flush(&mut |flows| {
            for view in flows.views() {
                ended[view.base.state.reason() as usize] += 1;
            }
        });
    }
}

#[test]
fn five_million_flows_stay_within_the_memory_of_a_hundred_thousand() {
    let config =
        Config { max_flows: MAX_FLOWS, groups: fill::groups(&Template::default()), random: 3, ..Config::default() };
    // Two million a second, for which the cache is far too small.
    let mut flood = Flood::new(500, config);
    flood.run(FLOWS);
    let counters = flood.meter.counters();
    assert_eq!((counters.packets, counters.metered, counters.started), (FLOWS, FLOWS, FLOWS));
    assert_eq!(counters.held, u64::from(MAX_FLOWS));
    assert_eq!(counters.evicted, FLOWS - u64::from(MAX_FLOWS));
    let bound = MAX_FLOWS as usize * 256 + FIXED;
    assert!(flood.most <= bound, "{} bytes, {} a flow, over {bound}", flood.most, flood.most / MAX_FLOWS as usize);
    flood.finish();
    let counters = flood.meter.counters();
    assert_eq!((counters.exported, counters.held), (FLOWS, 0));
    assert_eq!(flood.ended[EndReason::Resources as usize], FLOWS - u64::from(MAX_FLOWS));
    assert_eq!(flood.ended[EndReason::Forced as usize], u64::from(MAX_FLOWS));
    println!("{} bytes at most, {} a flow", flood.most, flood.most / MAX_FLOWS as usize);
}

/// Slow enough for the idle timeout: nothing is evicted, and ended flows give their places back.
#[test]
fn a_flood_the_cache_can_hold_evicts_nothing() {
    let config = Config { max_flows: MAX_FLOWS, idle: SECOND, random: 3, ..Config::default() };
    let mut flood = Flood::new(12_000, config);
    flood.run(500_000);
    flood.finish();
    let counters = flood.meter.counters();
    assert_eq!((counters.started, counters.exported, counters.evicted), (500_000, 500_000, 0));
    assert!(flood.most <= MAX_FLOWS as usize * 256 + FIXED, "{} bytes", flood.most);
}
