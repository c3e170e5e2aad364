//! Where the next entry is read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::entry::{self, Header};
use super::folder::Folder;
use super::segment;
use super::{Entry, Held};

/// A place in a segment, and what was passed over on the way to it.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    pub segment: u64,
    pub offset: u64,
    /// Entries before it, in the segment.
    pub passed: Held,
    file: Option<File>,
    window: Window,
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
    pub fn enter(&mut self, segment: u64) {
        (self.segment, self.offset, self.passed, self.file) = (segment, segment::HEADER, Held::default(), None);
        self.window.bytes.clear();
    }

    /// Reads the entry at the cursor into `buffer` and steps behind it.
    pub fn step(&mut self, folder: &Folder, end: u64, released: u64, buffer: &mut Vec<u8>) -> io::Result<Step> {
        match self.read(folder, end, released, buffer) {
            // Somebody made the file shorter than it was.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Step::Broken),
            result => result,
        }
    }

    fn read(&mut self, folder: &Folder, end: u64, released: u64, buffer: &mut Vec<u8>) -> io::Result<Step> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(folder.segment(self.segment))?),
        };
        let Some(bytes) = self.window.header(file, self.offset, end)? else { return Ok(Step::Broken) };
        let Some(header) = Header::read(&bytes) else { return Ok(Step::Broken) };
        if header.whole() > end - self.offset {
            return Ok(Step::Broken);
        }
        let wanted = header.next > released;
        if wanted {
            self.window.body(file, self.offset + entry::HEADER as u64, header.length, buffer)?;
            if !header.is_of(&bytes, buffer) {
                return Ok(Step::Broken);
            }
        }
        self.offset += header.whole();
        self.passed.entries += 1;
        self.passed.numbers += u64::from(header.count);
        let Header { first, count, tag, .. } = header;
        Ok(if wanted { Step::Entry(Entry { first, count, tag }) } else { Step::Released })
    }
}

/// Bytes of a segment that were read ahead, so that small entries do not cost two system calls each.
#[derive(Debug, Default)]
struct Window {
    /// Where in the file it begins.
    at: u64,
    bytes: Vec<u8>,
    /// Length of the body asked for last.
    latest: usize,
}

/// Bytes that are read ahead.
const AHEAD: u64 = 64 << 10;
/// Bodies from this length on are read by themselves: copying them costs more than a call.
const LARGE: usize = 8 << 10;

impl Window {
    /// What is read of the `length` bytes at `offset`; `None` when it is not all.
    fn find(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.at)?).ok()?;
        self.bytes.get(from..)?.get(..length)
    }

    /// The header at `offset`; `None` when the segment, of `end` bytes, is over in it.
    fn header(&mut self, file: &File, offset: u64, end: u64) -> io::Result<Option<[u8; entry::HEADER]>> {
        if self.find(offset, entry::HEADER).is_none() {
            let left = end - offset;
            if left < entry::HEADER as u64 {
                return Ok(None);
            }
            // Not over the end: what is behind it may become another than it is.
            let wanted = if self.latest < LARGE { AHEAD.min(left) } else { entry::HEADER as u64 };
            self.at = offset;
            self.bytes.resize(wanted as usize, 0);
            if let Err(error) = file.read_exact_at(&mut self.bytes, offset) {
                self.bytes.clear();
                return Err(error);
            }
        }
        Ok(self.find(offset, entry::HEADER).and_then(<[u8]>::first_chunk).copied())
    }

    /// Makes `buffer` the `length` bytes at `offset`.
    fn body(&mut self, file: &File, offset: u64, length: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        self.latest = length;
        if let Some(bytes) = self.find(offset, length) {
            buffer.clear();
            buffer.extend_from_slice(bytes);
            return Ok(());
        }
        buffer.resize(length, 0);
        file.read_exact_at(buffer, offset)
    }
}
