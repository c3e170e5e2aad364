//! IPFIX (RFC 7011): a header, then sets of templates, options templates and data. Big-endian.
//!
//! ```text
//! header            0 version = 10 | 2 length | 4 export time s | 8 sequence | 12 observation domain id
//! set               0 id | 2 length, these 4 bytes included | records, padding
//! template          0 id | 2 fields | specifier*                                                  in set 2
//! options template  0 id | 2 fields | 4 scope fields | specifier*, the scope's first              in set 3
//! specifier         0 enterprise bit, element | 2 length, 65535 = variable | 4 enterprise number, with the bit only
//! variable length   0 length below 255 | 1 octets      or      0 255 | 1 length | 3 octets
//! ```

use crate::cursor::{Cursor, Short};

/// The version number.
pub const VERSION: u16 = 10;
/// Length of the header.
pub const HEADER: usize = 16;
/// Id of the set that holds templates.
pub const TEMPLATE_SET: u16 = 2;
/// Id of the set that holds options templates.
pub const OPTIONS_SET: u16 = 3;
/// The length that announces a variable length.
pub const VARIABLE: u16 = 65535;
/// Enterprise number of elements that tell of a biflow's reverse direction (RFC 5103, section 6.1).
pub const REVERSE_PEN: u32 = 29305;

const ENTERPRISE_BIT: u16 = 0x8000;

/// The header of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the message, header included.
    pub length: u16,
    /// Time of export, seconds since 1970.
    pub seconds: u32,
    /// Data records sent before this message, in this session and domain.
    pub sequence: u32,
    /// Observation domain id.
    pub domain: u32,
}

impl Header {
    /// Reads a header, version included but not checked.
    pub fn read(c: &mut Cursor<'_>) -> Result<Header, Short> {
        c.skip(2, "IPFIX version")?;
        Ok(Header {
            length: c.u16("IPFIX length")?,
            seconds: c.u32("IPFIX export time")?,
            sequence: c.u32("IPFIX sequence")?,
            domain: c.u32("IPFIX domain")?,
        })
    }

    /// As sent.
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..2].copy_from_slice(&VERSION.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.length.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.seconds.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.domain.to_be_bytes());
        bytes
    }
}

/// A field of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Specifier {
    /// Enterprise number, 0 for IANA's own elements.
    pub pen: u32,
    /// The element's number under it, 15 bits.
    pub id: u16,
    /// Bytes of a value, or [`VARIABLE`].
    pub length: u16,
}

impl Specifier {
    /// Reads one.
    pub fn read(c: &mut Cursor<'_>) -> Result<Specifier, Short> {
        let id = c.u16("IPFIX field")?;
        let length = c.u16("IPFIX field length")?;
        let pen = if id & ENTERPRISE_BIT == 0 { 0 } else { c.u32("IPFIX enterprise number")? };
        Ok(Specifier { pen, id: id & !ENTERPRISE_BIT, length })
    }

    /// Appends it as sent.
    pub fn write(&self, out: &mut Vec<u8>) {
        let bit = if self.pen == 0 { 0 } else { ENTERPRISE_BIT };
        out.extend_from_slice(&(self.id & !ENTERPRISE_BIT | bit).to_be_bytes());
        out.extend_from_slice(&self.length.to_be_bytes());
        if self.pen != 0 {
            out.extend_from_slice(&self.pen.to_be_bytes());
        }
    }
}

/// Appends a value of variable length (RFC 7011, section 7); what is over 65535 bytes is cut.
#[inline]
pub fn write_variable(value: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(value.len()) {
        Ok(short @ 0..=254) => out.push(short),
        _ => {
            let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
            let [high, low] = length.to_be_bytes();
            out.extend_from_slice(&[255, high, low]);
        }
    }
    out.extend_from_slice(value.get(..usize::from(u16::MAX)).unwrap_or(value));
}

