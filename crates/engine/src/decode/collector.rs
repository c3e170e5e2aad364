//! Messages of any exporter in, data records out.
//!
//! ```text
//! message -> version -> session (exporter, format, domain) -> sets -> template -> Receive::flows, Receive::options
//! ```
//!
//! An exporter is told by transport, address and port, its domains by number. What it sends grows nothing without a
//! bound: sessions, templates of each, layouts of all, data that waits for a template.

use core::net::{IpAddr, SocketAddr};
use std::collections::HashMap;
use std::sync::Arc;

use flowsonde_wire::export::{Datagram, Transport, ipfix, netflow9};
use flowsonde_wire::{Cursor, Nanos};

use super::layout::Layout;
use super::netflow5::{self, Fixed};
use super::records::{About, Receive, Set, Version};
use super::section;
use super::session::Session;
use super::sflow5;
use super::templates::Layouts;

/// How to collect.
#[derive(Clone, Debug)]
pub struct Config {
    /// Templates that came over UDP are forgotten when not refreshed for so many nanoseconds; 0 is never.
    pub template_timeout: u64,
    /// Data waits so many nanoseconds for its template.
    pub patience: u64,
    /// Most sessions; beyond, those longest unheard of go, first those that sent least.
    pub max_sessions: usize,
    /// Exporters are told apart by address alone (`-J`).
    pub ignore_port: bool,
    /// Every record was sampled at this rate, whatever the exporter says.
    pub rate: Option<u32>,
    /// Only templates of these ids are read; empty is all.
    pub template_ids: Vec<u16>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            template_timeout: 1800 * 1_000_000_000,
            patience: 60 * 1_000_000_000,
            max_sessions: 1 << 17,
            ignore_port: false,
            rate: None,
            template_ids: Vec::new(),
        }
    }
}

/// Why a message is none that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// Shorter than the header of its format, or empty.
    Short,
    /// No version that is known.
    Unknown,
}

impl Reject {
    /// Every one.
    pub const ALL: [Reject; 2] = [Reject::Short, Reject::Unknown];

    /// As the ledger calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Reject::Short => "short",
            Reject::Unknown => "not_flow",
        }
    }
}

/// Who sent a message, and for which of its domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    from: SocketAddr,
    transport: Transport,
    version: Version,
    domain: u32,
}

/// Reads messages of exporters.
#[derive(Debug)]
pub struct Collector {
    config: Config,
    sessions: HashMap<Key, Session>,
    layouts: Layouts,
    /// Sessions by what may lend templates: address, format, domain.
    neighbours: HashMap<(IpAddr, Version, u32), Vec<Key>>,
    /// The fixed formats: v1, v5, v7.
    fixed: [Arc<Layout>; 3],
    sflow: sflow5::Decoder,
    sections: section::Decoder,
    rejected: [u64; 2],
    /// What sessions did that are gone.
    gone: super::session::Counters,
    swept: Nanos,
}

impl Collector {
    /// Ready for a first message.
    pub fn new(config: Config) -> Collector {
        let mut layouts = Layouts::default();
        let mut fixed = |version| {
            let layout = layouts.of(netflow5::fields(version), 0);
            layout.ok().flatten().expect("the fixed formats have a layout")
        };
        let fixed = [fixed(Version::V1), fixed(Version::V5), fixed(Version::V7)];
        Collector {
            config,
            sessions: HashMap::new(),
            sflow: sflow5::Decoder::new(&mut layouts),
            sections: section::Decoder::new(&mut layouts),
            layouts,
            neighbours: HashMap::new(),
            fixed,
            rejected: [0; 2],
            gone: super::session::Counters::default(),
            swept: Nanos(0),
        }
    }

    /// Reads one message.
    pub fn message(&mut self, message: &Datagram<'_>, out: &mut dyn Receive) -> Result<(), Reject> {
        let result = self.read(message, out);
        if let Err(reject) = result {
            self.rejected[reject as usize] += 1;
        }
        result
    }

    fn read(&mut self, message: &Datagram<'_>, out: &mut dyn Receive) -> Result<(), Reject> {
        match version(message.bytes)? {
            version @ (Version::V1 | Version::V5 | Version::V7) => self.fixed(message, version, out),
            Version::V9 => self.netflow9(message, out),
            Version::Ipfix => self.ipfix(message, out),
            _ => self.sflow5(message, out),
        }
    }

