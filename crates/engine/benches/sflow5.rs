//! What a sample of sFlow costs to read: nanoseconds, from the datagram to records handed on.
//!
//! `cargo bench -p flowsonde-engine --bench sflow5 [CASE]`. Datagrams are as switches send them: seven samples, each with
//! the first 128 bytes of a frame. The best of several rounds counts: others use the machine. For numbers that do not depend
//! on the machine's load run it under `valgrind --tool=callgrind`, with `ROUNDS=1`.

use core::hint::black_box;
use std::time::Instant;

use flowsonde_engine::decode::Collector;
use flowsonde_engine::decode::collector::Config;
use flowsonde_engine::decode::records::{Receive, Set, Taken};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::sflow5::Header;
use flowsonde_wire::export::{Datagram, Transport};

const SAMPLES: u32 = 7;
const DATAGRAMS: u32 = 64;
const REPEATS: u32 = 100;

/// Takes records without a look at them.
struct Count(u64);

impl Receive for Count {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        let records = black_box(set.bytes).len() / set.layout.shortest;
        self.0 += records as u64;
        Taken { records: records as u32, rest: 0 }
    }
}

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    println!("{:<14}{:>10}{:>12}{:>14}", "case", "ns/sample", "bytes", "records");
    for (label, ipv6, extended) in [("ipv4", false, false), ("ipv6", true, false), ("ipv4-extended", false, true)] {
        if wanted.as_deref().is_some_and(|wanted| wanted != label) {
            continue;
        }
        let datagrams: Vec<_> = (0..DATAGRAMS).map(|n| datagram(n, ipv6, extended)).collect();
        let mut collector = Collector::new(Config::default());
        let mut out = Count(0);
        let mut best = f64::MAX;
        for _ in 0..rounds {
            let start = Instant::now();
            for _ in 0..REPEATS {
                for bytes in &datagrams {
                    let from = ([127, 0, 0, 1], 6343).into();
                    let message =
                        Datagram { time: Nanos(1), transport: Transport::Udp, from, to: 6343, local: None, bytes };
                    collector.message(black_box(&message), &mut out).expect("sFlow");
                }
            }
            best = best.min(start.elapsed().as_secs_f64());
        }
        let samples = f64::from(SAMPLES * DATAGRAMS * REPEATS);
        println!("{label:<14}{:>10.1}{:>12}{:>14}", best * 1e9 / samples, datagrams[0].len(), out.0);
    }
}

fn words(out: &mut Vec<u8>, numbers: &[u32]) {
    for number in numbers {
        out.extend(number.to_be_bytes());
    }
}

fn datagram(n: u32, ipv6: bool, extended: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let agent = [192, 0, 2, 1].into();
    Header { agent, sub_agent: 0, sequence: n, uptime_ms: n, samples: SAMPLES }.write(&mut out);
    for i in 0..SAMPLES {
        let mut records = Vec::new();
        words(&mut records, &[1, 16 + 128, 1, 1518, 4, 128]);
        records.extend(frame(n * SAMPLES + i, ipv6));
        if extended {
            words(&mut records, &[1001, 16, 10, 0, 20, 0]);
            words(&mut records, &[1002, 16, 1, 0xc000_02fe, 24, 16]);
            words(&mut records, &[1003, 48, 1, 0xc000_02fd, 64500, 64501, 64502, 1, 2, 2, 64510, 64511, 0, 100]);
        }
        let count = if extended { 4 } else { 1 };
        // Ports take turns.
        let port = i % 4 + 1;
        words(&mut out, &[1, 32 + records.len() as u32, n * SAMPLES + i, port, 512, n, 0, port, port + 1, count]);
        out.extend(records);
    }
    out
}

/// TCP over Ethernet.
fn frame(n: u32, ipv6: bool) -> [u8; 128] {
    let mut frame = [0; 128];
    let [.., high, low] = n.to_be_bytes();
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    let tcp = if ipv6 {
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        frame[14..22].copy_from_slice(&[0x60, 0, 0, 0, 5, 176, 6, 64]);
        frame[22..26].copy_from_slice(&[0x20, 1, high, low]);
        frame[38..42].copy_from_slice(&[0x20, 1, low, high]);
        54
    } else {
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14..24].copy_from_slice(&[0x45, 0, 5, 216, 0, 0, 0x40, 0, 64, 6]);
        frame[26..34].copy_from_slice(&[10, 1, high, low, 192, 0, 2, low]);
        34
    };
    frame[tcp..tcp + 4].copy_from_slice(&[0xc3, low, 1, 187]);
    frame[tcp + 12..tcp + 14].copy_from_slice(&[0x50, 0x10]);
    frame
}
