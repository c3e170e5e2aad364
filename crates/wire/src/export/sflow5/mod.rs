//! sFlow version 5 (sflow.org, "sFlow Version 5", 2004): a header, then samples; XDR (RFC 4506), so big-endian and every
//! part a multiple of four bytes.
//!
//! ```text
//! datagram   version = 5 | agent | sub-agent | sequence | uptime ms | count | sample*
//! address    type: 0 unknown, 1 IPv4, 2 IPv6 | 0, 4 or 16 bytes
//! sample     format: enterprise (20 bits), number (12 bits) | length | body
//! flow (1)             sequence | source: class (8 bits), index (24 bits) | rate | pool | drops
//!                      input: form (2 bits), value (30 bits) | output, the same | count | record*
//! expanded flow (3)    sequence | source class | source index | rate | pool | drops
//!                      input form | input value | output form | output value | count | record*
//! counters (2)         sequence | source | count | record*
//! expanded counters (4)  sequence | source class | source index | count | record*
//! discarded packet (5) sequence | source class | source index | drops | input | output | reason | count | record*
//! record     format | length | body
//! ```
//!
//! Records are read by [`flow`] and [`counters`]. Versions 2 and 4 (RFC 3176) have no lengths and are not read: agents
//! that send them have been out of support for over a decade.

pub mod counters;
pub mod flow;

use core::net::{IpAddr, Ipv4Addr};

use crate::cursor::{Cursor, Short};

/// The version number.
pub const VERSION: u32 = 5;

/// The header of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The agent; 0.0.0.0 when it does not tell.
    pub agent: IpAddr,
    /// Its sub-agent.
    pub sub_agent: u32,
    /// Datagrams of the sub-agent before this one.
    pub sequence: u32,
    /// Milliseconds since the agent started.
    pub uptime_ms: u32,
    /// Samples in the datagram.
    pub samples: u32,
}

impl Header {
    /// Reads a header, version included but not checked.
    pub fn read(c: &mut Cursor<'_>) -> Result<Header, Short> {
        c.skip(4, "sFlow version")?;
        Ok(Header {
            agent: address(c)?.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            sub_agent: c.u32("sFlow sub-agent")?,
            sequence: c.u32("sFlow sequence")?,
            uptime_ms: c.u32("sFlow uptime")?,
            samples: c.u32("sFlow samples")?,
        })
    }

    /// Appends it as sent.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(VERSION.to_be_bytes());
        match self.agent {
            IpAddr::V4(agent) => {
                out.extend(1u32.to_be_bytes());
                out.extend(agent.octets());
            }
            IpAddr::V6(agent) => {
                out.extend(2u32.to_be_bytes());
                out.extend(agent.octets());
            }
        }
        for number in [self.sub_agent, self.sequence, self.uptime_ms, self.samples] {
            out.extend(number.to_be_bytes());
        }
    }
}

/// Reads an address with its type. `None` for the unknown one, and for types of which no length is known.
#[inline]
pub fn address(c: &mut Cursor<'_>) -> Result<Option<IpAddr>, Short> {
    Ok(match c.u32("sFlow address type")? {
        1 => Some(IpAddr::from(c.array::<4>("sFlow IPv4 address")?)),
        2 => Some(IpAddr::from(c.array::<16>("sFlow IPv6 address")?)),
        _ => None,
    })
}

/// What a sample or record is: an enterprise, 0 for sflow.org's own, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format(pub u32);

impl Format {
    /// Sample of a packet.
    pub const FLOW: Format = Format(1);
    /// Sample of counters.
    pub const COUNTERS: Format = Format(2);
    /// Sample of a packet, where interface numbers need over 24 bits.
    pub const EXPANDED_FLOW: Format = Format(3);
    /// Sample of counters, likewise.
    pub const EXPANDED_COUNTERS: Format = Format(4);
    /// A packet the device discarded ("sFlow Dropped Packet Notification Structures", 2020).
    pub const DISCARDED: Format = Format(5);

    /// Who defined it; 0 is sflow.org.
    pub const fn enterprise(self) -> u32 {
        self.0 >> 12
    }

    /// Its number there.
    pub const fn number(self) -> u32 {
        self.0 & 0xfff
    }
}

