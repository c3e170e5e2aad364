//! Where a message ends in a stream.
//!
//! IPFIX tells its length in the header (RFC 7011, section 10.4.2.2). NetFlow v5 follows from its count. NetFlow v9 has
//! neither length nor a count that helps without templates, so its flow sets are followed: a set begins with an id, 0, 1
//! or above 255 (RFC 3954, section 5.2), and a message with its version, 9. So what stands where the next set would tells
//! which it is. Only that the last message is over is told by nothing but silence, or the end of the session.
//!
//! Anything else is not a message, and nothing behind it can be trusted: there is no mark to find the next one by.

use flowsonde_wire::Cursor;
use flowsonde_wire::export::{Datagram, ipfix, netflow5, netflow9};

use super::{BATCH, Counters, NOTHING, Take};

/// The longest message: what a length of 16 bits can tell.
pub(super) const LONGEST: usize = 65_535;

/// What is at the start of the bytes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A message of so many bytes.
    Message(usize),
    /// A message of so many bytes, unless more of it comes.
    Perhaps(usize),
    /// The beginning of one.
    More,
    /// No message.
    Broken,
}

/// Finds messages, one behind the other. Remembers how far it has looked into one that is not whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Framer {
    /// Where the next flow set of the message begins.
    walked: usize,
}

impl Framer {
    /// Looks at `bytes`, which begin where the last message ended.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Next {
        let next = self.look(bytes);
        if matches!(next, Next::Message(_)) {
            self.walked = 0;
        }
        next
    }

    /// Hands on the messages at the start of `bytes`, each with the origin of `like`. Gives what is left, and what it is.
    pub(super) fn hand_on<'a>(
        &mut self,
        bytes: &'a [u8],
        like: Datagram<'_>,
        take: &mut dyn Take,
        counters: &mut Counters,
    ) -> (&'a [u8], Next) {
        let mut rest = bytes;
        let mut batch = [NOTHING; BATCH];
        let mut filled = 0;
        let end = loop {
            match self.next(rest) {
                Next::Message(length) => {
                    let (bytes, next) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                    if let Some(place) = batch.get_mut(filled) {
                        *place = Datagram { bytes, ..like };
                    }
                    filled += 1;
                    counters.datagrams += 1;
                    counters.bytes += bytes.len() as u64;
                    if filled == BATCH {
                        take.datagrams(&batch);
                        filled = 0;
                    }
                    rest = next;
                }
                end => break end,
            }
        };
        if filled > 0 {
            take.datagrams(batch.get(..filled).unwrap_or(&batch));
        }
        (rest, end)
    }

    fn look(&mut self, bytes: &[u8]) -> Next {
        let mut c = Cursor::new(bytes);
        match c.u16("version") {
            Err(_) => Next::More,
            Ok(ipfix::VERSION) => match c.u16("length").map(usize::from) {
                Err(_) => Next::More,
                Ok(length) if length < ipfix::HEADER => Next::Broken,
                Ok(length) => whole(bytes, length),
            },
            Ok(netflow5::VERSION) => match c.u16("count").map(usize::from) {
                Err(_) => Next::More,
                Ok(count) => match netflow5::HEADER + count * netflow5::RECORD {
                    length if length > LONGEST => Next::Broken,
                    length => whole(bytes, length),
                },
            },
            Ok(netflow9::VERSION) => self.walk(bytes),
            Ok(_) => Next::Broken,
        }
    }

    /// Goes from flow set to flow set.
    fn walk(&mut self, bytes: &[u8]) -> Next {
        self.walked = self.walked.max(netflow9::HEADER);
        loop {
            if self.walked > LONGEST {
                return Next::Broken;
            }
            let Some(rest) = bytes.get(self.walked..) else { return Next::More };
            let mut c = Cursor::new(rest);
            match c.u16("flow set id") {
                Err(_) if c.is_empty() => return Next::Perhaps(self.walked),
                Err(_) => return Next::More,
                Ok(netflow9::VERSION | netflow5::VERSION | ipfix::VERSION) => return Next::Message(self.walked),
                Ok(2..=255) => return Next::Broken,
                Ok(_) => {}
            }
            match c.u16("flow set length") {
                Err(_) => return Next::More,
                Ok(..4) => return Next::Broken,
                Ok(length) => self.walked += usize::from(length),
            }
        }
    }

    /// Whether bytes that begin a stream could be a message; for streams of which nobody said that they are exports.
    pub(super) fn plausible(bytes: &[u8]) -> bool {
        let version = bytes.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
        matches!(version, Some(ipfix::VERSION | netflow9::VERSION)) && Framer::default().next(bytes) != Next::Broken
    }
}

