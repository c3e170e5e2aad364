//! The least that exact entropy can cost: CPU time of nothing but counting how often each byte value occurs in the payloads
//! of a capture, packet by packet, in tables that are always in the cache.
//!
//! `payload_bytes CAPTURE` prints nanoseconds a byte: of looking at the first byte of every eight, of counting in one table,
//! and in four that take turns and are never added up. The capture is read into memory.

use std::fs;
use std::hint::black_box;

use flowsonde_engine::decode::packet::decode;
use flowsonde_engine::meter::key::KeyParts;
use flowsonde_io::process::cpu_time;

mod pcap;

type Table = [u16; 256];

fn main() {
    let path = std::env::args().nth(1).expect("a capture");
    let capture = fs::read(path).expect("a capture");
    let payloads: Vec<&[u8]> = pcap::frames(&capture)
        .filter_map(|frame| {
            let payload = decode(&frame, &KeyParts::default()).ok()?.payload();
            // Of the capture, not of the frame.
            let start = payload.as_ptr() as usize - capture.as_ptr() as usize;
            capture.get(start..start + payload.len()).filter(|payload| !payload.is_empty())
        })
        .collect();
    let bytes: usize = payloads.iter().map(|payload| payload.len()).sum();
    println!("{} payloads, {bytes} bytes", payloads.len());
    let measure = |name: &str, take: &mut dyn FnMut(&[u8])| {
        let before = cpu_time();
        payloads.iter().for_each(|payload| take(payload));
        let spent = cpu_time() - before;
        println!("{name}: {:.2} CPU s, {:.3} ns a byte", spent.as_secs_f64(), spent.as_nanos() as f64 / bytes as f64);
    };
    let mut sum = 0u64;
    measure("looking at one of eight", &mut |payload| {
        sum += payload.iter().step_by(8).map(|&b| u64::from(b)).sum::<u64>()
    });
    black_box(sum);
    let mut table: Table = [0; 256];
    measure("counting in one table", &mut |payload| {
        payload.iter().for_each(|&byte| table[usize::from(byte)] = table[usize::from(byte)].wrapping_add(1));
    });
    black_box(&table);
    let mut tables: [Table; 4] = [[0; 256]; 4];
    measure("counting in four", &mut |payload| count(&mut tables, payload));
    black_box(&tables);
}

/// Counts eight bytes at a time, each in the table after the one before.
fn count(tables: &mut [Table; 4], payload: &[u8]) {
    let (words, rest) = payload.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        for at in 0..8 {
            let count = &mut tables[at % 4][usize::from((word >> (8 * at)) as u8)];
            *count = count.wrapping_add(1);
        }
    }
    rest.iter().for_each(|&byte| tables[0][usize::from(byte)] = tables[0][usize::from(byte)].wrapping_add(1));
}
