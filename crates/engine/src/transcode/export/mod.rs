//! Collected records as NetFlow and IPFIX of our own: the elements of one template, whatever exporters send.
//!
//! Templates, messages and sequence numbers are the probe's ([`crate::encode`]); what differs is what a record is written
//! from. One record becomes one record: elements of the reverse direction are told where the template's protocol has them
//! (`OUT_*` of NetFlow v9, RFC 5103 with `biflow`), else they are left out.
//!

use core::cell::RefCell;

use flowsonde_elements::{Element, VARIABLE};
use flowsonde_wire::Nanos;

use super::Lists;
use super::output::{Lost, Transcode};
use super::pass::Passes;
use super::plan::wanted;
use super::{Context, Home, Program, Programs};
use crate::decode::layout::{At, Layout, Record, Spans};
use crate::decode::records::{Set, Taken};
use crate::encode::session::{Field, OfVersion, families};
use crate::encode::stream::{Family, Fit, Stream};
use crate::encode::{Error, Messages, Options};

mod clock;
mod netflow5;
#[cfg(test)]
mod tests;
mod wire;

use clock::Clock;
pub use netflow5::Export5;
use wire::{Key, Wire};

/// Writes collected records as NetFlow v9 or IPFIX.
#[derive(Debug)]
pub struct Export<P> {
    stream: Stream<P>,
    families: Vec<Told>,
    /// Those of each family.
    programs: [Programs<Key>; 2],
    of_version: OfVersion,
    home: Home,
    clock: Clock,
    spans: Spans,
    lists: RefCell<Lists>,
    lost: Lost,
}

/// What is told of one address family.
#[derive(Debug)]
struct Told {
    fields: Vec<(&'static Element, Key)>,
    /// Bytes of the shortest record, and how many values have variable lengths.
    shortest: usize,
    variable: usize,
}

impl<P: Passes> Export<P> {
    /// A transcoder, or what is wrong with the settings.
    pub fn new(options: &Options, home: Home) -> Result<Self, Error> {
        let (fields, of_version) = families::<P>(options);
        let families: Vec<_> = fields.iter().map(|fields| Told::new(fields)).collect();
        let declared = fields.iter().zip(&families).map(|(fields, told)| told.declared(fields));
        Ok(Export {
            stream: Stream::new(options, &declared.collect::<Vec<_>>())?,
            families,
            programs: Default::default(),
            of_version,
            home,
            clock: Clock::new(P::UPTIME),
            spans: Spans::default(),
            lists: RefCell::default(),
            lost: Lost::default(),
        })
    }
}

impl Told {
    fn new(fields: &[Field]) -> Told {
        let variable = fields.iter().filter(|field| field.specifier.length == VARIABLE).count();
        let length = |field: &Field| if field.specifier.length == VARIABLE { 1 } else { field.specifier.length.into() };
        let key = |field: &Field| Key::new(field.element.kind, field.kind, field.specifier.length);
        Told {
            fields: fields.iter().map(|field| (field.element, key(field))).collect(),
            shortest: fields.iter().map(length).sum(),
            variable,
        }
    }

    fn declared(&self, fields: &[Field]) -> Family {
        Family {
            specifiers: fields.iter().map(|field| field.specifier).collect(),
            fixed: (self.variable == 0).then_some(self.shortest),
            shortest: self.shortest,
        }
    }

    fn compile(&self, layout: &Layout) -> Program<Key> {
        Program::of(self.fields.iter().map(|(element, key)| (wanted(layout, element).take, *key)))
    }

    /// The longest values of variable length with which any record fits in `room` bytes. A long one has two bytes of
    /// length more than an empty one.
    fn limit(&self, room: usize) -> usize {
        let all = room.saturating_sub(self.shortest);
        all.checked_div(self.variable).unwrap_or(all).saturating_sub(2)
    }
}

impl<P: Passes> Transcode for Export<P> {
    fn flows(&mut self, set: &Set<'_>, now: Nanos, out: &mut Messages) -> Taken {
        if self.clock.leaps(set.about, now) {
            self.stream.flush(self.clock.env(), out);
        }
        self.clock.arrived(set.about, now);
        let version = VersionOf::new(set.layout);
        let Export { stream, families, programs: [first, second], of_version, home, clock, spans, lists, lost } = self;
        let env = clock.env();
        let mut compiled = [first, second].map(Some);
        // By IP version: where its records go, and how they are written.
        let ways = [4, 6].map(|of| {
            let at = of_version[usize::from(of == 6)].filter(|_| version.may_be(of))?;
            Some((at, families.get(at)?))
        });
        let mut written = [None, None];
        for (at, told) in ways.into_iter().flatten() {
            if let Some(programs) = compiled.get_mut(at).and_then(Option::take) {
                written[at] = Some(programs.of(set.layout, |layout| told.compile(layout)));
            }
        }
        let mut taken = Taken::default();
        let mut rest = set.bytes;
        while let Some((record, after)) = set.layout.split(rest, spans) {
            rest = after;
            taken.records += 1;
            let way = ways[usize::from(version.is_6(&record, spans))];
            let Some((at, told, program)) = way.and_then(|(at, told)| Some((at, told, written.get(at).copied()??)))
            else {
                lost.not_in_template += 1;
                continue;
            };
            let sampling = set.samplers.told_of(set.layout, &record, spans);
            let context = Context::new(set, home, sampling, lists);
            let mut limit = usize::MAX;
            while let Some((bytes, start)) = stream.begin(at, env.now) {
                program.write(&record, spans, &context, &mut Wire { out: bytes, boot: env.boot, limit });
                match stream.end(at, start, env, out) {
                    Fit::Taken => break,
                    Fit::Again => {}
                    Fit::Within(room) => limit = told.limit(room),
                }
            }
        }
        taken.rest = rest.len();
        taken
    }

    fn tick(&mut self, now: Nanos, out: &mut Messages) {
        // Nothing is said before there is something to tell of.
        if self.clock.tick(now) {
            self.stream.tick(self.clock.env(), out);
        }
    }

    fn flush(&mut self, out: &mut Messages) {
        self.stream.flush(self.clock.env(), out);
    }

    fn pending(&self) -> u64 {
        self.stream.pending()
    }

    fn again(&mut self) {
        self.stream.again();
    }

    fn lost(&self) -> Lost {
        self.lost
    }
}

/// How the IP version of a record is found.
#[derive(Clone, Copy, Debug)]
enum VersionOf {
    /// All are of this one.
    Always(u8),
    /// By 60 ipVersion.
    Told(At),
    /// IPv6 where 27 sourceIPv6Address is there.
    Address(At),
}

impl VersionOf {
    fn new(layout: &Layout) -> VersionOf {
        let field = |id, length| layout.find(id).filter(|field| field.length == length).map(|field| field.at);
        let told = || field(60, 1).map(VersionOf::Told).or_else(|| field(27, 16).map(VersionOf::Address));
        layout.version().map(VersionOf::Always).or_else(told).unwrap_or(VersionOf::Always(4))
    }

    fn may_be(self, version: u8) -> bool {
        !matches!(self, VersionOf::Always(only) if only != version)
    }

    #[inline]
    fn is_6(self, record: &Record<'_>, spans: &Spans) -> bool {
        match self {
            VersionOf::Always(version) => version == 6,
            VersionOf::Told(at) => record.array(at, spans) == [6],
            VersionOf::Address(at) => record.array(at, spans) != [0; 16],
        }
    }
}
