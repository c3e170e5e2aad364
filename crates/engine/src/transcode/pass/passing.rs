//! A layout as it is passed on: its template in the output's protocol, and what of a record is copied.
//!
//! A record is copied whole where every field can be declared and nothing was sampled. Else it is put together of pieces:
//! stretches that are copied, counters that are multiplied, rates that are 1 from now on.

use flowsonde_wire::export::ipfix::{self, Specifier};

use super::protocol::Passes;
use crate::decode::layout::{At, Field, Layout, Record, Spans, number};

/// See the module.
#[derive(Debug)]
pub(super) struct Passing {
    /// The template behind its id: count and fields.
    pub template: Box<[u8]>,
    /// Records are copied whole: every field is there, and nothing is behind them.
    pub whole: bool,
    /// Has values that sampling changes.
    pub scales: bool,
    /// Has times of the exporter's uptime.
    pub relative: bool,
    /// Bytes of the shortest record.
    pub shortest: usize,
    /// Fields that cannot be declared.
    pub dropped: usize,
    pieces: Box<[Piece]>,
}

#[derive(Clone, Copy, Debug)]
enum Piece {
    /// So many bytes as they are.
    Copy(At, usize),
    /// A value of variable length.
    Variable(At),
    /// A counter of so many bytes.
    Scaled(At, u16),
    /// A counter of variable length.
    ScaledVariable(At),
    /// A rate, or a part of it, and the number that says that nothing was sampled.
    Rate(At, u16, u8),
}

impl Passing {
    /// Compiles a layout.
    pub fn new<P: Passes>(layout: &Layout) -> Passing {
        let mut template = vec![0, 0];
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut count, mut shortest, mut scales) = (0u16, 0, false);
        for field in layout.sent() {
            let declared = Specifier { pen: field.pen, id: field.id, length: field.length };
            let Some(specifier) = P::passed(&declared) else { continue };
            P::write_specifier(&specifier, &mut template);
            count += 1;
            shortest += if field.is_variable() { 1 } else { usize::from(field.length) };
            let piece = piece(field);
            scales |= !matches!(piece, Piece::Copy(..) | Piece::Variable(_));
            match (pieces.last_mut(), piece) {
                (Some(Piece::Copy(start, length)), Piece::Copy(at, more))
                    if start.part == at.part && usize::from(start.offset) + *length == usize::from(at.offset) =>
                {
                    *length += more;
                }
                _ => pieces.push(piece),
            }
        }
        if let Some(place) = template.first_chunk_mut() {
            *place = count.to_be_bytes();
        }
        let dropped = layout.sent().len() - usize::from(count);
        Passing {
            template: template.into(),
            whole: dropped == 0 && layout.is_as_sent(),
            scales,
            relative: layout.find(21).is_some() || layout.find(22).is_some(),
            shortest,
            dropped,
            pieces: pieces.into(),
        }
    }

    /// Nothing of its records can be told.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Appends a record that was sampled at `rate`.
    #[inline]
    pub fn write(&self, record: &Record<'_>, spans: &Spans, rate: u32, out: &mut Vec<u8>) {
        if self.whole && (rate == 1 || !self.scales) {
            out.extend_from_slice(record.bytes());
            return;
        }
        for piece in &self.pieces {
            match *piece {
                Piece::Copy(at, length) => out.extend_from_slice(record.stretch(at, length, spans)),
                Piece::Variable(at) => ipfix::write_variable(record.variable(at, spans), out),
                Piece::Scaled(at, length) => {
                    let octets = record.octets(at, length, spans);
                    out.extend_from_slice(octets);
                    scale(out, octets.len(), rate);
                }
                Piece::ScaledVariable(at) => {
                    let octets = record.variable(at, spans);
                    ipfix::write_variable(octets, out);
                    scale(out, octets.len(), rate);
                }
                Piece::Rate(at, length, _) if rate == 1 => {
                    out.extend_from_slice(record.octets(at, length, spans));
                }
                Piece::Rate(_, length, n) => {
                    out.resize(out.len() + usize::from(length), 0);
                    if let Some(last) = out.last_mut() {
                        *last = n;
                    }
                }
            }
        }
    }
}

/// How a field is passed on.
fn piece(field: &Field) -> Piece {
    let copy = if field.is_variable() { Piece::Variable(field.at) } else { Piece::Copy(field.at, field.length.into()) };
    let Some(element) = field.element else { return copy };
    let counts = element.scales_with_sampling() && element.kind_of(field.length).is_number();
    match (field.pen, field.id) {
        _ if counts && field.is_variable() => Piece::ScaledVariable(field.at),
        _ if counts && field.length <= 8 => Piece::Scaled(field.at, field.length),
        _ if field.is_variable() => copy,
        // 1 of 1 by 34 and 50; 1 and 0 passed over by 305 and 306; 1 out of 1 by 309 and 310.
        (0, 34 | 50 | 305 | 309 | 310) => Piece::Rate(field.at, field.length, 1),
        (0, 306) => Piece::Rate(field.at, field.length, 0),
        _ => copy,
    }
}

/// Multiplies the number in the last `length` bytes, up to the largest that fits there.
#[inline]
fn scale(out: &mut [u8], length: usize, rate: u32) {
    let start = out.len().saturating_sub(length);
    let Some(place) = out.get_mut(start..) else { return };
    if !(1..=8).contains(&place.len()) {
        return;
    }
    let unused = 64 - 8 * place.len() as u32;
    let scaled = number(place).saturating_mul(rate.into()).min(u64::MAX >> unused);
    let bytes = scaled.to_be_bytes();
    place.copy_from_slice(bytes.get(bytes.len() - place.len()..).unwrap_or(&[]));
}
