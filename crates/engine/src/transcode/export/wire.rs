//! Values as NetFlow and IPFIX carry them: big-endian, each of the width its template declares.
//!
//! A number that does not fit becomes the largest that does. What is of another sort than the element it stands for is
//! left out: zeros, or nothing where the length is variable.

use flowsonde_elements::{Kind, VARIABLE};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::ipfix;

use super::super::Emit;
use super::super::text::When;
use crate::encode::netflow5::AS_TRANS;

/// How a value is written.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    form: Form,
    /// Bytes, or [`VARIABLE`].
    length: u16,
    /// The unit of a moment that is told as a number.
    when: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Number,
    /// An AS number in two bytes.
    System,
    Float,
    Bool,
    Ipv4,
    Ipv6,
    Mac,
    Text,
    Octets,
    Uptime,
    NtpMicros,
    NtpNanos,
}

impl Key {
    /// For an element of `kind` that is declared as `wire` in so many bytes.
    pub fn new(kind: Kind, wire: Kind, length: u16) -> Key {
        let form = match wire {
            Kind::F64 => Form::Float,
            Kind::Bool => Form::Bool,
            Kind::Ipv4 => Form::Ipv4,
            Kind::Ipv6 => Form::Ipv6,
            Kind::Mac => Form::Mac,
            Kind::Text(_) | Kind::FixedText(_) => Form::Text,
            Kind::Octets(_) | Kind::FixedOctets(_) | Kind::List(_) => Form::Octets,
            Kind::UptimeMillis => Form::Uptime,
            Kind::Micros => Form::NtpMicros,
            Kind::Nanos => Form::NtpNanos,
            _ => Form::Number,
        };
        // NetFlow v9 tells microseconds and nanoseconds as plain numbers.
        let when = When::of(if wire == Kind::U64 { kind } else { wire });
        Key { form, length, when }
    }

    /// An AS number in two bytes.
    pub fn system() -> Key {
        Key { form: Form::System, length: 2, when: When::Seconds }
    }
}

/// Appends values.
#[derive(Debug)]
pub struct Wire<'a> {
    /// Where to.
    pub out: &'a mut Vec<u8>,
    /// The zero of our uptime.
    pub boot: Nanos,
    /// Values of variable length are cut at so many bytes.
    pub limit: usize,
}

impl Wire<'_> {
    /// What stands for a value of another sort.
    #[cold]
    fn blank(&mut self, key: &Key) {
        let length = if key.length == VARIABLE { 1 } else { usize::from(key.length) };
        self.out.resize(self.out.len() + length, 0);
    }

    /// The last bytes of a number.
    #[inline]
    fn put(&mut self, key: &Key, n: u64) {
        match key.length {
            1 => self.out.push(u8::try_from(n).unwrap_or(u8::MAX)),
            2 => self.out.extend_from_slice(&u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes()),
            4 => self.out.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes()),
            8 => self.out.extend_from_slice(&n.to_be_bytes()),
            VARIABLE => ipfix::write_variable(n.to_be_bytes().get(..self.limit.min(8)).unwrap_or(&[]), self.out),
            length => self.odd(length, n),
        }
    }

    #[cold]
    fn odd(&mut self, length: u16, n: u64) {
        let length = usize::from(length);
        let bytes = n.to_be_bytes();
        let zeros = length.saturating_sub(bytes.len());
        self.out.resize(self.out.len() + zeros, 0);
        self.out.extend_from_slice(bytes.get(bytes.len() - (length - zeros)..).unwrap_or(&[]));
    }

    fn bytes<const N: usize>(&mut self, key: &Key, bytes: [u8; N]) {
        if usize::from(key.length) == N {
            self.out.extend_from_slice(&bytes);
        } else {
            self.blank(key);
        }
    }

    /// A text, cut between characters, or octets, cut anywhere; NULs behind it where the length is fixed.
    fn stretch(&mut self, key: &Key, bytes: &[u8], text: bool) {
        let limit = if key.length == VARIABLE { self.limit } else { key.length.into() };
        let mut length = bytes.len().min(limit);
        // A byte of the form 10...... continues a character (RFC 3629, section 3).
        while text && length < bytes.len() && length > 0 && bytes.get(length).is_some_and(|byte| byte & 0xc0 == 0x80) {
            length -= 1;
        }
        let bytes = bytes.get(..length).unwrap_or(bytes);
        if key.length == VARIABLE {
            return ipfix::write_variable(bytes, self.out);
        }
        let end = self.out.len() + usize::from(key.length);
        self.out.extend_from_slice(bytes);
        self.out.resize(end, 0);
    }
}

impl super::super::Key for Key {
    fn is_short(&self) -> bool {
        false
    }

    fn moment(&self, time: Nanos) -> u64 {
        self.when.tell(time)
    }
}

