//! What the collector makes of payload files: a line for each record, as `element=value` in the order of its layout.
//!
//! `cargo run -p flowsonde-engine --example collect FILE...` Each file is one message, all of the same exporter, a
//! millisecond apart. Addresses are written as such, other values of up to eight bytes as numbers, the rest in hex.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::process::ExitCode;

use flowsonde_engine::decode::Collector;
use flowsonde_engine::decode::collector::Config;
use flowsonde_engine::decode::layout::{Field, Spans, number};
use flowsonde_engine::decode::records::{About, InterfaceCounters, Receive, Set, Taken};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};

fn main() -> ExitCode {
    let mut collector = Collector::new(Config::default());
    for (n, file) in std::env::args().skip(1).enumerate() {
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::FAILURE;
            }
        };
        let time = Nanos::new(1_700_000_000, n as u64 * 1_000_000);
        let from = ([127, 0, 0, 1], 2055).into();
        let message = Datagram { time, transport: Transport::Udp, from, to: 2055, local: None, bytes: &bytes };
        println!("# {file}");
        if let Err(reject) = collector.message(&message, &mut Print) {
            println!("# rejected: {}", reject.name());
        }
    }
    collector.flush();
    for session in collector.sessions() {
        println!("# {} domain {}: {:?}", session.about.exporter, session.about.domain, session.counters);
    }
    ExitCode::SUCCESS
}

struct Print;

impl Receive for Print {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        let (mut spans, mut rest, mut records) = (Spans::default(), set.bytes, 0);
        while let Some((record, after)) = set.layout.split(rest, &mut spans) {
            let rate = set.samplers.told_of(set.layout, &record, &spans).rate;
            let mut line = format!("{} exporter={} rate={rate}", set.about.version.name(), set.about.exporter);
            for field in &set.layout.fields {
                let _ = write!(line, " {}={}", name(field), value(record.value(field, &spans)));
            }
            println!("{line}");
            (rest, records) = (after, records + 1);
        }
        Taken { records, rest: rest.len() }
    }

    fn counters(&mut self, sample: &InterfaceCounters<'_>, about: &About) {
        println!("counters exporter={} {:?}", about.exporter, sample);
    }
}

fn name(field: &Field) -> String {
    field.element.map_or_else(|| format!("{}.{}", field.pen, field.id), |element| element.name.to_owned())
}

fn value(bytes: &[u8]) -> String {
    match *bytes {
        [a, b, c, d] if bytes.len() == 4 => format!("{}|{}", number(bytes), IpAddr::from([a, b, c, d])),
        _ if bytes.len() <= 8 => number(bytes).to_string(),
        _ => match <[u8; 16]>::try_from(bytes) {
            Ok(address) => IpAddr::from(address).to_string(),
            Err(_) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        },
    }
}
