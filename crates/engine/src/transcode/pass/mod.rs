//! Passing on: records leave with the bytes they came with, under templates of ours.
//!
//! ```text
//! exporter, its domain -> a domain of ours     layout -> a template of that domain     records -> copied, a set at a time
//! ```
//!
//! One message is under way at a time: it holds records of one domain and, as times may be relative to it, of one time of
//! export and of one uptime. Where packets were sampled counters are multiplied on the way, and options say that they are.
//! NetFlow v9 has no place for fields of variable length and of most enterprises: there these alone are left out.
//!
//! Options data of exporters (names of interfaces, applications, samplers) are passed on too, each record in a set of its own
//! (`announced.rs` keeps them), with their scopes as far as the protocol has them. Where counters are multiplied by what
//! options tell, these tell 1 from then on, or a receiver would multiply again.

use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::Arc;

use flowsonde_wire::Nanos;
use flowsonde_wire::export::Transport;

use super::PerLayout;
use super::output::{Lost, Passed, Transcode};
use crate::decode::layout::Spans;
use crate::decode::records::{About, Set, Taken, Version};
use crate::encode::session::{Header, close_set, open_set};
use crate::encode::{Messages, Options};
use crate::fill::Env;

mod domain;
mod message;
mod passing;
mod protocol;
#[cfg(test)]
mod tests;

use domain::{Domain, Resend, Said, Source};
use message::Message;
use passing::Passing;
pub use protocol::Passes;

/// Passes records on in NetFlow v9 or IPFIX.
#[derive(Debug)]
pub struct Pass<P> {
    limits: Limits,
    domains: Domains,
    ignore_port: bool,
    passing: PerLayout<Arc<Passing>>,
    message: Message<P>,
    /// The domain of the message under way, and its times.
    at: usize,
    stamp: Stamp,
    env: Env,
    spans: Spans,
    said: Said,
    lost: Lost,
    passed: Passed,
}

#[derive(Debug)]
struct Limits {
    /// Bytes of the longest message.
    message: usize,
    /// Flow records with which a message is sent.
    records: u32,
    /// Nanoseconds after which a message is sent.
    wait: u64,
    resend: Resend,
}

/// The times of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    export: Nanos,
    boot: Nanos,
}

impl<P: Passes> Pass<P> {
    /// Of the options it reads limits, the first template's id and how often templates are sent again. Domains are
    /// numbered from `options.domain` on. `ignore_port`: all ports of an address are one exporter.
    pub fn new(options: &Options, ignore_port: bool) -> Pass<P> {
        let longest = options.max_message.min(65_532);
        let again = !options.stream;
        Pass {
            limits: Limits {
                message: if P::PADDED { longest & !3 } else { longest },
                records: if options.min_flows == 0 { u32::MAX } else { options.min_flows },
                wait: u64::from(options.queue_seconds) * 1_000_000_000,
                resend: Resend {
                    messages: if again { options.resend_messages } else { 0 },
                    nanos: if again { u64::from(options.resend_seconds) * 1_000_000_000 } else { 0 },
                    round: 0,
                },
            },
            domains: Domains::new(options.domain, options.first_template_id),
            ignore_port,
            passing: PerLayout::default(),
            message: Message::new(),
            at: 0,
            stamp: Stamp { export: Nanos(0), boot: Nanos(0) },
            env: Env::default(),
            spans: Spans::default(),
            said: Said::default(),
            lost: Lost::default(),
            passed: Passed::default(),
        }
    }

    fn send(&mut self, out: &mut Messages) {
        if self.message.is_empty() {
            return;
        }
        let Some(domain) = self.domains.known.get_mut(self.at) else { return };
        self.env.now = self.stamp.export;
        self.env.boot = self.stamp.boot;
        let (env, sequence, number) = (&self.env, domain.sequence, domain.number);
        let header = |tally, bytes: &mut [u8]| {
            P::write_header(bytes, &Header { env, tally, sequence, domain: number });
        };
        let tally = self.message.finish(header, out);
        out.count_options(core::mem::take(&mut self.passed.pending));
        domain.sequence = domain.sequence.wrapping_add(P::advance(tally));
        domain.messages = domain.messages.wrapping_add(1);
    }

    /// Puts into the message what goes before records.
    #[inline]
    fn say(&mut self, now: Nanos, out: &mut Messages) {
        if self.said.bytes.is_empty() {
            return;
        }
        if self.message.len() + self.said.bytes.len() > self.limits.message {
            self.send(out);
        }
        self.message.sets(&self.said.bytes, self.said.tally, now);
        self.said.bytes.clear();
        self.said.tally = Default::default();
    }

    /// Makes the message under way one for records of this domain and these times.
    #[inline]
    fn turn(&mut self, about: &About, layout: u32, out: &mut Messages) -> usize {
        let stamp = Stamp::of::<P>(about);
        let origin = Origin::of(about, self.ignore_port);
        if !self.domains.is_at_hand(&origin) || self.domains.at_hand_is_full(layout) {
            self.send(out);
            self.domains.find(origin, layout);
        }
        let at = self.domains.last.map_or(0, |(_, at)| at);
        if at != self.at || stamp != self.stamp {
            self.send(out);
            self.at = at;
            self.stamp = stamp;
        }
        at
    }

