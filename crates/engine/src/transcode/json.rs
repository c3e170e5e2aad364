//! JSON: one object a record, on a line of its own, or in arrays for ZeroMQ.

use flowsonde_wire::Nanos;

use super::text::When;
use super::{Column, Emit};
use crate::encode::print;

/// What stands before a value: `{"NAME":`, or with a comma instead of the brace.
#[derive(Debug)]
pub struct Key {
    before: Box<[u8]>,
    when: When,
}

/// Writes records as JSON objects.
#[derive(Debug)]
pub struct Json<'a> {
    /// Where to.
    pub out: &'a mut Vec<u8>,
}

impl Json<'_> {
    /// The key of a column: its name, or with `numeric` its number.
    pub fn key(column: &Column, first: bool, numeric: bool) -> Key {
        let mut before = vec![if first { b'{' } else { b',' }, b'"'];
        let name = match numeric {
            true => column.name.numeric().map_or_else(|name| name, |id| id.to_string()),
            false => column.name.text(),
        };
        print::escape(&name, &mut before);
        before.extend_from_slice(b"\":");
        Key { before: before.into(), when: When::of(column.kind) }
    }

    #[inline]
    fn quoted(&mut self, key: &Key, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(&key.before);
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

    #[inline]
    fn number(&mut self, key: &Key, n: u64) {
        self.out.extend_from_slice(&key.before);
        self.out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }

    fn signed(&mut self, key: &Key, n: i64) {
        self.out.extend_from_slice(&key.before);
        self.out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }

    fn float(&mut self, key: &Key, n: f64) {
        self.out.extend_from_slice(&key.before);
        // JSON has no number for what is none.
        let n = if n.is_finite() { n } else { 0.0 };
        self.out.extend_from_slice(format!("{n:?}").as_bytes());
    }

    fn boolean(&mut self, key: &Key, truth: bool) {
        self.out.extend_from_slice(&key.before);
        self.out.push(if truth { b'1' } else { b'0' });
    }

    #[inline]
    fn time(&mut self, key: &Key, time: Nanos) {
        self.number(key, key.when.tell(time));
    }

    #[inline]
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
}
