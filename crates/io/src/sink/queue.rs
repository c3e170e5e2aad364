//! Whole messages that wait to be written to a stream of bytes, within a bound.
//!
//! A stream may take half a message; the queue knows which records are all gone, which are half gone and which have not
//! begun, so that a loss is counted for what it is.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

/// The messages waiting.
#[derive(Debug)]
pub(super) struct Queue {
    bytes: VecDeque<u8>,
    /// Length and records of each message.
    messages: VecDeque<(usize, u32)>,
    /// Bytes of the first message that are written already.
    begun: usize,
    records: u64,
    limit: usize,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Records of messages that are written to the end.
    pub(super) records: u64,
    pub(super) bytes: u64,
}

/// What was thrown away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Records of the message that was half written.
    pub(super) torn: u64,
    /// Bytes of that message which are written.
    pub(super) torn_bytes: usize,
    /// Records of messages of which nothing was written.
    pub(super) whole: u64,
}

/// Room beyond the bound for messages without records: templates, without which what follows cannot be read.
const TEMPLATES: usize = 64 << 10;

impl Queue {
    /// Holds up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Queue { bytes: VecDeque::new(), messages: VecDeque::new(), begun: 0, records: 0, limit }
    }

    /// Adds a message, if there is room.
    pub(super) fn push(&mut self, message: &[u8], records: u32) -> bool {
        let limit = if records == 0 { self.limit + TEMPLATES } else { self.limit };
        if self.bytes.len() + message.len() > limit {
            return false;
        }
        self.bytes.extend(message);
        self.messages.push_back((message.len(), records));
        self.records += u64::from(records);
        true
    }

    /// Bytes waiting.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Records in messages not written to the end.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Writes until all is written or the writer errs; "would block" is such an error.
    pub(super) fn drain(&mut self, writer: &mut dyn Write) -> (Written, io::Result<()>) {
        let mut written = Written::default();
        while !self.is_empty() {
            let (first, second) = self.bytes.as_slices();
            match writer.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    written.bytes += count as u64;
                    written.records += self.advance(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) -> Dropped {
        let torn = match self.messages.front() {
            Some((_, records)) if self.begun > 0 => u64::from(*records),
            _ => 0,
        };
        let dropped = Dropped { torn, torn_bytes: self.begun, whole: self.records - torn };
        self.bytes.clear();
        self.messages.clear();
        self.begun = 0;
        self.records = 0;
        dropped
    }

    /// Takes off what was written; tells the records that are gone with it.
    fn advance(&mut self, count: usize) -> u64 {
        self.bytes.drain(..count.min(self.bytes.len()));
        self.begun += count;
        let mut records = 0;
        while let Some((length, of_message)) = self.messages.front().copied() {
            if self.begun < length {
                break;
            }
            self.begun -= length;
            records += u64::from(of_message);
            self.messages.pop_front();
        }
        self.records -= records;
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, then errs.
    struct Narrow {
        room: usize,
        bytes: Vec<u8>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room).min(3);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= count;
            self.bytes.extend(bytes.iter().take(count));
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn half_a_message_is_known() {
        let mut queue = Queue::new(100);
        for (message, records) in [(&b"hello"[..], 2), (b"big", 3), (b"world", 4)] {
            assert!(queue.push(message, records));
        }
        let mut narrow = Narrow { room: 7, bytes: Vec::new() };
        let (written, result) = queue.drain(&mut narrow);
        assert!(result.is_err());
        assert_eq!(written, Written { records: 2, bytes: 7 });
        assert_eq!(queue.records(), 7);
        assert_eq!(queue.clear(), Dropped { torn: 3, torn_bytes: 2, whole: 4 });
        assert!(queue.is_empty() && queue.records() == 0);
        assert_eq!(queue.clear(), Dropped::default());

        assert!(queue.push(b"again", 1));
        narrow.room = 100;
        assert_eq!(queue.drain(&mut narrow).0, Written { records: 1, bytes: 5 });
        assert_eq!(narrow.bytes, b"hellobiagain");
    }

    #[test]
    fn bound_is_kept_but_for_templates() {
        let mut queue = Queue::new(10);
        assert!(queue.push(&[1; 6], 1));
        assert!(!queue.push(&[1; 5], 1));
        assert!(queue.push(&[1; 5], 0));
        assert!(!queue.push(&[1; 1], 1));
        assert!(!queue.push(&[1; TEMPLATES], 0));
        assert_eq!(queue.records(), 1);
    }
}
