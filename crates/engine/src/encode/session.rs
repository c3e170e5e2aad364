//! What NetFlow v9 and IPFIX share: templates by address family, messages under way, what is sent again and when.
//!
//! A template of the user's becomes two, one an address family, as an IPv4 flow has nothing to say in the elements of
//! IPv6; it stays one where it names none of either. Each family fills a message of its own, so that full messages of
//! records of fixed length are all equally long, which lets UDP hand many to the kernel at once. Templates and options
//! travel in messages of their own, before the first flow and again when they are due.

use core::marker::PhantomData;

use flowsonde_elements::{Element, Id, Kind, Standing, VARIABLE, table};
use flowsonde_wire::Nanos;
use flowsonde_wire::export::ipfix::{REVERSE_PEN, Specifier};

use super::about::{About, Facts};
use super::program::{Column, Program, Source};
use super::{Counters, Encode, Error, Messages, Options};
use crate::decode::packet::protocol;
use crate::fill::{self, Env, Fill, Row, Tells};
use crate::meter::View;

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
    fn write_options_head(id: u16, about: &About, out: &mut Vec<u8>);

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

/// An encoder of NetFlow v9 or IPFIX.
#[derive(Debug)]
pub struct Session<P> {
    families: Vec<Family>,
    /// The family of IPv4 and of IPv6 flows, if the template tells anything of them.
    of_version: [Option<usize>; 2],
    bidirectional: bool,
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
    counters: Counters,
    protocol: PhantomData<P>,
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

/// Flows told by one template.
#[derive(Debug)]
struct Family {
    program: Program,
    /// Bytes of every record, when they are all of one length.
    fixed: Option<usize>,
    /// The message under way: room for its header, then one set.
    bytes: Vec<u8>,
    records: u32,
    /// When the first record was put in.
    since: Nanos,
}

/// Bytes of a set's id and length.
const SET_HEADER: usize = 4;

impl<P: Protocol> Session<P> {
    /// An encoder, or what is wrong with the settings.
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let longest = options.max_message.min(usize::from(u16::MAX));
        let message = if P::PADDED { longest & !3 } else { longest };
        let [v4, v6] = [4, 6].map(|version| fields::<P>(options, version));
        let same = v4.iter().map(|field| field.specifier).eq(v6.iter().map(|field| field.specifier));
        let count = [!v4.is_empty(), !v6.is_empty() && !same].into_iter().filter(|used| *used).count();
        if count == 0 {
            return Err(Error::Nothing);
        }
        let first = options.first_template_id;
        let highest = u16::MAX - (count + P::ABOUT.len() - 1) as u16;
        if !(256..=highest).contains(&first) {
            return Err(Error::TemplateId { first, highest });
        }

        let mut families = Vec::new();
        let mut templates = Vec::new();
        let mut of_version = [None, None];
        for (of, fields) in of_version.iter_mut().zip([&v4, &v6]) {
            if same && !families.is_empty() {
                *of = Some(0);
            } else if !fields.is_empty() {
                let id = first + families.len() as u16;
                *of = Some(families.len());
                templates.push(template_set::<P>(id, fields));
                families.push(Family::new::<P>(id, fields));
            }
        }
        let about_id = first + count as u16;
        templates.extend((about_id..).zip(P::ABOUT).map(|(id, about)| options_template_set::<P>(id, about)));

        let records = families.iter().map(|family| SET_HEADER + family.program.shortest());
        match templates.iter().map(Vec::len).chain(records).max() {
            Some(longest) if P::HEADER + longest > message => {
                return Err(Error::TooLong { needed: P::HEADER + longest, limit: message });
            }
            _ => {}
        }
        Ok(Session {
            families,
            of_version,
            bidirectional: v4.iter().chain(&v6).any(|field| field.tells == Tells::Reverse),
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
            counters: Counters::default(),
            protocol: PhantomData,
        })
    }

    /// Puts one record into its family's message, and sends that when it is full.
    #[inline]
    fn record(&mut self, at: usize, v: &View<'_>, env: &Env, out: &mut Messages) {
        let limit = self.limits.message;
        let Some(family) = self.families.get_mut(at) else { return };
        if family.records == 0 {
            family.since = env.now;
        }
        let start = family.bytes.len();
        family.program.write(v, env, usize::MAX, &mut family.bytes);
        let full = match family.fixed {
            Some(length) => family.bytes.len() + length > limit,
            None if family.bytes.len() > limit => return self.overflow(at, start, v, env, out),
            None => false,
        };
        family.records += 1;
        self.counters.records += 1;
        if full || family.records >= self.limits.records {
            self.send(at, env, out);
        }
    }

