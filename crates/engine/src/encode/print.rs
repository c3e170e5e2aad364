//! Values as characters: what JSON and CSV share.

use flowsonde_elements::{Element, Kind, Value};

use super::Options;
use crate::fill::{Env, Fill, Row, Short};
use crate::meter::View;

/// How an element's value is printed.
#[derive(Debug)]
pub(super) struct Printer {
    source: Source,
    /// True when JSON needs quotes around it.
    pub quoted: bool,
    /// True when a separator of columns may be in it.
    pub mixed: bool,
}

#[derive(Debug)]
enum Source {
    Filled(Fill),
    /// An application and its carrier.
    Protocol(fn(&View<'_>, &Env) -> u64),
    /// Nothing fills it: always the same.
    Constant(Box<[u8]>),
}

impl Printer {
    /// The printer of an element.
    pub fn of(element: &Element, options: &Options) -> Printer {
        let unset = Value::unset(element.kind);
        let quoted = !matches!(unset, Value::U64(_) | Value::I64(_) | Value::F32(_) | Value::F64(_) | Value::Bool(_));
        match options.row(element) {
            Some(Row { fill: Fill::Number(read), .. }) if element.kind == Kind::L7Protocol => {
                Printer { source: Source::Protocol(*read), quoted: true, mixed: true }
            }
            Some(row) if matches!(row.fill, Fill::List(_)) => {
                Printer { source: Source::Filled(row.fill), quoted: false, mixed: true }
            }
            Some(row) => Printer { source: Source::Filled(row.fill), quoted, mixed: quoted },
            None => {
                let floating = matches!(element.kind, Kind::LatencyMs | Kind::F64);
                let text = if floating { "0.0".to_owned() } else { unset.to_string() };
                Printer { source: Source::Constant(text.into_bytes().into()), quoted, mixed: quoted }
            }
        }
    }

    /// Appends the value. Only a text passes `escape`: nothing else needs it.
    #[inline]
    pub fn print(&self, v: &View<'_>, env: &Env, out: &mut Vec<u8>, escape: impl Fn(&str, &mut Vec<u8>)) {
        match &self.source {
            Source::Constant(bytes) => out.extend_from_slice(bytes),
            Source::Protocol(read) => {
                let text = Short::of(|text| application(read(v, env) as u32, text));
                out.extend_from_slice(text.bytes());
            }
            Source::Filled(fill) => match fill {
                Fill::Number(read) => number(read(v, env), out),
                Fill::Latency(read) => latency(read(v).into(), out),
                Fill::Ipv4(read) => ipv4(read(v, env), out),
                Fill::Ipv6(read) => ipv6(read(v, env), out),
                Fill::Mac(read) => mac(read(v), out),
                Fill::Label(read) => read(v).iter().for_each(|&octet| hex(octet, out)),
                Fill::Text(read) => escape(read(v, env), out),
                Fill::Short(write) => out.extend_from_slice(Short::of(|text| write(v, env, text)).bytes()),
                Fill::List(list) => out.extend_from_slice(list.text(v).bytes()),
            },
        }
    }
}

/// Appends "master.app", or the one of them there is.
pub(super) fn application(both: u32, text: &mut Short) {
    let (master, app) = (both >> 16, both & 0xffff);
    if master != 0 && app != 0 && master != app {
        text.number(master.into());
        text.push(b'.');
    }
    text.number(if app == 0 { master } else { app }.into());
}

/// Room for `N` bytes at the end, all zero: filled with stores of fixed length, which cost less than asking how many bytes
/// count; then [`Vec::truncate`] to those that do.
#[inline(always)]
pub(crate) fn room<const N: usize>(out: &mut Vec<u8>) -> &mut [u8; N] {
    out.extend_from_slice(&[0; N]);
    out.last_chunk_mut().expect("just appended")
}

/// Stores eight bytes at `at`, which is at most `N - 8`.
#[inline(always)]
pub(crate) fn store<const N: usize>(place: &mut [u8; N], at: usize, bytes: u64) {
    if let Some(place) = place.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<8>()) {
        *place = bytes.to_le_bytes();
    }
}

/// Appends the digits of a number.
#[inline]
pub(crate) fn number(n: u64, out: &mut Vec<u8>) {
    let start = out.len();
    let length = digits(n, room::<24>(out), 0);
    out.truncate(start + length);
}

/// Stores the digits of a number at `at`, and up to seven bytes more; tells how many digits. There have to be 24 bytes.
#[inline(always)]
pub(crate) fn digits<const N: usize>(n: u64, place: &mut [u8; N], at: usize) -> usize {
    if n < EIGHT {
        let (text, length) = short(n);
        store(place, at, text);
        return length;
    }
    many_digits(n, place, at)
}

fn many_digits<const N: usize>(n: u64, place: &mut [u8; N], at: usize) -> usize {
    let length = digits(n / EIGHT, place, at);
    store(place, at + length, eight(n % EIGHT) | ASCII);
    length + 8
}

/// 10^8: as many digits as a register has bytes.
const EIGHT: u64 = 100_000_000;

/// The digits of a number below 10^8, the first in the lowest byte, and how many.
#[inline(always)]
fn short(n: u64) -> (u64, usize) {
    let digits = eight(n);
    // All but the last go when they are leading zeros.
    let zeros = (digits | 1 << 56).trailing_zeros() / 8;
    ((digits | ASCII) >> (8 * zeros), (8 - zeros) as usize)
}

const ASCII: u64 = 0x3030_3030_3030_3030;

/// The eight decimal digits of a number below 10^8, one a byte, the first in the lowest: halved, and the halves halved, all
/// parts at once. The divisions are multiplications that are exact in this range: by 10486 / 2^20 for 100 below 10^4, by
/// 103 / 2^10 for 10 below 100.
#[inline(always)]
fn eight(n: u64) -> u64 {
    let halves = (n / 10_000) | ((n % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | (halves - 100 * hundreds) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (pairs - 10 * tens) << 8
}

/// Milliseconds with as many digits of microseconds as there are, at least one: 38.612, 5.5, 0.0.
pub(crate) fn latency(micros: u64, out: &mut Vec<u8>) {
    number(micros / 1000, out);
    let rest = micros % 1000;
    let digit = |n: u64| b'0' + (n % 10) as u8;
    let digits = [b'.', digit(rest / 100), digit(rest / 10), digit(rest)];
    let length = match rest {
        _ if rest.is_multiple_of(100) => 2,
        _ if rest.is_multiple_of(10) => 3,
        _ => 4,
    };
    out.extend_from_slice(digits.get(..length).unwrap_or(&digits));
}

#[inline]
pub(crate) fn ipv4(octets: [u8; 4], out: &mut Vec<u8>) {
    let start = out.len();
    let length = dotted(octets, room::<16>(out), 0);
    out.truncate(start + length);
}

/// Stores an address as text at `at`, and up to eight bytes more; tells its length. There have to be 16 bytes.
#[inline(always)]
pub(crate) fn dotted<const N: usize>([a, b, c, d]: [u8; 4], place: &mut [u8; N], at: usize) -> usize {
    // Two octets with a point behind each have at most eight characters.
    let half = |first: u8, second: u8| {
        let ((first, length), (second, more)) = (DECIMAL[usize::from(first)], DECIMAL[usize::from(second)]);
        let text = u64::from(u32::from_le_bytes(first)) | u64::from(u32::from_le_bytes(second)) << (8 * length);
        (text, usize::from(length + more))
    };
    let ((first, length), (second, more)) = (half(a, b), half(c, d));
    store(place, at, first);
    store(place, at + length, second);
    // Without the last point.
    length + more - 1
}

/// The digits of every octet with a point behind, and how many characters that is.
const DECIMAL: [([u8; 4], u8); 256] = {
    let mut table = [([0; 4], 0); 256];
    let mut n = 0;
    while n < 256 {
        let (a, b, c) = (b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8);
        table[n] = match n {
            0..10 => ([c, b'.', 0, 0], 2),
            10..100 => ([b, c, b'.', 0], 3),
            _ => ([a, b, c, b'.'], 4),
        };
        n += 1;
    }
    table
};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[inline]
pub(crate) fn hex(octet: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[DIGITS[usize::from(octet >> 4)], DIGITS[usize::from(octet & 15)]]);
}

pub(crate) fn mac(octets: [u8; 6], out: &mut Vec<u8>) {
    let mut text = [b':'; 17];
    for (place, octet) in text.chunks_mut(3).zip(octets) {
        place[0] = DIGITS[usize::from(octet >> 4)];
        place[1] = DIGITS[usize::from(octet & 15)];
    }
    out.extend_from_slice(&text);
}

/// As RFC 5952 has it: the longest run of two or more zero groups, the first of equals, is `::`; an IPv4-mapped address
/// ends in dotted decimals.
pub(crate) fn ipv6(octets: [u8; 16], out: &mut Vec<u8>) {
    if let [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] = octets {
        out.extend_from_slice(b"::ffff:");
        return ipv4([a, b, c, d], out);
    }
    let mut groups = [0u16; 8];
    for (group, pair) in groups.iter_mut().zip(octets.chunks_exact(2)) {
        *group = u16::from_be_bytes([pair[0], pair[1]]);
    }
    let (mut start, mut length, mut run) = (8, 1, 0);
    for (i, &group) in groups.iter().enumerate() {
        run = if group == 0 { run + 1 } else { 0 };
        if run > length {
            (start, length) = (i + 1 - run, run);
        }
    }
    for (i, &group) in groups.iter().enumerate() {
        if i == start {
            out.extend_from_slice(if start + length == 8 { b"::" } else { b":" });
        }
        if (start..start + length).contains(&i) && start < 8 {
            continue;
        }
        if i > 0 {
            out.push(b':');
        }
        let nibbles = group.to_be_bytes().map(|octet| [octet >> 4, octet & 15]);
        let [a, b, c, d] = [nibbles[0][0], nibbles[0][1], nibbles[1][0], nibbles[1][1]].map(|n| DIGITS[usize::from(n)]);
        let all = [a, b, c, d];
        let zeros = (group | 1).leading_zeros() as usize / 4;
        out.extend_from_slice(all.get(zeros..).unwrap_or(&all));
    }
}

/// Appends a text as the inside of a JSON string.
pub fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\') {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        match special.first() {
            Some(b'\n') => out.extend_from_slice(b"\\n"),
            Some(b'\r') => out.extend_from_slice(b"\\r"),
            Some(b'\t') => out.extend_from_slice(b"\\t"),
            Some(&control @ 0..0x20) => {
                let digits = b"0123456789abcdef";
                let (high, low) = (digits[usize::from(control >> 4)], digits[usize::from(control & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            Some(&other) => out.extend_from_slice(&[b'\\', other]),
            None => {}
        }
        rest = special.get(1..).unwrap_or(&[]);
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};

    fn printed(print: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        print(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn latencies_keep_their_microseconds() {
        let all = [(0, "0.0"), (38_612, "38.612"), (5_500, "5.5"), (1, "0.001"), (120, "0.12"), (7_000, "7.0")];
        for (micros, text) in all {
            assert_eq!(printed(|out| latency(micros, out)), text);
        }
    }

    #[test]
    fn numbers_are_printed_as_the_standard_library_does() {
        let powers = (0..20).map(|power| 10u64.pow(power));
        let near = powers.flat_map(|n| [n - 1, n, n + 1, n.saturating_mul(9), n.saturating_mul(7) / 3]);
        // Every remainder that the multiplications see: two digits in each half.
        let halves = (0..10_000).flat_map(|n| [n, n * 10_001, 99_999_999 - n, n << 40]);
        for n in near.chain(halves).chain([u64::MAX, u64::MAX - 1, u32::MAX.into()]) {
            assert_eq!(printed(|out| number(n, out)), n.to_string());
        }
    }

    #[test]
    fn addresses_are_printed_as_the_standard_library_does() {
        for address in [[0, 0, 0, 0], [255, 255, 255, 255], [10, 99, 100, 9], [192, 0, 2, 1]] {
            assert_eq!(printed(|out| ipv4(address, out)), Ipv4Addr::from(address).to_string());
        }
        for n in 0..=255u8 {
            let address = [n, 255 - n, n.rotate_left(3), n.wrapping_mul(7)];
            assert_eq!(printed(|out| ipv4(address, out)), Ipv4Addr::from(address).to_string());
        }
        let mut random = 1u64;
        for text in ["::", "::1", "1::", "fe80::1:0:0:1", "1:0:0:2::3", "2001:db8:1:1:1:0:1:1", "::ffff:1.2.3.4"] {
            let address: Ipv6Addr = text.parse().expect("address");
            assert_eq!(printed(|out| ipv6(address.octets(), out)), address.to_string());
        }
        for _ in 0..10_000 {
            // Groups are zero as often as not, and of any number of digits.
            let groups = core::array::from_fn::<u16, 8, _>(|_| {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                if random >> 63 == 0 { 0 } else { (random >> 40) as u16 >> ((random >> 60 & 3) * 4) }
            });
            let address = Ipv6Addr::from(groups);
            assert_eq!(printed(|out| ipv6(address.octets(), out)), address.to_string());
        }
    }

    #[test]
    fn macs_are_lower_case() {
        assert_eq!(printed(|out| mac([0, 0x1b, 0x17, 0xAB, 2, 0xff], out)), "00:1b:17:ab:02:ff");
    }
}