    fn fixed(&mut self, message: &Datagram<'_>, version: Version, out: &mut dyn Receive) -> Result<(), Reject> {
        let mut c = Cursor::new(message.bytes);
        let header = Fixed::read(&mut c, version).map_err(|_| Reject::Short)?;
        let layout = &self.fixed[match version {
            Version::V1 => 0,
            Version::V7 => 2,
            _ => 1,
        }];
        let domain = u32::from(header.engine.0) << 8 | u32::from(header.engine.1);
        let about = About {
            engine: header.engine,
            export: header.export,
            uptime_ms: Some(header.uptime_ms),
            ..about(message, version, domain)
        };
        let session = session(&mut self.sessions, &mut self.neighbours, &self.config, &mut self.gone, message, &about);
        let wanted = usize::from(header.count) * layout.shortest;
        let records = c.rest();
        let whole = records.len().min(wanted) / layout.shortest * layout.shortest;
        session.counters.malformed += u64::from(whole < wanted || records.len() > wanted);
        session.samplers.header(header.sampling.into());
        if let Some(sequence) = header.sequence {
            session.sequence.arrived(sequence, header.count.into(), about.uptime_ms);
        }
        if whole > 0 {
            session.counters.sets += 1;
            session.counters.sets_decoded += 1;
            let bytes = records.get(..whole).unwrap_or(&[]);
            let taken = out.flows(&Set {
                layout,
                bytes,
                about: &about,
                samplers: &session.samplers,
                templates: &session.templates,
            });
            session.counters.flows += u64::from(taken.records);
        }
        Ok(())
    }

    fn sflow5(&mut self, message: &Datagram<'_>, out: &mut dyn Receive) -> Result<(), Reject> {
        let header = sflow5::Header::read(&mut Cursor::new(message.bytes)).map_err(|_| Reject::Short)?;
        let about = About {
            exporter: header.agent,
            uptime_ms: Some(header.uptime_ms),
            // sFlow tells no time of day.
            export: message.time,
            ..about(message, Version::Sflow5, header.sub_agent)
        };
        let session = session(&mut self.sessions, &mut self.neighbours, &self.config, &mut self.gone, message, &about);
        session.sequence.arrived(header.sequence, 1, about.uptime_ms);
        self.sflow.read(message.bytes, &about, session, out);
        Ok(())
    }

    fn netflow9(&mut self, message: &Datagram<'_>, out: &mut dyn Receive) -> Result<(), Reject> {
        let mut c = Cursor::new(message.bytes);
        let header = netflow9::Header::read(&mut c).map_err(|_| Reject::Short)?;
        let about = About {
            export: Nanos::new(header.seconds.into(), 0),
            uptime_ms: Some(header.uptime_ms),
            engine: ((header.source_id >> 8) as u8, header.source_id as u8),
            ..about(message, Version::V9, header.source_id)
        };
        let session = session(&mut self.sessions, &mut self.neighbours, &self.config, &mut self.gone, message, &about);
        session.sequence.arrived(header.sequence, 1, about.uptime_ms);
        let mut walk = Walk {
            layouts: &mut self.layouts,
            sections: &mut self.sections,
            config: &self.config,
            session,
            about,
            out,
            missing: Vec::new(),
            unknown: false,
        };
        let whole = walk.sets(c, Version::V9);
        let missing = core::mem::take(&mut walk.missing);
        walk.session.counters.malformed += u64::from(!whole);
        self.borrow(message, &about, missing, out);
        Ok(())
    }

