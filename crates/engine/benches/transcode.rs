//! What a collected flow costs: nanoseconds, from the datagram to the messages of an output.
//!
//! `cargo bench -p flowsonde-engine --bench transcode [CASE]`. Datagrams are NetFlow v9 of `flowload --layout basic20`: 24
//! records of 20 fields in 56 bytes. The best of several rounds counts: others use the machine. For numbers that do not
//! depend on the machine's load run it under `valgrind --tool=callgrind`, with `ROUNDS=1`.

mod exporter;

use core::hint::black_box;
use std::time::Instant;

use flowsonde_elements::{Mode, Template};
use flowsonde_engine::decode::Collector;
use flowsonde_engine::decode::collector::Config;
use flowsonde_engine::decode::records::{Receive, Set, Taken};
use flowsonde_engine::encode::{Ipfix, Messages, NetFlow9, Options};
use flowsonde_engine::transcode::{
    Batching, Export, Export5, Home, JsonBatches, Lines, Pass, Plan, TextLines, TlvBatches, Transcode,
};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};

use exporter::{Random, header, set, template};

const RECORDS: u32 = 24;
const DATAGRAMS: u32 = 64;
const REPEATS: u32 = 30;

/// Gives records to an output, if there is one.
struct Out {
    transcoder: Option<Box<dyn Transcode>>,
    messages: Messages,
    records: u64,
    bytes: u64,
}

impl Receive for Out {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        let taken = match &mut self.transcoder {
            Some(transcoder) => transcoder.flows(set, Nanos(1), &mut self.messages),
            None => Taken { records: (black_box(set.bytes).len() / set.layout.shortest) as u32, rest: 0 },
        };
        self.records += u64::from(taken.records);
        taken
    }
}

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let home = Home::at([127, 0, 0, 1]);
    let ntopng = || Plan::Template(Template::parse("@NTOPNG@", Mode::Collector).expect("there"));
    let limits = Batching::default();
    let file =
        Options { max_message: 65_532, stream: true, resend_messages: 0, resend_seconds: 0, ..Options::default() };
    let small = Options { max_message: 1472, ..Options::default() };
    let text = TextLines::new(Template::default(), '|', home);
    let cases: [(&str, Option<Box<dyn Transcode>>); 12] = [
        ("decode", None),
        ("tlv", Some(Box::new(TlvBatches::new(Plan::Ntopng, home, false, limits)))),
        ("json", Some(Box::new(JsonBatches::new(Plan::Ntopng, home, false, limits)))),
        ("tlv-ntopng", Some(Box::new(TlvBatches::new(ntopng(), home, false, limits)))),
        ("json-ntopng", Some(Box::new(JsonBatches::new(ntopng(), home, false, limits)))),
        ("lines", Some(Box::new(Lines::new(Plan::Everything, home)))),
        ("pass-file", Some(Box::new(Pass::<Ipfix>::new(&file, false)))),
        ("pass-ipfix", Some(Box::new(Pass::<Ipfix>::new(&small, false)))),
        ("ipfix", Some(Box::new(Export::<Ipfix>::new(&small, home).expect("sound")))),
        ("netflow9", Some(Box::new(Export::<NetFlow9>::new(&small, home).expect("sound")))),
        ("netflow5", Some(Box::new(Export5::new(&small, home).expect("sound")))),
        ("csv", Some(Box::new(text))),
    ];
    println!("{:<14}{:>10}{:>14}{:>12}", "case", "ns/flow", "bytes/flow", "flows");
    let datagrams: Vec<_> = (0..DATAGRAMS).map(datagram).collect();
    for (label, transcoder) in cases {
        if wanted.as_deref().is_some_and(|wanted| wanted != label) {
            continue;
        }
        let mut collector = Collector::new(Config::default());
        let mut out = Out { transcoder, messages: Messages::default(), records: 0, bytes: 0 };
        give(&mut collector, &template(), &mut out);
        let mut best = f64::MAX;
        for _ in 0..rounds {
            let start = Instant::now();
            for _ in 0..REPEATS {
                for bytes in &datagrams {
                    give(&mut collector, bytes, &mut out);
                }
            }
            best = best.min(start.elapsed().as_secs_f64());
        }
        let flows = f64::from(RECORDS * DATAGRAMS * REPEATS);
        let bytes = out.bytes as f64 / out.records.max(1) as f64;
        println!("{label:<14}{:>10.1}{bytes:>14.1}{:>12}", best * 1e9 / flows, out.records);
    }
}

fn give(collector: &mut Collector, bytes: &[u8], out: &mut Out) {
    let from = ([127, 0, 0, 1], 2055).into();
    let message =
        Datagram { time: Nanos::new(1_700_000_000, 0), transport: Transport::Udp, from, to: 2055, local: None, bytes };
    collector.message(black_box(&message), out).expect("NetFlow");
    out.bytes += out.messages.bytes().len() as u64;
    black_box(&out.messages);
    out.messages.clear();
}

/// Values vary as they do in the wild: short and long numbers by turns.
fn datagram(n: u32) -> Vec<u8> {
    let mut random = Random::new(n);
    let mut next = |below: u32| random.below(below);
    let mut body = Vec::new();
    for _ in 0..RECORDS {
        let packets = if next(4) == 0 { next(100_000) + 1 } else { next(30) + 1 };
        let octets = packets * (40 + next(1400));
        let first = 9_000_000 + next(900_000);
        for number in [0x0a00_0000 | next(1 << 24), next(u32::MAX), 0xc0a8_0001 + next(8)] {
            body.extend(number.to_be_bytes());
        }
        for number in [1 + next(48), 1 + next(48), packets, octets, first, first + next(60_000)] {
            body.extend(number.to_be_bytes());
        }
        for number in [1024 + next(64_000), [53, 80, 443, 8443][next(4) as usize]] {
            body.extend((number as u16).to_be_bytes());
        }
        body.extend([next(64) as u8, [6, 17][next(2) as usize], next(4) as u8 * 8]);
        for number in [64_500 + next(5_000), next(70_000)] {
            body.extend(number.to_be_bytes());
        }
        body.extend([8 + next(25) as u8, 8 + next(25) as u8, next(2) as u8]);
        body.extend((next(4095) as u16).to_be_bytes());
    }
    let mut out = header(n + 1);
    set(256, &body, &mut out);
    out
}
