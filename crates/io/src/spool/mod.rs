//! A queue on disk: bounded, checked by checksums, and whole again after any crash.
//!
//! Entries are bytes that stand for a run of numbers, the sequence numbers of what is in them. They are put in at one end,
//! read from the other as often as need be, and forgotten once released. One owner, one thread; a lock keeps other
//! processes out.
//!
//! ```text
//! DIR/lock                          locked by flock(2) while the spool is open; empty
//! DIR/state                         two numbers: the mark, and up to where it is released     state.rs
//! DIR/00000000000000000042.segment  entries in order, the file with the highest number last   segment.rs, entry.rs
//! ```
//!
//! What [`Spool::push`] returned for has been written, so a process that is killed loses none of it; a machine that loses
//! power loses what was not yet brought to disk, at most what was pushed since [`Spool::sync`] last did. A segment is
//! deleted when all in it is released, or to make room.
//!
//! After a crash each segment ends at its first entry that is cut off, damaged or out of order; what is behind is cut off and
//! counted. Damage that happens later is found by the checksum when it is read, costs the rest of its segment, and is told
//! by [`Spool::damaged`].

mod cursor;
mod entry;
mod error;
mod folder;
mod segment;
mod state;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use error::Error;

use cursor::{Cursor, Step};
use entry::Header;
use folder::Folder;
use segment::{Scanned, Segment};
use state::State;

/// How a spool is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its directory, of its own; made with mode 700 where it is missing.
    pub dir: PathBuf,
    /// Most bytes of all segments, at least two of them.
    pub max_bytes: u64,
    /// Most bytes of a segment, at least [`Settings::SMALLEST`]. An entry is in one segment.
    pub segment_bytes: u64,
    /// [`Spool::sync`] brings what was pushed to disk when so much time has passed since it last did.
    pub sync: Duration,
}

impl Settings {
    /// The least that a segment may have.
    pub const SMALLEST: u64 = 4096;

    fn check(&self) -> Result<(), Error> {
        if self.segment_bytes < Settings::SMALLEST {
            let why = format!("segments of {} bytes", self.segment_bytes);
            return Err(Error::unusable(&self.dir, why, "at least 4096 are needed"));
        }
        if self.max_bytes / 2 < self.segment_bytes {
            let why = format!("{} bytes at most, in segments of {}", self.max_bytes, self.segment_bytes);
            return Err(Error::unusable(&self.dir, why, "two segments have to fit"));
        }
        Ok(())
    }
}

/// Entries, and the numbers they stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Entries.
    pub entries: u64,
    /// Numbers in them.
    pub numbers: u64,
}

impl Held {
    fn add(&mut self, other: Held) {
        self.entries += other.entries;
        self.numbers += other.numbers;
    }

    /// What of an entry is not released: nothing, or the entry with some of its numbers.
    fn of(header: &Header, released: u64) -> Held {
        let numbers = header.next.saturating_sub(header.first.max(released));
        Held { entries: u64::from(numbers > 0), numbers }
    }
}

/// An entry but for its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its first number.
    pub first: u64,
    /// How many numbers it stands for, without a gap.
    pub count: u32,
    /// What was given with it.
    pub tag: u64,
}

/// What was found when a spool was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Entries that are not released, and their numbers.
    pub held: Held,
    /// The first number that is held; [`Recovered::next`] when none is.
    pub first: u64,
    /// The least number that may be pushed: behind all that were pushed or released.
    pub next: u64,
    /// The mark; at least [`Recovered::next`].
    pub mark: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Bytes that were cut off, as they were no whole entry.
    pub cut: u64,
    /// What the user should know.
    pub notices: Vec<String>,
}

/// The queue.
#[derive(Debug)]
pub struct Spool {
    settings: Settings,
    folder: Folder,
    state: State,
    /// In order of their numbers, which is that of their entries.
    segments: VecDeque<Segment>,
    /// The file of the last segment while there is room in it.
    writer: Option<File>,
    next_segment: u64,
    /// The least number that may be pushed.
    next: u64,
    bytes: u64,
    cursor: Cursor,
    /// The entry being pushed, as it will lie on disk.
    out: Vec<u8>,
    evicted: Held,
    damaged: Held,
    /// Files that were written and not brought to disk, with the number of their segment; the writer apart.
    unsynced: Vec<(u64, File)>,
    /// Why one of those could not be brought to disk when there were too many.
    failed: Option<io::Error>,
    dirty: bool,
    /// A segment was made since the directory was last brought to disk.
    named: bool,
    synced: Option<Instant>,
}

