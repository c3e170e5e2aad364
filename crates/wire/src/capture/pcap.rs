//! The pcap file format, draft-ietf-opsawg-pcap.
//!
//! ```text
//! file    magic:4  major:2 minor:2  zone:4  accuracy:4  snaplen:4  fcs+link:4
//! record  seconds:4  fraction:4  captured:4  wire:4  [interface:4 protocol:2 direction:1 pad:1]  bytes
//! ```
//!
//! The magic tells byte order and whether fractions are micro- or nanoseconds. The bracketed part is in the records of
//! the 'modified' format (magic `a1b2cd34`, Kuznetzov's patched libpcap) only. Left out: the FCS length, as nobody here
//! needs to tell a checksum from padding, and the time zone, which every writer sets to 0.

use super::{MAX_CAPTURED, Order};
use crate::{Cursor, Frame, LinkType, Nanos, Short};

/// What the file header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Byte order of everything that follows.
    pub order: Order,
    /// Major and minor version, 2.4 everywhere but in museums.
    pub version: (u16, u16),
    /// Most bytes kept of a packet; 0 when not said.
    pub snaplen: u32,
    /// Link type of every record.
    pub link: LinkType,
    nanos_per_tick: u32,
    modified: bool,
}

/// Why a file header or record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// More bytes are needed.
    Short(Short),
    /// Not one of the magic numbers.
    Magic([u8; 4]),
    /// A major version that is not 2.
    Version(u16),
    /// A record says it holds this many bytes, more than any packet has; where the next one starts is unknown.
    TooLong(u32),
}

impl From<Short> for Fault {
    fn from(short: Short) -> Self {
        Fault::Short(short)
    }
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Fault::Short(short) => short.fmt(f),
            Fault::Magic(magic) => write!(f, "magic {magic:02x?} is not pcap's"),
            Fault::Version(major) => write!(f, "pcap version {major} is not known"),
            Fault::TooLong(captured) => write!(f, "a record says it holds {captured} bytes"),
        }
    }
}

impl core::error::Error for Fault {}

impl Header {
    /// Its length in the file.
    pub const LEN: usize = 24;

    /// True when a file that starts with `magic` is a pcap file.
    pub fn claims(magic: [u8; 4]) -> bool {
        kind(magic).is_some()
    }

    /// Reads the file header.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Header, Fault> {
        let magic = cursor.array("pcap magic")?;
        let (order, nanos_per_tick, modified) = kind(magic).ok_or(Fault::Magic(magic))?;
        let major = order.u16(cursor, "pcap version")?;
        let minor = order.u16(cursor, "pcap version")?;
        // 543.0 is how an old HP-UX tcpdump signed its 2.3 files.
        if major != 2 && major != 543 {
            return Err(Fault::Version(major));
        }
        cursor.skip(8, "pcap time zone and accuracy")?;
        let snaplen = order.u32(cursor, "pcap snaplen")?;
        // Bits 28..31 and 26 are about the FCS.
        let link = link_type(order.u32(cursor, "pcap link type")? as u16);
        Ok(Header { order, version: (major, minor), snaplen, link, nanos_per_tick, modified })
    }

    /// Reads the next record. After a fault the cursor is where it was.
    #[inline]
    pub fn record<'a>(&self, cursor: &mut Cursor<'a>) -> Result<Frame<'a>, Fault> {
        let mut ahead = *cursor;
        // One check for the four: this is the hottest read there is.
        let [seconds, fraction, mut captured, mut wire] = self.order.words(ahead.array("record header")?);
        // Writers of 2.3 and before had the two lengths either way round.
        if captured > wire && self.swapped() {
            (captured, wire) = (wire, captured);
        }
        let mut interface = 0;
        if self.modified {
            interface = self.order.u32(&mut ahead, "record interface")?;
            ahead.skip(4, "record protocol and direction")?;
        }
        if captured > MAX_CAPTURED {
            return Err(Fault::TooLong(captured));
        }
        let bytes = ahead.take(captured as usize, "captured bytes")?;
        *cursor = ahead;
        Ok(Frame {
            // Neither product can overflow: both factors are below 2^32.
            time: Nanos(u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * u64::from(self.nanos_per_tick)),
            link: self.link,
            wire_len: wire.max(captured),
            interface,
            bytes,
        })
    }

    #[cold]
    fn swapped(&self) -> bool {
        self.version.0 == 543 || self.version.1 <= 3
    }
}

/// Order, nanoseconds a tick, modified or not.
fn kind(magic: [u8; 4]) -> Option<(Order, u32, bool)> {
    match magic {
        [0xa1, 0xb2, 0xc3, 0xd4] => Some((Order::Big, 1_000, false)),
        [0xd4, 0xc3, 0xb2, 0xa1] => Some((Order::Little, 1_000, false)),
        [0xa1, 0xb2, 0x3c, 0x4d] => Some((Order::Big, 1, false)),
        [0x4d, 0x3c, 0xb2, 0xa1] => Some((Order::Little, 1, false)),
        [0xa1, 0xb2, 0xcd, 0x34] => Some((Order::Big, 1_000, true)),
        [0x34, 0xcd, 0xb2, 0xa1] => Some((Order::Little, 1_000, true)),
        _ => None,
    }
}