impl Emit for Wire<'_> {
    type Key = Key;

    #[inline]
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    #[inline]
    fn begin(&mut self) {}

    #[inline]
    fn end(&mut self) {}

    #[inline]
    fn number(&mut self, key: &Key, n: u64) {
        match key.form {
            Form::Number | Form::Octets | Form::Uptime => self.put(key, n),
            Form::System => {
                let number = u16::try_from(n).unwrap_or(AS_TRANS);
                self.out.extend_from_slice(&number.to_be_bytes());
            }
            Form::Bool => self.boolean(key, n == 1),
            Form::Float => self.float(key, n as f64),
            _ => self.blank(key),
        }
    }

    fn application(&mut self, key: &Key, n: u16) {
        self.number(key, n.into());
    }

    fn signed(&mut self, key: &Key, n: i64) {
        match key.form {
            Form::Number => {
                let unused = 64 - 8 * u32::from(key.length.clamp(1, 8));
                let fits = n.clamp(i64::MIN >> unused, i64::MAX >> unused);
                let bytes = fits.to_be_bytes();
                let length = usize::from(key.length.clamp(1, 8));
                self.out.extend_from_slice(bytes.get(bytes.len() - length..).unwrap_or(&bytes));
            }
            _ => self.number(key, n.unsigned_abs()),
        }
    }

    fn float(&mut self, key: &Key, n: f64) {
        match (key.form, key.length) {
            (Form::Float, 8) => self.out.extend_from_slice(&n.to_be_bytes()),
            (Form::Float, 4) => self.out.extend_from_slice(&(n as f32).to_be_bytes()),
            // A latency: whole milliseconds.
            (Form::Number, _) => self.put(key, n as u64),
            _ => self.blank(key),
        }
    }

    fn boolean(&mut self, key: &Key, truth: bool) {
        match key.form {
            // RFC 7011, section 6.1.5.
            Form::Bool => self.put(key, if truth { 1 } else { 2 }),
            Form::Number => self.put(key, truth.into()),
            _ => self.blank(key),
        }
    }

    #[inline]
    fn time(&mut self, key: &Key, time: Nanos) {
        match key.form {
            // Wraps after 49.7 days, and before the start, as sysUptime does.
            Form::Uptime => self.put(key, u64::from(time.millis().wrapping_sub(self.boot.millis()) as u32)),
            Form::NtpMicros => self.put(key, ipfix::ntp_micros(time.micros())),
            Form::NtpNanos => self.put(key, ipfix::ntp_nanos(time.0)),
            Form::Number => self.put(key, key.when.tell(time)),
            _ => self.blank(key),
        }
    }

    #[inline]
    fn ipv4(&mut self, key: &Key, address: [u8; 4]) {
        self.bytes(key, address);
    }

    fn ipv6(&mut self, key: &Key, address: [u8; 16]) {
        self.bytes(key, address);
    }

    fn mac(&mut self, key: &Key, address: [u8; 6]) {
        self.bytes(key, address);
    }

    fn text(&mut self, key: &Key, text: &[u8]) {
        match key.form {
            Form::Text => self.stretch(key, text, true),
            Form::Octets => self.stretch(key, text, false),
            _ => self.blank(key),
        }
    }

    fn octets(&mut self, key: &Key, octets: &[u8]) {
        match key.form {
            Form::Text | Form::Octets => self.stretch(key, octets, false),
            _ => self.blank(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: Kind, length: u16, write: impl FnOnce(&mut Wire<'_>, &Key)) -> Vec<u8> {
        let mut out = Vec::new();
        let key = Key::new(kind, kind, length);
        write(&mut Wire { out: &mut out, boot: Nanos::new(100, 0), limit: 300 }, &key);
        out
    }

    #[test]
    fn numbers_saturate_at_their_width() {
        let number = |length| written(Kind::U32, length, |wire, key| wire.number(key, 0x0102_0304_0506));
        assert_eq!(number(1), [255]);
        assert_eq!(number(2), [255; 2]);
        assert_eq!(number(4), [255; 4]);
        assert_eq!(number(8), [0, 0, 1, 2, 3, 4, 5, 6]);
        let signed = |n: i64| written(Kind::I32, 4, |wire, key| wire.signed(key, n));
        assert_eq!([signed(-2), signed(1 << 40)], [[255, 255, 255, 254], [127, 255, 255, 255]]);
    }

    #[test]
    fn texts_fill_their_field_or_tell_their_length() {
        let text = "aé→".as_bytes();
        assert_eq!(written(Kind::Text(5), 5, |wire, key| wire.text(key, text)), *b"a\xc3\xa9\0\0");
        assert_eq!(written(Kind::Text(5), VARIABLE, |wire, key| wire.text(key, text)), *b"\x06a\xc3\xa9\xe2\x86\x92");
        let long = written(Kind::Text(5), VARIABLE, |wire, key| wire.text(key, &[b'x'; 400]));
        assert_eq!((long.len(), &long[..3]), (303, &[255, 1, 44][..]));
    }

    #[test]
    fn times_are_told_as_declared() {
        let time = Nanos::new(101, 500_000_000);
        let told = |kind: Kind| written(kind, kind.length(), |wire, key| wire.time(key, time));
        assert_eq!(told(Kind::UptimeMillis), 1_500u32.to_be_bytes());
        assert_eq!(told(Kind::Seconds), 101u32.to_be_bytes());
        assert_eq!(told(Kind::Millis), 101_500u64.to_be_bytes());
        // Seconds since 1900 and half of 2^32 (RFC 5905, section 6).
        assert_eq!(told(Kind::Nanos), ((2_208_988_800u64 + 101) << 32 | 1 << 31).to_be_bytes());
        let key = Key::new(Kind::Micros, Kind::U64, 8);
        let mut out = Vec::new();
        Wire { out: &mut out, boot: Nanos(0), limit: 0 }.time(&key, time);
        assert_eq!(out, 101_500_000u64.to_be_bytes());
    }

    #[test]
    fn what_is_of_another_sort_leaves_room() {
        assert_eq!(written(Kind::Ipv6, 16, |wire, key| wire.ipv4(key, [1; 4])), [0; 16]);
        assert_eq!(written(Kind::U16, 2, |wire, key| wire.text(key, b"x")), [0; 2]);
        assert_eq!(written(Kind::Bool, 1, |wire, key| wire.number(key, 0)), [2]);
        assert_eq!(written(Kind::Octets(2), VARIABLE, |wire, key| wire.mac(key, [1; 6])), [0]);
    }
}
