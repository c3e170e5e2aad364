//! From a record as its exporter sent it to a record as an output wants it, in one step.
//!
//! ```text
//! layout + what is wanted --plan--> columns --program--> ops; then, a record: op by op, straight from the message's
//! bytes into the output's buffer
//! ```
//!
//! A [`Program`] is compiled once a layout and output. Each op knows where its value lies, how it is read, and what the
//! output puts before it. A record is never taken apart into values first.

use core::cell::RefCell;
use core::net::IpAddr;

use flowsonde_elements::Kind;
use flowsonde_wire::Nanos;

use crate::decode::layout::{At, Layout, Record, Spans, number};
use crate::decode::records::{About, Set, Taken};
use crate::decode::templates::Templates;

mod aside;
pub(crate) mod batch;
mod json;
mod list;
mod output;
mod plan;
mod text;
mod tlv;

pub use aside::{Aside, LONGEST_NAME, counter, interface, options};
pub use batch::{AsJson, AsTlv, Batching, Form};
pub use json::Json;
pub use list::{Lists, Sort};
pub use output::{Batches, JsonBatches, Lines, TlvBatches, Transcode};
pub use plan::{Column, Name, Plan, complete};
pub use tlv::Tlv;

/// How a value is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// A number of one byte.
    U8(At),
    /// Of two.
    U16(At),
    /// Of four.
    U32(At),
    /// Of eight.
    U64(At),
    /// Of any width.
    Uint(At, Width),
    /// A counter, to be multiplied by the rate of sampling.
    Scaled(At, Width),
    /// A signed number, two's complement.
    Signed(At, Width),
    /// An IEEE float of four or eight bytes.
    Float(At, Width),
    /// Whole milliseconds, told as a float.
    Latency(At, Width),
    /// One byte: 1 is true (RFC 7011, section 6.1.5).
    Bool(At),
    /// An IPv4 address.
    Ipv4(At),
    /// An IPv6 address.
    Ipv6(At),
    /// A MAC address.
    Mac(At),
    /// A text, with NUL behind it or not.
    Text(At, Width),
    /// Octets.
    Octets(At, Width),
    /// A basicList (RFC 6313).
    BasicList(At, Width),
    /// A subTemplateList.
    SubTemplateList(At, Width),
    /// A subTemplateMultiList.
    MultiList(At, Width),
    /// Milliseconds since the exporter started.
    Uptime(At),
    /// Seconds since 1970.
    Seconds(At, Width),
    /// Milliseconds since 1970.
    Millis(At, Width),
    /// An NTP timestamp (RFC 7011, section 6.1.10).
    Ntp(At),
    /// One of microseconds, whose last 11 bits mean nothing (RFC 7011, section 6.1.9).
    NtpMicros(At),
    /// Microseconds before the time of export (158, 159).
    Before(At, Width),
    /// ICMP type and code of two fields, as type * 256 + code.
    Icmp(At, At),
    /// The upper byte of a number of two.
    Upper(At),
    /// The lower byte of a number of two.
    Lower(At),
    /// Time of export.
    Export,
    /// Always this number.
    Constant(u64),
    /// The exporter's address, where it is IPv4; else 0.0.0.0.
    Exporter4,
    /// The exporter's address, where it is IPv6; else ::.
    Exporter6,
    /// The exporter's address where it is IPv4; else nothing is written, not even a name.
    IfExporter4,
    /// The exporter's address where it is IPv6; else nothing is written.
    IfExporter6,
    /// Observation domain.
    Domain,
    /// Engine type.
    EngineType,
    /// Engine id.
    EngineId,
    /// What the rate of sampling was.
    Rate,
    /// Address of the probe.
    Probe,
    /// Number of probe and exporter together.
    Source,
    /// 1 flow export, 2 sFlow.
    Origin,
    /// Nothing: the zero of its sort.
    Nothing(Nothing),
}

/// What stands for a value that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// 0.
    Number,
    /// 0.0.
    Float,
    /// False.
    Bool,
    /// 0.0.0.0.
    Ipv4,
    /// ::.
    Ipv6,
    /// 00:00:00:00:00:00.
    Mac,
    /// The empty text.
    Text,
}

impl Nothing {
    /// What stands for a value of this kind.
    pub const fn of(kind: Kind) -> Nothing {
        match kind {
            Kind::LatencyMs | Kind::F64 => Nothing::Float,
            Kind::Bool => Nothing::Bool,
            Kind::Ipv4 => Nothing::Ipv4,
            Kind::Ipv6 => Nothing::Ipv6,
            Kind::Mac => Nothing::Mac,
            Kind::Text(_) | Kind::FixedText(_) | Kind::List(_) | Kind::Octets(_) | Kind::FixedOctets(_) => {
                Nothing::Text
            }
            _ => Nothing::Number,
        }
    }