/// A sample or a record: what it is, and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// What it is.
    pub format: Format,
    /// Its body.
    pub body: &'a [u8],
}

/// Samples of a datagram or records of a sample, one behind the other. Ends behind one that is cut off.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    c: Cursor<'a>,
    left: u32,
}

impl<'a> Blocks<'a> {
    /// So many of them at a cursor.
    #[inline]
    pub fn new(c: Cursor<'a>, count: u32) -> Self {
        Blocks { c, left: count }
    }

    /// Bytes behind those that were read.
    pub fn rest(&self) -> &'a [u8] {
        self.c.rest()
    }

    #[inline]
    fn block(&mut self) -> Result<Block<'a>, Short> {
        let [format, length] = numbers::<2, 8>(&self.c.array("sFlow format and length")?);
        let (format, length) = (Format(format), length as usize);
        let body = self.c.take(length, "sFlow structure")?;
        // XDR pads what is not a multiple of four; only the last may lack it.
        let pad = (length.wrapping_neg() % 4).min(self.c.remaining());
        self.c.skip(pad, "sFlow padding")?;
        Ok(Block { format, body })
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>, Short>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let block = self.block();
        if block.is_err() {
            self.left = 0;
        }
        Some(block)
    }
}

/// What samples: an interface, a VLAN, a physical entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Source {
    /// 0 an interface, 1 a VLAN, 2 a physical entity, 3 a logical one.
    pub class: u32,
    /// Its number, of interfaces the ifIndex.
    pub index: u32,
}

impl Source {
    #[inline]
    fn compact(both: u32) -> Source {
        Source { class: both >> 24, index: both & 0x00ff_ffff }
    }

    fn read(c: &mut Cursor<'_>, expanded: bool) -> Result<Source, Short> {
        let first = c.u32("sFlow source")?;
        if expanded {
            return Ok(Source { class: first, index: c.u32("sFlow source index")? });
        }
        Ok(Source::compact(first))
    }
}

/// Where a packet came in or went out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// 0 one interface, 1 the packet was discarded, 2 several interfaces.
    pub form: u32,
    /// The ifIndex; why it was discarded; how many interfaces.
    pub value: u32,
}

impl Interface {
    /// The packet began or ended in the device itself.
    pub const INTERNAL: u32 = 0x3fff_ffff;

    #[inline]
    fn compact(both: u32) -> Interface {
        Interface { form: both >> 30, value: both & Interface::INTERNAL }
    }

    /// The ifIndex of the one interface; 0 when it is not known, the device itself, none, or several.
    #[inline]
    pub fn index(self) -> u32 {
        match self.value {
            Interface::INTERNAL | u32::MAX => 0,
            value if self.form == 0 => value,
            _ => 0,
        }
    }

    /// Why the packet was discarded, if it was.
    #[inline]
    pub fn discarded(self) -> Option<u32> {
        (self.form == 1).then_some(self.value)
    }
}

/// A sample of a packet.
#[derive(Clone, Copy, Debug)]
pub struct FlowSample<'a> {
    /// Samples of this source, this one included.
    pub sequence: u32,
    /// What sampled.
    pub source: Source,
    /// One packet in so many was sampled, on average.
    pub rate: u32,
    /// Packets that could have been sampled.
    pub pool: u32,
    /// Packets chosen that could not be sampled, so far.
    pub drops: u32,
    /// Where it came in.
    pub input: Interface,
    /// Where it went out.
    pub output: Interface,
    /// What is told of it.
    pub records: Blocks<'a>,
}

impl<'a> FlowSample<'a> {
    /// Reads the body of a [`Format::FLOW`] or a [`Format::EXPANDED_FLOW`] one.
    #[inline]
    pub fn read(body: &'a [u8], expanded: bool) -> Result<Self, Short> {
        let mut c = Cursor::new(body);
        let what = "sFlow flow sample";
        if expanded {
            let numbers = numbers::<11, 44>(&c.array(what)?);
            let [sequence, class, index, rate, pool, drops, in_form, in_value, out_form, out_value, count] = numbers;
            let input = Interface { form: in_form, value: in_value };
            let output = Interface { form: out_form, value: out_value };
            let (source, records) = (Source { class, index }, Blocks::new(c, count));
            return Ok(FlowSample { sequence, source, rate, pool, drops, input, output, records });
        }
        let [sequence, source, rate, pool, drops, input, output, count] = numbers::<8, 32>(&c.array(what)?);
        let (input, output) = (Interface::compact(input), Interface::compact(output));
        let (source, records) = (Source::compact(source), Blocks::new(c, count));
        Ok(FlowSample { sequence, source, rate, pool, drops, input, output, records })
    }
}

