//! Reading alone: what metering cannot be faster than.
use flowsonde_io::source::pcap_file::CaptureFile;
use flowsonde_io::source::{Poll, Source};
fn main() {
    let path = std::env::args().nth(1).unwrap_or_default();
    let mut source = CaptureFile::open(path.as_ref(), None).expect("capture");
    let (mut n, mut b) = (0, 0u64);
    while let Ok(Poll::Frames(_)) = source.poll(&mut |frames| {
        n += frames.len();
        for f in frames {
            b += u64::from(f.wire_len);
        }
    }) {}
    println!("{n} {b}");
}
