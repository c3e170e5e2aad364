//! What a relay and a collector say to each other (`docs/relay-protocol.md`): one message a frame, numbers big-endian.
//!
//! ```text
//! every frame   version u8 = 1 | kind u8 | what it is of, below
//!
//! 1 welcome     flags u16 | relay [16] | epoch u64 | first u64 | next u64             relay, to whoever comes
//! 2 attach      flags u16 | relay [16] | epoch u64 | next u64                         collector, in answer
//! 3 batch       flags u16 | count u32 | first u64 | time u64 | length u32 | datagrams relay
//! 4 acknowledge zero u16 | epoch u64 | next u64                                       collector
//! 5 gap         reason u16 | first u64 | count u64                                    relay
//! 6 templates   as a batch, first being 0
//! 7 beat        zero u16 | time u64                                                   both, every second
//! 8 books       count u16 | exporters                                                 relay
//!
//! datagram      length u16 | to u16 | from port u16 | family u8: 4, 6 | zero u8 | after u32 | address [4], [16] | bytes
//! exporter      family u8 | zero u8 | port u16 | address [16] | received u64 | passed on u64 | not flow u64 | rate u64
//!               | not allowed u64
//! ```
//!
//! Sequence numbers count datagrams, from 0. `time` is in nanoseconds since 1970, `after` nanoseconds behind it. `length` is
//! that of the datagrams before compression.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::export::{Datagram, Transport};
use crate::{Cursor, Nanos, Short};

/// The version of the protocol.
pub const VERSION: u8 = 1;

/// Bytes of datagrams in a batch at most, and of a frame with them.
pub const MOST: usize = 256 << 10;

/// Bytes before the datagrams of a batch.
pub const HEAD: usize = 28;

/// Who a relay is: drawn at its first start, or made from its public key.
pub type Relay = [u8; 16];

/// Where the sequence numbers of a relay begin that a collector knows nothing of.
pub const UNKNOWN: u64 = u64::MAX;

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The relay says who it is and what it has.
    Welcome {
        /// Sequence numbers go on where they were before the relay was started anew: it has a spool.
        durable: bool,
        /// Who it is.
        relay: Relay,
        /// When it was started.
        epoch: u64,
        /// The oldest datagram it has.
        first: u64,
        /// The number of the next datagram to come.
        next: u64,
    },
    /// The collector wants all from `next` on.
    Attach {
        /// Of the welcome.
        relay: Relay,
        /// Of the welcome.
        epoch: u64,
        /// The first datagram it does not have; [`UNKNOWN`] when it knows nothing of this relay.
        next: u64,
    },
    /// Datagrams.
    Batch(Batch<'a>),
    /// Every datagram before `next` is the collector's.
    Acknowledge {
        /// Of the welcome.
        epoch: u64,
        /// The first that is not.
        next: u64,
    },
    /// Datagrams that the relay received and has no more.
    Gap {
        /// Why.
        reason: Reason,
        /// The first of them.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Messages of templates that came before, without numbers.
    Templates(Batch<'a>),
    /// The sender lives.
    Beat {
        /// Its clock.
        time: Nanos,
    },
    /// What exporters sent so far.
    Books(Books<'a>),
}

/// Why a relay lost datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its memory was full, and it has no spool.
    BufferFull,
    /// Its spool was full.
    SpoolFull,
    /// It ended without a chance to store them.
    Restart,
    /// What its spool held was broken.
    SpoolBroken,
    /// Something a newer relay knows.
    Other(u16),
}

impl Reason {
    /// All that have a name.
    pub const ALL: [Reason; 5] =
        [Reason::BufferFull, Reason::SpoolFull, Reason::Restart, Reason::SpoolBroken, Reason::Other(0)];

    fn number(self) -> u16 {
        match self {
            Reason::BufferFull => 1,
            Reason::SpoolFull => 2,
            Reason::Restart => 3,
            Reason::SpoolBroken => 4,
            Reason::Other(number) => number,
        }
    }

    fn of(number: u16) -> Reason {
        match number {
            1 => Reason::BufferFull,
            2 => Reason::SpoolFull,
            3 => Reason::Restart,
            4 => Reason::SpoolBroken,
            other => Reason::Other(other),
        }
    }

    /// As the ledger calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::BufferFull => "relay_buffer_full",
            Reason::SpoolFull => "relay_spool_full",
            Reason::Restart => "relay_restart",
            Reason::SpoolBroken => "relay_spool_broken",
            Reason::Other(_) => "relay_other",
        }
    }
}

