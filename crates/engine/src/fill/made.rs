//! Values that are made up for a record: short texts, and lists (RFC 6313).

use crate::meter::View;

/// Room for any short text, and for any list as JSON: 30 times of 14 characters are the longest.
const ROOM: usize = 512;

/// A text of ASCII that needs no escaping. What is too long for it is cut.
#[derive(Clone, Debug)]
pub struct Short {
    bytes: [u8; ROOM],
    length: usize,
}

impl Default for Short {
    fn default() -> Self {
        Short { bytes: [0; ROOM], length: 0 }
    }
}

impl Short {
    /// The text made by `write`.
    #[inline]
    pub fn of(write: impl FnOnce(&mut Short)) -> Short {
        let mut text = Short::default();
        write(&mut text);
        text
    }

    /// Appends numbers with commas between.
    pub fn join<T: Into<i64>>(&mut self, numbers: impl IntoIterator<Item = T>) {
        for (at, number) in numbers.into_iter().enumerate() {
            if at > 0 {
                self.push(b',');
            }
            self.number(number.into());
        }
    }

    /// Appends a number.
    pub fn number(&mut self, n: i64) {
        if n < 0 {
            self.push(b'-');
        }
        let mut digits = [0; 20];
        let (mut at, mut rest) = (digits.len(), n.unsigned_abs());
        for place in digits.iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            (at, rest) = (at - 1, rest / 10);
            if rest == 0 {
                break;
            }
        }
        digits.iter().skip(at).for_each(|&digit| self.push(digit));
    }

    /// Appends a character.
    pub fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    /// Appends a text of ASCII that needs no escaping.
    pub fn text(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.push(byte));
    }

    /// Makes it no longer than `length`.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// How long it is.
    pub fn len(&self) -> usize {
        self.length
    }

    /// True when there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What it says.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

/// A list of numbers, all of one element: a basicList on the wire of IPFIX, an array in JSON.
#[derive(Debug)]
pub struct List {
    /// Enterprise and id of the values' element.
    pub number: (u32, u16),
    /// Bytes of each on the wire.
    pub width: u8,
    /// How many a flow has.
    pub len: fn(&View<'_>) -> usize,
    /// One of them.
    pub item: fn(&View<'_>, usize) -> i64,
}

/// Bytes of a basicList before its values: semantic, element, length, enterprise.
const HEADER: usize = 1 + 2 + 2 + 4;
/// Before it, the length of the whole, told in three bytes as RFC 6313 has it for what may be long.
const LENGTH: usize = 3;
/// Semantic allOf, which CESNET's ipfixprobe sends.
const ALL_OF: u8 = 3;

impl List {
    /// The most values that a list has.
    pub const MOST: usize = 30;

    /// Bytes of the longest on the wire, with its length.
    pub fn longest(&self) -> usize {
        LENGTH + HEADER + Self::MOST * usize::from(self.width)
    }

    /// Appends it as a value of variable length (RFC 7011, section 7): a basicList (RFC 6313, section 4.5.1).
    pub fn write(&self, v: &View<'_>, out: &mut Vec<u8>) {
        let items = (self.len)(v).min(Self::MOST);
        let width = usize::from(self.width).min(8);
        let [.., high, low] = (HEADER + items * width).to_be_bytes();
        out.extend_from_slice(&[u8::MAX, high, low, ALL_OF]);
        out.extend_from_slice(&(self.number.1 | 0x8000).to_be_bytes());
        out.extend_from_slice(&u16::from(self.width).to_be_bytes());
        out.extend_from_slice(&self.number.0.to_be_bytes());
        for at in 0..items {
            let octets = (self.item)(v, at).to_be_bytes();
            out.extend_from_slice(octets.get(octets.len() - width..).unwrap_or(&octets));
        }
    }

    /// As a JSON array.
    pub fn text(&self, v: &View<'_>) -> Short {
        Short::of(|text| {
            text.push(b'[');
            text.join((0..(self.len)(v).min(Self::MOST)).map(|at| (self.item)(v, at)));
            text.push(b']');
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::sample;

    static LIST: List = List { number: (8057, 1016), width: 1, len: |_| 3, item: |_, i| [1, -1, 127][i] };

    #[test]
    fn a_list_is_a_basic_list() {
        let mut out = vec![0xee];
        LIST.write(&sample::v4().view(), &mut out);
        // RFC 6313, section 4.5.1: length 12 behind 255; allOf; 1016 with the enterprise bit; 1 byte each; 8057.
        assert_eq!(out, [0xee, 255, 0, 12, 3, 0x83, 0xf8, 0, 1, 0, 0, 0x1f, 0x79, 1, 255, 127]);
        assert_eq!(LIST.text(&sample::v4().view()).bytes(), b"[1,-1,127]");
        assert!(out.len() - 1 <= LIST.longest());
    }

    #[test]
    fn numbers_are_as_the_standard_library_prints_them() {
        let all = [0, 7, -7, 10, 255, 1_647_000_000_123, i64::MAX, i64::MIN];
        let text = Short::of(|text| text.join(all));
        assert_eq!(text.bytes(), all.map(|n| n.to_string()).join(",").as_bytes());
        let long = Short::of(|text| text.join([i64::MIN; 100]));
        assert_eq!(long.len(), ROOM);
    }
}
