//! The pcapng file format, draft-ietf-opsawg-pcapng.
//!
//! ```text
//! block              type:4  total:4  body  total:4                             total counts all of it
//! section header     0a0d0d0a: magic:4 major:2 minor:2 section:8 options        starts over: order, interfaces
//! interface          1: link:2 reserved:2 snaplen:4 options
//! enhanced packet    6: interface:4 ticks:4+4 captured:4 wire:4 bytes options
//! simple packet      3: wire:4 bytes                                            of interface 0, no time
//! packet (obsolete)  2: interface:2 drops:2 ticks:4+4 captured:4 wire:4 bytes options
//! option             code:2 length:2 value, padded to 4
//! ```
//!
//! Every other block is stepped over. A simple packet takes the time of the packet before it. Left out: comments, names,
//! secrets, statistics and custom blocks, none of which says anything a flow has a place for.

use super::{MAX_CAPTURED, Order, pcap};
use crate::{Cursor, Frame, LinkType, Nanos, Short};

/// First four bytes of a pcapng file, and of each section in it.
pub const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Interfaces remembered of one section; packets of later ones are [`Block::Orphan`]s.
pub const MAX_INTERFACES: usize = 65_536;

/// Longest block that is looked into: a packet and its options.
pub const MAX_BLOCK: u32 = MAX_CAPTURED + (64 << 10);

/// A reader of consecutive blocks.
#[derive(Clone, Debug)]
pub struct Section {
    order: Order,
    /// `None` where its description cannot be read.
    interfaces: Vec<Option<Interface>>,
    last: Nanos,
}

/// What one block was.
#[derive(Clone, Copy, Debug)]
pub enum Block<'a> {
    /// A packet.
    Packet(Frame<'a>),
    /// A packet of an interface that was not described, or not so that it can be read: its link type is not known.
    Orphan,
    /// A packet that does not fit into its block.
    Broken(Short),
    /// No packet. It may reach past the bytes handed in.
    Other,
}

/// Why a block cannot be read. Where the next one starts is then unknown, but for `Short`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// More bytes are needed.
    Short(Short),
    /// A section in neither byte order.
    Magic([u8; 4]),
    /// A major version that is not 1.
    Version(u16),
    /// A block of this length cannot be.
    Length(u32),
    /// The length after a block is not the one before it.
    Trailer(u32, u32),
    /// What a section's header says does not fit into it.
    Body(Short),
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Fault::Short(short) => short.fmt(f),
            Fault::Magic(magic) => write!(f, "byte-order magic {magic:02x?} is not pcapng's"),
            Fault::Version(major) => write!(f, "pcapng version {major} is not known"),
            Fault::Length(total) => write!(f, "a block says it is {total} bytes long"),
            Fault::Trailer(before, after) => {
                write!(f, "a block is {before} bytes long by its head, {after} by its tail")
            }
            Fault::Body(short) => write!(f, "a section's header is too short: {short}"),
        }
    }
}

impl core::error::Error for Fault {}

impl Default for Section {
    fn default() -> Self {
        Section::new()
    }
}

impl Section {
    /// A reader at the start of a file.
    pub fn new() -> Self {
        Section { order: Order::Little, interfaces: Vec::new(), last: Nanos(0) }
    }

