//! A capture file, or standard input: pcap or pcapng, as it is or compressed with gzip or zstd.
//!
//! What a file is, is told by its first bytes, never by its name. Frames borrow the window the file is read through.
//! Only a pipe that brings nothing makes [`Source::poll`] idle; a file is read until it ends. What cannot be read
//! because the file ends or is broken in mid-packet ends the stream, is counted, and leaves a warning. A packet that
//! does not fit into its pcapng block is counted and passed over: where the next block begins is known.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowsonde_wire::capture::{pcap, pcapng};
use flowsonde_wire::{Cursor, Frame, LinkType, Short, link};

use super::filter::Filters;
use super::window::{Fill, Window};
use super::{BATCH, Counters, Error, NOTHING, Poll, Source, kernel};

/// A capture being read.
pub struct CaptureFile {
    name: String,
    window: Window,
    format: Format,
    filters: Option<Filters>,
    counters: Counters,
    warning: Option<String>,
    /// Interfaces whose packets nothing here can read, and how many there were; the last entry takes all beyond the bound.
    unread: Vec<(u32, LinkType, u64)>,
    ended: bool,
    /// Bytes read of the file, and its length if it has one.
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

/// What the first bytes turned out to be.
enum Format {
    /// Not told yet; true when a decompressor is at work already.
    Unknown(bool),
    Pcap(pcap::Header),
    Pcapng(pcapng::Section),
}

impl CaptureFile {
    /// Opens the capture at `path`; only frames that pass `filter` are handed on.
    pub fn open(path: &Path, filter: Option<&str>) -> Result<Self, Error> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| Error(format!("-i {name}: cannot be opened: {error}")))?;
        Self::of(file, name, filter)
    }

    /// Reads a capture from standard input.
    pub fn stdin(filter: Option<&str>) -> Result<Self, Error> {
        // Not through `std::io::Stdin`, whose own buffer would copy everything once more.
        let stdin = io::stdin().as_fd().try_clone_to_owned();
        let stdin = stdin.map_err(|error| Error(format!("-i -: standard input cannot be read: {error}")))?;
        Self::of(File::from(stdin), "-".to_owned(), filter)
    }

    /// Reads a capture from anything, as from memory; `name` is what messages call it. A reader that would block makes
    /// [`Source::poll`] idle.
    pub fn from_reader(reader: impl Read + Send + 'static, name: &str, filter: Option<&str>) -> Self {
        Self::new(Box::new(reader), name.to_owned(), filter, Arc::default(), None)
    }

    fn new(
        reader: Box<dyn Read + Send>,
        name: String,
        filter: Option<&str>,
        read: Arc<AtomicU64>,
        total: Option<u64>,
    ) -> Self {
        CaptureFile {
            name,
            window: Window::new(reader),
            format: Format::Unknown(false),
            filters: filter.map(Filters::new),
            counters: Counters::default(),
            warning: None,
            unread: Vec::new(),
            ended: false,
            read,
            total,
        }
    }

    fn of(file: File, name: String, filter: Option<&str>) -> Result<Self, Error> {
        let metadata = file.metadata().map_err(|error| Error(format!("-i {name}: cannot be read: {error}")))?;
        if metadata.is_dir() {
            return Err(Error(format!("-i {name}: is a directory, not a capture")));
        }
        let total = metadata.is_file().then_some(metadata.len());
        let read = Arc::new(AtomicU64::new(0));
        let pipe = Pipe { file: OwnedFd::from(file).into(), waits: total.is_none(), read: Arc::clone(&read) };
        let mut this = Self::new(Box::new(pipe), name, filter, read, total);
        // A pipe may bring its first bytes much later; a file has them, and the user waits for the verdict.
        if total.is_some() {
            this.begin()?;
        }
        Ok(this)
    }

    /// Finds out what the stream is. False when there is too little of it yet.
    fn begin(&mut self) -> Result<bool, Error> {
        loop {
            if self.recognise()? {
                return Ok(true);
            }
            match self.window.fill(pcapng::MAX_BLOCK as usize) {
                Ok(Fill::More) => {}
                Ok(Fill::Idle) => return Ok(false),
                Ok(Fill::End) => return Err(self.unreadable("it ends there")),
                Err(error) if error.raw_os_error().is_none() => return Err(self.unreadable(&error)),
                Err(error) => return Err(Error(format!("-i {}: cannot be read: {error}", self.name))),
            }
        }
    }

    /// Looks at the first bytes. False when more are needed.
    fn recognise(&mut self) -> Result<bool, Error> {
        let bytes = self.window.bytes();
        let Some(magic) = bytes.first_chunk::<4>() else { return Ok(false) };
        let compressed = matches!(self.format, Format::Unknown(true));
        let wrapped = match magic {
            [0x1f, 0x8b, 0x08, _] if !compressed => {
                self.window.wrap(|reader| Ok(Box::new(flate2::read::MultiGzDecoder::new(reader))))
            }
            // A frame, or one that is to be skipped, as pzstd puts first.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] if !compressed => {
                self.window.wrap(|reader| Ok(Box::new(zstd::stream::read::Decoder::new(reader)?)))
            }
            _ => {
                let known = if pcap::Header::claims(*magic) {
                    let mut cursor = Cursor::new(bytes);
                    match pcap::Header::parse(&mut cursor) {
                        Ok(header) => {
                            if let Some(filters) = &mut self.filters {
                                filters.prepare(header.link)?;
                            }
                            self.format = Format::Pcap(header);
                            self.window.advance(pcap::Header::LEN);
                            true
                        }
                        Err(pcap::Fault::Short(_)) => false,
                        Err(fault) => return Err(self.unreadable(fault)),
                    }
                } else if *magic == pcapng::SECTION {
                    let mut section = pcapng::Section::new();
                    match section.block(bytes) {
                        Ok((_, used)) => {
                            self.format = Format::Pcapng(section);
                            self.window.advance(used);
                            true
                        }
                        Err(pcapng::Fault::Short(_)) => false,
                        Err(fault) => return Err(self.unreadable(fault)),
                    }
                } else {
                    return Err(self.unreadable(remedy(magic)));
                };
                return Ok(known);
            }
        };
        wrapped.map_err(|error| Error(format!("-i {}: cannot be decompressed: {error}", self.name)))?;
        self.format = Format::Unknown(true);
        Ok(false)
    }

    /// The error for a stream that does not begin as a capture does.
    fn unreadable(&self, why: impl core::fmt::Display) -> Error {
        let start = self.window.bytes().iter().take(8);
        let hex: Vec<String> = start.clone().map(|byte| format!("{byte:02x}")).collect();
        let text: String = start.map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '.' }).collect();
        let name = &self.name;
        let inside = if matches!(self.format, Format::Unknown(true)) { " once decompressed" } else { "" };
        if hex.is_empty() {
            return Error(format!("-i {name}: not a pcap or pcapng capture: empty{inside} ({why})"));
        }
        Error(format!(
            "-i {name}: not a pcap or pcapng capture: starts with {} '{text}'{inside} ({why})",
            hex.join(" ")
        ))
    }

    /// Ends the stream where a packet should be and is not.
    #[cold]
    fn cut(&mut self, why: impl core::fmt::Display) {
        self.counters.seen += 1;
        self.counters.cut += 1;
        self.ended = true;
        let whole = self.counters.seen - self.counters.cut;
        self.warning = Some(format!("{}: ends in mid-packet, after {whole} packets: {why}", self.name));
    }
}