/// A packet the device discarded. Every one is told, within a limit of rate: none stands for others.
#[derive(Clone, Copy, Debug)]
pub struct Discarded<'a> {
    /// Notifications of this source, this one included.
    pub sequence: u32,
    /// What tells.
    pub source: Source,
    /// Packets discarded that were not told, so far.
    pub drops: u32,
    /// ifIndex it came in by, 0 when unknown.
    pub input: u32,
    /// ifIndex it would have gone out by, 0 when unknown.
    pub output: u32,
    /// Why.
    pub reason: u32,
    /// What is told of it.
    pub records: Blocks<'a>,
}

impl<'a> Discarded<'a> {
    /// Reads the body.
    pub fn read(body: &'a [u8]) -> Result<Self, Short> {
        let mut c = Cursor::new(body);
        let sequence = c.u32("sFlow discard sequence")?;
        let source = Source::read(&mut c, true)?;
        let drops = c.u32("sFlow drops")?;
        let input = c.u32("sFlow discard input")?;
        let output = c.u32("sFlow discard output")?;
        let reason = c.u32("sFlow discard reason")?;
        let count = c.u32("sFlow records")?;
        Ok(Discarded { sequence, source, drops, input, output, reason, records: Blocks::new(c, count) })
    }
}

/// A sample of counters.
#[derive(Clone, Copy, Debug)]
pub struct CounterSample<'a> {
    /// Samples of this source, this one included.
    pub sequence: u32,
    /// Whose they are.
    pub source: Source,
    /// The counters, in groups.
    pub records: Blocks<'a>,
}

impl<'a> CounterSample<'a> {
    /// Reads the body of a [`Format::COUNTERS`] or a [`Format::EXPANDED_COUNTERS`] one.
    pub fn read(body: &'a [u8], expanded: bool) -> Result<Self, Short> {
        let mut c = Cursor::new(body);
        let sequence = c.u32("sFlow sample sequence")?;
        let source = Source::read(&mut c, expanded)?;
        let count = c.u32("sFlow records")?;
        Ok(CounterSample { sequence, source, records: Blocks::new(c, count) })
    }
}

/// `N` numbers at once: one check of bounds instead of many.
#[inline(always)]
fn numbers<const N: usize, const BYTES: usize>(bytes: &[u8; BYTES]) -> [u32; N] {
    const { assert!(N * 4 == BYTES) };
    let (words, _) = bytes.as_chunks::<4>();
    core::array::from_fn(|i| words.get(i).map_or(0, |word| u32::from_be_bytes(*word)))
}

/// The 32-bit numbers of an array whose length was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    /// Reads an array with its count in front.
    pub fn read(c: &mut Cursor<'a>, what: &'static str) -> Result<Words<'a>, Short> {
        let count = c.u32(what)? as usize;
        c.take(count.saturating_mul(4), what).map(Words)
    }

    /// Each, in order.
    pub fn iter(self) -> impl Iterator<Item = u32> + 'a {
        self.0.chunks_exact(4).filter_map(|chunk| chunk.first_chunk::<4>()).map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// The last one.
    pub fn last(self) -> Option<u32> {
        self.0.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
    }
}

