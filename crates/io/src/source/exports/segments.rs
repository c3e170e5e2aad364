//! Streams of messages in a capture: IPFIX, or NetFlow v9, over TCP, followed as far as the segments come in order.
//!
//! A stream begins with its SYN, or, when the capture began later or a segment is missing, with the next segment that
//! looks like the start of a message. Where no port says that a stream is one of messages, only the latter counts. What comes again is passed over; a gap ends the session, as the templates that may
//! have been in it are gone.

use std::collections::HashMap;
use std::net::SocketAddr;

use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};
use flowsonde_wire::transport::tcp::{Header, flag};

use super::framing::{Framer, Next};
use super::{Counters, Take};

/// Streams followed at once; no more are begun then.
const MAX_STREAMS: usize = 1_024;

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) time: Nanos,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) header: Header,
    pub(super) bytes: &'a [u8],
}

#[derive(Debug)]
struct Stream {
    /// The sequence number that comes next.
    next: u32,
    framer: Framer,
    partial: Vec<u8>,
    /// `partial` is a whole message if nothing comes.
    perhaps: bool,
    /// A message came of it.
    begun: bool,
    time: Nanos,
}

/// Streams under way.
#[derive(Debug)]
pub(super) struct Segments {
    /// All segments are of exports, as their port says.
    sure: bool,
    streams: HashMap<(SocketAddr, SocketAddr), Stream>,
}

impl Segments {
    pub(super) fn new(sure: bool) -> Self {
        Segments { sure, streams: HashMap::new() }
    }

    /// Takes a segment, and hands on the messages it made whole; tells how many.
    pub(super) fn take(&mut self, segment: &Segment<'_>, take: &mut dyn Take, counters: &mut Counters) -> usize {
        let key = (segment.from, segment.to);
        let flags = segment.header.flags;
        let mut total = 0;
        if flags & flag::SYN != 0 {
            // A port that is used again.
            total += self.end(key, take, counters);
            if self.sure {
                self.begin(key, segment.header.seq.wrapping_add(1), segment.time);
            }
        }
        if !segment.bytes.is_empty() {
            total += self.data(key, segment, take, counters);
        }
        if flags & (flag::FIN | flag::RST) != 0 {
            total += self.end(key, take, counters);
        }
        total
    }

    fn begin(&mut self, key: (SocketAddr, SocketAddr), next: u32, time: Nanos) -> bool {
        if self.streams.len() >= MAX_STREAMS {
            return false;
        }
        let framer = Framer::default();
        self.streams.insert(key, Stream { next, framer, partial: Vec::new(), perhaps: false, begun: false, time });
        true
    }

    fn data(
        &mut self,
        key: (SocketAddr, SocketAddr),
        segment: &Segment<'_>,
        take: &mut dyn Take,
        counters: &mut Counters,
    ) -> usize {
        let seq = segment.header.seq;
        let mut total = 0;
        if self.streams.get(&key).is_some_and(|stream| ahead(seq, stream.next) > 0) {
            total += self.end(key, take, counters);
        }
        let known = self.streams.contains_key(&key);
        if !known && (!Framer::plausible(segment.bytes) || !self.begin(key, seq, segment.time)) {
            self.pass_over(counters);
            return total;
        }
        let Some(stream) = self.streams.get_mut(&key) else { return total };
        // What was there before, as far as it was.
        let known = usize::try_from(ahead(seq, stream.next).wrapping_neg()).unwrap_or(usize::MAX);
        let Some(new) = segment.bytes.get(known..).filter(|new| !new.is_empty()) else { return total };
        if !stream.begun && stream.partial.is_empty() && !Framer::plausible(new) {
            self.streams.remove(&key);
            self.pass_over(counters);
            return total;
        }
        stream.next = stream.next.wrapping_add(new.len() as u32);
        stream.time = segment.time;
        let (count, broken) = stream.feed(new, segment, take, counters);
        total += count;
        if broken {
            counters.framing += 1;
            counters.framing_bytes += stream.partial.len() as u64;
            stream.partial.clear();
            total += self.end(key, take, counters);
        }
        total
    }

    fn pass_over(&self, counters: &mut Counters) {
        if self.sure {
            counters.not_followed += 1;
        } else {
            counters.other += 1;
        }
    }

    /// A stream is over.
    fn end(&mut self, key: (SocketAddr, SocketAddr), take: &mut dyn Take, counters: &mut Counters) -> usize {
        let Some(stream) = self.streams.remove(&key) else { return 0 };
        let (from, to) = (key.0, key.1.port());
        let mut total = 0;
        if stream.perhaps {
            counters.datagrams += 1;
            counters.bytes += stream.partial.len() as u64;
            let (time, bytes) = (stream.time, &stream.partial[..]);
            take.datagrams(&[Datagram { time, transport: Transport::Tcp, from, to, local: None, bytes }]);
            counters.sessions += u64::from(!stream.begun);
            total = 1;
        } else if !stream.partial.is_empty() {
            counters.unfinished += 1;
            counters.framing_bytes += stream.partial.len() as u64;
        }
        if stream.begun || total > 0 {
            take.closed(Transport::Tcp, from, to);
        }
        total
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self, take: &mut dyn Take, counters: &mut Counters) -> usize {
        let mut keys: Vec<_> = self.streams.keys().copied().collect();
        keys.sort_unstable();
        keys.into_iter().map(|key| self.end(key, take, counters)).sum()
    }
}

impl Stream {
    /// Hands on messages; what is left is in `partial`. True when that is no message.
    fn feed(
        &mut self,
        new: &[u8],
        segment: &Segment<'_>,
        take: &mut dyn Take,
        counters: &mut Counters,
    ) -> (usize, bool) {
        let held = core::mem::take(&mut self.partial);
        let joined = if held.is_empty() { held } else { [&held[..], new].concat() };
        let bytes = if joined.is_empty() { new } else { &joined[..] };
        let (time, from, to) = (segment.time, segment.from, segment.to.port());
        let like = Datagram { time, transport: Transport::Tcp, from, to, local: None, bytes: &[] };
        let before = counters.datagrams;
        let (rest, end) = self.framer.hand_on(bytes, like, take, counters);
        let total = (counters.datagrams - before) as usize;
        if total > 0 && !self.begun {
            self.begun = true;
            counters.sessions += 1;
        }
        self.perhaps = matches!(end, Next::Perhaps(_));
        self.partial = rest.to_vec();
        (total, end == Next::Broken)
    }
}

/// How far `seq` is ahead of `next`, negative when it is behind; sequence numbers wrap.
fn ahead(seq: u32, next: u32) -> i32 {
    seq.wrapping_sub(next).cast_signed()
}