    fn ipfix(&mut self, message: &Datagram<'_>, out: &mut dyn Receive) -> Result<(), Reject> {
        let mut c = Cursor::new(message.bytes);
        let header = ipfix::Header::read(&mut c).map_err(|_| Reject::Short)?;
        let mut about =
            About { export: Nanos::new(header.seconds.into(), 0), ..about(message, Version::Ipfix, header.domain) };
        let session = session(&mut self.sessions, &mut self.neighbours, &self.config, &mut self.gone, message, &about);
        about.init = session.init;
        // Octets behind the message's length are none of it; a length over the datagram is a message cut off.
        let length = usize::from(header.length).clamp(ipfix::HEADER, message.bytes.len());
        let exact = length == usize::from(header.length) && length == message.bytes.len();
        let sets = Cursor::new(message.bytes.get(ipfix::HEADER..length).unwrap_or(&[]));
        let before = session.counters.records();
        let mut walk = Walk {
            layouts: &mut self.layouts,
            sections: &mut self.sections,
            config: &self.config,
            session,
            about,
            out,
            missing: Vec::new(),
            unknown: false,
        };
        let whole = walk.sets(sets, Version::Ipfix);
        let (missing, unknown) = (core::mem::take(&mut walk.missing), walk.unknown);
        let session = walk.session;
        session.counters.malformed += u64::from(!whole || !exact);
        let records = (session.counters.records() - before) as u32;
        session.sequence.arrived(header.sequence, records, None);
        if unknown || !missing.is_empty() || !whole {
            session.sequence.unknown();
        }
        self.borrow(message, &about, missing, out);
        Ok(())
    }

    /// Data whose template this session does not know: where exactly one other session of the same address, format and
    /// domain knows it, that one's serves; else the data waits.
    #[cold]
    fn lend(&mut self, message: &Datagram<'_>, about: &About, id: u16, bytes: &[u8], out: &mut dyn Receive) {
        let own = self.key(message, about);
        // Its template may have come behind it, in the same message.
        if let Some(session) = self.sessions.get_mut(&own)
            && let Some(layout) = session.templates.find(id, about.arrival, timeout(&self.config, about))
        {
            deliver(session, &mut self.sections, about, &layout, bytes, out);
            return;
        }
        let mut found: Option<Arc<Layout>> = None;
        let mut several = false;
        let keys = self.neighbours.get(&(message.from.ip(), about.version, about.domain));
        for key in keys.into_iter().flatten().filter(|key| **key != own) {
            let Some(other) = self.sessions.get_mut(key) else { continue };
            if let Some(layout) = other.templates.find(id, about.arrival, timeout(&self.config, about)) {
                several |= found.as_ref().is_some_and(|found| **found != *layout);
                found = Some(layout);
            }
        }
        let Some(session) = self.sessions.get_mut(&own) else { return };
        match found.filter(|_| !several) {
            Some(layout) => {
                session.counters.borrowed += 1;
                deliver(session, &mut self.sections, about, &layout, bytes, out);
            }
            None => session.counters.no_template += session.waiting.push(id, about, bytes),
        }
    }

    fn borrow(&mut self, message: &Datagram<'_>, about: &About, missing: Vec<Missing<'_>>, out: &mut dyn Receive) {
        for Missing { id, bytes } in missing {
            self.lend(message, about, id, bytes, out);
        }
    }

    fn key(&self, message: &Datagram<'_>, about: &About) -> Key {
        key(&self.config, message, about)
    }

    /// A session of TCP, TLS or SCTP ended: its templates with it (RFC 7011, section 8.1).
    pub fn closed(&mut self, transport: Transport, from: SocketAddr) {
        let keys: Vec<Key> =
            self.sessions.keys().filter(|key| key.transport == transport && key.from == from).copied().collect();
        for key in keys {
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &Key) {
        let Some(session) = self.sessions.remove(key) else { return };
        forget(&mut self.neighbours, &mut self.gone, key, session);
    }

    /// Called now and then with the time: what waited too long is given up.
    pub fn tick(&mut self, now: Nanos) {
        const SWEEP: u64 = 1_000_000_000;
        if now.since(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        let limit = Nanos(now.0.saturating_sub(self.config.patience));
        for session in self.sessions.values_mut().filter(|session| !session.waiting.is_empty()) {
            session.counters.no_template += session.waiting.expire(limit);
        }
    }

    /// Gives up everything that waits.
    pub fn flush(&mut self) {
        for session in self.sessions.values_mut() {
            session.counters.no_template += session.waiting.expire(Nanos(u64::MAX));
        }
    }

    /// Messages that were none, by reason.
    pub fn rejected(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Reject::ALL.into_iter().map(|reject| (reject.name(), self.rejected[reject as usize]))
    }

    /// What every session knows and did, in no order.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    /// What sessions did that are forgotten.
    pub fn gone(&self) -> &super::session::Counters {
        &self.gone
    }

    /// How many layouts are in use.
    pub fn layouts(&self) -> usize {
        self.layouts.len()
    }
}

/// The format of a message, by its first bytes. sFlow's version has four bytes, the others' two.
pub fn version(bytes: &[u8]) -> Result<Version, Reject> {
    let [a, b, c, d] = *bytes.first_chunk::<4>().ok_or(Reject::Short)?;
    match (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])) {
        (0, 5) => Ok(Version::Sflow5),
        (1, _) => Ok(Version::V1),
        (5, _) => Ok(Version::V5),
        (7, _) => Ok(Version::V7),
        (9, _) => Ok(Version::V9),
        (10, _) => Ok(Version::Ipfix),
        _ => Err(Reject::Unknown),
    }
}

