//! Whether a datagram is a message of flow export, told from what its headers say of each other: versions, lengths, counts.
//!
//! For a relay, which passes on what it does not read. Strict where a collector is lenient: every length has to lead
//! exactly to the next header, the last one to the end. No value of a record is looked at, nothing is kept or allocated.
//!
//! ```text
//! v5, v7    header, count records of one length, the end
//! v9, IPFIX header, sets to the end; in those of templates, templates and padding to the end of the set
//! sFlow v5  header, count samples to the end; in those of known formats, count records to the end of the sample
//! ```
//!
//! What exporters do against the standards and is let pass: NetFlow v9 of Cisco ACI has zeros behind its last set, YAF ends
//! IPFIX messages with an options template set that has no template, many count something else in v9 than records.
//!
//! NetFlow-Lite and NSEL are v9 or IPFIX. Left out: NetFlow v1, v6 and v8, sFlow v2 and v4, which have been out of use for
//! two decades and whose messages have little that could be checked.

mod samples;
mod sets;

pub use sets::template_sets;

use crate::cursor::Cursor;
use crate::export::{ipfix, netflow5, netflow9};

/// A format of flow export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// NetFlow version 5.
    NetFlow5,
    /// NetFlow version 7.
    NetFlow7,
    /// NetFlow version 9 (RFC 3954).
    NetFlow9,
    /// IPFIX (RFC 7011).
    Ipfix,
    /// sFlow version 5.
    Sflow5,
}

impl Format {
    /// As users know it.
    pub const fn name(self) -> &'static str {
        match self {
            Format::NetFlow5 => "netflow5",
            Format::NetFlow7 => "netflow7",
            Format::NetFlow9 => "netflow9",
            Format::Ipfix => "ipfix",
            Format::Sflow5 => "sflow5",
        }
    }
}

/// What the headers of a sound message tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its format.
    pub format: Format,
    /// Observation domain, source id, sub-agent; engine type << 8 | engine id of v5; 0 of v7, which tells none.
    pub domain: u32,
    /// It has sets of templates or options templates.
    pub templates: bool,
    /// It has records or samples, or sets of them.
    pub data: bool,
}

/// Why a datagram is none, a counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Shorter than the header of its format, or empty.
    TooShort,
    /// No version of a format that is read.
    Version,
    /// The datagram is not as long as its header says.
    Length,
    /// A count of records that cannot be.
    Count,
    /// A set that is shorter than its header or goes over the end, or bytes behind the last one.
    SetHeader,
    /// A set of an id that is reserved.
    SetId,
    /// A template that goes over the end of its set, of a reserved id, or of records without length.
    Template,
    /// An sFlow agent without an address of a known type.
    Agent,
    /// An sFlow sample that goes over the end, is shorter than its header, or bytes behind the last one.
    Sample,
    /// A record that goes over the end of its sFlow sample, or bytes behind the last one.
    Record,
}

impl Refused {
    /// Every one, in the order of their numbers.
    pub const ALL: [Refused; 10] = [
        Refused::TooShort,
        Refused::Version,
        Refused::Length,
        Refused::Count,
        Refused::SetHeader,
        Refused::SetId,
        Refused::Template,
        Refused::Agent,
        Refused::Sample,
        Refused::Record,
    ];

    /// As the ledger calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Refused::TooShort => "too_short",
            Refused::Version => "version",
            Refused::Length => "length",
            Refused::Count => "count",
            Refused::SetHeader => "set_header",
            Refused::SetId => "set_id",
            Refused::Template => "template",
            Refused::Agent => "agent",
            Refused::Sample => "sample",
            Refused::Record => "record",
        }
    }
}

/// Checks the payload of one datagram.
pub fn check(bytes: &[u8]) -> Result<Checked, Refused> {
    let [a, b, c, d] = *bytes.first_chunk::<4>().ok_or(Refused::TooShort)?;
    // sFlow's version has four bytes, the others' two.
    match (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])) {
        (0, 5) => samples::check(bytes),
        (netflow5::VERSION, _) => fixed(bytes, Format::NetFlow5, netflow5::RECORD, netflow5::MAX_RECORDS),
        (7, _) => fixed(bytes, Format::NetFlow7, V7_RECORD, V7_MAX_RECORDS),
        (netflow9::VERSION, _) => sets::netflow9(bytes),
        (ipfix::VERSION, _) => sets::ipfix(bytes),
        _ => Err(Refused::Version),
    }
}

/// Length of a record of NetFlow v7; its header is as long as that of v5.
const V7_RECORD: usize = 52;
/// Most records of NetFlow v7: those that fit into 1480 bytes, an IPv4 packet of 1500 less its header.
const V7_MAX_RECORDS: u16 = 28;

/// Formats whose records have one length.
fn fixed(bytes: &[u8], format: Format, record: usize, most: u16) -> Result<Checked, Refused> {
    let mut c = Cursor::new(bytes);
    let header = netflow5::Header::read(&mut c).map_err(|_| Refused::TooShort)?;
    if header.count == 0 || header.count > most {
        return Err(Refused::Count);
    }
    if c.remaining() != usize::from(header.count) * record {
        return Err(Refused::Length);
    }
    let domain = match format {
        Format::NetFlow5 => u32::from(header.engine_type) << 8 | u32::from(header.engine_id),
        _ => 0,
    };
    Ok(Checked { format, domain, templates: false, data: true })
}

#[cfg(test)]
mod tests;