    /// Room for `need` bytes in the set of this template.
    #[inline]
    fn open(&mut self, run: &Run<'_>, need: usize, out: &mut Messages) {
        if !self.message.is_empty() && self.message.len() + self.message.cost(run.id) + need > self.limits.message {
            self.send(out);
        }
        self.message.open(run.id, run.passing.shortest, run.now);
    }

    /// Copies records of a fixed length, as many at a time as fit.
    fn copy(&mut self, run: &Run<'_>, size: usize, mut rest: &[u8], out: &mut Messages) {
        while !rest.is_empty() {
            self.open(run, size, out);
            let room = self.limits.message.saturating_sub(self.message.len()) / size;
            let left = self.limits.records.saturating_sub(self.message.records()) as usize;
            let many = room.min(left).clamp(1, rest.len() / size);
            let (records, after) = rest.split_at_checked(many * size).unwrap_or((rest, &[]));
            self.message.buffer().extend_from_slice(records);
            self.message.took(many as u32);
            rest = after;
            if self.message.records() >= self.limits.records {
                self.send(out);
            }
        }
    }

    /// Writes records one by one.
    fn each(&mut self, run: &Run<'_>, set: &Set<'_>, out: &mut Messages) -> Taken {
        let mut spans = core::mem::take(&mut self.spans);
        let mut taken = Taken::default();
        let mut rest = set.bytes;
        let usual = set.samplers.usually().scale;
        let silent = set.layout.sampling.is_silent();
        while let Some((record, after)) = set.layout.split(rest, &mut spans) {
            let rate = if silent { usual } else { set.samplers.told_of(set.layout, &record, &spans).scale };
            self.open(run, run.passing.shortest, out);
            let start = self.message.len();
            run.passing.write(&record, &spans, rate, 0, self.message.buffer());
            if self.message.len() > self.limits.message && !self.message.is_empty() {
                let record = self.message.buffer().split_off(start);
                self.send(out);
                self.open(run, record.len(), out);
                self.message.buffer().extend_from_slice(&record);
            }
            self.message.took(1);
            if self.message.records() >= self.limits.records {
                self.send(out);
            }
            rest = after;
            taken.records += 1;
        }
        self.spans = spans;
        taken.rest = rest.len();
        taken
    }
}

/// What records of a set have in common.
struct Run<'a> {
    passing: &'a Passing,
    id: u16,
    now: Nanos,
}

impl<P: Passes> Transcode for Pass<P> {
    fn flows(&mut self, set: &Set<'_>, now: Nanos, out: &mut Messages) -> Taken {
        let layout = set.layout;
        let mut dropped = 0;
        let passing = Arc::clone(self.passing.of(layout, |layout| {
            let passing = Passing::new::<P>(layout);
            dropped = passing.dropped;
            Arc::new(passing)
        }));
        self.lost.fields += dropped as u64;
        if passing.is_empty() {
            let taken = count(set, &mut self.spans);
            self.lost.not_in_template += u64::from(taken.records);
            return taken;
        }
        let at = self.turn(set.about, layout.number, out);
        let usual = set.samplers.usually();
        let source = Source { about: set.about, rate: usual.rate, boot: boot(set.about), now };
        let Some(domain) = self.domains.known.get_mut(at) else { return Taken::default() };
        let id = domain.introduce::<P>(layout.number, &passing, &source, &self.limits.resend, &mut self.said);
        self.say(now, out);
        let run = Run { passing: &passing, id, now };
        let plain = !passing.scales || usual.scale == 1 && layout.sampling.is_silent();
        if !(plain && passing.whole && layout.is_fixed()) {
            return self.each(&run, set, out);
        }
        let records = set.bytes.len() / layout.shortest;
        let (whole, rest) = set.bytes.split_at_checked(records * layout.shortest).unwrap_or((set.bytes, &[]));
        self.copy(&run, layout.shortest, whole, out);
        Taken { records: records as u32, rest: rest.len() }
    }

    fn options(&mut self, set: &Set<'_>, now: Nanos, out: &mut Messages) {
        let layout = set.layout;
        let mut dropped = 0;
        let passing = Arc::clone(self.passing.of(layout, |layout| {
            let passing = Passing::of_options::<P>(layout);
            dropped = passing.dropped;
            Arc::new(passing)
        }));
        self.lost.fields += dropped as u64;
        let at = if passing.is_empty() { 0 } else { self.turn(set.about, layout.number, out) };
        // Any rate above 1 makes those that are told 1.
        let rate = if set.samplers.scales() { 2 } else { 1 };
        let mut spans = core::mem::take(&mut self.spans);
        let mut rest = set.bytes;
        while let Some((record, after)) = layout.split(rest, &mut spans) {
            rest = after;
            self.passed.received += 1;
            let domain = self.domains.known.get_mut(at).filter(|_| !passing.is_empty());
            let Some(domain) = domain else {
                self.passed.untold += 1;
                continue;
            };
            let id = domain.template::<P>(layout.number, &passing, now, &self.limits.resend, &mut self.said);
            let number = domain.number;
            self.say(now, out);
            let start = self.said.bytes.len();
            open_set(id, &mut self.said.bytes);
            passing.write(&record, &spans, rate, number, &mut self.said.bytes);
            // Padding must be shorter than any record, or it might be read as one.
            close_set(&mut self.said.bytes, start, P::PADDED && passing.shortest > 3);
            self.said.tally.options += 1;
            self.say(now, out);
            self.passed.pending += 1;
        }
        self.spans = spans;
    }

