//! What NetFlow v9 and IPFIX share: flows by address family.
//!
//! A template of the user's becomes two, one an address family, as an IPv4 flow has nothing to say in the elements of
//! IPv6; it stays one where it names none of either. Each family fills a message of its own, so that full messages of
//! records of fixed length are all equally long, which lets UDP hand many to the kernel at once. Templates and options
//! travel in messages of their own, before the first flow and again when they are due.

use flowsonde_elements::{Element, Id, Kind, Standing, VARIABLE, table};
use flowsonde_wire::export::ipfix::{REVERSE_PEN, Specifier};

use super::program::{Column, Program, Source};
use super::stream::{Family, Fit, Stream};
pub(crate) use super::stream::{Header, Protocol, SET_HEADER, Tally, close_set, open_set};
use super::{Counters, Encode, Error, Messages, Options};
use crate::decode::packet::protocol;
use crate::fill::{self, Env, Fill, Row, Tells};
use crate::meter::View;

/// An encoder of NetFlow v9 or IPFIX.
#[derive(Debug)]
pub struct Session<P> {
    stream: Stream<P>,
    /// One a family.
    programs: Vec<Program>,
    of_version: OfVersion,
    bidirectional: bool,
    counters: Counters,
}

/// The family of IPv4 and of IPv6 flows, if the template tells anything of them.
pub(crate) type OfVersion = [Option<usize>; 2];

impl<P: Protocol> Session<P> {
    /// An encoder, or what is wrong with the settings.
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let (families, of_version) = families::<P>(options);
        let programs: Vec<_> =
            families.iter().map(|fields| Program::new(fields.iter().map(|field| field.column))).collect();
        let declared = families.iter().zip(&programs).map(|(fields, program)| Family {
            specifiers: fields.iter().map(|field| field.specifier).collect(),
            fixed: program.fixed(),
            shortest: program.shortest(),
        });
        Ok(Session {
            stream: Stream::new(options, &declared.collect::<Vec<_>>())?,
            programs,
            of_version,
            bidirectional: families.iter().flatten().any(|field| field.tells == Tells::Reverse),
            counters: Counters::default(),
        })
    }

    /// Puts one record into its family's message, and sends that when it is full.
    #[inline]
    fn record(&mut self, at: usize, v: &View<'_>, env: &Env, out: &mut Messages) {
        let Some(program) = self.programs.get(at) else { return };
        let mut limit = usize::MAX;
        loop {
            let Some((bytes, start)) = self.stream.begin(at, env.now) else { return };
            program.write(v, env, limit, bytes);
            match self.stream.end(at, start, env, out) {
                Fit::Taken => break,
                Fit::Again => {}
                Fit::Within(room) => limit = program.text_limit(room),
            }
        }
        self.counters.records += 1;
    }
}

impl<P: Protocol> Encode for Session<P> {
    #[inline]
    fn encode(&mut self, flow: &View<'_>, env: &Env, out: &mut Messages) {
        self.counters.flows += 1;
        let Some(at) = self.of_version[usize::from(flow.base.key.version() == 6)] else {
            self.counters.untold += 1;
            return;
        };
        self.counters.encoded += 1;
        if self.bidirectional {
            self.record(at, flow, env, out);
        } else {
            flow.each_half(|half| self.record(at, half, env, out));
        }
    }

    fn tick(&mut self, env: &Env, out: &mut Messages) {
        self.stream.tick(env, out);
    }

    fn flush(&mut self, env: &Env, out: &mut Messages) {
        self.stream.flush(env, out);
    }

    fn restart(&mut self) {
        self.stream.restart();
    }

    fn counters(&self) -> Counters {
        Counters { pending: self.stream.pending(), ..self.counters }
    }
}

