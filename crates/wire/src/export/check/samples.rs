//! Messages that are samples: sFlow version 5.

use super::{Checked, Format, Refused};
use crate::cursor::{Cursor, Short};
use crate::export::sflow5;

/// The least length of a sample or record: its format and its length.
const BLOCK_HEADER: usize = 8;

/// A datagram, version included.
pub(super) fn check(bytes: &[u8]) -> Result<Checked, Refused> {
    let (samples, domain, mut c) = header(bytes)?;
    if samples == 0 || samples as usize > c.remaining() / BLOCK_HEADER {
        return Err(Refused::Count);
    }
    for _ in 0..samples {
        let (format, body) = block(&mut c).map_err(|_| Refused::Sample)?;
        if body.len() % 4 != 0 {
            return Err(Refused::Sample);
        }
        sample(format, body)?;
    }
    if !c.is_empty() {
        return Err(Refused::Sample);
    }
    Ok(Checked { format: Format::Sflow5, domain, templates: false, data: true })
}

/// Reads the header: how many samples, the sub-agent, and a cursor at the first sample.
fn header(bytes: &[u8]) -> Result<(u32, u32, Cursor<'_>), Refused> {
    let mut c = Cursor::new(bytes);
    let mut kind = c;
    let _ = kind.skip(4, "version");
    // Unknown (0) has no address behind it ("sFlow Version 5", section 5); a type without a known length hides what follows.
    if !matches!(kind.u32("address type"), Ok(0..=2)) {
        return Err(if kind.is_empty() { Refused::TooShort } else { Refused::Agent });
    }
    let header = sflow5::Header::read(&mut c).map_err(|_| Refused::TooShort)?;
    Ok((header.samples, header.sub_agent, c))
}

/// Reads a format and its body.
fn block<'a>(c: &mut Cursor<'a>) -> Result<(sflow5::Format, &'a [u8]), Short> {
    let (format, length) = (c.u32("format")?, c.u32("length")?);
    Ok((sflow5::Format(format), c.take(length as usize, "body")?))
}

/// Walks the records of a sample. Of formats that others define nothing is known but the length.
fn sample(format: sflow5::Format, body: &[u8]) -> Result<(), Refused> {
    // Bytes before the count of records, as the figure of `sflow5` tells.
    let before = match format {
        sflow5::Format::FLOW => 28,
        sflow5::Format::COUNTERS => 8,
        sflow5::Format::EXPANDED_FLOW => 40,
        sflow5::Format::EXPANDED_COUNTERS => 12,
        sflow5::Format::DISCARDED => 28,
        _ => return Ok(()),
    };
    let mut c = Cursor::new(body);
    c.skip(before, "sample").map_err(|_| Refused::Sample)?;
    let records = c.u32("count").map_err(|_| Refused::Sample)?;
    if records as usize > c.remaining() / BLOCK_HEADER {
        return Err(Refused::Count);
    }
    for _ in 0..records {
        let (_, body) = block(&mut c).map_err(|_| Refused::Record)?;
        // XDR pads what is no multiple of four.
        c.skip(body.len().wrapping_neg() % 4, "padding").map_err(|_| Refused::Record)?;
    }
    if c.is_empty() { Ok(()) } else { Err(Refused::Record) }
}