fn whole(bytes: &[u8], length: usize) -> Next {
    if bytes.len() >= length { Next::Message(length) } else { Next::More }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An IPFIX message of `length` bytes.
    pub(in super::super) fn message(length: u16, salt: u8) -> Vec<u8> {
        let header = ipfix::Header { length, seconds: 1, sequence: u32::from(salt), domain: 7 };
        let mut bytes = header.to_bytes().to_vec();
        bytes.resize(usize::from(length), salt);
        bytes
    }

    /// A NetFlow v9 message with sets of these ids, each with `id % 7` words in it.
    pub(in super::super) fn v9(sets: &[u16]) -> Vec<u8> {
        let mut bytes = netflow9::Header { count: 1, ..Default::default() }.to_bytes().to_vec();
        for set in sets {
            let words = usize::from(set % 7);
            bytes.extend(set.to_be_bytes());
            bytes.extend((4 + 4 * words as u16).to_be_bytes());
            bytes.extend(vec![9; 4 * words]);
        }
        bytes
    }

    fn lengths(stream: &[u8]) -> (Vec<usize>, Next) {
        let (mut framer, mut rest, mut found) = (Framer::default(), stream, Vec::new());
        loop {
            match framer.next(rest) {
                Next::Message(length) => {
                    found.push(length);
                    rest = &rest[length..];
                }
                end => return (found, end),
            }
        }
    }

    #[test]
    fn messages_of_all_versions_end_where_they_should() {
        let mut five = vec![0, 5, 0, 2];
        five.resize(24 + 2 * 48, 1);
        let (a, b, c) = (message(16, 1), message(100, 2), v9(&[0, 1, 256, 300]));
        let stream = [&a[..], &b, &c, &c, &five, &b, &c].concat();
        let (found, end) = lengths(&stream);
        assert_eq!(found, [16, 100, c.len(), c.len(), five.len(), 100]);
        assert_eq!(end, Next::Perhaps(c.len()));
        assert_eq!(lengths(&[]).1, Next::More);
    }

    #[test]
    fn however_a_stream_is_cut_it_gives_the_same_messages() {
        let stream = [message(40, 1), v9(&[0, 260]), v9(&[256, 257, 1]), message(17, 3)].concat();
        let whole = lengths(&stream).0;
        for cut in 0..stream.len() {
            let (mut framer, mut start, mut end, mut found) = (Framer::default(), 0, cut, Vec::new());
            loop {
                match framer.next(&stream[start..end]) {
                    Next::Message(length) => {
                        found.push(length);
                        start += length;
                    }
                    Next::Broken => panic!("cut at {cut}"),
                    Next::More | Next::Perhaps(_) if end == stream.len() => break,
                    Next::More | Next::Perhaps(_) => end += 1,
                }
            }
            assert_eq!(found, whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_message_is_broken() {
        for bytes in [&[0, 8, 0, 16][..], &[0, 10, 0, 15], &[0x16, 3, 1], b"GET / HTTP/1.1", &[0, 5, 0xff, 0xff]] {
            assert_eq!(Framer::default().next(bytes), Next::Broken, "{bytes:?}");
            assert!(!Framer::plausible(bytes));
        }
        assert_eq!(Framer::default().next(&[v9(&[]), vec![0, 2, 0, 4]].concat()), Next::Broken);
        assert_eq!(Framer::default().next(&[v9(&[0]), vec![1, 0, 0, 3]].concat()), Next::Broken);
        let set = [&[1, 0, 0x40, 0][..], &[0; 0x3ffc]].concat();
        assert_eq!(Framer::default().next(&[v9(&[]), set.repeat(5)].concat()), Next::Broken);
    }
}
