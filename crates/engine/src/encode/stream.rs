//! Messages of NetFlow v9 and IPFIX: templates and what goes with them, messages under way, sequence numbers.
//!
//! A stream does not know what a record holds, only how its template declares it and how long it may get: whoever writes
//! records ([`super::session`] those of metered flows, `transcode` those that were collected) appends them to its buffer.

use core::marker::PhantomData;

use flowsonde_elements::{Element, Kind};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::ipfix::Specifier;

use super::about::{About, Facts};
use super::program::Source;
use super::{Error, Messages, Options};
use crate::fill::{Env, Fill, Row};

/// What one of the two protocols does its own way.
pub trait Protocol: Send + 'static {
    /// Bytes of a message's header.
    const HEADER: usize;
    /// Id of the set that holds templates.
    const TEMPLATE_SET: u16;
    /// Id of the set that holds options templates.
    const OPTIONS_SET: u16;
    /// Whether sets end at a multiple of four bytes.
    const PADDED: bool;
    /// What the exporter tells about itself.
    const ABOUT: &'static [About];

    /// How an element is carried in records of this IP version; `None` when it is not. `row` is how it is filled.
    fn field(element: &'static Element, row: Option<&Row>, version: u8, biflow: bool) -> Option<(Specifier, Kind)>;

    /// How an element is read, where this protocol does not tell it as JSON does.
    fn source(element: &Element, options: &Options) -> Option<Source>;

    /// A field that follows an element's own, to tell the same of the other direction.
    fn counterpart(_element: &Element, _options: &Options) -> Option<(Specifier, Kind, Fill)> {
        None
    }

    /// Appends a field of a template.
    fn write_specifier(specifier: &Specifier, out: &mut Vec<u8>);

    /// Appends what stands before the fields of an options template.
    fn write_options_head(id: u16, scopes: usize, fields: usize, out: &mut Vec<u8>);

    /// The header of a finished message, written over its beginning.
    fn write_header(message: &mut [u8], header: &Header<'_>);

    /// By how much a message moves the sequence number on.
    fn advance(tally: Tally) -> u32;
}

/// What a message's header tells.
pub struct Header<'a> {
    pub env: &'a Env,
    pub tally: Tally,
    pub sequence: u32,
    pub domain: u32,
}

/// What a message holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Templates and options templates.
    pub templates: u32,
    /// Options records.
    pub options: u32,
    /// Flow records.
    pub flows: u32,
}

/// Messages to one receiver.
#[derive(Debug)]
pub(crate) struct Stream<P> {
    families: Vec<Pending>,
    /// Sets of one template or options template each.
    templates: Vec<Vec<u8>>,
    /// Id of the first options template.
    about_id: u16,
    limits: Limits,
    domain: u32,
    sampling: u32,
    sequence: u32,
    /// Templates go before anything else.
    due: bool,
    /// The receiver has the templates, and never forgets them: only options data are sent again.
    known: bool,
    announced: Nanos,
    messages_since: u32,
    /// Totals over all sessions, as elements 40 to 42 tell them: bytes, messages, flow records.
    exported: [u64; 3],
    protocol: PhantomData<P>,
}

/// Records of one template, as they are declared.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    /// The fields.
    pub specifiers: Vec<Specifier>,
    /// Bytes of every record, when they are all of one length.
    pub fixed: Option<usize>,
    /// Bytes of the shortest record.
    pub shortest: usize,
}

#[derive(Debug)]
struct Limits {
    /// Bytes of the longest message.
    message: usize,
    /// Flow records with which a message is sent.
    records: u32,
    /// Nanoseconds after which a message is sent.
    wait: u64,
    /// Messages after which templates are sent again; 0 is never.
    resend_messages: u32,
    /// Nanoseconds after which templates are sent again; 0 is never.
    resend_nanos: u64,
    /// Templates are sent once a session, as RFC 7011, section 8.4, asks for on TCP; what is sent again is options data.
    stream: bool,
}

/// The message under way of one family.
#[derive(Debug)]
struct Pending {
    fixed: Option<usize>,
    shortest: usize,
    /// Room for the header, then one set.
    bytes: Vec<u8>,
    records: u32,
    /// When the first record was put in.
    since: Nanos,
}

/// What became of a record that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It is in.
    Taken,
    /// It was one too many, and those before it are sent: it has to be written again.
    Again,
    /// It alone is more than a message holds: it has to be written again, with so many bytes in all.
    Within(usize),
}

/// Bytes of a set's id and length.
pub(crate) const SET_HEADER: usize = 4;