    fn passed(&self) -> Option<Passed> {
        Some(self.passed)
    }

    fn tick(&mut self, now: Nanos, out: &mut Messages) {
        if !self.message.is_empty() && now.since(self.message.since()) >= self.limits.wait {
            self.send(out);
        }
    }

    fn flush(&mut self, out: &mut Messages) {
        self.send(out);
    }

    fn pending(&self) -> u64 {
        self.message.records().into()
    }

    fn again(&mut self) {
        self.limits.resend.round = self.limits.resend.round.wrapping_add(1);
    }

    fn lost(&self) -> Lost {
        self.lost
    }
}

fn count(set: &Set<'_>, spans: &mut Spans) -> Taken {
    let mut taken = Taken::default();
    let mut rest = set.bytes;
    while let Some((_, after)) = set.layout.split(rest, spans) {
        rest = after;
        taken.records += 1;
    }
    Taken { rest: rest.len(), ..taken }
}

/// When the exporter started, by its header or by what it told.
fn boot(about: &About) -> Option<Nanos> {
    const MILLI: u64 = 1_000_000;
    match about.uptime_ms {
        Some(uptime) => Some(Nanos(about.export.0.saturating_sub(u64::from(uptime) * MILLI))),
        None => about.init,
    }
}

impl Stamp {
    #[inline]
    fn of<P: Passes>(about: &About) -> Stamp {
        // A header without uptime tells whole seconds, and nothing else of the message is relative to its exporter's start.
        if P::UPTIME {
            Stamp { export: about.export, boot: boot(about).unwrap_or(about.export) }
        } else {
            Stamp { export: Nanos::new(about.export.seconds(), 0), boot: Nanos(0) }
        }
    }
}

/// An exporter's domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Origin {
    exporter: IpAddr,
    /// 0 where ports do not tell exporters apart.
    port: u16,
    transport: Transport,
    version: Version,
    domain: u32,
}

impl Origin {
    #[inline]
    fn of(about: &About, ignore_port: bool) -> Origin {
        let &About { exporter, port, transport, version, domain, .. } = about;
        let port = if ignore_port && !transport.is_session() { 0 } else { port };
        Origin { exporter, port, transport, version, domain }
    }
}

/// Every domain of ours.
#[derive(Debug)]
struct Domains {
    by_origin: HashMap<Origin, usize>,
    known: Vec<Domain>,
    last: Option<(Origin, usize)>,
    /// The number of the first.
    first: u32,
    /// How many were ever begun.
    begun: u32,
    first_id: u16,
}

/// Most domains, as many as a collector keeps. When there are more all are forgotten, and told again as they send.
const MOST: usize = 1 << 17;
/// Numbers of domains that one transcoder has for itself.
const NUMBERS: u32 = (1 << 24) - 1;

impl Domains {
    fn new(first: u32, first_id: u16) -> Domains {
        // Room for our own templates, and for one of an exporter's.
        let first_id = first_id.clamp(256, u16::MAX - 8);
        Domains { by_origin: HashMap::new(), known: Vec::new(), last: None, first, begun: 0, first_id }
    }

    #[inline]
    fn is_at_hand(&self, origin: &Origin) -> bool {
        self.last.as_ref().is_some_and(|(last, _)| last == origin)
    }

    #[inline]
    fn at_hand_is_full(&self, layout: u32) -> bool {
        self.last.and_then(|(_, at)| self.known.get(at)).is_some_and(|domain| domain.is_full(layout))
    }

    /// Finds the domain of an origin, or begins it; anew, under another number, where its template ids are used up.
    fn find(&mut self, origin: Origin, layout: u32) {
        let at = match self.by_origin.get(&origin) {
            Some(&at) => at,
            None => {
                if self.known.len() >= MOST {
                    self.known.clear();
                    self.by_origin.clear();
                }
                let domain = self.begin();
                self.known.push(domain);
                self.by_origin.insert(origin, self.known.len() - 1);
                self.known.len() - 1
            }
        };
        if self.known.get(at).is_some_and(|domain| domain.is_full(layout)) {
            let domain = self.begin();
            if let Some(place) = self.known.get_mut(at) {
                *place = domain;
            }
        }
        self.last = Some((origin, at));
    }

    fn begin(&mut self) -> Domain {
        let number = self.first.wrapping_add(self.begun % NUMBERS);
        self.begun = self.begun.wrapping_add(1);
        Domain::new(number, self.first_id)
    }
}
