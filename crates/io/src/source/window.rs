//! The part of a file that is in memory: one buffer that records are read from in place.
//!
//! ```text
//! | headroom        | chunk, 256 KiB                    |
//!           ^start      ^end
//!     what a chunk left over is moved here; the next read goes to the start of the chunk
//! ```
//!
//! A read into a buffer that stays in the L2 cache costs less than half of mapping the file (page faults, and every
//! header a line from memory), and a chunk that always starts at the same place keeps the copy aligned on both sides.

use std::io::{self, Read};

/// Bytes asked for in one read.
const CHUNK: usize = 256 << 10;

/// Room for what is left over from the chunk before. Doubled for records that are longer, up to the limit.
const HEADROOM: usize = 64 << 10;

/// What filling a window came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// There is more to look at.
    More,
    /// Nothing came in time.
    Idle,
    /// The stream is at its end.
    End,
}

/// A moving view of a stream.
pub struct Window {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// Where chunks start.
    chunk: usize,
    start: usize,
    end: usize,
    /// Bytes still to be thrown away, before the next ones are looked at.
    skip: u64,
}

impl Window {
    /// An empty view of what `reader` gives.
    pub fn new(reader: Box<dyn Read + Send>) -> Self {
        Window { reader, buffer: vec![0; HEADROOM + CHUNK], chunk: HEADROOM, start: HEADROOM, end: HEADROOM, skip: 0 }
    }

    /// What is in view.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or(&[])
    }

    /// Steps over the next `n` bytes, in view or not.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        let here = n.min(self.end - self.start);
        self.start += here;
        self.skip += (n - here) as u64;
    }

    /// Reads more behind what is in view, which must be less than `limit`, the longest record there may be.
    pub fn fill(&mut self, limit: usize) -> io::Result<Fill> {
        let left = self.end - self.start;
        if left > self.chunk {
            self.grow(left.max(self.chunk * 2).min(left.max(limit)));
        }
        self.buffer.copy_within(self.start..self.end, self.chunk - left);
        self.start = self.chunk - left;
        self.end = self.chunk;
        loop {
            let room = self.buffer.get_mut(self.chunk..).unwrap_or_default();
            let read = match self.reader.read(room) {
                Ok(0) => return Ok(Fill::End),
                Ok(read) => read,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    return Ok(Fill::Idle);
                }
                Err(error) => return Err(error),
            };
            let over = self.skip.min(read as u64);
            self.skip -= over;
            if over < read as u64 {
                // Bytes are only ever skipped past the end of the view, so nothing was left over.
                self.start += over as usize;
                self.end += read;
                return Ok(Fill::More);
            }
        }
    }

    /// Bytes were stepped over that the stream did not have.
    pub fn overran(&self) -> bool {
        self.skip > 0
    }

    /// Puts another reader in the place of this one, which gets what is in view and then this one's bytes.
    pub fn wrap(
        &mut self,
        wrapper: impl FnOnce(Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>>,
    ) -> io::Result<()> {
        let seen = self.bytes().to_vec();
        (self.start, self.end) = (self.chunk, self.chunk);
        let reader = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        self.reader = wrapper(Box::new(io::Cursor::new(seen).chain(reader)))?;
        Ok(())
    }

    #[cold]
    fn grow(&mut self, headroom: usize) {
        let mut buffer = vec![0; headroom + CHUNK];
        let left = self.end - self.start;
        let (from, to) = (self.start..self.end, headroom - left..headroom);
        if let (Some(from), Some(to)) = (self.buffer.get(from), buffer.get_mut(to)) {
            to.copy_from_slice(from);
        }
        (self.start, self.end, self.chunk) = (headroom - left, headroom, headroom);
        self.buffer = buffer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes a few at a time, with pauses.
    struct Drip(Vec<u8>, usize);

    impl Read for Drip {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1.is_multiple_of(3) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let n = self.0.len().min(out.len()).min(self.1 * 1_000);
            for (to, from) in out.iter_mut().zip(self.0.drain(..n)) {
                *to = from;
            }
            Ok(n)
        }
    }

    #[test]
    fn grows_for_long_records_and_keeps_every_byte() {
        let all: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        let mut window = Window::new(Box::new(Drip(all.clone(), 0)));
        let mut seen: Vec<u8> = Vec::new();
        let mut length = 1;
        loop {
            while window.bytes().len() >= length {
                seen.extend(window.bytes().iter().take(length));
                window.advance(length);
                length = (length * 3) % 700_001 + 1;
            }
            if window.fill(1 << 20).expect("reads") == Fill::End {
                seen.extend(window.bytes());
                break;
            }
        }
        assert!(seen == all);
    }

    #[test]
    fn steps_over_what_is_not_in_view() {
        let all: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let mut window = Window::new(Box::new(Drip(all, 0)));
        while window.fill(100).expect("reads") != Fill::More {}
        window.advance(777_777);
        while window.fill(100).expect("reads") != Fill::More {}
        assert_eq!(window.bytes().first(), Some(&((777_777 % 251) as u8)));
        assert!(!window.overran());
        window.advance(usize::MAX >> 1);
        while window.fill(100).expect("reads") != Fill::End {}
        assert!(window.overran());
    }
}
