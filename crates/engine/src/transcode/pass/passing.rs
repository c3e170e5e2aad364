//! A layout as it is passed on: its template in the output's protocol, and what of a record is copied.
//!
//! A record is copied whole where every field can be declared and nothing was sampled. Else it is put together of pieces:
//! stretches that are copied, counters that are multiplied, rates that are 1 from now on.
//!
//! Options are put together always. Scopes that the protocol has are first, then the others as fields, then the fields. Where
//! no scope is left it is our domain. Counters of options count what the exporter did, not what it sampled: they stay.

use flowsonde_wire::export::ipfix::{self, Specifier};

use super::protocol::Passes;
use crate::decode::layout::{At, Field, Layout, Record, Spans, number};

/// See the module.
#[derive(Debug)]
pub(super) struct Passing {
    /// The fields of the template, and how many.
    pub template: Box<[u8]>,
    pub count: u16,
    /// How many of them are scopes; 0 for flows.
    pub scopes: u16,
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
    /// Our domain's number.
    Domain,
    /// A probability, which is 1 from now on: a float of four or eight bytes.
    Probability(At, u16),
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
        let mut made = Made::default();
        for field in layout.sent() {
            if let Some(specifier) = P::passed(&declared(field)) {
                made.add::<P>(&specifier, piece(field));
            }
        }
        let dropped = layout.sent().len() - usize::from(made.count);
        Passing {
            relative: layout.find(21).is_some() || layout.find(22).is_some(),
            whole: dropped == 0 && layout.is_as_sent(),
            dropped,
            ..made.passing(0)
        }
    }

    /// Compiles a layout of options.
    pub fn of_options<P: Passes>(layout: &Layout) -> Passing {
        let mut made = Made::default();
        let (scopes, fields) = layout.fields.split_at_checked(layout.scopes.into()).unwrap_or((&layout.fields, &[]));
        // Some routers have scopes of no bytes.
        let (scopes, others): (Vec<&Field>, Vec<&Field>) =
            scopes.iter().filter(|field| field.length > 0).partition(|field| P::scope(&declared(field)).is_some());
        for field in &scopes {
            if let Some(specifier) = P::scope(&declared(field)) {
                made.add::<P>(&specifier, piece_of_options(field));
            }
        }
        if scopes.is_empty() {
            made.add::<P>(&Specifier { pen: 0, id: P::SCOPE, length: 4 }, Piece::Domain);
        }
        let scopes = made.count;
        let mut dropped = 0;
        for field in others.into_iter().chain(fields.iter().filter(|field| field.length > 0)) {
            match P::passed(&declared(field)) {
                Some(specifier) => made.add::<P>(&specifier, piece_of_options(field)),
                None => dropped += 1,
            }
        }
        if made.count == scopes {
            made.pieces.clear();
        }
        Passing { dropped, ..made.passing(scopes) }
    }

    /// Nothing of its records can be told.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Appends a record that was sampled at `rate`, of a domain of ours.
    #[inline]
    pub fn write(&self, record: &Record<'_>, spans: &Spans, rate: u32, domain: u32, out: &mut Vec<u8>) {
        if self.whole && (rate == 1 || !self.scales) {
            out.extend_from_slice(record.bytes());
            return;
        }
        for piece in &self.pieces {
            match *piece {
                Piece::Domain => out.extend_from_slice(&domain.to_be_bytes()),
                Piece::Probability(_, 4) if rate > 1 => out.extend_from_slice(&1f32.to_be_bytes()),
                Piece::Probability(_, 8) if rate > 1 => out.extend_from_slice(&1f64.to_be_bytes()),
                Piece::Probability(at, length) => out.extend_from_slice(record.octets(at, length, spans)),
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

/// A passing on its way.
#[derive(Default)]
struct Made {
    template: Vec<u8>,
    pieces: Vec<Piece>,
    count: u16,
    shortest: usize,
    scales: bool,
}

impl Made {
    fn add<P: Passes>(&mut self, specifier: &Specifier, piece: Piece) {
        P::write_specifier(specifier, &mut self.template);
        self.count += 1;
        self.shortest += if specifier.length == ipfix::VARIABLE { 1 } else { usize::from(specifier.length) };
        self.scales |= !matches!(piece, Piece::Copy(..) | Piece::Variable(_));
        match (self.pieces.last_mut(), piece) {
            (Some(Piece::Copy(start, length)), Piece::Copy(at, more))
                if start.part == at.part && usize::from(start.offset) + *length == usize::from(at.offset) =>
            {
                *length += more;
            }
            _ => self.pieces.push(piece),
        }
    }

    fn passing(self, scopes: u16) -> Passing {
        let Made { template, pieces, count, shortest, scales } = self;
        Passing {
            template: template.into(),
            count,
            scopes,
            whole: false,
            scales,
            relative: false,
            shortest,
            dropped: 0,
            pieces: pieces.into(),
        }
    }
}

fn declared(field: &Field) -> Specifier {
    Specifier { pen: field.pen, id: field.id, length: field.length }
}

/// How a field of options is passed on.
fn piece_of_options(field: &Field) -> Piece {
    match (field.pen, field.id, field.length) {
        (0, 311, 4 | 8) => Piece::Probability(field.at, field.length),
        (0, 34 | 50 | 305 | 306 | 309 | 310, _) => piece(field),
        _ if field.is_variable() => Piece::Variable(field.at),
        _ => Piece::Copy(field.at, field.length.into()),
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