    /// Reads the block at the start of `bytes`; also says how many bytes to step over to the next one, which for
    /// [`Block::Other`] may be more than there are.
    #[inline]
    pub fn block<'a>(&mut self, bytes: &'a [u8]) -> Result<(Block<'a>, usize), Fault> {
        match self.sound_packet(bytes) {
            Some((frame, used)) => Ok((Block::Packet(frame), used)),
            None => self.any(bytes),
        }
    }

    /// An enhanced packet block with nothing wrong with it. Nearly all blocks are one, and this saves a
    /// third of reading a file of 60-byte packets (38 to 26 ns each); [`Section::any`] says what is wrong with others.
    #[inline]
    fn sound_packet<'a>(&mut self, bytes: &'a [u8]) -> Option<(Frame<'a>, usize)> {
        let mut cursor = Cursor::new(bytes);
        let [kind, total, interface, high] = self.order.words(cursor.array("block").ok()?);
        if kind != 6 || total % 4 != 0 || total > MAX_BLOCK {
            return None;
        }
        let low = self.order.u32(&mut cursor, "timestamp").ok()?;
        let captured = self.order.u32(&mut cursor, "captured length").ok()?;
        let wire = self.order.u32(&mut cursor, "wire length").ok()?;
        let interface = self.interfaces.get(interface as usize)?.as_ref()?;
        let used = total as usize;
        let mut tail = Cursor::new(bytes.get(used.checked_sub(4)?..)?);
        if self.order.u32(&mut tail, "block length").ok()? != total || captured > total.checked_sub(32)? {
            return None;
        }
        let bytes = cursor.take(captured as usize, "captured bytes").ok()?;
        let time = interface.time(u64::from(high) << 32 | u64::from(low));
        self.last = time;
        Some((Frame { time, link: interface.link, wire_len: wire.max(captured), interface: 0, bytes }, used))
    }

    fn any<'a>(&mut self, bytes: &'a [u8]) -> Result<(Block<'a>, usize), Fault> {
        let mut cursor = Cursor::new(bytes);
        let kind: [u8; 4] = cursor.array("block type").map_err(Fault::Short)?;
        if kind == SECTION {
            return self.section(bytes);
        }
        let kind = match self.order {
            Order::Big => u32::from_be_bytes(kind),
            Order::Little => u32::from_le_bytes(kind),
        };
        let total = self.order.u32(&mut cursor, "block length").map_err(Fault::Short)?;
        let used = padded(total)?;
        // Where a block ends is known whatever is in it.
        let block = match kind {
            6 => self.enhanced(self.body(cursor, total)?).unwrap_or_else(Block::Broken),
            1 => {
                let interface = self.interface(self.body(cursor, total)?).ok();
                // It has its number all the same, or the later ones would have wrong ones.
                if self.interfaces.len() < MAX_INTERFACES {
                    self.interfaces.push(interface);
                }
                Block::Other
            }
            3 => self.simple(self.body(cursor, total)?).unwrap_or_else(Block::Broken),
            2 => self.obsolete(self.body(cursor, total)?).unwrap_or_else(Block::Broken),
            _ => Block::Other,
        };
        Ok((block, used))
    }

    #[cold]
    fn section<'a>(&mut self, bytes: &'a [u8]) -> Result<(Block<'a>, usize), Fault> {
        let mut magic = Cursor::new(bytes);
        magic.skip(8, "section header").map_err(Fault::Short)?;
        let order = match magic.array("byte-order magic").map_err(Fault::Short)? {
            [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
            [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
            other => return Err(Fault::Magic(other)),
        };
        self.order = order;
        self.interfaces.clear();
        let mut cursor = Cursor::new(bytes);
        cursor.skip(4, "block type").map_err(Fault::Short)?;
        let total = order.u32(&mut cursor, "block length").map_err(Fault::Short)?;
        let used = padded(total)?;
        let mut body = self.body(cursor, total)?;
        body.skip(4, "byte-order magic").map_err(Fault::Body)?;
        match order.u16(&mut body, "version").map_err(Fault::Body)? {
            1 => Ok((Block::Other, used)),
            other => Err(Fault::Version(other)),
        }
    }

    /// What is between the two lengths of a block; `cursor` stands behind the first.
    #[inline]
    fn body<'a>(&self, mut cursor: Cursor<'a>, total: u32) -> Result<Cursor<'a>, Fault> {
        if total > MAX_BLOCK {
            return Err(Fault::Length(total));
        }
        let used = padded(total)?;
        let body = cursor.take(used - 12, "block body").map_err(Fault::Short)?;
        let tail = self.order.u32(&mut cursor, "block length").map_err(Fault::Short)?;
        if tail != total {
            return Err(Fault::Trailer(total, tail));
        }
        Ok(Cursor::new(body))
    }

    #[inline]
    fn enhanced<'a>(&mut self, mut body: Cursor<'a>) -> Result<Block<'a>, Short> {
        let interface = self.order.u32(&mut body, "interface")?;
        self.packet(body, interface)
    }

    fn obsolete<'a>(&mut self, mut body: Cursor<'a>) -> Result<Block<'a>, Short> {
        let interface = self.order.u16(&mut body, "interface")?;
        body.skip(2, "drops")?;
        self.packet(body, u32::from(interface))
    }

    #[inline]
    fn packet<'a>(&mut self, mut body: Cursor<'a>, interface: u32) -> Result<Block<'a>, Short> {
        let [high, low, captured, wire] = self.order.words(body.array("packet times and lengths")?);
        let bytes = body.take(captured as usize, "captured bytes")?;
        let Some(Some(interface)) = self.interfaces.get(interface as usize) else { return Ok(Block::Orphan) };
        let time = interface.time(u64::from(high) << 32 | u64::from(low));
        self.last = time;
        Ok(Block::Packet(Frame {
            time,
            link: interface.link,
            wire_len: wire.max(captured),
            // The file's own numbering is not the host's.
            interface: 0,
            bytes,
        }))
    }

    fn simple<'a>(&mut self, mut body: Cursor<'a>) -> Result<Block<'a>, Short> {
        let wire = self.order.u32(&mut body, "wire length")?;
        let Some(Some(interface)) = self.interfaces.first() else { return Ok(Block::Orphan) };
        let kept = if interface.snaplen == 0 { wire } else { wire.min(interface.snaplen) };
        let rest = body.rest();
        // The snaplen that decides may be the one of a writer that kept less; the block's end is the harder fact.
        let bytes = rest.get(..kept as usize).unwrap_or(rest);
        Ok(Block::Packet(Frame { time: self.last, link: interface.link, wire_len: wire, interface: 0, bytes }))
    }

    fn interface(&self, mut body: Cursor<'_>) -> Result<Interface, Short> {
        let order = self.order;
        let link = pcap::link_type(order.u16(&mut body, "link type")?);
        body.skip(2, "reserved")?;
        let snaplen = order.u32(&mut body, "snaplen")?;
        let mut interface = Interface { link, snaplen, scale: Scale::Times(1_000), offset: 0 };
        while !body.is_empty() {
            let code = order.u16(&mut body, "option code")?;
            let length = order.u16(&mut body, "option length")?;
            let mut value = Cursor::new(body.take(usize::from(length), "option value")?);
            // The last value may lack its padding; nothing follows it then.
            let _ = body.skip(usize::from(length).wrapping_neg() % 4, "option padding");
            match code {
                OPTION_END => break,
                OPTION_RESOLUTION => interface.scale = Scale::from_option(value.u8("if_tsresol")?),
                OPTION_OFFSET => {
                    let seconds = order.u64(&mut value, "if_tsoffset")?.cast_signed();
                    interface.offset = seconds.saturating_mul(1_000_000_000);
                }
                _ => {}
            }
        }
        Ok(interface)
    }
}

