//! TLV, the binary form ntopng reads: items of a type byte, a key and a value.
//!
//! ```text
//! item    type of key << 4 | type of value | key | value                    numbers big-endian, as short as they fit
//! types   2 to 5 unsigned of 1, 2, 4, 8 bytes | 6 to 9 signed | 10 float, 4 bytes little-endian
//!         11 text: 2 bytes length, octets | 1 end of record, a byte of its own
//! ```
//!
//! Addresses, MACs and octets are texts; truth is 0 or 1; floats have four bytes.

use flowsonde_elements::Kind;
use flowsonde_wire::Nanos;

use super::text::When;
use super::{Emit, Name, Place};
use crate::encode::print;

const UINT8: u8 = 2;
const UINT16: u8 = 3;
const INT8: u8 = 6;
const FLOAT: u8 = 10;
const TEXT: u8 = 11;
const END_OF_RECORD: u8 = 1;

/// The type of the key and the key.
#[derive(Debug)]
pub struct Key {
    /// Type byte, its lower half empty, in the lowest, and up to two bytes of key: all there is for a numeric one.
    head: u32,
    /// Bytes of that.
    length: u8,
    /// A key that is a text: length and octets.
    text: Box<[u8]>,
    when: When,
}

impl Key {
    fn new(head: [u8; 4], length: u8, text: Box<[u8]>, when: When) -> Key {
        Key { head: u32::from_le_bytes(head), length, text, when }
    }

    #[inline(always)]
    fn is_text(&self) -> bool {
        self.length == 1
    }

    /// Stores what there is of the key, with the type of its value, and zeros behind.
    #[inline(always)]
    fn put<const N: usize>(&self, kind: u8, place: &mut [u8; N]) {
        print::store(place, 0, u64::from(self.head | u32::from(kind)));
    }
}

/// How a number is told: as short as it fits, of 1, 2, 4 or 8 bytes.
#[derive(Clone, Copy)]
struct Fit {
    kind: u8,
    bytes: u8,
    /// Bits by which the first of its bytes stand behind the first of eight.
    behind: u8,
}

impl Fit {
    /// By leading zeros: all at once, as how long the next number is nobody can foretell.
    const OF: [Fit; 64] = {
        let mut table = [Fit { kind: UINT8 + 3, bytes: 8, behind: 0 }; 64];
        let mut zeros = 32;
        while zeros < 64 {
            table[zeros] = match zeros {
                32..48 => Fit { kind: UINT8 + 2, bytes: 4, behind: 32 },
                48..56 => Fit { kind: UINT8 + 1, bytes: 2, behind: 48 },
                _ => Fit { kind: UINT8, bytes: 1, behind: 56 },
            };
            zeros += 1;
        }
        table
    };

    #[inline(always)]
    fn of(n: u64) -> Fit {
        Self::OF[(n | 1).leading_zeros() as usize & 63]
    }
}

impl super::Key for Key {
    fn is_short(&self) -> bool {
        !self.is_text()
    }

    #[inline(always)]
    fn moment(&self, time: Nanos) -> u64 {
        self.when.tell(time)
    }
}

/// Writes records as TLV items.
#[derive(Debug)]
pub struct Tlv<'a> {
    /// Where to.
    pub out: &'a mut Vec<u8>,
}

impl Tlv<'_> {
    /// What a message begins with: version and format.
    pub const BEGIN: [u8; 2] = [1, 1];

    /// The key of a value: its number, or with `labels` its name.
    pub fn key(name: &Name, kind: Kind, labels: bool) -> Key {
        let name = if labels { Err(name.text()) } else { name.numeric() };
        Self::key_of(name, When::of(kind))
    }

    fn key_of(name: Result<u16, String>, when: When) -> Key {
        match name {
            Ok(id) => match id.to_be_bytes() {
                [0, low] => Key::new([UINT8 << 4, low, 0, 0], 2, Box::default(), when),
                [high, low] => Key::new([UINT16 << 4, high, low, 0], 3, Box::default(), when),
            },
            // A text of digits only is a number to readers.
            Err(name) => match name.parse() {
                Ok(id) => Self::key_of(Ok(id), when),
                Err(_) => {
                    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
                    let octets = name.as_bytes().get(..length.into()).unwrap_or(&[]);
                    let text = [&length.to_be_bytes()[..], octets].concat().into();
                    Key::new([TEXT << 4, 0, 0, 0], 1, text, when)
                }
            },
        }
    }

    #[inline(always)]
    fn head(&mut self, key: &Key, kind: u8) {
        let end = self.out.len() + usize::from(key.length);
        key.put(kind, print::room::<16>(self.out));
        self.out.truncate(end);
        if key.is_text() {
            self.out.extend_from_slice(&key.text);
        }
    }

    /// A text of a length that is known only when it is written.
    #[inline(always)]
    fn texted(&mut self, key: &Key, write: impl FnOnce(&mut Vec<u8>)) {
        self.head(key, TEXT);
        let at = self.out.len();
        self.out.extend_from_slice(&[0, 0]);
        write(self.out);
        self.out.truncate(at + 2 + usize::from(u16::MAX));
        let length = (self.out.len() - at - 2) as u16;
        if let Some(place) = self.out.get_mut(at..at + 2) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }
}