/// Datagrams, one behind the other, with consecutive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Its datagrams are compressed, by Zstandard.
    pub compressed: bool,
    /// How many.
    pub count: u32,
    /// The number of the first.
    pub first: u64,
    /// When the first came.
    pub time: Nanos,
    /// Bytes of the datagrams, uncompressed: at most [`MOST`].
    pub length: u32,
    /// The datagrams.
    pub bytes: &'a [u8],
}

/// What a relay counted, by exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Books<'a> {
    count: u16,
    bytes: &'a [u8],
}

/// What an exporter sent to a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exporter {
    /// Its address and port.
    pub from: SocketAddr,
    /// Datagrams that came.
    pub received: u64,
    /// Datagrams that were passed on.
    pub passed: u64,
    /// Lost: no flow traffic.
    pub not_flow: u64,
    /// Lost: more than it may send.
    pub rate: u64,
    /// Lost: it may send nothing.
    pub not_allowed: u64,
}

/// Bytes of an [`Exporter`].
const EXPORTER: usize = 60;

/// Why a frame is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It ends too early.
    Short(Short),
    /// Another version, of which nothing is known.
    Version(u8),
    /// A kind of frame that is not known.
    Kind(u8),
    /// A length that cannot be.
    Length(u32),
}

impl From<Short> for Unread {
    fn from(short: Short) -> Unread {
        Unread::Short(short)
    }
}

impl core::fmt::Display for Unread {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Unread::Short(short) => short.fmt(f),
            Unread::Version(version) => write!(f, "version {version} of the relay's protocol; {VERSION} is known"),
            Unread::Kind(kind) => write!(f, "a frame of the unknown kind {kind}"),
            Unread::Length(length) => write!(f, "{length} bytes of datagrams, of at most {MOST}"),
        }
    }
}

impl<'a> Frame<'a> {
    /// Reads a frame.
    pub fn read(bytes: &'a [u8]) -> Result<Frame<'a>, Unread> {
        let mut c = Cursor::new(bytes);
        let version = c.u8("version")?;
        if version != VERSION {
            return Err(Unread::Version(version));
        }
        let kind = c.u8("kind")?;
        let flags = c.u16("flags")?;
        Ok(match kind {
            1 => Frame::Welcome {
                durable: flags & 1 == 1,
                relay: c.array("relay")?,
                epoch: c.u64("epoch")?,
                first: c.u64("first")?,
                next: c.u64("next")?,
            },
            2 => Frame::Attach { relay: c.array("relay")?, epoch: c.u64("epoch")?, next: c.u64("next")? },
            3 => Frame::Batch(Batch::read(flags, c)?),
            4 => Frame::Acknowledge { epoch: c.u64("epoch")?, next: c.u64("next")? },
            5 => Frame::Gap { reason: Reason::of(flags), first: c.u64("first")?, count: c.u64("count")? },
            6 => Frame::Templates(Batch::read(flags, c)?),
            7 => Frame::Beat { time: Nanos(c.u64("time")?) },
            8 => Frame::Books(Books { count: flags, bytes: c.take(usize::from(flags) * EXPORTER, "exporters")? }),
            other => return Err(Unread::Kind(other)),
        })
    }

    /// Writes it behind what `out` holds.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut head = |kind: u8, flags: u16| {
            out.extend_from_slice(&[VERSION, kind]);
            out.extend_from_slice(&flags.to_be_bytes());
        };
        match self {
            Frame::Welcome { durable, relay, epoch, first, next } => {
                head(1, u16::from(*durable));
                out.extend_from_slice(relay);
                numbers(&[*epoch, *first, *next], out);
            }
            Frame::Attach { relay, epoch, next } => {
                head(2, 0);
                out.extend_from_slice(relay);
                numbers(&[*epoch, *next], out);
            }
            Frame::Batch(batch) => batch.write(3, out),
            Frame::Acknowledge { epoch, next } => {
                head(4, 0);
                numbers(&[*epoch, *next], out);
            }
            Frame::Gap { reason, first, count } => {
                head(5, reason.number());
                numbers(&[*first, *count], out);
            }
            Frame::Templates(batch) => batch.write(6, out),
            Frame::Beat { time } => {
                head(7, 0);
                numbers(&[time.0], out);
            }
            Frame::Books(books) => {
                head(8, books.count);
                out.extend_from_slice(books.bytes);
            }
        }
    }
}

fn numbers(numbers: &[u64], out: &mut Vec<u8>) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
}

impl<'a> Batch<'a> {
    fn read(flags: u16, mut c: Cursor<'a>) -> Result<Batch<'a>, Unread> {
        let (count, first, time) = (c.u32("count")?, c.u64("first")?, Nanos(c.u64("time")?));
        let length = c.u32("length")?;
        if length as usize > MOST {
            return Err(Unread::Length(length));
        }
        Ok(Batch { compressed: flags & 1 == 1, count, first, time, length, bytes: c.rest() })
    }

    fn write(&self, kind: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head(kind));
        out.extend_from_slice(self.bytes);
    }

