//! What a record costs to encode: nanoseconds, for the default template.
//!
//! `cargo bench -p flowsonde-engine --bench encode [FORMAT]`. Flows are metered ones, as many as stay in the second-level
//! cache, so that the encoder is timed and not the memory. The best of several rounds counts: others use the machine.
//! For numbers that do not depend on the machine's load run it under `valgrind --tool=callgrind`, with `ROUNDS=1`.

use core::hint::black_box;
use std::time::Instant;

use flowsonde_elements::Template;
use flowsonde_engine::encode::{self, Messages, Options};
use flowsonde_engine::fill::{self, Env};
use flowsonde_engine::meter::Config;
use flowsonde_engine::meter::{Ended, Meter};
use flowsonde_wire::{Frame, LinkType, Nanos};

/// Flows in a batch; each has a packet either way.
const FLOWS: u32 = 512;
const BATCHES: u32 = 100;
const BEGIN: u64 = 1_700_000_000;

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    let ended = flows();
    let env = Env {
        boot: Nanos::new(BEGIN - 1, 0),
        now: Nanos::new(BEGIN + 2, 0),
        interfaces: fill::InterfaceIds { input: Some(1), output: Some(2), ..Default::default() },
        ..Env::default()
    };
    println!("{:<14}{:>10}{:>10}{:>12}{:>12}", "format", "ns/record", "ns/flow", "bytes/flow", "records");
    for (label, format, biflow) in [
        ("netflow5", "netflow5", false),
        ("netflow9", "netflow9", false),
        ("ipfix", "ipfix", false),
        ("ipfix-biflow", "ipfix", true),
        ("json", "json", false),
        ("csv", "csv", false),
        ("ntopng-tlv", "ntopng-tlv", false),
        ("ntopng-json", "ntopng-json", false),
    ] {
        if wanted.as_deref().is_some_and(|wanted| wanted != label) {
            continue;
        }
        let options = Options { template: Template::default(), max_message: 1472, biflow, ..Options::default() };
        let format = encode::format(format).expect("a format of this build");
        let mut encoder = (format.start)(&options).expect("the default template fits");
        let mut out = Messages::default();
        let (mut best, mut bytes) = (f64::MAX, 0);
        for _ in 0..rounds {
            let start = Instant::now();
            bytes = 0;
            for _ in 0..BATCHES {
                for flow in ended.iter().flat_map(Ended::views) {
                    encoder.encode(black_box(&flow), &env, &mut out);
                }
                bytes += black_box(&out).bytes().len();
                out.clear();
            }
            best = best.min(start.elapsed().as_secs_f64());
        }
        let flows = f64::from(FLOWS * BATCHES);
        let counters = encoder.counters();
        let records = counters.records as f64 / counters.flows as f64 * flows;
        println!(
            "{label:<14}{:>10.1}{:>10.1}{:>12.1}{:>12}",
            best * 1e9 / records,
            best * 1e9 / flows,
            bytes as f64 / flows,
            counters.records
        );
    }
}

/// UDP flows over IPv4, a packet either way.
fn flows() -> Vec<Ended> {
    let template = Template::default();
    let mut meter = Meter::new(Config { groups: fill::groups(&template), ..Config::default() });
    let mut ended = Vec::new();
    for n in 0..FLOWS {
        for back in [false, true] {
            let packet = packet(n, back);
            let time = Nanos::new(BEGIN, u64::from(n) * 1_000_000 + u64::from(back) * 123_456);
            let frame = Frame { time, link: LinkType::RAW, wire_len: 28, interface: 0, bytes: &packet };
            meter.frames(&[frame], &mut |_| {});
        }
    }
    meter.flush(&mut |flows| ended.push(flows.clone()));
    assert_eq!(ended.iter().map(Ended::len).sum::<usize>(), FLOWS as usize, "flows");
    ended
}

fn packet(n: u32, back: bool) -> [u8; 28] {
    let [.., high, low] = n.to_be_bytes();
    let (client, server) = ([10, 1, high, low], [192, 0, 2, low]);
    let (client_port, server_port) = ([0xc3, low], [0, 53]);
    let mut packet = [0; 28];
    packet[..10].copy_from_slice(&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17]);
    let ends = if back { [server, client] } else { [client, server] };
    let ports = if back { [server_port, client_port] } else { [client_port, server_port] };
    for (place, address) in packet[12..20].chunks_mut(4).zip(ends) {
        place.copy_from_slice(&address);
    }
    for (place, port) in packet[20..24].chunks_mut(2).zip(ports) {
        place.copy_from_slice(&port);
    }
    packet[25] = 8;
    packet
}