/// Most files that wait to be brought to disk.
const UNSYNCED: usize = 8;
/// Names of foreign files that are told.
const NAMED: usize = 3;

impl Spool {
    /// Opens a spool, or makes it, and reads it through. Takes as long as the disk needs to read it all.
    pub fn open(settings: Settings) -> Result<(Spool, Recovered), Error> {
        settings.check()?;
        let folder = Folder::open(&settings.dir)?;
        let state = State::open(&folder.state())?;
        let mut spool = Spool {
            next: state.released(),
            settings,
            folder,
            state,
            segments: VecDeque::new(),
            writer: None,
            next_segment: 0,
            bytes: 0,
            cursor: Cursor::default(),
            out: Vec::new(),
            evicted: Held::default(),
            damaged: Held::default(),
            unsynced: Vec::new(),
            failed: None,
            dirty: false,
            named: true,
            synced: None,
        };
        let right = "it has to be a file that this user may read and write";
        let wrong = |error| Error::unusable(&spool.settings.dir, error, "it has to be a directory that can be listed");
        let contents = spool.folder.contents().map_err(wrong)?;
        let mut recovered = Recovered::default();
        let mut foreign = contents.foreign;
        for number in contents.segments {
            spool.next_segment = number.saturating_add(1);
            let path = spool.folder.segment(number);
            let known = spool.recover(number, &mut recovered).map_err(|error| Error::unusable(&path, error, right))?;
            if !known {
                foreign.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
            }
        }
        if !foreign.is_empty() {
            let (count, shown) = (foreign.len(), foreign.get(..NAMED).unwrap_or(&foreign).join(", "));
            let more = if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
            let dir = spool.settings.dir.display();
            recovered.notices.push(format!("spool {dir}: {shown}{more}: not of the spool, left alone"));
        }
        recovered.next = spool.next;
        recovered.mark = spool.state.mark().max(spool.next);
        recovered.bytes = spool.bytes;
        if recovered.held.entries == 0 {
            recovered.first = spool.next;
        }
        spool.out = Vec::new();
        spool.rewind();
        Ok((spool, recovered))
    }

    /// Takes a segment of an earlier process over. False when it is none.
    fn recover(&mut self, number: u64, recovered: &mut Recovered) -> io::Result<bool> {
        let path = self.folder.segment(number);
        let file = folder::open(&path)?;
        let released = self.state.released();
        // Of what is released the last number may be higher than that of entries: their sequence is checked on its own.
        let before = self.segments.back().map_or(0, |segment| segment.next);
        let (segment, unreleased, first) = match segment::scan(&file, number, before, released, &mut self.out)? {
            Scanned::Segment { segment, unreleased, first } => (segment, unreleased, first),
            Scanned::Unborn => {
                fs::remove_file(&path)?;
                return Ok(true);
            }
            Scanned::Foreign => return Ok(false),
        };
        recovered.cut += file.metadata()?.len() - segment.end;
        if segment.next <= released || segment.held.entries == 0 {
            fs::remove_file(&path)?;
            return Ok(true);
        }
        file.set_len(segment.end)?;
        if recovered.held.entries == 0 {
            recovered.first = first;
        }
        recovered.held.add(unreleased);
        self.next = self.next.max(segment.next);
        self.bytes += segment.end;
        self.segments.push_back(segment);
        self.writer = Some(file);
        Ok(true)
    }

