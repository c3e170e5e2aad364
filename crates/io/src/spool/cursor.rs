//! Where the next entry is read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::entry::{self, Header};
use super::segment::{self, Segment};
use super::{Entry, Held};

/// A place in a segment, and what was passed over on the way to it.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    pub segment: u64,
    pub offset: u64,
    /// Entries before it, in the segment.
    pub passed: Held,
    /// The number behind the entry before it.
    pub next: u64,
    file: Option<File>,
}

/// What was at the cursor.
#[derive(Debug)]
pub(super) enum Step {
    Entry(Entry),
    /// An entry that is released already.
    Released,
    /// Nothing that can be read, although something was written here.
    Broken,
}

impl Cursor {
    /// Goes to the beginning of a segment.
    pub fn enter(&mut self, segment: &Segment) {
        *self = Cursor {
            segment: segment.number,
            offset: segment::HEADER,
            passed: Held::default(),
            next: segment.first,
            file: None,
        };
    }

    /// Reads the entry at the cursor into `buffer` and steps behind it.
    pub fn step(&mut self, path: &Path, end: u64, released: u64, buffer: &mut Vec<u8>) -> io::Result<Step> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(path)?),
        };
        let mut bytes = [0; entry::HEADER];
        match file.read_exact_at(&mut bytes, self.offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Step::Broken),
            Err(error) => return Err(error),
        }
        let Some(header) = Header::read(&bytes) else { return Ok(Step::Broken) };
        if header.whole() > end - self.offset {
            return Ok(Step::Broken);
        }
        let wanted = header.next > released;
        if wanted {
            buffer.resize(header.length, 0);
            match file.read_exact_at(buffer, self.offset + entry::HEADER as u64) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Step::Broken),
                Err(error) => return Err(error),
            }
            if !header.is_of(&bytes, buffer) {
                return Ok(Step::Broken);
            }
        }
        self.offset += header.whole();
        self.passed.entries += 1;
        self.passed.numbers += u64::from(header.count);
        self.next = header.next;
        let Header { first, count, tag, .. } = header;
        Ok(if wanted { Step::Entry(Entry { first, count, tag }) } else { Step::Released })
    }
}