impl<P: Protocol> Stream<P> {
    /// A stream of these families, which get the first template ids in order; or what is wrong with the settings.
    pub fn new(options: &Options, families: &[Family]) -> Result<Self, Error> {
        let longest = options.max_message.min(usize::from(u16::MAX));
        let message = if P::PADDED { longest & !3 } else { longest };
        let count = families.len();
        if count == 0 {
            return Err(Error::Nothing);
        }
        let first = options.first_template_id;
        let highest = u16::MAX - (count + P::ABOUT.len() - 1) as u16;
        if !(256..=highest).contains(&first) {
            return Err(Error::TemplateId { first, highest });
        }
        let about_id = first + count as u16;
        let ids = first..;
        let mut templates: Vec<_> =
            ids.clone().zip(families).map(|(id, family)| template_set::<P>(id, &family.specifiers)).collect();
        templates.extend((about_id..).zip(P::ABOUT).map(|(id, about)| options_template_set::<P>(id, about)));

        let records = families.iter().map(|family| SET_HEADER + family.shortest);
        match templates.iter().map(Vec::len).chain(records).max() {
            Some(longest) if P::HEADER + longest > message => {
                return Err(Error::TooLong { needed: P::HEADER + longest, limit: message });
            }
            _ => {}
        }
        Ok(Stream {
            families: ids.zip(families).map(|(id, family)| Pending::new::<P>(id, family)).collect(),
            templates,
            about_id,
            limits: Limits {
                message,
                records: if options.min_flows == 0 { u32::MAX } else { options.min_flows },
                wait: u64::from(options.queue_seconds) * 1_000_000_000,
                resend_messages: options.resend_messages,
                resend_nanos: u64::from(options.resend_seconds) * 1_000_000_000,
                stream: options.stream,
            },
            domain: options.domain,
            sampling: options.announced_sampling.max(1),
            sequence: 0,
            due: true,
            known: false,
            announced: Nanos(0),
            messages_since: 0,
            exported: [0; 3],
            protocol: PhantomData,
        })
    }

    /// Where a family's next record is appended, and where that begins. [`Stream::end`] has to follow.
    #[inline]
    pub fn begin(&mut self, at: usize, now: Nanos) -> Option<(&mut Vec<u8>, usize)> {
        let family = self.families.get_mut(at)?;
        if family.records == 0 {
            family.since = now;
        }
        let start = family.bytes.len();
        Some((&mut family.bytes, start))
    }

    /// A record was appended from `start` on. A full message is sent.
    #[inline]
    pub fn end(&mut self, at: usize, start: usize, env: &Env, out: &mut Messages) -> Fit {
        let limit = self.limits.message;
        let Some(family) = self.families.get_mut(at) else { return Fit::Taken };
        let full = match family.fixed {
            Some(length) => family.bytes.len() + length > limit,
            None if family.bytes.len() > limit => return self.overflow(at, start, env, out),
            None => false,
        };
        family.records += 1;
        if full || family.records >= self.limits.records {
            self.send(at, env, out);
        }
        Fit::Taken
    }

    /// A record of variable length did not fit. It goes into the next message; if that is too short as well, its texts
    /// are cut.
    #[cold]
    fn overflow(&mut self, at: usize, start: usize, env: &Env, out: &mut Messages) -> Fit {
        let Some(family) = self.families.get_mut(at) else { return Fit::Taken };
        family.bytes.truncate(start);
        if family.records > 0 {
            self.send(at, env, out);
            return Fit::Again;
        }
        Fit::Within(self.limits.message.saturating_sub(start))
    }

    /// Finishes a family's message, if it holds anything.
    fn send(&mut self, at: usize, env: &Env, out: &mut Messages) {
        if self.due || self.stale(env) {
            self.announce(env, out);
        }
        let Some(family) = self.families.get_mut(at).filter(|family| family.records > 0) else { return };
        let tally = Tally { flows: core::mem::take(&mut family.records), ..Tally::default() };
        let mut message = core::mem::take(&mut family.bytes);
        // Padding must be shorter than any record, or it might be read as one.
        close_set(&mut message, P::HEADER, P::PADDED && family.shortest > 3);
        self.finish(&mut message, tally, env, out);
        message.truncate(P::HEADER + SET_HEADER);
        if let Some(family) = self.families.get_mut(at) {
            family.bytes = message;
        }
        self.messages_since += 1;
        self.due = self.limits.resend_messages != 0 && self.messages_since >= self.limits.resend_messages;
    }

    /// True when templates were last sent too long ago, or in a time that is yet to come: the clock was set back.
    fn stale(&self, env: &Env) -> bool {
        let resend = self.limits.resend_nanos;
        resend != 0 && (env.now.since(self.announced) >= resend || env.now < self.announced)
    }

