//! IPFIX (RFC 7011), biflows (RFC 5103). The layout of messages is [`flowsonde_wire::export::ipfix`]'s.
//!
//! - FIRST_SWITCHED and LAST_SWITCHED go as flowStartMilliseconds and flowEndMilliseconds (152, 153). The sysUpTime ones
//!   (22, 21) mean nothing without the exporter's options data, end after 49 days, and nfcapd 1.7.1 swaps them.
//! - Without `biflow` a record tells one direction, and elements of the reverse one are left out. With it OUT_BYTES,
//!   OUT_PKTS, DST_TOS and the server's TCP flags are reverse elements (RFC 5103, section 6.1); the times are the whole
//!   flow's.

use flowsonde_elements::{Element, Kind, VARIABLE, table};
use flowsonde_wire::export::ipfix as wire;
use flowsonde_wire::export::ipfix::Specifier;

use super::about::{About, Fact, field};
use super::program::Source;
use super::session::{Header, Protocol, Session, Tally, length_or_variable};
use super::{Error, Format, Options};
use crate::fill::{self, Fill, Row, Tells};

/// What IPFIX does its own way.
#[derive(Debug)]
pub struct Ipfix;

/// An encoder of IPFIX.
pub fn ipfix(options: &Options) -> Result<Session<Ipfix>, Error> {
    Session::new(options)
}

impl Protocol for Ipfix {
    const HEADER: usize = wire::HEADER;
    const TEMPLATE_SET: u16 = wire::TEMPLATE_SET;
    const OPTIONS_SET: u16 = wire::OPTIONS_SET;
    const PADDED: bool = false;
    const ABOUT: &'static [About] = &[
        About {
            scopes: 1,
            fields: &[
                field(149, 4, Fact::Domain),
                field(160, 8, Fact::Boot),
                field(34, 4, Fact::Interval),
                field(35, 1, Fact::Is(1)), // deterministic
            ],
        },
        About {
            scopes: 1,
            fields: &[
                field(302, 8, Fact::Is(1)),
                field(304, 2, Fact::Is(1)), // systematic, count-based
                field(305, 4, Fact::Is(1)),
                field(306, 4, Fact::Space),
            ],
        },
        About {
            scopes: 1,
            fields: &[
                field(149, 4, Fact::Domain),
                field(40, 8, Fact::Bytes),
                field(41, 8, Fact::Messages),
                field(42, 8, Fact::Records),
            ],
        },
    ];

    fn field(element: &'static Element, row: Option<&Row>, version: u8, biflow: bool) -> Option<(Specifier, Kind)> {
        if !biflow && row.is_some_and(|row| row.tells == Tells::Reverse) {
            return None;
        }
        if row.is_some_and(|row| matches!(row.fill, Fill::List(_))) {
            let list = &table::iana::basicList;
            let (pen, id) = list.ipfix_id()?;
            return Some((Specifier { pen, id, length: VARIABLE }, list.kind));
        }
        let (pen, id) = number(element, version, biflow)?;
        let wire = if element.wire == Kind::UptimeMillis { Kind::Millis } else { element.wire };
        Some((Specifier { pen, id, length: length_or_variable(wire) }, wire))
    }

    fn source(element: &Element, options: &Options) -> Option<Source> {
        let is = |other: &Element| element.is_same_as(other);
        if is(&table::FIRST_SWITCHED) {
            Some(Source::Fill(Fill::Number(|v, _| fill::first(v).millis())))
        } else if is(&table::LAST_SWITCHED) {
            Some(Source::Fill(Fill::Number(|v, _| fill::last(v).millis())))
        } else if is(&table::TCP_FLAGS) && tells_both(options) {
            Some(Source::Fill(Fill::Number(|v, _| v.base.tcp_flags[v.side()].into())))
        } else {
            None
        }
    }

    fn counterpart(element: &Element, options: &Options) -> Option<(Specifier, Kind, Fill)> {
        let wanted = element.is_same_as(&table::TCP_FLAGS) && tells_both(options);
        wanted.then_some((
            Specifier { pen: wire::REVERSE_PEN, id: 6, length: 2 },
            Kind::U16,
            Fill::Number(|v, _| v.base.tcp_flags[v.other()].into()),
        ))
    }

    fn write_specifier(specifier: &Specifier, out: &mut Vec<u8>) {
        specifier.write(out);
    }

    fn write_options_head(id: u16, scopes: usize, fields: usize, out: &mut Vec<u8>) {
        for number in [id, fields as u16, scopes as u16] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    fn write_header(message: &mut [u8], header: &Header<'_>) {
        let bytes = wire::Header {
            length: u16::try_from(message.len()).unwrap_or(u16::MAX),
            seconds: header.env.now.seconds() as u32,
            sequence: header.sequence,
            domain: header.domain,
        }
        .to_bytes();
        if let Some(place) = message.first_chunk_mut() {
            *place = bytes;
        }
    }

    fn advance(tally: Tally) -> u32 {
        tally.options + tally.flows
    }
}

/// True when a record tells both directions.
fn tells_both(options: &Options) -> bool {
    options.biflow && fill::is_bidirectional(&options.template)
}

/// Enterprise number and id. What the registry numbers by address family or by direction gets the number that fits.
fn number(element: &Element, version: u8, biflow: bool) -> Option<(u32, u16)> {
    let is = |other: &Element| element.is_same_as(other);
    if version == 6 && is(&table::ICMP_TYPE) {
        Some((0, 139)) // icmpTypeCodeIPv6
    } else if biflow && is(&table::OUT_BYTES) {
        Some((wire::REVERSE_PEN, 1)) // octetDeltaCount
    } else if biflow && is(&table::OUT_PKTS) {
        Some((wire::REVERSE_PEN, 2)) // packetDeltaCount
    } else if biflow && is(&table::DST_TOS) {
        Some((wire::REVERSE_PEN, 5)) // ipClassOfService
    } else if is(&table::FIRST_SWITCHED) {
        Some((0, 152)) // flowStartMilliseconds
    } else if is(&table::LAST_SWITCHED) {
        Some((0, 153)) // flowEndMilliseconds
    } else {
        element.ipfix_id()
    }
}

/// IPFIX.
pub const SPEC: Format = Format {
    name: "ipfix",
    help: "IPFIX: any template, wide counters, texts of any length",
    start: |options| Ok(Box::new(ipfix(options)?)),
};