    /// What stands before its datagrams in a frame of datagrams, or of templates.
    pub fn head(&self, kind: u8) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        let (first, time) = (self.first.to_be_bytes(), self.time.0.to_be_bytes());
        let parts: [&[u8]; 6] = [
            &[VERSION, kind],
            &u16::from(self.compressed).to_be_bytes(),
            &self.count.to_be_bytes(),
            &first,
            &time,
            &self.length.to_be_bytes(),
        ];
        let bytes = parts.into_iter().flatten();
        head.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        head
    }

    /// Its datagrams, which have to be uncompressed: as many as can be read, up to `count`.
    pub fn datagrams(&self) -> Datagrams<'a> {
        Datagrams { rest: Cursor::new(self.bytes), time: self.time, left: self.count }
    }
}

/// The kinds of frames that are batches.
pub mod kind {
    /// Of datagrams.
    pub const BATCH: u8 = 3;
    /// Of templates.
    pub const TEMPLATES: u8 = 6;
}

/// Bytes a datagram takes in a batch.
pub fn size(from: &SocketAddr, length: usize) -> usize {
    12 + if from.is_ipv4() { 4 } else { 16 } + length
}

/// Writes a datagram into a batch of this time. One longer than 65,535 bytes there is not.
pub fn put(datagram: &Datagram<'_>, time: Nanos, out: &mut Vec<u8>) {
    let length = u16::try_from(datagram.bytes.len()).unwrap_or(u16::MAX);
    let after = u32::try_from(datagram.time.since(time)).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&datagram.to.to_be_bytes());
    out.extend_from_slice(&datagram.from.port().to_be_bytes());
    out.extend_from_slice(&[if datagram.from.is_ipv4() { 4 } else { 6 }, 0]);
    out.extend_from_slice(&after.to_be_bytes());
    match datagram.from.ip() {
        IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
    }
    out.extend_from_slice(datagram.bytes.get(..length.into()).unwrap_or(&[]));
}

/// The datagrams of a batch.
#[derive(Clone, Debug)]
pub struct Datagrams<'a> {
    rest: Cursor<'a>,
    time: Nanos,
    left: u32,
}

impl<'a> Datagrams<'a> {
    fn one(&mut self) -> Result<Datagram<'a>, Short> {
        let c = &mut self.rest;
        let (length, to, port) = (c.u16("length")?, c.u16("to")?, c.u16("port")?);
        let family = c.u8("family")?;
        c.skip(1, "zero")?;
        let after = c.u32("after")?;
        let address: IpAddr = match family {
            4 => Ipv4Addr::from(c.array::<4>("address")?).into(),
            _ => Ipv6Addr::from(c.array::<16>("address")?).into(),
        };
        Ok(Datagram {
            time: Nanos(self.time.0.saturating_add(after.into())),
            transport: Transport::Udp,
            from: SocketAddr::new(address, port),
            to,
            local: None,
            bytes: c.take(length.into(), "datagram")?,
        })
    }
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = Datagram<'a>;

    fn next(&mut self) -> Option<Datagram<'a>> {
        self.left = self.left.checked_sub(1)?;
        let one = self.one().ok();
        if one.is_none() {
            self.left = 0;
        }
        one
    }
}

impl<'a> Books<'a> {
    /// Of what [`Exporter::write`] wrote, as often as `count` says.
    pub fn new(count: u16, bytes: &'a [u8]) -> Books<'a> {
        Books { count, bytes }
    }

    /// The exporters.
    pub fn exporters(&self) -> impl Iterator<Item = Exporter> + 'a {
        self.bytes.chunks_exact(EXPORTER).filter_map(|bytes| Exporter::read(Cursor::new(bytes)).ok())
    }
}

impl Exporter {
    fn read(mut c: Cursor<'_>) -> Result<Exporter, Short> {
        let family = c.u8("family")?;
        c.skip(1, "zero")?;
        let port = c.u16("port")?;
        let address: [u8; 16] = c.array("address")?;
        let address: IpAddr = match (family, address.first_chunk::<4>()) {
            (4, Some(four)) => Ipv4Addr::from(*four).into(),
            _ => Ipv6Addr::from(address).into(),
        };
        Ok(Exporter {
            from: SocketAddr::new(address, port),
            received: c.u64("received")?,
            passed: c.u64("passed")?,
            not_flow: c.u64("not flow")?,
            rate: c.u64("rate")?,
            not_allowed: c.u64("not allowed")?,
        })
    }