/// What the message itself tells, the header's part left open.
fn about(message: &Datagram<'_>, version: Version, domain: u32) -> About {
    About {
        exporter: message.from.ip(),
        port: message.from.port(),
        transport: message.transport,
        version,
        domain,
        engine: (0, 0),
        export: message.time,
        uptime_ms: None,
        init: None,
        arrival: message.time,
    }
}

fn key(config: &Config, message: &Datagram<'_>, about: &About) -> Key {
    let mut from = message.from;
    if config.ignore_port && !message.transport.is_session() {
        from.set_port(0);
    }
    // An agent may send through another address; sub-agents are the agent's.
    if about.version == Version::Sflow5 {
        from.set_ip(about.exporter);
    }
    Key { from, transport: message.transport, version: about.version, domain: about.domain }
}

/// The session of a message, made now if it is new.
fn session<'a>(
    sessions: &'a mut HashMap<Key, Session>,
    neighbours: &mut HashMap<(IpAddr, Version, u32), Vec<Key>>,
    config: &Config,
    gone: &mut super::session::Counters,
    message: &Datagram<'_>,
    about: &About,
) -> &'a mut Session {
    let key = key(config, message, about);
    if sessions.len() >= config.max_sessions && !sessions.contains_key(&key) {
        make_room(sessions, neighbours, gone);
    }
    let session = sessions.entry(key).or_insert_with(|| {
        neighbours.entry((message.from.ip(), about.version, about.domain)).or_default().push(key);
        Session::new(*about, config.rate)
    });
    session.about = *about;
    session.counters.messages += 1;
    session.counters.bytes += message.bytes.len() as u64;
    if about.version != Version::Sflow5 {
        session.skew.arrived(about.export, about.arrival);
    }
    session
}

/// Forgets one session in sixteen: first those that sent little, as made-up sources do, then those longest unheard of.
#[cold]
fn make_room(
    sessions: &mut HashMap<Key, Session>,
    neighbours: &mut HashMap<(IpAddr, Version, u32), Vec<Key>>,
    gone: &mut super::session::Counters,
) {
    const FEW: u64 = 3;
    let mut order: Vec<_> =
        sessions.iter().map(|(key, session)| (session.counters.messages > FEW, session.last_seen(), *key)).collect();
    let many = (order.len() / 16).max(1);
    if many < order.len() {
        order.select_nth_unstable_by_key(many, |(proven, seen, _)| (*proven, *seen));
    }
    for (_, _, key) in order.into_iter().take(many) {
        if let Some(session) = sessions.remove(&key) {
            forget(neighbours, gone, &key, session);
        }
    }
}

fn forget(
    neighbours: &mut HashMap<(IpAddr, Version, u32), Vec<Key>>,
    gone: &mut super::session::Counters,
    key: &Key,
    mut session: Session,
) {
    let neighbour = (key.from.ip(), key.version, key.domain);
    if let Some(keys) = neighbours.get_mut(&neighbour) {
        keys.retain(|other| other != key);
        if keys.is_empty() {
            neighbours.remove(&neighbour);
        }
    }
    session.counters.no_template += session.waiting.expire(Nanos(u64::MAX));
    gone.add(&session.counters);
}