    /// Writes it.
    #[inline(always)]
    pub(crate) fn tell<E: Emit>(self, key: &E::Key, out: &mut E) {
        match self {
            Nothing::Number => out.number(key, 0),
            Nothing::Float => out.latency(key, 0),
            Nothing::Bool => out.boolean(key, false),
            Nothing::Ipv4 => out.ipv4(key, [0; 4]),
            Nothing::Ipv6 => out.ipv6(key, [0; 16]),
            Nothing::Mac => out.mac(key, [0; 6]),
            Nothing::Text => out.text(key, &[]),
        }
    }
}

/// Bytes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// So many.
    Fixed(u16),
    /// As its length octet says.
    Variable,
}

/// What takes values, one after the other, and makes records of them.
pub trait Emit {
    /// What is put before a value, and how the value is written.
    type Key;

    /// A record begins.
    fn begin(&mut self);
    /// A record ends.
    fn end(&mut self);
    /// An unsigned number.
    fn number(&mut self, key: &Self::Key, n: u64);
    /// A signed number.
    fn signed(&mut self, key: &Self::Key, n: i64);
    /// A float.
    fn float(&mut self, key: &Self::Key, n: f64);
    /// A duration in microseconds, told as milliseconds with a fraction.
    fn latency(&mut self, key: &Self::Key, micros: u64);
    /// A truth value.
    fn boolean(&mut self, key: &Self::Key, truth: bool);
    /// A moment.
    fn time(&mut self, key: &Self::Key, time: Nanos);
    /// An IPv4 address.
    fn ipv4(&mut self, key: &Self::Key, address: [u8; 4]);
    /// An IPv6 address.
    fn ipv6(&mut self, key: &Self::Key, address: [u8; 16]);
    /// A MAC address.
    fn mac(&mut self, key: &Self::Key, address: [u8; 6]);
    /// A text; whether it is one is the exporter's word.
    fn text(&mut self, key: &Self::Key, text: &[u8]);
    /// Octets.
    fn octets(&mut self, key: &Self::Key, octets: &[u8]);
    /// A JSON object that stands for structured data.
    fn structure(&mut self, key: &Self::Key, json: &[u8]);
}

/// What records tell of the probe itself.
#[derive(Clone, Copy, Debug)]
pub struct Home {
    /// The probe's IPv4 address.
    pub address: [u8; 4],
}

/// A layout compiled for an output.
#[derive(Debug)]
pub struct Program<K> {
    ops: Vec<(Take, K)>,
}

impl<K> Program<K> {
    /// Compiles columns; `key` makes what the output puts before each.
    pub fn new(columns: &[Column], key: impl Fn(&Column, bool) -> K) -> Program<K> {
        let ops = columns.iter().enumerate().map(|(i, column)| (column.take, key(column, i == 0)));
        Program { ops: ops.collect() }
    }

    /// Writes every record of a set.
    pub fn run<E: Emit<Key = K>>(&self, set: &Set<'_>, home: &Home, scratch: &mut Scratch, out: &mut E) -> Taken {
        let Scratch { spans, lists } = scratch;
        let mut rest = set.bytes;
        let mut taken = Taken::default();
        let usual = set.samplers.usual();
        let silent = set.layout.sampling.is_silent();
        while let Some((record, after)) = set.layout.split(rest, spans) {
            let rate = if silent { usual } else { set.samplers.rate(set.layout, &record, spans) };
            self.record(
                &record,
                spans,
                &Context { about: set.about, home, rate, templates: set.templates, lists },
                out,
            );
            rest = after;
            taken.records += 1;
        }
        taken.rest = rest.len();
        taken
    }

    /// Writes one record.
    #[inline]
    pub fn record<E: Emit<Key = K>>(&self, record: &Record<'_>, spans: &Spans, context: &Context<'_>, out: &mut E) {
        out.begin();
        for (take, key) in &self.ops {
            take.run(record, spans, context, key, out);
        }
        out.end();
    }
}

/// What a record's values depend on besides its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Its message.
    pub about: &'a About,
    /// The probe.
    pub home: &'a Home,
    /// One packet in so many was sampled.
    pub rate: u32,
    /// What the records of lists look like.
    pub templates: &'a Templates,
    /// Where lists are put together.
    pub lists: &'a RefCell<Lists>,
}

/// Memory that is used again for every record.
#[derive(Debug, Default)]
pub struct Scratch {
    spans: Spans,
    lists: RefCell<Lists>,
}

