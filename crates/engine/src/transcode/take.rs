//! How a value is had from a record, and read.

use core::net::IpAddr;

use flowsonde_elements::Kind;
use flowsonde_wire::Nanos;

use super::application::Telling;
use super::list::{self, Sort};
use super::{Context, Emit, Key, Place};
use crate::decode::layout::{At, Field, Record, Spans, number};
use crate::decode::records::About;

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
    /// What told it.
    RateSource,
    /// The rate that counters still have to be multiplied by: 1, unless the user wants them as they are.
    Interval,
    /// Address of the probe.
    Probe,
    /// Number of probe and exporter together.
    Source,
    /// 1 flow export, 2 sFlow.
    Origin,
    /// The application.
    Application(Telling),
    /// What it is called.
    ApplicationName(Telling),
    /// What its exporter calls the application of this id.
    Called(At, Width),
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

impl Width {
    /// Of a field's values.
    pub(super) fn of(field: &Field) -> Width {
        if field.is_variable() { Width::Variable } else { Width::Fixed(field.length) }
    }
}

impl Take {
    /// True when all records of a set have the same value.
    pub(super) fn is_same(self) -> bool {
        matches!(
            self,
            Take::Export
                | Take::Constant(_)
                | Take::Exporter4
                | Take::Exporter6
                | Take::IfExporter4
                | Take::IfExporter6
                | Take::Domain
                | Take::EngineType
                | Take::EngineId
                | Take::Probe
                | Take::Source
                | Take::Origin
                | Take::Nothing(_)
        )
    }

    /// True for those that [`Take::put`] stores.
    pub(super) fn is_short(self) -> bool {
        matches!(
            self,
            Take::U8(_)
                | Take::U16(_)
                | Take::U32(_)
                | Take::U64(_)
                | Take::Uint(..)
                | Take::Scaled(..)
                | Take::Ipv4(_)
                | Take::Uptime(_)
                | Take::Seconds(..)
                | Take::Millis(..)
                | Take::Rate
                | Take::Interval
        )
    }

    /// Stores a short value; tells how many bytes that is.
    #[inline(always)]
    pub(super) fn put<E: Emit>(
        &self,
        r: &Record<'_>,
        s: &Spans,
        c: &Context<'_>,
        key: &E::Key,
        place: &mut Place,
    ) -> usize {
        // All numbers meet at one call, which is worth being inlined.
        let n = match *self {
            Take::U8(at) => u8::from_be_bytes(r.array(at, s)).into(),
            Take::U16(at) => u16::from_be_bytes(r.array(at, s)).into(),
            Take::U32(at) => u32::from_be_bytes(r.array(at, s)).into(),
            Take::U64(at) => u64::from_be_bytes(r.array(at, s)),
            Take::Uint(at, width) => uint(r, s, at, width),
            Take::Scaled(at, width) => uint(r, s, at, width).saturating_mul(c.sampling.scale.into()),
            Take::Ipv4(at) => return E::put_ipv4(key, r.array(at, s), place),
            Take::Uptime(at) => key.moment(c.about.uptime(u32::from_be_bytes(r.array(at, s)))),
            Take::Seconds(at, width) => key.moment(c.about.moment(Nanos::new(uint(r, s, at, width), 0))),
            Take::Millis(at, width) => {
                key.moment(c.about.moment(Nanos(uint(r, s, at, width).saturating_mul(1_000_000))))
            }
            Take::Rate => c.sampling.rate.into(),
            Take::Interval => c.interval().into(),
            // No other is short.
            _ => return 0,
        };
        E::put_number(key, n, place)
    }

