//! Datagrams gathered into a batch.

use flowsonde_wire::Nanos;
use flowsonde_wire::export::Datagram;
use flowsonde_wire::relay::{self, Batch, HEAD, kind};

/// Most datagrams of a batch: what one acknowledgement covers.
const MOST: u32 = 4096;

/// A batch under way.
#[derive(Debug)]
pub(super) struct Packer {
    /// Room for its head, then the datagrams.
    frame: Vec<u8>,
    count: u32,
    first: u64,
    time: Nanos,
    /// Bytes of datagrams at which it is full.
    bytes: usize,
    compress: bool,
}

/// A batch that is whole.
#[derive(Debug)]
pub(super) struct Packed {
    pub frame: Vec<u8>,
    pub first: u64,
    pub count: u32,
    /// When its first datagram came.
    pub time: Nanos,
}

impl Packed {
    /// The number behind its last.
    pub fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }
}

impl Packer {
    pub fn new(bytes: usize, compress: bool) -> Packer {
        let bytes = bytes.min(relay::MOST - HEAD);
        Packer { frame: Vec::new(), count: 0, first: 0, time: Nanos(0), bytes, compress }
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    /// When the first of it came.
    pub fn since(&self) -> Option<Nanos> {
        (self.count > 0).then_some(self.time)
    }

    /// Whether this one still goes in. An empty one takes anything.
    pub fn has_room(&self, datagram: &Datagram<'_>) -> bool {
        let size = relay::size(&datagram.from, datagram.bytes.len());
        self.count == 0 || self.count < MOST && self.frame.len() + size <= HEAD + self.bytes
    }

    /// Puts in the datagram of this number, the next after the last one's.
    pub fn put(&mut self, number: u64, datagram: &Datagram<'_>) {
        if self.count == 0 {
            self.frame.clear();
            self.frame.resize(HEAD, 0);
            (self.first, self.time) = (number, datagram.time);
        }
        relay::put(datagram, self.time, &mut self.frame);
        self.count += 1;
    }

    /// What was put in, if there is any.
    pub fn close(&mut self) -> Option<Packed> {
        if self.count == 0 {
            return None;
        }
        // A small one takes no more memory than it needs, for as long as it waits.
        let mut frame = match self.frame.len() < self.frame.capacity() / 2 {
            true => self.frame.as_slice().to_vec(),
            false => core::mem::replace(&mut self.frame, Vec::with_capacity(self.bytes + HEAD)),
        };
        let length = frame.len() - HEAD;
        let (count, first, time) = (core::mem::take(&mut self.count), self.first, self.time);
        let mut batch = Batch { compressed: false, count, first, time, length: length as u32, bytes: &[] };
        if self.compress
            && let Ok(small) = zstd::bulk::compress(frame.get(HEAD..).unwrap_or(&[]), 1)
            && small.len() < length
        {
            batch.compressed = true;
            frame.truncate(HEAD);
            frame.extend_from_slice(&small);
            frame.shrink_to_fit();
        }
        let head = batch.head(kind::BATCH);
        frame.iter_mut().zip(head).for_each(|(place, byte)| *place = byte);
        Some(Packed { frame, first, count, time })
    }
}
