//! The message under way: sets one behind the other, the last of them open.

use core::marker::PhantomData;

use flowsonde_wire::Nanos;

use crate::encode::Messages;
use crate::encode::session::{Protocol, SET_HEADER, Tally, close_set, open_set};

/// See the module.
#[derive(Debug)]
pub(super) struct Message<P> {
    bytes: Vec<u8>,
    tally: Tally,
    set: Option<Open>,
    /// When the first of what it holds came.
    since: Nanos,
    protocol: PhantomData<P>,
}

/// The set that takes records.
#[derive(Clone, Copy, Debug)]
struct Open {
    id: u16,
    start: usize,
    /// Bytes of its shortest record.
    shortest: usize,
}

impl<P: Protocol> Message<P> {
    /// With nothing in it.
    pub fn new() -> Message<P> {
        Message {
            bytes: vec![0; P::HEADER],
            tally: Tally::default(),
            set: None,
            since: Nanos(0),
            protocol: PhantomData,
        }
    }

    /// Flow records in it.
    pub fn records(&self) -> u32 {
        self.tally.flows
    }

    /// True when it holds nothing worth sending.
    pub fn is_empty(&self) -> bool {
        self.tally == Tally::default()
    }

    /// Its bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// When the first of what it holds came.
    pub fn since(&self) -> Nanos {
        self.since
    }

    /// Bytes a record of this set takes besides its own.
    pub fn cost(&self, id: u16) -> usize {
        if self.set.is_some_and(|set| set.id == id) { 0 } else { SET_HEADER + 3 * usize::from(P::PADDED) }
    }

    /// Appends whole sets.
    pub fn sets(&mut self, sets: &[u8], tally: Tally, now: Nanos) {
        if self.is_empty() {
            self.since = now;
        }
        self.close();
        self.bytes.extend_from_slice(sets);
        self.tally.templates += tally.templates;
        self.tally.options += tally.options;
    }

    /// Opens the set for records of a template, unless it is open.
    #[inline]
    pub fn open(&mut self, id: u16, shortest: usize, now: Nanos) {
        if self.is_empty() {
            self.since = now;
        }
        if self.set.is_some_and(|set| set.id == id) {
            return;
        }
        self.close();
        self.set = Some(Open { id, start: self.bytes.len(), shortest });
        open_set(id, &mut self.bytes);
    }

    /// Where records are appended; what was is told by [`Message::took`].
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// So many records were appended.
    pub fn took(&mut self, records: u32) {
        self.tally.flows += records;
    }

    fn close(&mut self) {
        let Some(set) = self.set.take() else { return };
        if self.bytes.len() == set.start + SET_HEADER {
            self.bytes.truncate(set.start);
        } else {
            // Padding must be shorter than any record, or it might be read as one.
            close_set(&mut self.bytes, set.start, P::PADDED && set.shortest > 3);
        }
    }

    /// Ends it, hands it on, and begins the next. Tells what it held.
    pub fn finish(&mut self, header: impl FnOnce(Tally, &mut [u8]), out: &mut Messages) -> Tally {
        self.close();
        let tally = core::mem::take(&mut self.tally);
        header(tally, &mut self.bytes);
        out.buffer().extend_from_slice(&self.bytes);
        out.finish(tally.flows);
        self.bytes.truncate(P::HEADER);
        tally
    }
}