    /// Writes any value.
    pub(super) fn run<E: Emit>(&self, r: &Record<'_>, s: &Spans, c: &Context<'_>, key: &E::Key, out: &mut E) {
        match *self {
            Take::U8(at) => out.number(key, u8::from_be_bytes(r.array(at, s)).into()),
            Take::U16(at) => out.number(key, u16::from_be_bytes(r.array(at, s)).into()),
            Take::U32(at) => out.number(key, u32::from_be_bytes(r.array(at, s)).into()),
            Take::U64(at) => out.number(key, u64::from_be_bytes(r.array(at, s))),
            Take::Uint(at, width) => out.number(key, uint(r, s, at, width)),
            Take::Scaled(at, width) => out.number(key, uint(r, s, at, width).saturating_mul(c.sampling.scale.into())),
            Take::Constant(n) => out.number(key, n),
            Take::Ipv4(at) => out.ipv4(key, r.array(at, s)),
            Take::Uptime(at) => out.time(key, c.about.uptime(u32::from_be_bytes(r.array(at, s)))),
            Take::IfExporter4 => {
                if let IpAddr::V4(address) = c.about.exporter {
                    out.ipv4(key, address.octets());
                }
            }
            Take::Ipv6(at) => out.ipv6(key, r.array(at, s)),
            Take::Mac(at) => out.mac(key, r.array(at, s)),
            Take::Application(telling) => out.application(key, telling.read(r, s, c)),
            Take::ApplicationName(telling) => {
                out.text(key, telling.name(r, s, c).as_bytes());
            }
            Take::Called(at, width) => {
                let called = c.applications.find(value(r, s, at, width));
                out.text(key, c.applications.name(called).as_bytes());
            }
            Take::Signed(at, width) => out.signed(key, signed(value(r, s, at, width))),
            Take::Float(at, width) => out.float(key, float(value(r, s, at, width))),
            Take::Latency(at, width) => out.latency(key, uint(r, s, at, width).saturating_mul(1000)),
            Take::Bool(at) => out.boolean(key, r.array(at, s) == [1]),
            Take::Text(at, width) => out.text(key, trimmed(value(r, s, at, width))),
            Take::Octets(at, width) => out.octets(key, value(r, s, at, width)),
            Take::BasicList(at, width) => list::tell(Sort::Basic, value(r, s, at, width), c, key, out),
            Take::SubTemplateList(at, width) => list::tell(Sort::SubTemplate, value(r, s, at, width), c, key, out),
            Take::MultiList(at, width) => list::tell(Sort::MultiTemplate, value(r, s, at, width), c, key, out),
            Take::Seconds(at, width) => out.time(key, c.about.moment(Nanos::new(uint(r, s, at, width), 0))),
            Take::Millis(at, width) => {
                out.time(key, c.about.moment(Nanos(uint(r, s, at, width).saturating_mul(1_000_000))))
            }
            Take::Ntp(at) => out.time(key, c.about.moment(ntp(u64::from_be_bytes(r.array(at, s))))),
            Take::NtpMicros(at) => out.time(key, c.about.moment(ntp(u64::from_be_bytes(r.array(at, s)) & !0x7ff))),
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
            Take::Rate => out.number(key, c.sampling.rate.into()),
            Take::RateSource => out.text(key, c.sampling.by.name().as_bytes()),
            Take::Interval => out.number(key, c.interval().into()),
            Take::Probe => out.ipv4(key, c.home.address),
            Take::Source => out.number(key, source_id(c.home.address, c.about.exporter).into()),
            Take::Origin => out.number(key, origin(c.about)),
            Take::Nothing(nothing) => nothing.tell(key, out),
        }
    }
}

#[inline(always)]
pub(super) fn value<'a>(r: &Record<'a>, s: &Spans, at: At, width: Width) -> &'a [u8] {
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
pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    text.iter().position(|&byte| byte == 0).and_then(|end| text.get(..end)).unwrap_or(text)
}

/// An NTP timestamp: seconds since 1900, from 2036 on since then (RFC 5905, section 6; RFC 7011, section 6.1.10, leaves it
/// to the receiver), and a fraction of 32 bits.
pub(crate) fn ntp(timestamp: u64) -> Nanos {
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

/// A number of probe and exporter together: FNV-1a over both addresses.
pub fn source_id(home: [u8; 4], exporter: IpAddr) -> u32 {
    let (four, six) = (exporter4(exporter), exporter6(exporter));
    let bytes = home.iter().chain(&four).chain(&six);
    bytes.fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn origin(about: &About) -> u64 {
    use crate::decode::records::Version;
    if about.version == Version::Sflow5 { 2 } else { 1 }
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
