//! Reads captures to their end and says what it cost: `drain FILE [FILTER]`.

use std::path::Path;

use flowsonde_io::source::{CaptureFile, Poll, Source};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: drain FILE|- [FILTER]")?;
    let filter = arguments.next();
    let before = cpu_seconds()?;
    let mut source = match path.as_str() {
        "-" => CaptureFile::stdin(filter.as_deref())?,
        _ => CaptureFile::open(Path::new(&path), filter.as_deref())?,
    };
    let (mut packets, mut bytes, mut sum) = (0_u64, 0_u64, 0_u64);
    loop {
        let poll = source.poll(&mut |frames| {
            packets += frames.len() as u64;
            for frame in frames {
                bytes += u64::from(frame.wire_len);
                // As a decoder would: look at the header.
                sum = sum.wrapping_add(frame.bytes.get(23).copied().unwrap_or(0).into()).wrapping_add(frame.time.0);
            }
        })?;
        if poll == Poll::End {
            break;
        }
    }
    let spent = cpu_seconds()? - before;
    println!("{packets} packets, {bytes} bytes, sum {sum:x}, {:?}", source.counters());
    if let Some(warning) = source.warning() {
        println!("warning: {warning}");
    }
    println!("{spent:.3} s CPU, {:.1} ns/packet", spent * 1e9 / packets.max(1) as f64);
    Ok(())
}

/// User and system time of this process, to 10 ms.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanos: f64 = stat.split(' ').next().ok_or("schedstat")?.parse()?;
    Ok(nanos / 1e9)
}