/// Nanoseconds after which a template is forgotten: only over UDP (RFC 7011, section 8.4).
fn timeout(config: &Config, about: &About) -> u64 {
    if about.transport.is_session() { 0 } else { config.template_timeout }
}

/// A data set whose template is not known to its session.
struct Missing<'a> {
    id: u16,
    bytes: &'a [u8],
}

/// One message of NetFlow v9 or IPFIX being read.
struct Walk<'a, 'b> {
    layouts: &'a mut Layouts,
    sections: &'a mut section::Decoder,
    config: &'a Config,
    session: &'a mut Session,
    about: About,
    out: &'a mut dyn Receive,
    missing: Vec<Missing<'b>>,
    /// Data was passed over of which the number of records is not known.
    unknown: bool,
}

impl<'b> Walk<'_, 'b> {
    /// Reads every set; false when one cannot be. What follows a set of a wrong length cannot be found.
    fn sets(&mut self, mut c: Cursor<'b>, version: Version) -> bool {
        let mut sound = true;
        // Less than a set's header is padding.
        while c.remaining() >= 4 {
            let (Ok(id), Ok(length)) = (c.u16("set id"), c.u16("set length")) else { return false };
            let Some(body) = usize::from(length).checked_sub(4) else { return false };
            let whole = body <= c.remaining();
            let Ok(bytes) = c.take(body.min(c.remaining()), "set") else { return false };
            let read = match (version, id) {
                (Version::V9, netflow9::TEMPLATE_SET) | (Version::Ipfix, ipfix::TEMPLATE_SET) => {
                    self.templates(bytes, version, false)
                }
                (Version::V9, netflow9::OPTIONS_SET) | (Version::Ipfix, ipfix::OPTIONS_SET) => {
                    self.templates(bytes, version, true)
                }
                (_, 256..) => {
                    self.data(id, bytes);
                    true
                }
                // Set ids up to 255 are reserved (RFC 7011, section 3.3.2): passed over, as the length is known.
                _ => false,
            };
            sound &= read;
            if !whole {
                return false;
            }
        }
        sound
    }

    fn templates(&mut self, bytes: &[u8], version: Version, options: bool) -> bool {
        let mut c = Cursor::new(bytes);
        let mut specifiers = Vec::new();
        // Padding is shorter than any template (RFC 7011, section 3.3.1), a withdrawal has four bytes.
        while c.remaining() >= 4 {
            let head = c.rest();
            let Ok(id) = c.u16("template id") else { return false };
            // Padding of zeros.
            if id == 0 && head.iter().all(|byte| *byte == 0) {
                return true;
            }
            let Some(scopes) = read_template(&mut c, version, options, &mut specifiers) else { return false };
            if specifiers.is_empty() && version == Version::Ipfix {
                self.withdraw(id, options);
                continue;
            }
            if id < 256 {
                return false;
            }
            self.insert(id, &specifiers, scopes);
        }
        true
    }

    /// Withdrawals count where messages keep their order (RFC 7011, section 8.4).
    fn withdraw(&mut self, id: u16, options: bool) {
        self.session.counters.withdrawals += 1;
        if !self.about.transport.is_session() {
            return;
        }
        if id == ipfix::TEMPLATE_SET || id == ipfix::OPTIONS_SET {
            self.session.templates.remove_all(options);
        } else {
            self.session.templates.remove(id);
        }
    }

    fn insert(&mut self, id: u16, specifiers: &[ipfix::Specifier], scopes: u16) {
        self.session.counters.templates += 1;
        let Ok(Some(layout)) = self.layouts.of(specifiers, scopes) else {
            self.session.counters.templates_refused += 1;
            return;
        };
        let before = self.session.templates.find(id, self.about.arrival, 0);
        self.session.counters.templates_changed += u64::from(before.is_some_and(|before| *before != *layout));
        if !self.session.templates.insert(id, Arc::clone(&layout), self.about.arrival) {
            self.session.counters.templates_refused += 1;
            return;
        }
        for set in self.session.waiting.take(id) {
            self.session.counters.replayed += 1;
            deliver(self.session, self.sections, &set.about, &layout, &set.bytes, self.out);
        }
    }

    fn data(&mut self, id: u16, bytes: &'b [u8]) {
        self.session.counters.sets += 1;
        if !self.config.template_ids.is_empty() && !self.config.template_ids.contains(&id) {
            self.session.counters.no_template += 1;
            self.unknown = true;
            return;
        }
        match self.session.templates.find(id, self.about.arrival, timeout(self.config, &self.about)) {
            Some(layout) => {
                deliver(self.session, self.sections, &self.about, &layout, bytes, self.out);
                if layout.is_options() && self.about.version == Version::Ipfix {
                    // What it told of the exporter's start is good for what follows.
                    self.about.init = self.session.init;
                }
            }
            None => self.missing.push(Missing { id, bytes }),
        }
    }
}