    /// A record of variable length did not fit. It goes into the next message; if that is too short as well, its texts
    /// are cut.
    #[cold]
    fn overflow(&mut self, at: usize, start: usize, v: &View<'_>, env: &Env, out: &mut Messages) {
        let Some(family) = self.families.get_mut(at) else { return };
        family.bytes.truncate(start);
        if family.records > 0 {
            self.send(at, env, out);
            return self.record(at, v, env, out);
        }
        let room = self.limits.message.saturating_sub(start);
        family.program.write(v, env, family.program.text_limit(room), &mut family.bytes);
        family.records = 1;
        self.counters.records += 1;
        self.send(at, env, out);
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
        close_set(&mut message, P::HEADER, P::PADDED && family.program.shortest() > 3);
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

    fn send_all(&mut self, env: &Env, out: &mut Messages) {
        for at in 0..self.families.len() {
            if self.families.get(at).is_some_and(|family| family.records > 0) {
                self.send(at, env, out);
            }
        }
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
        if self.due || self.stale(env) {
            self.announce(env, out);
        }
        for at in 0..self.families.len() {
            let waited = |family: &Family| family.records > 0 && env.now.since(family.since) >= self.limits.wait;
            if self.families.get(at).is_some_and(waited) {
                self.send(at, env, out);
            }
        }
    }

    fn flush(&mut self, env: &Env, out: &mut Messages) {
        self.send_all(env, out);
    }

    fn restart(&mut self) {
        self.due = true;
        self.known = false;
        self.sequence = 0;
    }

    fn counters(&self) -> Counters {
        let pending = self.families.iter().map(|family| u64::from(family.records)).sum();
        Counters { pending, ..self.counters }
    }
}

impl Family {
    fn new<P: Protocol>(id: u16, fields: &[Field]) -> Family {
        let program = Program::new(fields.iter().map(|field| field.column));
        let mut bytes = vec![0; P::HEADER];
        open_set(id, &mut bytes);
        Family { fixed: program.fixed(), program, bytes, records: 0, since: Nanos(0) }
    }
}

/// A field of a template.
struct Field {
    specifier: Specifier,
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
        if fields.iter().any(|other| (other.specifier.pen, other.specifier.id) == (specifier.pen, specifier.id)) {
            continue;
        }
        let reverse = specifier.pen == REVERSE_PEN || row.is_some_and(|row| row.tells == Tells::Reverse);
        let tells = if reverse { Tells::Reverse } else { Tells::Forward };
        let source = P::source(element, options).unwrap_or_else(|| source(element, row, options));
        let column = Column { kind, length: specifier.length, source };
        fields.push(Field { specifier, column, tells });
        if let Some((specifier, kind, fill)) = P::counterpart(element, options) {
            let column = Column { kind, length: specifier.length, source: Source::Fill(fill) };
            fields.push(Field { specifier, column, tells: Tells::Reverse });
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

fn template_set<P: Protocol>(id: u16, fields: &[Field]) -> Vec<u8> {
    let mut set = Vec::new();
    open_set(P::TEMPLATE_SET, &mut set);
    set.extend_from_slice(&id.to_be_bytes());
    set.extend_from_slice(&(fields.len() as u16).to_be_bytes());
    for field in fields {
        P::write_specifier(&field.specifier, &mut set);
    }
    close_set(&mut set, 0, P::PADDED);
    set
}

fn options_template_set<P: Protocol>(id: u16, about: &About) -> Vec<u8> {
    let mut set = Vec::new();
    open_set(P::OPTIONS_SET, &mut set);
    P::write_options_head(id, about, &mut set);
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

fn open_set(id: u16, out: &mut Vec<u8>) {
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[high, low, 0, 0]);
}

/// Pads the set that began at `start` and writes its length.
fn close_set(out: &mut Vec<u8>, start: usize, padded: bool) {
    if padded {
        out.resize(out.len().next_multiple_of(4), 0);
    }
    let length = u16::try_from(out.len().saturating_sub(start)).unwrap_or(u16::MAX);
    if let Some(place) = out.get_mut(start + 2..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// The length of a kind in a template of IPFIX.
pub(super) const fn length_or_variable(kind: Kind) -> u16 {
    if kind.is_variable() { VARIABLE } else { kind.length() }
}
