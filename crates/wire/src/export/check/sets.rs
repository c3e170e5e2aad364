//! Messages that are sets of templates and data: NetFlow v9 and IPFIX.

use super::{Checked, Format, Refused};
use crate::cursor::{Cursor, Short};
use crate::export::{ipfix, netflow9};

/// Length of a set's header.
const SET_HEADER: usize = 4;
/// The least id of a template, and of the sets of its records; those below are reserved.
const MIN_ID: u16 = 256;

/// A message of NetFlow v9, version included.
pub(super) fn netflow9(bytes: &[u8]) -> Result<Checked, Refused> {
    let mut c = Cursor::new(bytes);
    let header = netflow9::Header::read(&mut c).map_err(|_| Refused::TooShort)?;
    // The count is of records, but some exporters count sets: no more than that there is one, and that each has a byte, can
    // be said.
    if header.count == 0 || usize::from(header.count) > c.remaining() {
        return Err(if c.is_empty() { Refused::SetHeader } else { Refused::Count });
    }
    let (templates, data) = walk(c, Format::NetFlow9)?;
    Ok(Checked { format: Format::NetFlow9, domain: header.source_id, templates, data })
}

/// A message of IPFIX, version included.
pub(super) fn ipfix(bytes: &[u8]) -> Result<Checked, Refused> {
    let mut c = Cursor::new(bytes);
    let header = ipfix::Header::read(&mut c).map_err(|_| Refused::TooShort)?;
    if usize::from(header.length) != bytes.len() {
        return Err(Refused::Length);
    }
    let (templates, data) = walk(c, Format::Ipfix)?;
    Ok(Checked { format: Format::Ipfix, domain: header.domain, templates, data })
}

/// What a set is of.
enum Kind {
    Templates,
    Options,
    Data,
}

fn kind(format: Format, id: u16) -> Result<Kind, Refused> {
    match (format, id) {
        (Format::NetFlow9, netflow9::TEMPLATE_SET) | (Format::Ipfix, ipfix::TEMPLATE_SET) => Ok(Kind::Templates),
        (Format::NetFlow9, netflow9::OPTIONS_SET) | (Format::Ipfix, ipfix::OPTIONS_SET) => Ok(Kind::Options),
        (_, MIN_ID..) => Ok(Kind::Data),
        _ => Err(Refused::SetId),
    }
}

/// Walks the sets behind the header. Tells whether there were templates, and data.
fn walk(mut c: Cursor<'_>, format: Format) -> Result<(bool, bool), Refused> {
    let (mut templates, mut data) = (false, false);
    if c.is_empty() {
        return Err(Refused::SetHeader);
    }
    while !c.is_empty() {
        // NetFlow v9 tells no length of the message: Cisco ACI fills templates up to 256 bytes with zeros.
        if format == Format::NetFlow9 && (templates || data) && c.remaining() >= SET_HEADER && zeros(&c) {
            break;
        }
        let (id, body) = set(&mut c).map_err(|_| Refused::SetHeader)?;
        match kind(format, id)? {
            Kind::Data if body.is_empty() => return Err(Refused::SetHeader),
            Kind::Data => data = true,
            kind => {
                self::templates(body, format, matches!(kind, Kind::Options))?;
                templates = true;
            }
        }
    }
    Ok((templates, data))
}

/// Reads a set: its id and what is behind its header.
fn set<'a>(c: &mut Cursor<'a>) -> Result<(u16, &'a [u8]), Short> {
    let (at, id, length) = (c.position(), c.u16("set id")?, c.u16("set length")?);
    let Some(body) = usize::from(length).checked_sub(SET_HEADER) else {
        return Err(Short { what: "set length", at, missing: SET_HEADER - usize::from(length) });
    };
    Ok((id, c.take(body, "set")?))
}

/// Nothing but zeros is left.
fn zeros(c: &Cursor<'_>) -> bool {
    c.rest().iter().all(|byte| *byte == 0)
}