/// Reads opaque bytes or text with its length in front and padding behind.
pub fn opaque<'a>(c: &mut Cursor<'a>, what: &'static str) -> Result<&'a [u8], Short> {
    let length = c.u32(what)? as usize;
    let bytes = c.take(length, what)?;
    c.skip((length.wrapping_neg() % 4).min(c.remaining()), what)?;
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn words(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    #[test]
    fn headers_read_back_and_truncations_err() {
        for (agent, length) in [(IpAddr::from([192, 0, 2, 1]), 28), (IpAddr::from([0x20; 16]), 40)] {
            let header = Header { agent, sub_agent: 1, sequence: 0x0102_0304, uptime_ms: 5, samples: 6 };
            let mut bytes = Vec::new();
            header.write(&mut bytes);
            assert_eq!((bytes.len(), &bytes[..4]), (length, &[0, 0, 0, 5][..]));
            assert_eq!(Header::read(&mut Cursor::new(&bytes)), Ok(header));
            for cut in 0..bytes.len() {
                assert!(Header::read(&mut Cursor::new(&bytes[..cut])).is_err(), "cut at {cut}");
            }
        }
        let nobody = Header::read(&mut Cursor::new(&words(&[5, 0, 1, 2, 3, 4]))).expect("whole");
        assert_eq!((nobody.agent, nobody.samples), (IpAddr::from([0, 0, 0, 0]), 4));
    }

    #[test]
    fn flow_samples_of_both_forms_say_the_same() {
        let compact = words(&[9, 0x0200_0007, 512, 4096, 3, 0x0000_0011, 0x4000_0101, 0]);
        let expanded = words(&[9, 2, 7, 512, 4096, 3, 0, 17, 1, 257, 0]);
        for (bytes, form) in [(compact, false), (expanded, true)] {
            let sample = FlowSample::read(&bytes, form).expect("whole");
            assert_eq!((sample.sequence, sample.rate, sample.pool, sample.drops), (9, 512, 4096, 3));
            assert_eq!(sample.source, Source { class: 2, index: 7 });
            assert_eq!((sample.input.index(), sample.output.index()), (17, 0));
            assert_eq!((sample.input.discarded(), sample.output.discarded()), (None, Some(257)));
            for cut in 0..bytes.len() {
                assert!(FlowSample::read(&bytes[..cut], form).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn no_one_interface_has_no_index() {
        let index = |form, value| Interface { form, value }.index();
        assert_eq!([index(0, 5), index(0, 0x3fff_ffff), index(0, u32::MAX), index(1, 5), index(2, 5)], [5, 0, 0, 0, 0]);
    }

    #[test]
    fn discards_and_counters_read_and_truncations_err() {
        let bytes = words(&[3, 0, 1, 256, 1, 2, 258, 0]);
        let discarded = Discarded::read(&bytes).expect("whole");
        assert_eq!((discarded.sequence, discarded.drops, discarded.reason), (3, 256, 258));
        assert_eq!((discarded.source.index, discarded.input, discarded.output), (1, 1, 2));
        for cut in 0..bytes.len() {
            assert!(Discarded::read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for (bytes, expanded) in [(words(&[4, 0x0100_0002, 0]), false), (words(&[4, 1, 2, 0]), true)] {
            let sample = CounterSample::read(&bytes, expanded).expect("whole");
            assert_eq!((sample.sequence, sample.source), (4, Source { class: 1, index: 2 }));
            for cut in 0..bytes.len() {
                assert!(CounterSample::read(&bytes[..cut], expanded).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn blocks_are_found_by_their_lengths() {
        let bytes = words(&[1, 4, 0xaaaa_aaaa, 0x0012_3002, 5, 0xbbbb_bbbb, 0xbb00_0000, 3, 0, 7]);
        let mut blocks = Blocks::new(Cursor::new(&bytes), 3);
        let all: Vec<_> = blocks.by_ref().collect::<Result<_, _>>().expect("whole");
        assert_eq!(all.iter().map(|block| block.body.len()).collect::<Vec<_>>(), [4, 5, 0]);
        assert_eq!((all[1].format.enterprise(), all[1].format.number()), (0x123, 2));
        assert_eq!(blocks.rest(), [0, 0, 0, 7]);
        // Padding alone may be missing.
        for (cut, whole) in [(36, 3), (35, 2), (28, 2), (25, 2), (24, 1), (12, 1), (11, 0), (0, 0)] {
            let read: Vec<_> = Blocks::new(Cursor::new(&bytes[..cut]), 3).collect();
            assert_eq!(read.iter().filter(|block| block.is_ok()).count(), whole, "cut at {cut}");
            assert_eq!(read.iter().filter(|block| block.is_err()).count(), usize::from(whole < 3), "cut at {cut}");
        }
        assert_eq!(Blocks::new(Cursor::new(&words(&[1, u32::MAX])), u32::MAX).count(), 1);
    }
}