impl Take {
    #[inline(always)]
    fn run<E: Emit>(&self, r: &Record<'_>, s: &Spans, c: &Context<'_>, key: &E::Key, out: &mut E) {
        // All numbers meet at one call, which is worth being inlined.
        let n = match *self {
            Take::U8(at) => u8::from_be_bytes(r.array(at, s)).into(),
            Take::U16(at) => u16::from_be_bytes(r.array(at, s)).into(),
            Take::U32(at) => u32::from_be_bytes(r.array(at, s)).into(),
            Take::U64(at) => u64::from_be_bytes(r.array(at, s)),
            Take::Uint(at, width) => uint(r, s, at, width),
            Take::Scaled(at, width) => uint(r, s, at, width).saturating_mul(c.rate.into()),
            Take::Constant(n) => n,
            Take::Nothing(Nothing::Number) => 0,
            Take::Ipv4(at) => return out.ipv4(key, r.array(at, s)),
            Take::Uptime(at) => return out.time(key, c.about.uptime(u32::from_be_bytes(r.array(at, s)))),
            Take::IfExporter4 => {
                if let IpAddr::V4(address) = c.about.exporter {
                    out.ipv4(key, address.octets());
                }
                return;
            }
            _ => return self.rarely(r, s, c, key, out),
        };
        out.number(key, n);
    }

    #[inline(never)]
    fn rarely<E: Emit>(&self, r: &Record<'_>, s: &Spans, c: &Context<'_>, key: &E::Key, out: &mut E) {
        match *self {
            Take::Ipv6(at) => out.ipv6(key, r.array(at, s)),
            Take::Mac(at) => out.mac(key, r.array(at, s)),
            Take::Signed(at, width) => out.signed(key, signed(value(r, s, at, width))),
            Take::Float(at, width) => out.float(key, float(value(r, s, at, width))),
            Take::Latency(at, width) => out.latency(key, uint(r, s, at, width).saturating_mul(1000)),
            Take::Bool(at) => out.boolean(key, r.array(at, s) == [1]),
            Take::Text(at, width) => out.text(key, trimmed(value(r, s, at, width))),
            Take::Octets(at, width) => out.octets(key, value(r, s, at, width)),
            Take::BasicList(at, width) => list::tell(Sort::Basic, value(r, s, at, width), c, key, out),
            Take::SubTemplateList(at, width) => list::tell(Sort::SubTemplate, value(r, s, at, width), c, key, out),
            Take::MultiList(at, width) => list::tell(Sort::MultiTemplate, value(r, s, at, width), c, key, out),
            Take::Seconds(at, width) => out.time(key, Nanos::new(uint(r, s, at, width), 0)),
            Take::Millis(at, width) => out.time(key, Nanos(uint(r, s, at, width).saturating_mul(1_000_000))),
            Take::Ntp(at) => out.time(key, ntp(u64::from_be_bytes(r.array(at, s)))),
            Take::NtpMicros(at) => out.time(key, ntp(u64::from_be_bytes(r.array(at, s)) & !0x7ff)),
            Take::Before(at, width) => {
                let micros = uint(r, s, at, width);
                out.time(key, Nanos(c.about.export.0.saturating_sub(micros.saturating_mul(1000))));
            }
            Take::Icmp(kind, code) => {
                let [kind, code] = [r.array::<1>(kind, s), r.array::<1>(code, s)].map(|[byte]| byte);
                out.number(key, u16::from_be_bytes([kind, code]).into());
            }
            Take::Upper(at) => out.number(key, r.array::<2>(at, s)[0].into()),
            Take::Lower(at) => out.number(key, r.array::<2>(at, s)[1].into()),
            Take::Export => out.time(key, c.about.export),
            Take::Exporter4 => out.ipv4(key, exporter4(c.about.exporter)),
            Take::IfExporter6 => {
                if let IpAddr::V6(address) = c.about.exporter {
                    out.ipv6(key, address.octets());
                }
            }
            Take::Exporter6 => out.ipv6(key, exporter6(c.about.exporter)),
            Take::Domain => out.number(key, c.about.domain.into()),
            Take::EngineType => out.number(key, c.about.engine.0.into()),
            Take::EngineId => out.number(key, c.about.engine.1.into()),
            Take::Rate => out.number(key, c.rate.into()),
            Take::Probe => out.ipv4(key, c.home.address),
            Take::Source => out.number(key, source(c).into()),
            Take::Origin => out.number(key, origin(c.about)),
            Take::Nothing(nothing) => nothing.tell(key, out),
            // The rest is told above.
            _ => {}
        }
    }
}

#[inline(always)]
fn value<'a>(r: &Record<'a>, s: &Spans, at: At, width: Width) -> &'a [u8] {
    match width {
        Width::Fixed(length) => r.octets(at, length, s),
        Width::Variable => r.variable(at, s),
    }
}