/// Walks the templates of a set. YAF sends sets that have none.
fn templates(body: &[u8], format: Format, options: bool) -> Result<(), Refused> {
    let mut c = Cursor::new(body);
    // Padding is shorter than any template (RFC 7011, section 3.3.1; RFC 3954, section 5.2), and where it is longer it is of
    // zeros. No template has the id 0.
    while c.remaining() >= 4 && !zeros(&c) {
        template(&mut c, format, options)?;
    }
    Ok(())
}

/// Steps over one template or options template.
fn template(c: &mut Cursor<'_>, format: Format, options: bool) -> Result<(), Refused> {
    let whole = match (format, options) {
        (Format::Ipfix, _) => ipfix_template(c, options),
        (_, false) => netflow9_template(c),
        (_, true) => netflow9_options(c),
    };
    match whole {
        Ok(true) => Ok(()),
        _ => Err(Refused::Template),
    }
}

fn netflow9_template(c: &mut Cursor<'_>) -> Result<bool, Short> {
    let (id, fields) = (c.u16("template id")?, c.u16("field count")?);
    Ok(id >= MIN_ID && lengths(c, fields)?)
}

/// Scopes and options are counted in bytes (RFC 3954, section 6.1).
fn netflow9_options(c: &mut Cursor<'_>) -> Result<bool, Short> {
    let (id, scopes, options) = (c.u16("template id")?, c.u16("scope length")?, c.u16("option length")?);
    let whole = scopes % 4 == 0 && options % 4 == 0;
    Ok(id >= MIN_ID && whole && lengths(c, (scopes / 4).saturating_add(options / 4))?)
}

/// Steps over type and length of as many fields. False when a record of them would have no bytes.
fn lengths(c: &mut Cursor<'_>, fields: u16) -> Result<bool, Short> {
    let pairs = c.take(usize::from(fields) * 4, "fields")?;
    Ok(pairs.chunks_exact(4).any(|pair| matches!(pair, [_, _, length @ ..] if length != [0, 0])))
}

fn ipfix_template(c: &mut Cursor<'_>, options: bool) -> Result<bool, Short> {
    let (id, fields) = (c.u16("template id")?, c.u16("field count")?);
    if fields == 0 {
        // A withdrawal, of one template or of all (RFC 7011, section 8.1): of no use over UDP, but no harm.
        let all = if options { ipfix::OPTIONS_SET } else { ipfix::TEMPLATE_SET };
        return Ok(id >= MIN_ID || id == all);
    }
    if options {
        let scopes = c.u16("scope count")?;
        if scopes == 0 || scopes > fields {
            return Ok(false);
        }
    }
    let mut bytes = false;
    for _ in 0..fields {
        bytes |= ipfix::Specifier::read(c)?.length > 0;
    }
    Ok(id >= MIN_ID && bytes)
}

/// The sets of templates and options templates of a message that passed [`check`](super::check), headers included. None of
/// formats without templates.
pub fn template_sets(bytes: &[u8]) -> TemplateSets<'_> {
    let none = TemplateSets { c: Cursor::new(&[]), ids: [0; 2] };
    match bytes {
        [0, 9, ..] => TemplateSets::new(bytes, netflow9::HEADER, [netflow9::TEMPLATE_SET, netflow9::OPTIONS_SET]),
        [0, 10, ..] => TemplateSets::new(bytes, ipfix::HEADER, [ipfix::TEMPLATE_SET, ipfix::OPTIONS_SET]),
        _ => none,
    }
}

/// See [`template_sets`].
#[derive(Clone, Debug)]
pub struct TemplateSets<'a> {
    c: Cursor<'a>,
    ids: [u16; 2],
}

impl<'a> TemplateSets<'a> {
    fn new(bytes: &'a [u8], header: usize, ids: [u16; 2]) -> Self {
        TemplateSets { c: Cursor::new(bytes.get(header..).unwrap_or(&[])), ids }
    }
}

impl<'a> Iterator for TemplateSets<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let rest = self.c.rest();
            let (id, body) = set(&mut self.c).ok()?;
            if self.ids.contains(&id) {
                return rest.get(..SET_HEADER + body.len());
            }
        }
    }
}