impl Source for CaptureFile {
    fn poll(&mut self, consume: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        if self.ended {
            return Ok(Poll::End);
        }
        if matches!(self.format, Format::Unknown(_)) && !self.begin()? {
            return Ok(Poll::Idle);
        }
        let mut batch = Batch { frames: [NOTHING; BATCH], len: 0, used: 0, unread: 0, broken: None, filtered: 0 };
        let bytes = self.window.bytes();
        let stop = match &mut self.format {
            Format::Pcap(header) => batch.pcap(header, bytes, self.filters.as_mut())?,
            Format::Pcapng(section) => batch.pcapng(section, bytes, self.filters.as_mut())?,
            Format::Unknown(_) => Stop::Short,
        };
        if let Some(frames @ [_, ..]) = batch.frames.get(..batch.len) {
            for frame in frames {
                if frame.link != LinkType::ETHERNET && !link::reads(frame.link) {
                    note(&mut self.unread, frame);
                }
            }
            consume(frames);
        }
        let Batch { len, used, unread, broken, filtered, .. } = batch;
        self.counters.seen += len as u64 + unread + filtered;
        self.counters.cut += unread;
        self.counters.filtered += filtered;
        if unread > 0 && broken.is_none() && self.warning.is_none() {
            self.warning = Some(format!("{}: has packets of interfaces it does not describe", self.name));
        }
        if let Some(short) = broken
            && self.warning.is_none()
        {
            self.warning = Some(format!("{}: has packets that do not fit into their blocks: {short}", self.name));
        }
        self.window.advance(used);
        match stop {
            Stop::Full => Ok(Poll::Frames(len)),
            Stop::Broken(why) => {
                self.cut(why);
                Ok(Poll::Frames(len))
            }
            Stop::Short if used > 0 => Ok(Poll::Frames(len)),
            Stop::Short => match self.window.fill(pcapng::MAX_BLOCK as usize) {
                Ok(Fill::More) => Ok(Poll::Frames(0)),
                Ok(Fill::Idle) => Ok(Poll::Idle),
                Ok(Fill::End) => {
                    if !self.window.bytes().is_empty() || self.window.overran() {
                        self.cut("the file is shorter than its last record");
                    }
                    self.ended = true;
                    Ok(Poll::End)
                }
                // Said by the decompressor, not by the system: the file is at fault.
                Err(error) if error.raw_os_error().is_none() => {
                    self.cut(format_args!("cannot be decompressed further: {error}"));
                    Ok(Poll::End)
                }
                Err(error) => Err(Error(format!("-i {}: cannot be read on: {error}", self.name))),
            },
        }
    }