#[inline(always)]
fn uint(r: &Record<'_>, s: &Spans, at: At, width: Width) -> u64 {
    match width {
        Width::Fixed(4) => u32::from_be_bytes(r.array(at, s)).into(),
        Width::Fixed(8) => u64::from_be_bytes(r.array(at, s)),
        width => number(value(r, s, at, width)),
    }
}

fn signed(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len().clamp(1, 8) as u32;
    (number(bytes) << unused) as i64 >> unused
}

fn float(bytes: &[u8]) -> f64 {
    match *bytes {
        [a, b, c, d] => f32::from_be_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => 0.0,
    }
}

/// A text without the NULs, or what follows the first of them, that fill its field.
fn trimmed(text: &[u8]) -> &[u8] {
    text.iter().position(|&byte| byte == 0).and_then(|end| text.get(..end)).unwrap_or(text)
}

/// An NTP timestamp: seconds since 1900, from 2036 on since then (RFC 5905, section 6; RFC 7011, section 6.1.10, leaves it
/// to the receiver), and a fraction of 32 bits.
fn ntp(timestamp: u64) -> Nanos {
    const TO_1970: u64 = 2_208_988_800;
    let (seconds, fraction) = (timestamp >> 32, timestamp & 0xffff_ffff);
    let seconds = if seconds >= TO_1970 { seconds - TO_1970 } else { seconds + (1 << 32) - TO_1970 };
    if timestamp == 0 {
        return Nanos(0);
    }
    // To the nearest nanosecond would tell a microsecond too few where the exporter cut; up, as whole ones are meant.
    Nanos::new(seconds, (fraction * 1_000_000_000).div_ceil(1 << 32))
}

fn exporter4(address: IpAddr) -> [u8; 4] {
    match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or([0; 4], |address| address.octets()),
    }
}

fn exporter6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(_) => [0; 16],
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => [0; 16],
        IpAddr::V6(address) => address.octets(),
    }
}

/// FNV-1a over both addresses.
fn source(c: &Context<'_>) -> u32 {
    let (four, six) = (exporter4(c.about.exporter), exporter6(c.about.exporter));
    let bytes = c.home.address.iter().chain(&four).chain(&six);
    bytes.fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn origin(about: &About) -> u64 {
    use crate::decode::records::Version;
    if about.version == Version::Sflow5 { 2 } else { 1 }
}

/// A layout's program, kept for as long as the layout lives.
#[derive(Debug)]
pub struct Programs<K> {
    by_number: std::collections::HashMap<u32, (std::sync::Weak<Layout>, Program<K>)>,
    last: u32,
    sweep: usize,
}

impl<K> Default for Programs<K> {
    fn default() -> Self {
        Programs { by_number: std::collections::HashMap::new(), last: 0, sweep: 256 }
    }
}

impl<K> Programs<K> {
    /// The program of a layout; compiled by `make` when there is none.
    pub fn of(&mut self, layout: &std::sync::Arc<Layout>, make: impl FnOnce(&Layout) -> Program<K>) -> &Program<K> {
        let new = self.last != layout.number && !self.by_number.contains_key(&layout.number);
        if new && self.by_number.len() >= self.sweep {
            self.by_number.retain(|_, (layout, _)| layout.strong_count() > 0);
            self.sweep = (2 * self.by_number.len()).max(256);
        }
        self.last = layout.number;
        let entry =
            self.by_number.entry(layout.number).or_insert_with(|| (std::sync::Arc::downgrade(layout), make(layout)));
        &entry.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_timestamps_of_both_eras() {
        use flowsonde_wire::export::ipfix::{ntp_micros, ntp_nanos};
        for nanos in [1u64, 1_700_000_000_123_456_789, 1_600_000_000_999_999_999] {
            assert!(ntp(ntp_nanos(nanos)).0.abs_diff(nanos) <= 1);
        }
        assert_eq!(ntp(ntp_micros(1_700_000_000_123_456)).micros(), 1_700_000_000_123_456);
        // 7 February 2036, 06:28:16 UTC is the zero of the second era.
        assert_eq!(ntp(1 << 32).seconds(), 2_085_978_497);
        assert_eq!(ntp(0), Nanos(0));
    }

    #[test]
    fn signed_numbers_keep_their_sign_at_any_width() {
        assert_eq!(signed(&[0xff]), -1);
        assert_eq!(signed(&[0xff, 0xfe, 0]), -512);
        assert_eq!(signed(&[0x7f, 0xff]), 0x7fff);
        assert_eq!(signed(&[0xff; 8]), -1);
    }

    #[test]
    fn texts_end_at_the_first_nul() {
        assert_eq!(trimmed(b"eth0\0\0\0"), b"eth0");
        assert_eq!(trimmed(b"eth0"), b"eth0");
        assert_eq!(trimmed(b"\0junk"), b"");
    }
}
