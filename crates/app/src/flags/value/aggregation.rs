//! Which parts of the flow key tell flows apart: nProbe's `-p` mask.
//!
//! ```text
//! vlan / protocol / IP / port / TOS / SCTP stream / exporter        each 0 or 1; vlan also outer.inner
//! ```
//!
//! Parts left off the end count as 1, so that masks written for older versions keep their meaning. nProbe 10.4 takes
//! further fields whose meaning is not published: they may be 1 (change nothing), and are refused as 0.

use crate::stop::Stop;

const REMEDY: &str = "give 5 to 7 of vlan/protocol/IP/port/TOS/SCTP stream/exporter, each 0 or 1, like 1/1/1/1/0/1/1";

/// Which parts of the key count; a part that does not is exported as zero, but for the ToS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregation {
    /// The outer VLAN id.
    pub outer_vlan: bool,
    /// The inner VLAN id of a double-tagged frame.
    pub inner_vlan: bool,
    /// The protocol.
    pub protocol: bool,
    /// Both addresses.
    pub addresses: bool,
    /// Both ports, or ICMP type and code.
    pub ports: bool,
    /// The type of service.
    pub tos: bool,
    /// The SCTP stream.
    pub sctp_stream: bool,
    /// The exporter of a collected flow.
    pub exporter: bool,
}

impl Default for Aggregation {
    /// Every part counts but the ToS, in which the two directions of a flow often differ.
    fn default() -> Self {
        Aggregation {
            outer_vlan: true,
            inner_vlan: true,
            protocol: true,
            addresses: true,
            ports: true,
            tos: false,
            sctp_stream: true,
            exporter: true,
        }
    }
}

impl Aggregation {
    /// Reads a mask.
    pub fn parse(text: &str) -> Result<Self, Stop> {
        let fields: Vec<&str> = text.split('/').collect();
        let [vlan, protocol, addresses, ports, tos, more @ ..] = fields.as_slice() else {
            return Err(Stop::Usage(format!("has {} fields; {REMEDY}", fields.len())));
        };
        let (outer, inner) = vlan.split_once('.').unwrap_or((vlan, vlan));
        let mut more = more.iter();
        let mask = Aggregation {
            outer_vlan: bit(outer)?,
            inner_vlan: bit(inner)?,
            protocol: bit(protocol)?,
            addresses: bit(addresses)?,
            ports: bit(ports)?,
            tos: bit(tos)?,
            sctp_stream: more.next().map_or(Ok(true), |field| bit(field))?,
            exporter: more.next().map_or(Ok(true), |field| bit(field))?,
        };
        match more.find(|field| **field != "1") {
            Some(field) => Err(Stop::Usage(format!("'{field}' is in a field without a known meaning; {REMEDY}"))),
            None => Ok(mask),
        }
    }
}

fn bit(field: &str) -> Result<bool, Stop> {
    match field {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(Stop::Usage(format!("'{field}' is neither 0 nor 1; {REMEDY}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_read() {
        let all = Aggregation { tos: true, ..Aggregation::default() };
        assert_eq!(Aggregation::parse("1/1/1/1/0").unwrap(), Aggregation::default());
        for text in ["1/1/1/1/1", "1/1/1/1/1/1", "1.1/1/1/1/1/1/1", "1/1/1/1/1/1/1/1"] {
            assert_eq!(Aggregation::parse(text).unwrap(), all, "{text}");
        }
        let mask = Aggregation::parse("1.0/1/1/0/0/1/0").unwrap();
        assert_eq!(mask, Aggregation { inner_vlan: false, ports: false, tos: false, exporter: false, ..all });
        for text in ["", "1", "1/1/1/1", "1/1/1/1/2", "1.1.1/1/1/1/1", "1/1/1/1/1/1/1/0", "1/1/1/1/"] {
            assert!(Aggregation::parse(text).is_err(), "{text}");
        }
    }
}
