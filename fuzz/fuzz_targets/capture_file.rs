//! A capture read as the probe reads it, compressed or not, from a reader that gives its bytes in pieces.
#![no_main]

use std::io::{self, Read};

use flowsonde_io::source::{CaptureFile, Poll, Source};
use libfuzzer_sys::fuzz_target;

/// Gives at most so many bytes a call.
struct Pieces(Vec<u8>, usize, usize);

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.1.min(out.len());
        let read = self.0.get(self.2..).unwrap_or(&[]).read(&mut out[..n])?;
        self.2 += read;
        Ok(read)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, bytes)) = bytes.split_first() else { return };
    let reader = Pieces(bytes.to_vec(), 1 + usize::from(piece) * 300, 0);
    let mut source = CaptureFile::from_reader(reader, "fuzz", None);
    let mut frames = 0;
    for polls in 0.. {
        assert!(polls < 100_000 + bytes.len() * 2000, "the source does not end");
        match source.poll(&mut |batch| frames += batch.len() as u64) {
            Ok(Poll::End) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let seen = source.counters();
    assert_eq!(seen.seen, frames + seen.cut + seen.filtered);
});