/// The registry's number for what a file says. Some writers put their host's `DLT_RAW` there, 12 or 14 (OpenBSD), which
/// the registry leaves free for that reason.
pub fn link_type(raw: u16) -> LinkType {
    match raw {
        12 | 14 => LinkType::RAW,
        other => LinkType(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(order: Order, out: &mut Vec<u8>, value: u32) {
        out.extend(match order {
            Order::Big => value.to_be_bytes(),
            Order::Little => value.to_le_bytes(),
        });
    }

    fn file(magic: u32, order: Order, version: (u16, u16), link: u32, record: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put(order, &mut out, magic);
        for half in [version.0, version.1] {
            out.extend(match order {
                Order::Big => half.to_be_bytes(),
                Order::Little => half.to_le_bytes(),
            });
        }
        for word in [0, 0, 65535, link].iter().chain(record) {
            put(order, &mut out, *word);
        }
        out.extend(bytes);
        out
    }

    fn read(file: &[u8]) -> Result<(Header, Frame<'_>), Fault> {
        let mut cursor = Cursor::new(file);
        let header = Header::parse(&mut cursor)?;
        let frame = header.record(&mut cursor)?;
        assert!(cursor.is_empty());
        Ok((header, frame))
    }

    const EACH: [Order; 2] = [Order::Big, Order::Little];

    #[test]
    fn every_magic_in_both_orders() {
        for order in EACH {
            let micros = file(0xa1b2_c3d4, order, (2, 4), 1, &[10, 7, 3, 60], b"abc");
            let (header, frame) = read(&micros).expect("micros");
            assert_eq!((header.order, header.snaplen, header.link), (order, 65535, LinkType::ETHERNET));
            assert_eq!((frame.time, frame.wire_len, frame.bytes), (Nanos::new(10, 7_000), 60, &b"abc"[..]));

            let nanos = file(0xa1b2_3c4d, order, (2, 4), 101, &[10, 7, 3, 3], b"abc");
            let (header, frame) = read(&nanos).expect("nanos");
            assert_eq!((header.link, frame.time), (LinkType::RAW, Nanos::new(10, 7)));

            let modified = file(0xa1b2_cd34, order, (2, 4), 1, &[10, 7, 3, 3, 5, 0], b"abc");
            let (_, frame) = read(&modified).expect("modified");
            assert_eq!((frame.interface, frame.bytes), (5, &b"abc"[..]));
        }
    }

    #[test]
    fn every_truncation_is_short() {
        let whole = file(0xa1b2_cd34, Order::Little, (2, 4), 1, &[10, 7, 3, 3, 5, 0], b"abc");
        for end in 0..whole.len() {
            assert!(matches!(read(&whole[..end]), Err(Fault::Short(_))), "at {end}");
        }
    }

    #[test]
    fn link_type_without_fcs_bits_and_with_the_hosts_number_for_raw() {
        let fcs = file(0xa1b2_c3d4, Order::Big, (2, 4), 0x4400_0001, &[0, 0, 0, 0], b"");
        assert_eq!(read(&fcs).map(|(header, _)| header.link), Ok(LinkType::ETHERNET));
        let raw = file(0xa1b2_c3d4, Order::Big, (2, 4), 12, &[0, 0, 0, 0], b"");
        assert_eq!(read(&raw).map(|(header, _)| header.link), Ok(LinkType::RAW));
        let unknown = file(0xa1b2_c3d4, Order::Big, (2, 4), 9999, &[0, 0, 0, 0], b"");
        assert_eq!(read(&unknown).map(|(header, _)| header.link), Ok(LinkType(9999)));
    }

    #[test]
    fn old_files_with_swapped_lengths() {
        let old = file(0xa1b2_c3d4, Order::Big, (2, 2), 1, &[0, 0, 60, 3], b"abc");
        assert_eq!(read(&old).map(|(_, frame)| (frame.wire_len, frame.bytes.len())), Ok((60, 3)));
    }

    #[test]
    fn a_length_beyond_reason_is_a_fault_and_not_a_wait_for_bytes() {
        for captured in [MAX_CAPTURED + 1, u32::MAX] {
            let bad = file(0xa1b2_c3d4, Order::Big, (2, 4), 1, &[0, 0, captured, captured], b"");
            assert_eq!(read(&bad).err(), Some(Fault::TooLong(captured)));
        }
        assert_eq!(read(b"%PDF-1.4").err(), Some(Fault::Magic(*b"%PDF")));
        assert_eq!(read(&[0xa1, 0xb2, 0xc3, 0xd4, 0, 9, 0, 0]).err(), Some(Fault::Version(9)));
    }
}