/// Hands the records of a set on.
#[inline]
fn deliver(
    session: &mut Session,
    sections: &mut section::Decoder,
    about: &About,
    layout: &Arc<Layout>,
    bytes: &[u8],
    out: &mut dyn Receive,
) {
    session.counters.sets_decoded += 1;
    if layout.is_options() {
        super::options::learn(session, about, layout, bytes, out);
        return;
    }
    if layout.sampled {
        sections.read(session, about, layout, bytes, out);
        return;
    }
    let taken = out.flows(&Set { layout, bytes, about, samplers: &session.samplers, templates: &session.templates });
    session.counters.flows += u64::from(taken.records);
}

/// Reads what follows a template's id, and tells how many of its fields are scopes.
///
/// ```text
/// v9     template: count, fields | options: bytes of scopes, bytes of options, scopes, options (RFC 3954, section 6.1)
/// IPFIX  template: count, fields | options: count, count of scopes, fields        (RFC 7011, sections 3.4.1 and 3.4.2)
/// ```
fn read_template(
    c: &mut Cursor<'_>,
    version: Version,
    options: bool,
    fields: &mut Vec<ipfix::Specifier>,
) -> Option<u16> {
    fields.clear();
    let first = c.u16("template").ok()?;
    if version == Version::V9 && options {
        let scopes = usize::from(first) / 4;
        let rest = usize::from(c.u16("options length").ok()?) / 4;
        for i in 0..scopes + rest {
            let (id, length) = (c.u16("field").ok()?, c.u16("field length").ok()?);
            // Scopes have numbers of their own (RFC 3954, section 6.1): system, interface, line card, cache, template.
            let id = if i < scopes { scope_element(id) } else { id };
            fields.push(ipfix::Specifier { pen: 0, id, length });
        }
        return u16::try_from(scopes.max(1)).ok();
    }
    if version == Version::V9 {
        for _ in 0..first {
            fields.push(v9_field(c.u16("field").ok()?, c.u16("field length").ok()?));
        }
        return Some(0);
    }
    let scopes = if options && first > 0 { c.u16("scope count").ok()? } else { 0 };
    for _ in 0..first {
        fields.push(ipfix::Specifier::read(c).ok()?);
    }
    // Without a scope it is options data all the same (RFC 7011, section 3.4.2.2, does not allow it).
    Some(if options { scopes.clamp(1, first.max(1)) } else { 0 })
}

/// NetFlow v9 has no enterprise numbers: ntop's elements stand at 57472 + n. Old Cisco ASA have numbers of their own for
/// what is 225 to 228 and 233 today.
fn v9_field(id: u16, length: u16) -> ipfix::Specifier {
    use flowsonde_elements::{NTOP_PEN, V9_NTOP_BASE};
    let id = match id {
        40_001..=40_004 => id - 40_001 + 225,
        40_005 => 233,
        id => id,
    };
    match id.checked_sub(V9_NTOP_BASE) {
        Some(n) => ipfix::Specifier { pen: NTOP_PEN, id: n, length },
        None => ipfix::Specifier { pen: 0, id, length },
    }
}

/// The element that says the same as a scope of NetFlow v9.
const fn scope_element(scope: u16) -> u16 {
    match scope {
        // System: the exporter, 144 exportingProcessId being nearest.
        1 => 144,
        // Interface.
        2 => 10,
        // Line card.
        3 => 141,
        // Cache: 143 meteringProcessId.
        4 => 143,
        // Template.
        5 => 145,
        other => other,
    }
}
