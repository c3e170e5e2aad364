//! Metering alone: a capture through the flow cache, records thrown away.
use flowsonde_engine::meter::{Config, Meter};
use flowsonde_io::source::pcap_file::CaptureFile;
use flowsonde_io::source::{Poll, Source};
#[global_allocator]
static ALLOCATOR: flowsonde_io::memory::HugePages = flowsonde_io::memory::HugePages;
fn main() {
    let path = std::env::args().nth(1).unwrap_or_default();
    let mut source = CaptureFile::open(path.as_ref(), None).expect("capture");
    let mut meter = Meter::new(Config { random: 7, ..Config::default() });
    let mut flows = 0;
    let t = std::time::Instant::now();
    while let Ok(Poll::Frames(_)) = source.poll(&mut |frames| meter.frames(frames, &mut |ended| flows += ended.len())) {
    }
    let bytes = meter.bytes();
    meter.flush(&mut |ended| flows += ended.len());
    let c = meter.counters();
    println!(
        "{} packets {} flows {:?} {:.1} ns/packet, cache {} MiB {:?}",
        c.packets,
        flows,
        t.elapsed(),
        t.elapsed().as_nanos() as f64 / c.packets as f64,
        bytes >> 20,
        c
    );
}
