//! JSON: one object a record, on a line of its own, or in arrays for ZeroMQ.

use flowsonde_elements::Kind;
use flowsonde_wire::Nanos;

use super::text::When;
use super::{Emit, Name, Place};
use crate::encode::print;

/// What stands before a value: `{"NAME":`, or with a comma instead of the brace.
#[derive(Debug)]
pub struct Key {
    /// As much of it as goes here: that much is stored at once, which costs less than asking how much it is.
    before: [u8; SHORT],
    length: u8,
    /// All of it, where it is longer.
    long: Box<[u8]>,
    when: When,
}

const SHORT: usize = 32;

impl Key {
    fn new(before: &[u8], when: When) -> Key {
        let mut key = Key { before: [0; SHORT], length: 0, long: Box::default(), when };
        match key.before.get_mut(..before.len()) {
            Some(place) => {
                place.copy_from_slice(before);
                key.length = before.len() as u8;
            }
            None => key.long = before.into(),
        }
        key
    }

    /// No key: a value of a list.
    pub(super) fn bare(when: When) -> Key {
        Key { before: [0; SHORT], length: 0, long: Box::default(), when }
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.length == 0 {
            &self.long
        } else {
            self.before.get(..self.length.into()).unwrap_or(&[])
        });
    }
}

impl Key {
    /// Stores a key that goes into [`Key::before`]; tells where it ends.
    #[inline(always)]
    fn store(&self, place: &mut Place) -> usize {
        if let Some(start) = place.first_chunk_mut::<SHORT>() {
            *start = self.before;
        }
        // The remainder tells the compiler what the length cannot exceed.
        usize::from(self.length) % (SHORT + 1)
    }
}

impl super::Key for Key {
    fn is_short(&self) -> bool {
        self.length > 0
    }

    #[inline(always)]
    fn moment(&self, time: Nanos) -> u64 {
        self.when.tell(time)
    }
}

/// Writes records as JSON objects.
#[derive(Debug)]
pub struct Json<'a> {
    /// Where to.
    pub out: &'a mut Vec<u8>,
}

impl Json<'_> {
    /// The key of a value: its name, or with `numeric` its number.
    pub fn key(name: &Name, kind: Kind, first: bool, numeric: bool) -> Key {
        let mut before = vec![if first { b'{' } else { b',' }, b'"'];
        let told = match numeric {
            true => name.numeric().map_or_else(|text| text, |id| id.to_string()),
            false => name.text(),
        };
        print::escape(&told, &mut before);
        before.extend_from_slice(b"\":");
        Key::new(&before, When::of(kind))
    }

    /// JSON as it is.
    pub(super) fn object(&mut self, key: &Key, json: &[u8]) {
        key.put(self.out);
        self.out.extend_from_slice(json);
    }

    #[inline]
    fn quoted(&mut self, key: &Key, write: impl FnOnce(&mut Vec<u8>)) {
        key.put(self.out);
        self.out.push(b'"');
        write(self.out);
        self.out.push(b'"');
    }
}

impl Emit for Json<'_> {
    type Key = Key;

    #[inline]
    fn begin(&mut self) {}

    #[inline]
    fn end(&mut self) {
        self.out.push(b'}');
    }

    #[inline(always)]
    fn put_number(key: &Key, n: u64, place: &mut Place) -> usize {
        let at = key.store(place);
        at + print::digits(n, place, at)
    }

    #[inline]
    fn put_ipv4(key: &Key, address: [u8; 4], place: &mut Place) -> usize {
        let at = key.store(place);
        place[at] = b'"';
        let length = print::dotted(address, place, at + 1);
        place[at + 1 + length] = b'"';
        at + length + 2
    }

    #[inline]
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    fn number(&mut self, key: &Key, n: u64) {
        key.put(self.out);
        print::number(n, self.out);
    }

    fn signed(&mut self, key: &Key, n: i64) {
        key.put(self.out);
        self.out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }

    fn float(&mut self, key: &Key, n: f64) {
        key.put(self.out);
        // JSON has no number for what is none.
        let n = if n.is_finite() { n } else { 0.0 };
        use std::io::Write as _;
        let _infallible = write!(self.out, "{n:?}");
    }

    fn latency(&mut self, key: &Key, micros: u64) {
        key.put(self.out);
        print::latency(micros, self.out);
    }

    fn boolean(&mut self, key: &Key, truth: bool) {
        key.put(self.out);
        self.out.push(if truth { b'1' } else { b'0' });
    }

    #[inline]
    fn time(&mut self, key: &Key, time: Nanos) {
        self.number(key, key.when.tell(time));
    }

    fn ipv4(&mut self, key: &Key, address: [u8; 4]) {
        self.quoted(key, |out| print::ipv4(address, out));
    }

    fn ipv6(&mut self, key: &Key, address: [u8; 16]) {
        self.quoted(key, |out| print::ipv6(address, out));
    }

    #[inline]
    fn mac(&mut self, key: &Key, address: [u8; 6]) {
        self.quoted(key, |out| print::mac(address, out));
    }

    fn text(&mut self, key: &Key, text: &[u8]) {
        self.quoted(key, |out| match core::str::from_utf8(text) {
            Ok(text) => print::escape(text, out),
            Err(_) => print::escape(&String::from_utf8_lossy(text), out),
        });
    }

    fn octets(&mut self, key: &Key, octets: &[u8]) {
        self.quoted(key, |out| octets.iter().for_each(|&octet| print::hex(octet, out)));
    }

    /// As a text, which is all that ntopng takes.
    fn structure(&mut self, key: &Key, json: &[u8]) {
        self.text(key, json);
    }
}