impl Emit for Tlv<'_> {
    type Key = Key;

    #[inline]
    fn begin(&mut self) {}

    #[inline]
    fn end(&mut self) {
        self.out.push(END_OF_RECORD);
    }

    #[inline(always)]
    fn put_number(key: &Key, n: u64, place: &mut Place) -> usize {
        let fit = Fit::of(n);
        key.put(fit.kind, place);
        let length = usize::from(key.length & 3);
        print::store(place, length, n.swap_bytes() >> (fit.behind & 63));
        length + usize::from(fit.bytes)
    }

    #[inline]
    fn put_ipv4(key: &Key, address: [u8; 4], place: &mut Place) -> usize {
        key.put(TEXT, place);
        let at = usize::from(key.length & 3) + 2;
        let length = print::dotted(address, place, at);
        // At most 15: one byte of two.
        place[at - 1] = length as u8;
        at + length
    }

    #[inline]
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    fn number(&mut self, key: &Key, n: u64) {
        let fit = Fit::of(n);
        self.head(key, fit.kind);
        let end = self.out.len() + usize::from(fit.bytes);
        self.out.extend_from_slice(&(n.swap_bytes() >> fit.behind).to_le_bytes());
        self.out.truncate(end);
    }

    fn signed(&mut self, key: &Key, n: i64) {
        match n {
            -0x80..=0x7f => {
                self.head(key, INT8);
                self.out.extend_from_slice(&(n as i8).to_be_bytes());
            }
            -0x8000..=0x7fff => {
                self.head(key, INT8 + 1);
                self.out.extend_from_slice(&(n as i16).to_be_bytes());
            }
            -0x8000_0000..=0x7fff_ffff => {
                self.head(key, INT8 + 2);
                self.out.extend_from_slice(&(n as i32).to_be_bytes());
            }
            _ => {
                self.head(key, INT8 + 3);
                self.out.extend_from_slice(&n.to_be_bytes());
            }
        }
    }

    fn float(&mut self, key: &Key, n: f64) {
        self.head(key, FLOAT);
        self.out.extend_from_slice(&(n as f32).to_le_bytes());
    }

    fn latency(&mut self, key: &Key, micros: u64) {
        self.float(key, micros as f64 / 1000.0);
    }

    fn boolean(&mut self, key: &Key, truth: bool) {
        self.number(key, truth.into());
    }

    #[inline]
    fn time(&mut self, key: &Key, time: Nanos) {
        self.number(key, key.when.tell(time));
    }

    fn ipv4(&mut self, key: &Key, address: [u8; 4]) {
        self.texted(key, |out| print::ipv4(address, out));
    }

    fn ipv6(&mut self, key: &Key, address: [u8; 16]) {
        self.texted(key, |out| print::ipv6(address, out));
    }

    #[inline]
    fn mac(&mut self, key: &Key, address: [u8; 6]) {
        self.texted(key, |out| print::mac(address, out));
    }

    fn text(&mut self, key: &Key, text: &[u8]) {
        // A NUL would end it early for a reader in C, and what is no UTF-8 would make its JSON invalid.
        self.texted(key, |out| match core::str::from_utf8(text) {
            Ok(text) => out.extend_from_slice(text.as_bytes()),
            Err(_) => out.extend_from_slice(String::from_utf8_lossy(text).as_bytes()),
        });
    }

    fn octets(&mut self, key: &Key, octets: &[u8]) {
        self.texted(key, |out| octets.iter().for_each(|&octet| print::hex(octet, out)));
    }

    /// As a text: a list of TLV's own would make ntopng lose the message.
    fn structure(&mut self, key: &Key, json: &[u8]) {
        self.texted(key, |out| out.extend_from_slice(json));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of nDPI's serializer, as `tests/tlv.rs` has them all, by hand: key, value, bytes.
    #[test]
    fn numbers_are_as_short_as_they_fit() {
        let key = |name: Result<u16, &str>| Tlv::key_of(name.map_err(str::to_owned), When::Seconds);
        let mut out = Vec::new();
        let mut tlv = Tlv { out: &mut out };
        tlv.number(&key(Ok(1)), 0);
        tlv.number(&key(Ok(10)), 255);
        tlv.number(&key(Ok(57_590)), 256);
        tlv.number(&key(Ok(7)), 65_536);
        tlv.number(&key(Err("L4_DST_PORT")), 1 << 32);
        tlv.signed(&key(Ok(7)), -1);
        tlv.signed(&key(Ok(7)), -129);
        tlv.end();
        let expected = [
            &[0x22, 1, 0][..],
            &[0x22, 10, 255],
            &[0x33, 0xe0, 0xf6, 1, 0],
            &[0x24, 7, 0, 1, 0, 0],
            &[0xb5, 0, 11],
            b"L4_DST_PORT",
            &[0, 0, 0, 1, 0, 0, 0, 0],
            &[0x26, 7, 0xff],
            &[0x27, 7, 0xff, 0x7f],
            &[1],
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn addresses_are_texts_and_floats_little_endian() {
        let key = |id| Tlv::key_of(Ok(id), When::Seconds);
        let mut out = Vec::new();
        let mut tlv = Tlv { out: &mut out };
        tlv.ipv4(&key(8), [10, 0, 0, 1]);
        tlv.float(&key(57_597), 1.5);
        tlv.text(&key(82), b"eth0");
        tlv.octets(&key(104), &[0xab, 1]);
        let expected = [
            &[0x2b, 8, 0, 8][..],
            b"10.0.0.1",
            &[0x3a, 0xe0, 0xfd, 0, 0, 0xc0, 0x3f],
            &[0x2b, 82, 0, 4],
            b"eth0",
            &[0x2b, 104, 0, 4],
            b"ab01",
        ];
        assert_eq!(out, expected.concat());
    }
}
