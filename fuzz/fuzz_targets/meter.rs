//! Frames of any sort at any time through the flow cache with every group, and each ended flow through every encoder.
//! The books balance after each step, and what comes out is what went in.
#![no_main]

use std::cell::RefCell;

use flowsonde_elements::Template;
use flowsonde_engine::encode::{self, Encode, Messages, Options};
use flowsonde_engine::fill::{self, Env};
use flowsonde_engine::meter::{Config, Group, Groups, Meter};
use flowsonde_wire::{Frame, LinkType, Nanos};
use libfuzzer_sys::fuzz_target;

const SECOND: u64 = 1_000_000_000;

thread_local! {
    static ENCODERS: RefCell<Vec<Box<dyn Encode>>> = RefCell::new(encoders());
}

fn encoders() -> Vec<Box<dyn Encode>> {
    let mut template = Template::default();
    for row in fill::rows() {
        template.push(row.element);
    }
    let options = Options { template, ..Options::default() };
    encode::SPECS.iter().map(|spec| (spec.start)(&options).expect("the options are good")).collect()
}

/// How long after the packet before, in 1/64 s, negative too; what kind of frame; its bytes.
type Item<'a> = (i16, u8, &'a [u8]);

fuzz_target!(|input: (u8, u8, u8, u8, Vec<Item<'_>>)| {
    let (idle, active, most, choice, items) = input;
    // One flow has 20 MB of room with all groups, which takes most of the time there is: some runs do without.
    let groups = match choice & 7 {
        0 => Group::OPTIONAL.iter().fold(Groups::default(), |groups, (group, ..)| groups.with(*group)),
        n => Group::OPTIONAL.iter().skip(usize::from(n)).step_by(7).fold(Groups::default(), |g, (group, ..)| g.with(*group)),
    };
    let config = Config {
        idle: u64::from(idle) * SECOND,
        active: u64::from(active) * SECOND,
        linger: u64::from(choice >> 4) * SECOND,
        by_minute: choice & 8 != 0,
        max_flows: u32::from(most % 16) + 1,
        room: 0,
        groups,
        ..Config::default()
    };
    let mut meter = Meter::new(config);
    let (mut packets, mut bytes) = (0, 0);
    let mut messages = Messages::default();
    ENCODERS.with_borrow_mut(|encoders| {
        let mut out = |ended: &flowsonde_engine::meter::Ended| {
            for flow in ended.views() {
                let base = flow.base;
                packets += base.packets[0] + base.packets[1];
                bytes += base.bytes[0] + base.bytes[1];
                assert!(base.first <= base.last_seen() && base.packets != [0, 0]);
                for encoder in encoders.iter_mut() {
                    encoder.encode(&flow, &Env::default(), &mut messages);
                }
            }
            messages.clear();
        };
        let mut now = 1_700_000_000 * SECOND;
        for (pause, kind, frame) in &items {
            now = now.saturating_add_signed(i64::from(*pause) << 24);
            let link = [LinkType::ETHERNET, LinkType::RAW, LinkType::LINUX_SLL, LinkType::PPP][usize::from(kind & 3)];
            let time = if kind & 0x80 != 0 { Nanos(now << 3) } else { Nanos(now) };
            let frame = Frame { time, link, wire_len: frame.len() as u32, interface: 0, bytes: frame };
            meter.frames(&[frame; 2][..1 + usize::from(kind >> 6 & 1)], &mut out);
            if kind & 0x20 != 0 {
                meter.tick(time, &mut out);
            }
            check(&meter);
        }
        meter.flush(&mut out);
    });
    let c = check(&meter);
    assert_eq!((c.held, c.parked), (0, 0));
    assert_eq!(packets, c.metered);
    assert!(bytes >= packets * 20);
});

fn check(meter: &Meter) -> flowsonde_engine::meter::cache::Counters {
    let c = meter.counters();
    assert_eq!(c.packets, c.metered + c.sampled_out + c.undecoded.iter().sum::<u64>() + c.parked);
    assert_eq!(c.started, c.exported + c.too_small + c.one_way + c.two_way + c.held);
    c
}
