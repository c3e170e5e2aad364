//! What an element holds in one record.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::Kind;

/// One value, borrowing what is long. It says nothing of units: those are its element's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Any unsigned number, times included.
    U64(u64),
    /// A signed number.
    I64(i64),
    /// A latency in milliseconds, and what a receiver wants no more precise.
    F32(f32),
    /// A float of full width.
    F64(f64),
    /// A truth value.
    Bool(bool),
    /// IPv4 address, network order.
    Ipv4([u8; 4]),
    /// IPv6 address, network order.
    Ipv6([u8; 16]),
    /// MAC address.
    Mac([u8; 6]),
    /// Text. Lists are text too, once rendered.
    Text(&'a str),
    /// Octets without meaning to us.
    Octets(&'a [u8]),
}

impl Value<'static> {
    /// What an element of this kind holds when nothing filled it: the zero address, the empty text, 0.
    pub const fn unset(kind: Kind) -> Value<'static> {
        match kind {
            Kind::U8
            | Kind::U16
            | Kind::U32
            | Kind::U64
            | Kind::Seconds
            | Kind::Millis
            | Kind::Micros
            | Kind::Nanos
            | Kind::UptimeMillis => Value::U64(0),
            Kind::I32 => Value::I64(0),
            Kind::LatencyMs => Value::F32(0.0),
            Kind::F64 => Value::F64(0.0),
            Kind::Bool => Value::Bool(false),
            Kind::Ipv4 => Value::Ipv4([0; 4]),
            Kind::Ipv6 => Value::Ipv6([0; 16]),
            Kind::Mac => Value::Mac([0; 6]),
            Kind::Text(_) | Kind::FixedText(_) | Kind::List(_) => Value::Text(""),
            Kind::L7Protocol => Value::Text("0"),
            Kind::Octets(_) | Kind::FixedOctets(_) => Value::Octets(&[]),
        }
    }
}

/// For people at a terminal: addresses as RFC 5952 has them, MACs in lower case with colons, octets in hex.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::U64(n) => n.fmt(f),
            Value::I64(n) => n.fmt(f),
            Value::F32(n) => n.fmt(f),
            Value::F64(n) => n.fmt(f),
            Value::Bool(truth) => truth.fmt(f),
            Value::Ipv4(address) => Ipv4Addr::from(*address).fmt(f),
            Value::Ipv6(address) => Ipv6Addr::from(*address).fmt(f),
            Value::Mac([a, b, c, d, e, g]) => f.pad(&format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")),
            Value::Text(text) => f.pad(text),
            Value::Octets(octets) => f.pad(&octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_people_write_them() {
        let mut six = [0; 16];
        six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        six[15] = 1;
        for (value, text) in [
            (Value::U64(7), "7"),
            (Value::I64(-7), "-7"),
            (Value::F32(0.25), "0.25"),
            (Value::F64(1.5), "1.5"),
            (Value::Bool(true), "true"),
            (Value::Ipv4([192, 0, 2, 1]), "192.0.2.1"),
            (Value::Ipv6(six), "2001:db8::1"),
            (Value::Mac([0, 0x1b, 0x17, 0xAB, 2, 0xff]), "00:1b:17:ab:02:ff"),
            (Value::Text("GET"), "GET"),
            (Value::Octets(&[0, 0xAB]), "00ab"),
        ] {
            assert_eq!(value.to_string(), text);
            assert_eq!(format!("{value:>40}").trim_start(), text);
            assert_eq!(format!("{value:>40}").len(), 40);
        }
    }

    #[test]
    fn unset_values_are_zero_or_empty() {
        assert_eq!(Value::unset(Kind::Ipv4).to_string(), "0.0.0.0");
        assert_eq!(Value::unset(Kind::Ipv6).to_string(), "::");
        assert_eq!(Value::unset(Kind::Text(16)).to_string(), "");
        assert_eq!(Value::unset(Kind::LatencyMs), Value::F32(0.0));
    }
}
