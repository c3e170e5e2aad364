//! What tests hand messages to: a list.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};

use super::{BATCH, Exports, Take};
use crate::source::Poll;

/// One message, copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) time: Nanos,
    pub(super) transport: Transport,
    pub(super) from: SocketAddr,
    pub(super) to: u16,
    pub(super) bytes: Vec<u8>,
}

/// All that was handed on.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) messages: Vec<Message>,
    pub(super) closed: Vec<(Transport, SocketAddr, u16)>,
}

impl Take for Kept {
    fn datagrams(&mut self, batch: &[Datagram<'_>]) {
        assert!(!batch.is_empty() && batch.len() <= BATCH);
        self.messages.extend(batch.iter().map(|d| Message {
            time: d.time,
            transport: d.transport,
            from: d.from,
            to: d.to,
            bytes: d.bytes.to_vec(),
        }));
    }

    fn closed(&mut self, transport: Transport, from: SocketAddr, to: u16) {
        self.closed.push((transport, from, to));
    }
}

impl Kept {
    /// Polls until `done`, or the source is at its end. Panics after ten seconds.
    pub(super) fn until(&mut self, source: &mut dyn Exports, done: impl Fn(&Kept) -> bool) {
        let clock = Instant::now();
        while !done(self) {
            let before = self.messages.len();
            match source.poll(self).unwrap() {
                Poll::Frames(count) => assert_eq!(self.messages.len() - before, count),
                Poll::Idle => assert_eq!(self.messages.len(), before),
                Poll::End => return,
            }
            assert!(clock.elapsed() < Duration::from_secs(10), "after ten seconds: {} messages", self.messages.len());
        }
    }

    /// Reads a source to its end.
    pub(super) fn all(source: &mut dyn Exports) -> Kept {
        let mut kept = Kept::default();
        while source.poll(&mut kept).unwrap() != Poll::End {}
        kept
    }

    /// The payloads, in order.
    pub(super) fn bytes(&self) -> Vec<&[u8]> {
        self.messages.iter().map(|m| &m.bytes[..]).collect()
    }
}