    fn counters(&mut self) -> Counters {
        self.counters
    }

    fn warning(&mut self) -> Option<String> {
        let mut told: Vec<String> = self.warning.take().into_iter().collect();
        if self.ended {
            told.extend(self.unread.drain(..).map(|(_, link, packets)| {
                let name = &self.name;
                format!("{name}: link type {link} is not read: its {packets} packets are counted as link_type")
            }));
        }
        (!told.is_empty()).then(|| told.join("; "))
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.total.map(|total| (self.read.load(Ordering::Relaxed).min(total), total))
    }
}

/// Interfaces that are told apart in what is said of link types.
const MOST_UNREAD: usize = 16;

/// Counts a frame that nothing can read.
#[cold]
fn note(unread: &mut Vec<(u32, LinkType, u64)>, frame: &Frame<'_>) {
    let at = unread.iter().position(|(interface, link, _)| *interface == frame.interface && *link == frame.link);
    if at.is_none() && unread.len() < MOST_UNREAD {
        unread.push((frame.interface, frame.link, 0));
    }
    let last = unread.len().saturating_sub(1);
    if let Some((.., packets)) = unread.get_mut(at.unwrap_or(last)) {
        *packets += 1;
    }
}

/// Frames of one call, on the stack.
struct Batch<'a> {
    frames: [Frame<'a>; BATCH],
    len: usize,
    used: usize,
    /// Packets that cannot be read, though what is behind them can.
    unread: u64,
    /// What was wrong with one of them.
    broken: Option<Short>,
    filtered: u64,
}

/// Why no more frames were put into a batch.
enum Stop {
    Full,
    Short,
    Broken(String),
}

impl<'a> Batch<'a> {
    fn pcap(
        &mut self,
        header: &pcap::Header,
        bytes: &'a [u8],
        mut filters: Option<&mut Filters>,
    ) -> Result<Stop, Error> {
        let mut cursor = Cursor::new(bytes);
        while let Some(place) = self.frames.get_mut(self.len) {
            let frame = match header.record(&mut cursor) {
                Ok(frame) => frame,
                Err(pcap::Fault::Short(_)) => return Ok(Stop::Short),
                Err(fault) => return Ok(Stop::Broken(fault.to_string())),
            };
            self.used = cursor.position();
            if let Some(filters) = filters.as_deref_mut()
                && !filters.matches(&frame)?
            {
                self.filtered += 1;
                continue;
            }
            *place = frame;
            self.len += 1;
        }
        Ok(Stop::Full)
    }

    fn pcapng(
        &mut self,
        section: &mut pcapng::Section,
        bytes: &'a [u8],
        mut filters: Option<&mut Filters>,
    ) -> Result<Stop, Error> {
        while let Some(place) = self.frames.get_mut(self.len) {
            // A block that is stepped over may reach past what is in view.
            let Some(rest) = bytes.get(self.used..) else { return Ok(Stop::Short) };
            let (block, length) = match section.block(rest) {
                Ok(read) => read,
                Err(pcapng::Fault::Short(_)) => return Ok(Stop::Short),
                Err(fault) => return Ok(Stop::Broken(fault.to_string())),
            };
            self.used += length;
            let frame = match block {
                pcapng::Block::Packet(frame) => frame,
                pcapng::Block::Orphan => {
                    self.unread += 1;
                    continue;
                }
                pcapng::Block::Broken(short) => {
                    self.unread += 1;
                    self.broken = Some(short);
                    continue;
                }
                pcapng::Block::Other => continue,
            };
            if let Some(filters) = filters.as_deref_mut()
                && !filters.matches(&frame)?
            {
                self.filtered += 1;
                continue;
            }
            *place = frame;
            self.len += 1;
        }
        Ok(Stop::Full)
    }
}

/// What a stream that is no capture might be, and what to do about it.
fn remedy(magic: &[u8; 4]) -> &'static str {
    match magic {
        [0xfd, b'7', b'z', b'X'] => "an xz file: decompress it first, as in xzcat FILE | flowsonde -i -",
        [b'B', b'Z', b'h', _] => "a bzip2 file: decompress it first, as in bzcat FILE | flowsonde -i -",
        [0x04, 0x22, 0x4d, 0x18] => "an lz4 file: decompress it first, as in lz4cat FILE | flowsonde -i -",
        [b's', b'n', b'o', b'o'] => "a snoop capture: convert it first, as in editcap FILE new.pcap",
        _ => "captures of other kinds can be converted with editcap",
    }
}

/// The file itself: counts what is read, and does not wait long for a pipe.
struct Pipe {
    file: File,
    waits: bool,
    read: Arc<AtomicU64>,
}

impl Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.waits && !kernel::readable(self.file.as_fd(), Duration::from_millis(100))? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.file.read(out)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