    /// Sends templates, options templates and options.
    #[cold]
    fn announce(&mut self, env: &Env, out: &mut Messages) {
        self.due = false;
        self.announced = env.now;
        self.messages_since = 0;
        let [bytes, messages, records] = self.exported;
        let (domain, sampling) = (self.domain, self.sampling);
        let facts = Facts { domain, sampling, boot: env.boot, bytes, messages, records };
        let templates = core::mem::take(&mut self.templates);
        let options: Vec<_> =
            (self.about_id..).zip(P::ABOUT).map(|(id, about)| options_set::<P>(id, about, &facts)).collect();
        let mut message = vec![0; P::HEADER];
        let mut tally = Tally::default();
        let fresh = if core::mem::replace(&mut self.known, self.limits.stream) { 0 } else { templates.len() };
        for (i, set) in templates.iter().take(fresh).chain(&options).enumerate() {
            if message.len() > P::HEADER && message.len() + set.len() > self.limits.message {
                self.finish(&mut message, tally, env, out);
                message.truncate(P::HEADER);
                tally = Tally::default();
            }
            message.extend_from_slice(set);
            if i < fresh { tally.templates += 1 } else { tally.options += 1 }
        }
        self.finish(&mut message, tally, env, out);
        self.templates = templates;
    }

    /// Writes the header of a whole message and hands it on.
    fn finish(&mut self, message: &mut [u8], tally: Tally, env: &Env, out: &mut Messages) {
        P::write_header(message, &Header { env, tally, sequence: self.sequence, domain: self.domain });
        self.sequence = self.sequence.wrapping_add(P::advance(tally));
        let [bytes, messages, records] = &mut self.exported;
        *bytes += message.len() as u64;
        *messages += 1;
        *records += u64::from(tally.flows);
        out.buffer().extend_from_slice(message);
        out.finish(tally.flows);
    }

    /// Repeats what is due, and sends what waited too long.
    pub fn tick(&mut self, env: &Env, out: &mut Messages) {
        if self.due || self.stale(env) {
            self.announce(env, out);
        }
        for at in 0..self.families.len() {
            let waited = |family: &Pending| family.records > 0 && env.now.since(family.since) >= self.limits.wait;
            if self.families.get(at).is_some_and(waited) {
                self.send(at, env, out);
            }
        }
    }

    /// Sends what has begun.
    pub fn flush(&mut self, env: &Env, out: &mut Messages) {
        for at in 0..self.families.len() {
            if self.families.get(at).is_some_and(|family| family.records > 0) {
                self.send(at, env, out);
            }
        }
    }

    /// The receiver is a new session.
    pub fn restart(&mut self) {
        self.again();
        self.sequence = 0;
    }

    /// Templates are told again before the next records.
    pub fn again(&mut self) {
        self.due = true;
        self.known = false;
    }

    /// Records in messages that are not sent.
    pub fn pending(&self) -> u64 {
        self.families.iter().map(|family| u64::from(family.records)).sum()
    }
}

impl Pending {
    fn new<P: Protocol>(id: u16, family: &Family) -> Pending {
        let mut bytes = vec![0; P::HEADER];
        open_set(id, &mut bytes);
        Pending { fixed: family.fixed, shortest: family.shortest, bytes, records: 0, since: Nanos(0) }
    }
}

fn template_set<P: Protocol>(id: u16, fields: &[Specifier]) -> Vec<u8> {
    let mut set = Vec::new();
    open_set(P::TEMPLATE_SET, &mut set);
    set.extend_from_slice(&id.to_be_bytes());
    set.extend_from_slice(&(fields.len() as u16).to_be_bytes());
    for field in fields {
        P::write_specifier(field, &mut set);
    }
    close_set(&mut set, 0, P::PADDED);
    set
}

fn options_template_set<P: Protocol>(id: u16, about: &About) -> Vec<u8> {
    let mut set = Vec::new();
    open_set(P::OPTIONS_SET, &mut set);
    P::write_options_head(id, about.scopes, about.fields.len(), &mut set);
    for (specifier, _) in about.fields {
        P::write_specifier(specifier, &mut set);
    }
    close_set(&mut set, 0, P::PADDED);
    set
}

fn options_set<P: Protocol>(id: u16, about: &About, facts: &Facts) -> Vec<u8> {
    let mut set = Vec::new();
    open_set(id, &mut set);
    about.write(facts, &mut set);
    close_set(&mut set, 0, P::PADDED);
    set
}

/// Begins a set.
pub(crate) fn open_set(id: u16, out: &mut Vec<u8>) {
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[high, low, 0, 0]);
}

/// Pads the set that began at `start` and writes its length.
pub(crate) fn close_set(out: &mut Vec<u8>, start: usize, padded: bool) {
    if padded {
        out.resize(out.len().next_multiple_of(4), 0);
    }
    let length = u16::try_from(out.len().saturating_sub(start)).unwrap_or(u16::MAX);
    if let Some(place) = out.get_mut(start + 2..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}