/// The fields of every family, and which family tells of which IP version.
pub(crate) fn families<P: Protocol>(options: &Options) -> (Vec<Vec<Field>>, OfVersion) {
    let [v4, v6] = [4, 6].map(|version| fields::<P>(options, version));
    let same = v4.iter().map(|field| field.specifier).eq(v6.iter().map(|field| field.specifier));
    if same {
        let told = (!v4.is_empty()).then_some(0);
        return (if v4.is_empty() { Vec::new() } else { vec![v4] }, [told; 2]);
    }
    let mut families = Vec::new();
    let of_version = [v4, v6].map(|fields| {
        (!fields.is_empty()).then(|| {
            families.push(fields);
            families.len() - 1
        })
    });
    (families, of_version)
}

/// A field of a template.
pub(crate) struct Field {
    /// The element it tells.
    pub element: &'static Element,
    /// How it is declared.
    pub specifier: Specifier,
    /// What it is on the wire.
    pub kind: Kind,
    column: Column,
    tells: Tells,
}

/// What is told of flows of this IP version: the template's elements that have a number, but those of the other version.
fn fields<P: Protocol>(options: &Options, version: u8) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for element in options.template.iter() {
        if matches!(element.standing, Standing::Displaced(_)) || only_of(element).is_some_and(|only| only != version) {
            continue;
        }
        let row = options.row(element);
        let Some((specifier, kind)) = P::field(element, row, version, options.biflow) else { continue };
        // Lists are all of one element; what is in them says which is which.
        let again = |other: &Field| {
            (other.specifier.pen, other.specifier.id) == (specifier.pen, specifier.id)
                && (!matches!(kind, Kind::List(_)) || other.element.is_same_as(element))
        };
        if fields.iter().any(again) {
            continue;
        }
        let reverse = specifier.pen == REVERSE_PEN || row.is_some_and(|row| row.tells == Tells::Reverse);
        let tells = if reverse { Tells::Reverse } else { Tells::Forward };
        let source = P::source(element, options).unwrap_or_else(|| source(element, row, options));
        let column = Column { kind, length: specifier.length, source };
        fields.push(Field { element, specifier, kind, column, tells });
        if let Some((specifier, kind, fill)) = P::counterpart(element, options) {
            let column = Column { kind, length: specifier.length, source: Source::Fill(fill) };
            // Of TCP_FLAGS: what the server sent.
            let element = &table::SERVER_TCP_FLAGS;
            fields.push(Field { element, specifier, kind, column, tells: Tells::Reverse });
        }
    }
    fields
}

/// The IP version an element belongs to, where it is one.
fn only_of(element: &Element) -> Option<u8> {
    match element.id {
        Id::Iana(8 | 9 | 12 | 13 | 15 | 18 | 44 | 45 | 176 | 177) => Some(4),
        Id::Iana(27..=31 | 62..=64 | 139 | 169 | 170 | 178 | 179) => Some(6),
        _ => None,
    }
}

/// Where a value comes from: its fill, but for the few that are told otherwise on the wire.
fn source(element: &Element, row: Option<&Row>, options: &Options) -> Source {
    let is = |other: &Element| element.is_same_as(other);
    if is(&table::L4_DST_PORT) {
        Source::Fill(Fill::Number(|v, _| destination_port(v).into()))
    } else if is(&table::SAMPLING_INTERVAL) && !options.collected {
        Source::Constant(options.announced_sampling.max(1).into())
    } else {
        row.map_or(Source::Unset, |row| Source::Fill(row.fill))
    }
}

/// The destination port as routers send it: of ICMP, type * 256 + code.
#[inline]
pub(super) fn destination_port(v: &View<'_>) -> u16 {
    let key = &v.base.key;
    let (first, second) = key.ports();
    match key.protocol() {
        // Both are 0 where the key leaves them out (`-p`).
        protocol::ICMP | protocol::ICMPV6 if (first, second) != (0, 0) => fill::icmp(v),
        _ if v.other() == 0 => first,
        _ => second,
    }
}

/// The length of a kind in a template of IPFIX.
pub(super) const fn length_or_variable(kind: Kind) -> u16 {
    if kind.is_variable() { VARIABLE } else { kind.length() }
}