const OPTION_END: u16 = 0;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_OFFSET: u16 = 14;

/// Length of a block with its padding. Some writers leave the padding out of the total; Wireshark forgives them too.
#[inline]
fn padded(total: u32) -> Result<usize, Fault> {
    match total.checked_next_multiple_of(4) {
        Some(used) if used >= 12 => Ok(used as usize),
        _ => Err(Fault::Length(total)),
    }
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    snaplen: u32,
    scale: Scale,
    /// Nanoseconds to add to every time.
    offset: i64,
}

impl Interface {
    #[inline]
    fn time(&self, ticks: u64) -> Nanos {
        let nanos = match self.scale {
            Scale::Times(factor) => ticks.saturating_mul(factor),
            Scale::Per(divisor) => ticks / divisor,
            Scale::Halves(shift) => {
                // Below 2^94, so the product fits.
                let wide = (u128::from(ticks) * 1_000_000_000) >> shift;
                u64::try_from(wide).unwrap_or(u64::MAX)
            }
        };
        Nanos(nanos.saturating_add_signed(self.offset))
    }
}

/// From ticks to nanoseconds.
#[derive(Clone, Copy, Debug)]
enum Scale {
    Times(u64),
    /// Ticks finer than a nanosecond.
    Per(u64),
    /// A tick is 2^-n s.
    Halves(u8),
}

