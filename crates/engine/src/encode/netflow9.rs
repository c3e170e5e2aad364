//! NetFlow version 9 (RFC 3954). The layout of messages is [`flowsonde_wire::export::netflow9`]'s.
//!
//! - A record is of fixed length: texts are padded with NUL, or cut between characters.
//! - A template with `OUT_*` elements tells both directions in one record; any other gives a record a direction.
//! - FIRST_SWITCHED and LAST_SWITCHED are milliseconds of sysUptime. The header tells time in whole seconds only, so it
//!   is told at the next whole second, uptime and seconds alike: a receiver finds every millisecond exactly, and no flow
//!   ends after its message.
//! - Options tell, of the exporter as a whole (scope System), its sampling and what it exported so far.
//! - Elements of other enterprises than ntop and Cisco have no number here and are left out.

use flowsonde_elements::{Element, Kind, table};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::ipfix::Specifier;
use flowsonde_wire::export::netflow9 as wire;

use super::about::{About, Fact, field};
use super::program::Source;
use super::session::{Header, Protocol, Session, Tally};
use super::{Error, Format, Options};
use crate::fill::{self, Row};

/// What NetFlow v9 does its own way.
#[derive(Debug)]
pub struct NetFlow9;

/// An encoder of NetFlow v9.
pub fn netflow9(options: &Options) -> Result<Session<NetFlow9>, Error> {
    Session::new(options)
}

impl Protocol for NetFlow9 {
    const HEADER: usize = wire::HEADER;
    const TEMPLATE_SET: u16 = wire::TEMPLATE_SET;
    const OPTIONS_SET: u16 = wire::OPTIONS_SET;
    const PADDED: bool = true;
    const ABOUT: &'static [About] = &[
        About {
            scopes: 1,
            fields: &[
                field(wire::SCOPE_SYSTEM, 4, Fact::Domain),
                field(34, 4, Fact::Interval),
                field(35, 1, Fact::Is(1)), // deterministic
            ],
        },
        About {
            scopes: 1,
            fields: &[
                field(wire::SCOPE_SYSTEM, 4, Fact::Domain),
                field(40, 4, Fact::Bytes),
                field(41, 4, Fact::Messages),
                field(42, 4, Fact::Records),
            ],
        },
    ];

    fn field(element: &'static Element, _: Option<&Row>, _: u8, _: bool) -> Option<(Specifier, Kind)> {
        let specifier = Specifier { pen: 0, id: element.v9_id()?, length: element.v9_length() };
        // Times are plain numbers here, not NTP's.
        let kind = if matches!(element.kind, Kind::Micros | Kind::Nanos) { Kind::U64 } else { element.kind };
        Some((specifier, kind))
    }

    fn source(element: &Element, _: &Options) -> Option<Source> {
        if element.is_same_as(&table::FIRST_SWITCHED) {
            Some(Source::Uptime(fill::first))
        } else if element.is_same_as(&table::LAST_SWITCHED) {
            Some(Source::Uptime(fill::last))
        } else {
            None
        }
    }

    fn write_specifier(specifier: &Specifier, out: &mut Vec<u8>) {
        out.extend_from_slice(&specifier.id.to_be_bytes());
        out.extend_from_slice(&specifier.length.to_be_bytes());
    }

    fn write_options_head(id: u16, scopes: usize, fields: usize, out: &mut Vec<u8>) {
        for number in [id, 4 * scopes as u16, 4 * (fields - scopes) as u16] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    fn write_header(message: &mut [u8], header: &Header<'_>) {
        const SECOND: u64 = 1_000_000_000;
        let seconds = header.env.now.0.div_ceil(SECOND);
        let bytes = wire::Header {
            count: u16::try_from(header.tally.templates + header.tally.options + header.tally.flows)
                .unwrap_or(u16::MAX),
            uptime_ms: header.env.uptime_ms(Nanos(seconds.saturating_mul(SECOND))),
            seconds: seconds as u32,
            sequence: header.sequence,
            source_id: header.domain,
        }
        .to_bytes();
        if let Some(place) = message.first_chunk_mut() {
            *place = bytes;
        }
    }

    fn advance(_: Tally) -> u32 {
        1
    }
}

/// NetFlow version 9.
pub const SPEC: Format = Format {
    name: "netflow9",
    help: "NetFlow version 9: any template, both address families",
    start: |options| Ok(Box::new(netflow9(options)?)),
};