    /// Puts an entry in, of `parts` one behind the other, which stands for `count` numbers from `first` on. Numbers only
    /// grow, and may have gaps. Tells what had to be deleted to make room, and was not released.
    ///
    /// After an error the entry is not in the spool, and the next may be tried.
    pub fn push(&mut self, first: u64, count: u32, tag: u64, parts: &[&[u8]]) -> Result<Held, Error> {
        let next = first.checked_add(count.into()).ok_or(Error::Entry("its numbers go over the last there is"))?;
        if count == 0 {
            return Err(Error::Entry("it stands for no number"));
        }
        if first < self.next {
            return Err(Error::Entry("its first number is not behind the last one's"));
        }
        entry::write(&mut self.out, first, count, tag, parts)?;
        let length = self.out.len() as u64;
        if length > self.settings.segment_bytes - segment::HEADER {
            return Err(Error::Entry("longer than a segment"));
        }
        if self.segments.back().is_some_and(|last| last.end + length > self.settings.segment_bytes) {
            self.leave_segment();
        }
        // A segment may have to be begun for it.
        while self.bytes + segment::HEADER + length > self.settings.max_bytes && !self.segments.is_empty() {
            self.evict()?;
        }
        self.write(first, count)?;
        self.next = next;
        Ok(self.evicted())
    }

    /// Writes `out` behind the last entry.
    fn write(&mut self, first: u64, count: u32) -> Result<(), Error> {
        if self.writer.is_none() {
            let number = self.next_segment;
            // Taken even when it fails: a file of that name may be there that is not ours.
            self.next_segment = number.saturating_add(1);
            let created = Segment::create(&self.folder.segment(number), number, first);
            let (segment, file) = created.map_err(Error::system("cannot begin a segment"))?;
            self.bytes += segment.end;
            self.segments.push_back(segment);
            self.writer = Some(file);
            self.named = true;
        }
        let (Some(file), Some(segment)) = (&self.writer, self.segments.back_mut()) else {
            return Err(Error::System("cannot write", io::ErrorKind::NotFound.into()));
        };
        self.dirty = true;
        if let Err(error) = file.write_all_at(&self.out, segment.end) {
            // What is left when this fails, too, is overwritten by the next entry, or cut off after a restart.
            let _ = file.set_len(segment.end);
            return Err(Error::System("cannot write", error));
        }
        segment.add(first, count, self.out.len() as u64);
        self.bytes += self.out.len() as u64;
        Ok(())
    }

    /// The next entry is written to a new segment.
    fn leave_segment(&mut self) {
        let (Some(file), Some(segment)) = (self.writer.take(), self.segments.back()) else { return };
        if !self.dirty {
            return;
        }
        if self.unsynced.len() >= UNSYNCED {
            let (_, oldest) = self.unsynced.remove(0);
            self.failed = oldest.sync_data().err().or(self.failed.take());
        }
        self.unsynced.push((segment.number, file));
    }

    /// Deletes the oldest segment to make room.
    #[cold]
    fn evict(&mut self) -> Result<(), Error> {
        let Some(oldest) = self.segments.front() else { return Ok(()) };
        let path = self.folder.segment(oldest.number);
        // Without its headers only the numbers can be told, of all that may be in it.
        let released = self.state.released();
        let unread = Held {
            entries: oldest.held.entries,
            numbers: oldest.held.numbers.min(oldest.next - released.min(oldest.next)),
        };
        let lost = segment::unreleased(&path, oldest, released).unwrap_or(unread);
        self.remove_oldest()?;
        self.evicted.add(lost);
        Ok(())
    }