impl Scale {
    /// `if_tsresol`: a negative power of ten, or of two when the top bit is set.
    fn from_option(resolution: u8) -> Scale {
        if resolution & 0x80 != 0 {
            return Scale::Halves(resolution & 0x7f);
        }
        match 9_u32.checked_sub(u32::from(resolution)) {
            Some(digits) => Scale::Times(10_u64.pow(digits)),
            // Past 10^19 every time of 64 bits is under a nanosecond.
            None => Scale::Per(10_u64.checked_pow(u32::from(resolution) - 9).unwrap_or(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Writer(Order, Vec<u8>);

    impl Writer {
        fn u16(mut self, value: u16) -> Self {
            self.1.extend(match self.0 {
                Order::Big => value.to_be_bytes(),
                Order::Little => value.to_le_bytes(),
            });
            self
        }

        fn u32(mut self, value: u32) -> Self {
            self.1.extend(match self.0 {
                Order::Big => value.to_be_bytes(),
                Order::Little => value.to_le_bytes(),
            });
            self
        }

        fn bytes(mut self, bytes: &[u8]) -> Self {
            self.1.extend(bytes);
            self.1.resize(self.1.len().next_multiple_of(4), 0);
            self
        }

        /// The body so far as a block.
        fn block(self, kind: u32) -> Vec<u8> {
            let total = self.1.len() as u32 + 12;
            let head = Writer(self.0, Vec::new()).u32(kind).u32(total).bytes(&self.1);
            head.u32(total).1
        }
    }

    fn section(order: Order) -> Vec<u8> {
        let body = Writer(order, Vec::new()).u32(0x1a2b_3c4d).u16(1).u16(0);
        body.u32(u32::MAX).u32(u32::MAX).block(0x0a0d_0d0a)
    }

    type Options<'a> = &'a [(u16, &'a [u8])];

    fn interface(order: Order, link: u16, snaplen: u32, options: Options<'_>) -> Vec<u8> {
        let mut body = Writer(order, Vec::new()).u16(link).u16(0).u32(snaplen);
        for (code, value) in options {
            body = body.u16(*code).u16(value.len() as u16).bytes(value);
        }
        body.block(1)
    }

    fn enhanced(order: Order, interface: u32, ticks: u64, bytes: &[u8]) -> Vec<u8> {
        let body = Writer(order, Vec::new()).u32(interface).u32((ticks >> 32) as u32).u32(ticks as u32);
        body.u32(bytes.len() as u32).u32(bytes.len() as u32 + 5).bytes(bytes).block(6)
    }

    /// Time, link type, wire length, bytes.
    type Seen = (u64, u16, u32, Vec<u8>);

    fn read(file: &[u8]) -> Result<Vec<Seen>, Fault> {
        let mut section = Section::new();
        let mut out = Vec::new();
        let mut rest = file;
        while !rest.is_empty() {
            let (block, used) = section.block(rest)?;
            if let Block::Packet(frame) = block {
                out.push((frame.time.0, frame.link.0, frame.wire_len, frame.bytes.to_vec()));
            }
            rest = rest.get(used..).unwrap_or(&[]);
        }
        Ok(out)
    }

    const EACH: [Order; 2] = [Order::Big, Order::Little];

    #[test]
    fn sections_of_both_orders_in_one_file() {
        let mut file = Vec::new();
        for order in EACH {
            file.extend(section(order));
            file.extend(interface(order, 1, 0, &[]));
            file.extend(interface(order, 101, 0, &[(2, b"eth0"), (9, &[9]), (0, &[])]));
            file.extend(Writer(order, Vec::new()).bytes(b"whatever").block(0x0000_0bad));
            file.extend(enhanced(order, 0, 0x1_0000_0001, b"abcde"));
            file.extend(enhanced(order, 1, 77, b"xyz"));
            file.extend(Writer(order, Vec::new()).u32(4).bytes(b"spb!").block(3));
            let obsolete = Writer(order, Vec::new()).u16(1).u16(9).u32(0).u32(78).u32(2).u32(60).bytes(b"pb").block(2);
            file.extend(obsolete);
        }
        let once = vec![
            (0x1_0000_0001 * 1_000, 1, 10, b"abcde".to_vec()),
            (77, 101, 8, b"xyz".to_vec()),
            (77, 1, 4, b"spb!".to_vec()),
            (78, 101, 60, b"pb".to_vec()),
        ];
        assert_eq!(read(&file), Ok([once.clone(), once].concat()));
    }

    #[test]
    fn resolutions_and_offsets() {
        let order = Order::Big;
        let cases: [(Options<'_>, u64, u64); 7] = [
            (&[], 5, 5_000),
            (&[(9, &[6])], 5, 5_000),
            (&[(9, &[0])], 5, 5_000_000_000),
            (&[(9, &[12])], 5_999, 5),
            (&[(9, &[127])], u64::MAX, 1),
            (&[(9, &[0x81])], 3, 1_500_000_000),
            (&[(9, &[0xff])], u64::MAX, 0),
        ];
        for (options, ticks, nanos) in cases {
            let file = [section(order), interface(order, 1, 0, options), enhanced(order, 0, ticks, b"")].concat();
            assert_eq!(read(&file).expect("reads")[0].0, nanos, "{options:?}");
        }
        let offset = (-2_i64).to_be_bytes();
        let file =
            [section(order), interface(order, 1, 0, &[(14, &offset)]), enhanced(order, 0, 3_000_000, b"")].concat();
        assert_eq!(read(&file).expect("reads")[0].0, 1_000_000_000);
    }

    #[test]
    fn a_simple_packet_is_cut_to_snaplen() {
        let order = Order::Little;
        let simple = Writer(order, Vec::new()).u32(60).bytes(b"abcd").block(3);
        let file = [section(order), interface(order, 1, 3, &[]), simple.clone()].concat();
        assert_eq!(read(&file), Ok(vec![(0, 1, 60, b"abc".to_vec())]));
        let file = [section(order), interface(order, 1, 0, &[]), simple].concat();
        assert_eq!(read(&file), Ok(vec![(0, 1, 60, b"abcd".to_vec())]));
    }

    #[test]
    fn packets_of_unknown_interfaces_are_told() {
        let file = [section(Order::Big), enhanced(Order::Big, 3, 0, b"abc")].concat();
        let mut reader = Section::new();
        let (_, used) = reader.block(&file).expect("section");
        assert!(matches!(reader.block(&file[used..]), Ok((Block::Orphan, 36))));
    }

    #[test]
    fn an_interface_that_cannot_be_read_keeps_its_number() {
        let order = Order::Little;
        let mut torn = interface(order, 1, 0, &[(9, &[9])]);
        // The option says that it is longer than the block.
        torn[8 + 8 + 2] = 200;
        let file = [section(order), torn, interface(order, 101, 0, &[])].concat();
        let file = [file, enhanced(order, 0, 5, b"abc"), enhanced(order, 1, 6, b"xyz")].concat();
        assert_eq!(read(&file), Ok(vec![(6_000, 101, 8, b"xyz".to_vec())]));
    }

    #[test]
    fn every_truncation_of_a_block_is_short() {
        for order in EACH {
            let blocks = [section(order), interface(order, 1, 0, &[(9, &[9])]), enhanced(order, 0, 1, b"abcde")];
            let mut reader = Section::new();
            for block in blocks {
                for end in 0..block.len() {
                    let got = reader.clone().block(&block[..end]).map(|(_, used)| used);
                    assert!(matches!(got, Err(Fault::Short(_))), "{end}: {got:?}");
                }
                assert_eq!(reader.block(&block).map(|(_, used)| used), Ok(block.len()));
            }
        }
    }

    #[test]
    fn lengths_are_bounded_before_they_are_used() {
        let order = Order::Big;
        let mut reader = Section::new();
        let head = section(order);
        assert!(reader.block(&head).is_ok());
        let with_length = |kind: u32, total: u32| Writer(order, Vec::new()).u32(kind).u32(total).1;
        for total in [0, 4, 8, u32::MAX] {
            let got = reader.block(&with_length(6, total)).map(|(_, used)| used);
            assert_eq!(got, Err(Fault::Length(total)));
        }
        assert_eq!(
            reader.block(&with_length(6, MAX_BLOCK + 4)).map(|(_, used)| used),
            Err(Fault::Length(MAX_BLOCK + 4))
        );
        // A block that is only stepped over may have any length.
        assert!(matches!(reader.block(&with_length(99, 0xffff_fff0)), Ok((Block::Other, 0xffff_fff0))));

        let mut captured = [interface(order, 1, 0, &[]), enhanced(order, 0, 0, b"abcd")].concat();
        let (_, used) = reader.block(&captured).expect("interface");
        captured[used + 8 + 12 + 3] = 200;
        assert!(matches!(reader.block(&captured[used..]), Ok((Block::Broken(_), 36))));
        let mut tail = enhanced(order, 0, 0, b"abcd");
        if let Some(last) = tail.last_mut() {
            *last ^= 4;
        }
        assert!(matches!(reader.block(&tail), Err(Fault::Trailer(36, 32))));
    }
}