    /// Writes it.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[if self.from.is_ipv4() { 4 } else { 6 }, 0]);
        out.extend_from_slice(&self.from.port().to_be_bytes());
        match self.from.ip() {
            IpAddr::V4(address) => {
                out.extend_from_slice(&address.octets());
                out.extend_from_slice(&[0; 12]);
            }
            IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
        }
        numbers(&[self.received, self.passed, self.not_flow, self.rate, self.not_allowed], out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        for (from, bytes) in [("192.0.2.1:2055", &b"one"[..]), ("[2001:db8::1]:9", b"")] {
            let datagram = Datagram {
                time: Nanos(1_000_005),
                transport: Transport::Udp,
                from: from.parse().expect("an address"),
                to: 6343,
                local: None,
                bytes,
            };
            let before = datagrams.len();
            put(&datagram, Nanos(1_000_000), &mut datagrams);
            assert_eq!(datagrams.len() - before, size(&datagram.from, bytes.len()));
        }
        let batch = Batch {
            compressed: false,
            count: 2,
            first: 7,
            time: Nanos(1_000_000),
            length: datagrams.len() as u32,
            bytes: &datagrams,
        };
        let mut exporters = Vec::new();
        let exporter = Exporter {
            from: "192.0.2.1:2055".parse().expect("an address"),
            received: 10,
            passed: 4,
            not_flow: 3,
            rate: 2,
            not_allowed: 1,
        };
        exporter.write(&mut exporters);
        let frames = [
            Frame::Welcome { durable: true, relay: [7; 16], epoch: 5, first: 6, next: 9 },
            Frame::Attach { relay: [7; 16], epoch: 5, next: UNKNOWN },
            Frame::Batch(batch),
            Frame::Acknowledge { epoch: 5, next: 8 },
            Frame::Gap { reason: Reason::SpoolFull, first: 1, count: 2 },
            Frame::Templates(Batch { first: 0, compressed: true, ..batch }),
            Frame::Beat { time: Nanos(3) },
            Frame::Books(Books::new(1, &exporters)),
        ];
        let mut written = Vec::new();
        for (n, frame) in frames.iter().enumerate() {
            let mut bytes = Vec::new();
            frame.write(&mut bytes);
            assert_eq!((bytes[0], usize::from(bytes[1])), (1, n + 1));
            assert_eq!(Frame::read(&bytes), Ok(*frame));
            written.push(bytes);
        }
        assert_eq!(Books::new(1, &exporters).exporters().collect::<Vec<_>>(), [exporter]);
        let told: Vec<_> = batch.datagrams().map(|d| (d.time.0, d.from.to_string(), d.to, d.bytes.to_vec())).collect();
        let expected = [("192.0.2.1:2055", &b"one"[..]), ("[2001:db8::1]:9", b"")];
        assert_eq!(told, expected.map(|(from, bytes)| (1_000_005, from.to_owned(), 6343, bytes.to_vec())));
        written
    }

    #[test]
    fn what_is_written_reads_back() {
        let written = all();
        // By hand, as the head of the module has it.
        let by_hand = [&[1, 3, 0, 0, 0, 0, 0, 2][..], &[0, 0, 0, 0, 0, 0, 0, 7], &[0, 0, 0, 0, 0, 0x0f, 0x42, 0x40]];
        let datagram = [&[0, 3, 0x18, 0xc7, 8, 7, 4, 0, 0, 0, 0, 5, 192, 0, 2, 1][..], b"one"].concat();
        assert_eq!(written[2][..47], [&by_hand.concat()[..], &[0, 0, 0, 47], &datagram].concat());
    }

    #[test]
    fn what_is_cut_off_is_told() {
        for bytes in all() {
            for length in 0..bytes.len() {
                match Frame::read(&bytes[..length]) {
                    // Datagrams are read one by one, later.
                    Ok(Frame::Batch(batch) | Frame::Templates(batch)) => {
                        assert!(length >= HEAD && batch.datagrams().count() < 2);
                    }
                    other => assert!(matches!(other, Err(Unread::Short(_))), "{other:?}"),
                }
            }
        }
        assert_eq!(Frame::read(&[2, 1, 0, 0]), Err(Unread::Version(2)));
        assert_eq!(Frame::read(&[1, 9, 0, 0]), Err(Unread::Kind(9)));
        let long = [&[1, 3, 0, 0][..], &[0; 20], &u32::MAX.to_be_bytes()].concat();
        assert_eq!(Frame::read(&long), Err(Unread::Length(u32::MAX)));
    }
}