    fn remove_oldest(&mut self) -> Result<(), Error> {
        let Some(oldest) = self.segments.front() else { return Ok(()) };
        match fs::remove_file(self.folder.segment(oldest.number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::System("cannot delete a segment", error));
            }
            _ => {}
        }
        // Nobody keeps it open, or its bytes would stay on disk.
        let number = oldest.number;
        self.bytes -= oldest.end;
        self.segments.pop_front();
        self.unsynced.retain(|(unsynced, _)| *unsynced != number);
        if self.segments.is_empty() {
            self.writer = None;
        }
        if self.cursor.segment <= number {
            self.rewind();
        }
        Ok(())
    }

    /// What was deleted to make room and has not been told: only where a push failed that had made room.
    pub fn evicted(&mut self) -> Held {
        core::mem::take(&mut self.evicted)
    }

    /// What could not be read any more since this was last asked: damage on disk, after it was pushed.
    pub fn damaged(&mut self) -> Held {
        core::mem::take(&mut self.damaged)
    }

    /// Reads the next entry that is not released into `buffer`, in place of what is there. `None` behind the last one; after
    /// another push there is one again.
    pub fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Entry>, Error> {
        loop {
            let at = self.segments.partition_point(|segment| segment.number < self.cursor.segment);
            let Some(segment) = self.segments.get(at) else { return Ok(None) };
            if segment.number != self.cursor.segment {
                self.cursor.enter(segment.number);
            }
            if self.cursor.offset >= segment.end {
                let Some(following) = self.segments.get(at + 1) else { return Ok(None) };
                self.cursor.enter(following.number);
                continue;
            }
            let step = self.cursor.step(&self.folder, segment.end, self.state.released(), buffer);
            match step.map_err(Error::system("cannot read"))? {
                Step::Entry(entry) => return Ok(Some(entry)),
                Step::Released => {}
                Step::Broken => self.cut(at),
            }
        }
    }

    /// Cuts a segment off at the cursor, as what is there cannot be read.
    #[cold]
    fn cut(&mut self, at: usize) {
        if at + 1 == self.segments.len() {
            self.writer = None;
        }
        let Some(segment) = self.segments.get_mut(at) else { return };
        let lost = Held {
            entries: segment.held.entries - self.cursor.passed.entries,
            numbers: segment.held.numbers - self.cursor.passed.numbers,
        };
        self.damaged.add(lost);
        self.bytes -= segment.end - self.cursor.offset;
        segment.held = self.cursor.passed;
        segment.end = self.cursor.offset;
        // Left as it is where that fails: it is cut again after a restart.
        if let Ok(file) = folder::open(&self.folder.segment(segment.number)) {
            let _ = file.set_len(segment.end);
        }
    }

    /// [`Spool::next`] begins anew, with the oldest entry that is not released.
    pub fn rewind(&mut self) {
        self.cursor.enter(0);
    }

    /// Forgets every number before `upto`. An entry is there until all of its numbers are.
    ///
    /// Segments without others are deleted; the last one not before a quarter of it is full, as making one takes longer than
    /// an entry.
    pub fn release(&mut self, upto: u64) -> Result<(), Error> {
        let upto = upto.min(self.next);
        if upto > self.state.released() {
            self.state.release(upto);
        }
        let upto = self.state.released();
        while let Some(oldest) = self.segments.front() {
            let last = self.segments.len() == 1 && self.writer.is_some();
            if oldest.next > upto || last && oldest.end < self.settings.segment_bytes / 4 {
                break;
            }
            self.remove_oldest()?;
        }
        Ok(())
    }

    /// Keeps a number for after a crash, at the cost of a store to memory: that up to which numbers were given away. Lower
    /// ones than before are passed over.
    #[inline]
    pub fn mark(&mut self, n: u64) {
        if n > self.state.mark() {
            self.state.set_mark(n);
            self.dirty = true;
        }
    }

    /// To be called now and then with the time: brings what was written to disk when that is due. Tells whether it did.
    pub fn sync(&mut self, now: Instant) -> Result<bool, Error> {
        let due = self.synced.is_none_or(|synced| now.saturating_duration_since(synced) >= self.settings.sync);
        if !self.dirty || !due {
            return Ok(false);
        }
        self.synced = Some(now);
        self.flush()?;
        Ok(true)
    }

    /// Brings everything to disk now.
    pub fn flush(&mut self) -> Result<(), Error> {
        let mut result = self.failed.take().map_or(Ok(()), Err);
        for file in self.unsynced.iter().map(|(_, file)| file).chain(&self.writer) {
            result = result.and(file.sync_data());
        }
        if self.named {
            result = result.and(self.folder.sync());
        }
        result = result.and(self.state.sync());
        result.map_err(Error::system("cannot bring the spool to disk"))?;
        self.unsynced.clear();
        (self.dirty, self.named) = (false, false);
        Ok(())
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The least number that may be pushed.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Every number before this one is released.
    pub fn released(&self) -> u64 {
        self.state.released()
    }
}

#[cfg(test)]
mod tests;
