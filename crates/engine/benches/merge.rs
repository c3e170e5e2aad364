//! What a collected flow costs that is merged: nanoseconds a record, from the datagram to the messages of an output.
//!
//! `cargo bench -p flowsonde-engine --bench merge`. Datagrams are as in the bench `transcode`: NetFlow v9, 24 records of 20
//! fields. Every key comes so many times before it is ended; keys take turns, so that each record finds its flow out of
//! the processor's caches. The best of several rounds counts.

mod exporter;

use core::hint::black_box;
use std::time::Instant;

use flowsonde_elements::{Mode, Template};
use flowsonde_engine::decode::Collector;
use flowsonde_engine::decode::collector;
use flowsonde_engine::decode::records::{Receive, Set, Taken};
use flowsonde_engine::encode::{self, Encode, Messages};
use flowsonde_engine::fill::{Env, groups_of_collected};
use flowsonde_engine::merge::Merger;
use flowsonde_engine::meter::Config;
use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};

use exporter::{Random, header, set};

const RECORDS: u32 = 24;
/// Records a key before its flow is ended.
const TIMES: u32 = 5;

struct Out {
    merger: Merger,
    encoder: Option<Box<dyn Encode>>,
    env: Env,
    messages: Messages,
    flows: u64,
}

impl Receive for Out {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        let Out { merger, encoder, env, messages, flows } = self;
        merger.flows(set, &mut |ended| {
            *flows += ended.len() as u64;
            if let Some(encoder) = encoder {
                ended.views().for_each(|view| encoder.encode(&view, env, messages));
            }
            black_box(&messages);
            messages.clear();
        })
    }
}

fn main() {
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    println!("{:<12}{:>10}{:>12}{:>14}{:>12}", "case", "keys", "ns/record", "records", "flows");
    let default = Template::default();
    let ntopng = Template::parse("@NTOPNG@", Mode::Collector).expect("there");
    for (label, template, format) in
        [("cache", &default, None), ("netflow9", &default, Some("netflow9")), ("ntopng json", &ntopng, Some("json"))]
    {
        for keys in [1 << 12, 1 << 18] {
            let datagrams: Vec<_> = (0..keys / RECORDS).map(datagram).collect();
            let (mut best, mut flows) = (f64::MAX, 0);
            for _ in 0..rounds {
                let groups = groups_of_collected(template);
                let config = Config { groups, room: keys as usize, random: 7, ..Config::default() };
                let options =
                    encode::Options { template: template.clone(), collected: true, ..encode::Options::default() };
                let encoder = format.map(|name| (encode::format(name).expect("there").start)(&options).expect("sound"));
                let merger = Merger::new(config, true);
                let mut out = Out { merger, encoder, env: Env::default(), messages: Messages::default(), flows: 0 };
                let mut collector = Collector::new(collector::Config::default());
                give(&mut collector, &exporter::template(), &mut out);
                // Memory is had and filled once before, as in a collector that runs.
                datagrams.iter().for_each(|bytes| give(&mut collector, bytes, &mut out));
                end(&mut out);
                out.flows = 0;
                let start = Instant::now();
                for _ in 0..TIMES {
                    datagrams.iter().for_each(|bytes| give(&mut collector, bytes, &mut out));
                }
                end(&mut out);
                best = best.min(start.elapsed().as_secs_f64());
                flows = out.flows;
            }
            let records = u64::from(keys / RECORDS * RECORDS * TIMES);
            println!("{label:<12}{keys:>10}{:>12.1}{records:>14}{flows:>12}", best * 1e9 / records as f64);
        }
    }
}

fn end(out: &mut Out) {
    let Out { merger, encoder, env, messages, flows } = out;
    merger.flush(&mut |ended| {
        *flows += ended.len() as u64;
        if let Some(encoder) = encoder {
            ended.views().for_each(|view| encoder.encode(&view, env, messages));
        }
        black_box(&messages);
        messages.clear();
    });
}

fn give(collector: &mut Collector, bytes: &[u8], out: &mut Out) {
    let from = ([127, 0, 0, 1], 2055).into();
    let message =
        Datagram { time: Nanos::new(1_700_000_000, 0), transport: Transport::Udp, from, to: 2055, local: None, bytes };
    collector.message(black_box(&message), out).expect("NetFlow");
}

/// Records of keys that no other datagram has.
fn datagram(n: u32) -> Vec<u8> {
    let mut random = Random::new(n);
    let mut next = |below: u32| random.below(below);
    let mut body = Vec::new();
    for i in 0..RECORDS {
        let key = (n * RECORDS + i).wrapping_mul(0x9e37_79b1) & 0xff_ffff;
        let packets = 1 + next(30);
        let first = 9_900_000 + next(50_000);
        for number in [0x0a00_0000 | key, 0xc612_0000 | next(1 << 17), 0xc0a8_0001 + next(8)] {
            body.extend(number.to_be_bytes());
        }
        for number in [1 + next(4), 5 + next(4), packets, packets * (40 + next(1400)), first, first + next(50_000)] {
            body.extend(number.to_be_bytes());
        }
        for number in [1024 + next(60_000), [53, 80, 443, 8443][next(4) as usize]] {
            body.extend((number as u16).to_be_bytes());
        }
        body.extend([0x1b, [6, 17][next(2) as usize], next(4) as u8 * 8]);
        for number in [64_500 + next(5_000), next(70_000)] {
            body.extend(number.to_be_bytes());
        }
        body.extend([8 + next(25) as u8, 8 + next(25) as u8, next(2) as u8]);
        body.extend((100 + next(8) as u16).to_be_bytes());
    }
    let mut out = header(n + 1);
    set(256, &body, &mut out);
    out
}
