//! A file of entries, one behind the other.
//!
//! ```text
//! segment  0 magic "FSSPOOL1" | 8 its number, as in its name: 8 bytes, little-endian | 16 entry*
//! ```

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Held;
use super::entry::{self, Header};
use super::folder;

/// Bytes before the first entry.
pub(super) const HEADER: u64 = 16;

const MAGIC: [u8; 8] = *b"FSSPOOL1";

/// What is known of a segment without reading it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub number: u64,
    /// All entries in it, released or not.
    pub held: Held,
    /// The first number in it; `next` while it has none.
    pub first: u64,
    /// The number behind its last.
    pub next: u64,
    /// Where its last entry ends, in bytes.
    pub end: u64,
}

impl Segment {
    /// Makes the file of an empty one, which a first entry of the number `next` will be put into.
    pub fn create(path: &Path, number: u64, next: u64) -> io::Result<(Segment, File)> {
        let file = folder::create(path)?;
        if let Err(error) = file.write_all_at(&head(number), 0) {
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok((Segment { number, held: Held::default(), first: next, next, end: HEADER }, file))
    }

    /// Accounts for an entry at the end.
    pub fn add(&mut self, first: u64, count: u32, length: u64) {
        if self.held.entries == 0 {
            self.first = first;
        }
        self.held.entries += 1;
        self.held.numbers += u64::from(count);
        self.next = first + u64::from(count);
        self.end += length;
    }
}

fn head(number: u64) -> [u8; HEADER as usize] {
    let mut bytes = [0; HEADER as usize];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// What a file turned out to be.
#[derive(Debug)]
pub(super) enum Scanned {
    /// A segment; `unreleased` of its entries are not released, `first` is their first number. What is behind its end is
    /// broken.
    Segment { segment: Segment, unreleased: Held, first: u64 },
    /// One that was being made: a part of the header, or nothing.
    Unborn,
    /// None of ours.
    Foreign,
}

/// Reads a file through, from the number `next` on, up to the first entry that is broken or out of order.
pub(super) fn scan(file: &File, number: u64, next: u64, released: u64, buffer: &mut Vec<u8>) -> io::Result<Scanned> {
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut magic = Vec::new();
    reader.by_ref().take(HEADER).read_to_end(&mut magic)?;
    if magic != head(number) {
        let begun = length < HEADER && head(number).starts_with(&magic);
        return Ok(if begun { Scanned::Unborn } else { Scanned::Foreign });
    }
    let mut segment = Segment { number, held: Held::default(), first: next, next, end: HEADER };
    let (mut unreleased, mut first) = (Held::default(), next);
    let mut bytes = [0; entry::HEADER];
    while length.saturating_sub(segment.end) >= entry::HEADER as u64 {
        reader.read_exact(&mut bytes)?;
        let Some(header) = Header::read(&bytes) else { break };
        if header.whole() > length - segment.end || header.first < segment.next {
            break;
        }
        buffer.resize(header.length, 0);
        reader.read_exact(buffer)?;
        if !header.is_of(&bytes, buffer) {
            break;
        }
        segment.add(header.first, header.count, header.whole());
        if unreleased.entries == 0 {
            first = header.first.max(released);
        }
        unreleased.add(Held::of(&header, released));
    }
    Ok(Scanned::Segment { segment, unreleased, first })
}

/// What is not released of a segment's entries, by their headers alone.
pub(super) fn unreleased(path: &Path, segment: &Segment, released: u64) -> io::Result<Held> {
    if released <= segment.first {
        return Ok(segment.held);
    }
    let (file, mut held, mut at) = (File::open(path)?, Held::default(), HEADER);
    let mut bytes = [0; entry::HEADER];
    while at < segment.end {
        file.read_exact_at(&mut bytes, at)?;
        let Some(header) = Header::read(&bytes) else { break };
        held.add(Held::of(&header, released));
        at += header.whole();
    }
    Ok(held)
}