/// Reads a value of variable length. The long form is accepted for short values too.
pub fn read_variable<'a>(c: &mut Cursor<'a>) -> Result<&'a [u8], Short> {
    let length = match c.u8("IPFIX variable length")? {
        255 => usize::from(c.u16("IPFIX variable length")?),
        short => usize::from(short),
    };
    c.take(length, "IPFIX variable value")
}

/// Seconds from 1900, where NTP's time begins, to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// Microseconds since 1970 as `dateTimeMicroseconds` (RFC 7011, section 6.1.9): an NTP timestamp whose last 11 bits are
/// zero. Rounded up to what it can tell, so that whole microseconds come back whether a reader rounds or cuts.
#[inline]
pub const fn ntp_micros(micros: u64) -> u64 {
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    let fraction = (rest << 21).div_ceil(1_000_000) << 11;
    (seconds + NTP_EPOCH) << 32 | fraction
}

/// Nanoseconds since 1970 as `dateTimeNanoseconds` (RFC 7011, section 6.1.10), rounded up likewise.
#[inline]
pub const fn ntp_nanos(nanos: u64) -> u64 {
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    (seconds + NTP_EPOCH) << 32 | (rest << 32).div_ceil(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_truncations_err() {
        let header = Header { length: 0x0102, seconds: 0x0304_0506, sequence: 0x0708_090a, domain: 0x0b0c_0d0e };
        let bytes = header.to_bytes();
        assert_eq!(bytes, [0, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        assert_eq!(Header::read(&mut Cursor::new(&bytes)), Ok(header));
        for cut in 0..HEADER {
            assert!(Header::read(&mut Cursor::new(&bytes[..cut])).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn specifiers_read_back() {
        for (specifier, bytes) in [
            (Specifier { pen: 0, id: 8, length: 4 }, &[0, 8, 0, 4][..]),
            (Specifier { pen: 35632, id: 205, length: VARIABLE }, &[0x80, 205, 0xff, 0xff, 0, 0, 0x8b, 0x30][..]),
        ] {
            let mut out = Vec::new();
            specifier.write(&mut out);
            assert_eq!(out, bytes);
            assert_eq!(Specifier::read(&mut Cursor::new(bytes)), Ok(specifier));
            for cut in 0..bytes.len() {
                assert!(Specifier::read(&mut Cursor::new(&bytes[..cut])).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn variable_lengths_take_the_short_form_below_255() {
        for (length, prefix) in [(0, &[0][..]), (254, &[254]), (255, &[255, 0, 255]), (1000, &[255, 3, 232])] {
            let value = vec![7; length];
            let mut out = Vec::new();
            write_variable(&value, &mut out);
            assert!(out.starts_with(prefix) && out.len() == prefix.len() + length);
            assert_eq!(read_variable(&mut Cursor::new(&out)), Ok(&value[..]));
            assert!(read_variable(&mut Cursor::new(&out[..out.len() - 1])).is_err());
        }
        let mut out = Vec::new();
        write_variable(&vec![7; 70_000], &mut out);
        assert_eq!(out.len(), 3 + 65_535);
    }

    #[test]
    fn ntp_timestamps_come_back_whole() {
        assert_eq!(ntp_nanos(0), 2_208_988_800 << 32);
        assert_eq!(ntp_micros(500_000) as u32, 1 << 31);
        for rest in [0u64, 1, 2, 123_456, 499_999, 999_998, 999_999] {
            let fraction = ntp_micros(1_700_000_000_000_000 + rest) & 0xffff_ffff;
            assert_eq!(((fraction * 1_000_000) >> 32, fraction & 0x7ff), (rest, 0));
        }
        for rest in [0u64, 1, 123_456_789, 999_999_999] {
            let fraction = ntp_nanos(1_700_000_000_000_000_000 + rest) & 0xffff_ffff;
            assert_eq!((fraction * 1_000_000_000) >> 32, rest);
        }
    }
}
