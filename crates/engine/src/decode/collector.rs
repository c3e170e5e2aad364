//! Messages of any exporter in, data records out.
//!
//! ```text
//! message -> version -> session (exporter, format, domain) -> sets -> template -> Receive::flows, Receive::options
//! ```
//!
//! An exporter is told by transport, address and port, its domains by number. What it sends grows nothing without a
//! bound: sessions, templates of each, layouts of all, data that waits for a template.

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use flowsonde_wire::export::{Datagram, Transport, ipfix, netflow9};
use flowsonde_wire::{Cursor, Nanos};

use super::applications::Vocabulary;
use super::layout::Layout;
use super::netflow5::{self, Fixed};
use super::records::{About, Receive, Set, Taken, Version};
use super::reforge::Reforge;
use super::saved::Exporters;
use super::session::{Counters, Session};
use super::sessions::{Key, Sessions};
use super::sflow5;
use super::templates::Layouts;
use super::walk::{Missing, Readers, Walk, deliver, timeout};
use super::{connections, section};

/// How to collect.
#[derive(Clone, Debug)]
pub struct Config {
    /// Templates that came over UDP are forgotten when not refreshed for so many nanoseconds; 0 is never.
    pub template_timeout: u64,
    /// Data waits so many nanoseconds for its template.
    pub patience: u64,
    /// Bytes that what exporters send may make grow: sessions, templates, samplers, data that waits.
    pub memory: usize,
    /// Exporters are told apart by address alone (`-J`).
    pub ignore_port: bool,
    /// Every record was sampled at this rate, whatever the exporter says.
    pub rate: Option<u32>,
    /// Counters are multiplied by the rate of sampling.
    pub upscale: bool,
    /// Times are moved by as much as the export is off the arrival.
    pub reforge_times: bool,
    /// Exporters that are told as others.
    pub reforge: Reforge,
    /// Only templates of these ids are read; empty is all.
    pub template_ids: Vec<u16>,
    /// Where names of applications are kept that exporters tell; `None` where nobody wants them.
    pub vocabulary: Option<Arc<Vocabulary>>,
}

impl Config {
    /// What is told of a message, as the user wants it told.
    fn reforged(&self, mut about: About) -> About {
        if self.reforge_times {
            about.shift = about.arrival.0.wrapping_sub(about.export.0).cast_signed();
            about.export = about.arrival;
        }
        if let Some(exporter) = self.reforge.exporter(about.exporter) {
            about.exporter = exporter;
        }
        about
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            template_timeout: 1800 * 1_000_000_000,
            patience: 60 * 1_000_000_000,
            memory: 128 << 20,
            ignore_port: false,
            rate: None,
            upscale: true,
            reforge_times: false,
            reforge: Reforge::default(),
            template_ids: Vec::new(),
            vocabulary: None,
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

/// Reads messages of exporters.
#[derive(Debug)]
pub struct Collector {
    config: Config,
    sessions: Sessions,
    layouts: Layouts,
    /// The fixed formats: v1, v5, v7.
    fixed: [Arc<Layout>; 3],
    sflow: sflow5::Decoder,
    readers: Readers,
    rejected: [u64; 2],
    /// All of the latest message could be read.
    sound: bool,
    swept: Nanos,
}

/// Others of an address that are asked for a template at most. Source addresses and ports are easily forged.
const NEIGHBOURS: usize = 256;
/// Templates of one message that others are asked for.
const SEARCHES: usize = 64;

/// Takes what nobody is to have.
struct Nobody;

impl Receive for Nobody {
    fn flows(&mut self, set: &Set<'_>) -> Taken {
        Taken { records: 0, rest: set.bytes.len() }
    }
}

impl Collector {
    /// Ready for a first message.
    pub fn new(config: Config) -> Collector {
        let mut layouts = Layouts::default();
        let mut fixed = |version| {
            let layout = layouts.of(netflow5::fields(version), 0);
            layout.expect("the fixed formats have a layout")
        };
        let fixed = [fixed(Version::V1), fixed(Version::V5), fixed(Version::V7)];
        Collector {
            config,
            sessions: Sessions::default(),
            sflow: sflow5::Decoder::new(&mut layouts),
            readers: Readers {
                sections: section::Decoder::new(&mut layouts),
                connections: connections::Decoder::default(),
            },
            layouts,
            fixed,
            rejected: [0; 2],
            sound: true,
            swept: Nanos(0),
        }
    }

    /// Reads one message.
    pub fn message(&mut self, message: &Datagram<'_>, out: &mut dyn Receive) -> Result<(), Reject> {
        self.sound = true;
        let result = self.read(message, out);
        self.keep_bound();
        if let Err(reject) = result {
            self.rejected[reject as usize] += 1;
        }
        result
    }

    /// Takes the templates of a message that came before, once more. What else it holds counts nowhere.
    pub fn learn(&mut self, message: &Datagram<'_>) {
        let Ok(version) = version(message.bytes) else { return };
        let mut c = Cursor::new(message.bytes);
        let domain = match version {
            Version::V9 => netflow9::Header::read(&mut c).map(|header| header.source_id),
            Version::Ipfix => ipfix::Header::read(&mut c).map(|header| header.domain),
            _ => return,
        };
        let Ok(domain) = domain else { return };
        let about = about(message, version, domain);
        let key = Key::new(&self.config, message, &about);
        let about = self.config.reforged(about);
        let held = self.sessions.enter(key, &about, &self.config, &mut self.layouts);
        let session = &mut *held.session;
        let mut walk = Walk {
            layouts: &mut self.layouts,
            readers: &mut self.readers,
            config: &self.config,
            session,
            about,
            out: &mut Nobody,
            missing: Vec::new(),
            unknown: false,
        };
        walk.sets(c, version);
        held.settle();
        self.keep_bound();
    }

    #[inline]
    fn keep_bound(&mut self) {
        if self.memory() > self.config.memory {
            self.sessions.make_room(&mut self.layouts, self.config.memory);
        }
    }

    /// Whether all of the latest message could be read, but for data that waits for its template.
    pub fn is_sound(&self) -> bool {
        self.sound
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
        let key = Key::new(&self.config, message, &about);
        let about = self.config.reforged(about);
        let held = self.sessions.open(key, message, &about, &self.config, &mut self.layouts);
        let session = &mut *held.session;
        let wanted = usize::from(header.count) * layout.shortest;
        let records = c.rest();
        let whole = records.len().min(wanted) / layout.shortest * layout.shortest;
        self.sound = whole == wanted && records.len() == wanted;
        session.counters.malformed += u64::from(!self.sound);
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
                applications: &session.applications,
            });
            session.counters.flows += u64::from(taken.records);
        }
        held.settle();
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
        let key = Key::new(&self.config, message, &about);
        let about = self.config.reforged(about);
        let held = self.sessions.open(key, message, &about, &self.config, &mut self.layouts);
        let session = &mut *held.session;
        session.sequence.arrived(header.sequence, 1, about.uptime_ms);
        let before = (session.counters.malformed, session.counters.samples_malformed);
        self.sflow.read(message.bytes, &about, session, out);
        self.sound = before == (session.counters.malformed, session.counters.samples_malformed);
        held.settle();
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
        let key = Key::new(&self.config, message, &about);
        let about = self.config.reforged(about);
        let held = self.sessions.open(key, message, &about, &self.config, &mut self.layouts);
        let session = &mut *held.session;
        session.sequence.arrived(header.sequence, 1, about.uptime_ms);
        let mut walk = Walk {
            layouts: &mut self.layouts,
            readers: &mut self.readers,
            config: &self.config,
            session,
            about,
            out,
            missing: Vec::new(),
            unknown: false,
        };
        let whole = walk.sets(c, Version::V9);
        let missing = core::mem::take(&mut walk.missing);
        self.sound = whole;
        walk.session.counters.malformed += u64::from(!whole);
        held.settle();
        self.borrow(&key, &about, missing, out);
        Ok(())
    }

    fn ipfix(&mut self, message: &Datagram<'_>, out: &mut dyn Receive) -> Result<(), Reject> {
        let mut c = Cursor::new(message.bytes);
        let header = ipfix::Header::read(&mut c).map_err(|_| Reject::Short)?;
        let about =
            About { export: Nanos::new(header.seconds.into(), 0), ..about(message, Version::Ipfix, header.domain) };
        let key = Key::new(&self.config, message, &about);
        let mut about = self.config.reforged(about);
        let held = self.sessions.open(key, message, &about, &self.config, &mut self.layouts);
        let session = &mut *held.session;
        about.init = session.init;
        // Octets behind the message's length are none of it; a length over the datagram is a message cut off.
        let length = usize::from(header.length).clamp(ipfix::HEADER, message.bytes.len());
        let exact = length == usize::from(header.length) && length == message.bytes.len();
        let sets = Cursor::new(message.bytes.get(ipfix::HEADER..length).unwrap_or(&[]));
        let before = session.counters.records();
        let mut walk = Walk {
            layouts: &mut self.layouts,
            readers: &mut self.readers,
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
        self.sound = whole && exact;
        session.counters.malformed += u64::from(!self.sound);
        let records = (session.counters.records() - before) as u32;
        session.sequence.arrived(header.sequence, records, None);
        if unknown || !missing.is_empty() || !whole {
            session.sequence.unknown();
        }
        held.settle();
        self.borrow(&key, &about, missing, out);
        Ok(())
    }

    /// Data whose template this session does not know: where exactly one other session of the same address, format and
    /// domain knows it, that one's serves; else the data waits. `ask`: others are asked. False when none could help.
    #[cold]
    fn lend(
        &mut self,
        own: &Key,
        about: &About,
        Missing { id, bytes }: Missing<'_>,
        ask: bool,
        out: &mut dyn Receive,
    ) -> bool {
        let limit = timeout(&self.config, about);
        // Its template may have come behind it, in the same message.
        if let Some(held) = self.sessions.find(own)
            && let Some(layout) = held.session.templates.find(id, about.arrival, limit)
        {
            deliver(held.session, &mut self.readers, about, &layout, bytes, out);
            held.settle();
            return true;
        }
        let mut found: Option<Arc<Layout>> = None;
        let mut several = false;
        let others = if ask { self.sessions.neighbours(own, NEIGHBOURS) } else { Vec::new() };
        for key in others {
            let Some(other) = self.sessions.find(&key) else { continue };
            if let Some(layout) = other.session.templates.find(id, about.arrival, limit) {
                several |= found.as_ref().is_some_and(|found| **found != *layout);
                found = Some(layout);
            }
        }
        let Some(held) = self.sessions.find(own) else { return false };
        let found = found.filter(|_| !several);
        let helped = found.is_some();
        match found {
            Some(layout) => {
                held.session.counters.borrowed += 1;
                deliver(held.session, &mut self.readers, about, &layout, bytes, out);
            }
            None => held.session.counters.no_template += held.session.waiting.push(id, about, bytes),
        }
        held.settle();
        helped
    }

    fn borrow(&mut self, own: &Key, about: &About, missing: Vec<Missing<'_>>, out: &mut dyn Receive) {
        // What nobody could help with is not asked for again: a message of many small sets is not to cost many searches.
        let mut unknown: Vec<u16> = Vec::new();
        for missing in missing {
            let (id, ask) = (missing.id, unknown.len() < SEARCHES && !unknown.contains(&missing.id));
            if !self.lend(own, about, missing, ask, out) && ask {
                unknown.push(id);
            }
        }
    }

    /// A session of TCP, TLS or SCTP ended: its templates with it (RFC 7011, section 8.1).
    pub fn closed(&mut self, transport: Transport, from: SocketAddr) {
        self.sessions.closed(transport, from);
    }

    /// Called now and then with the time: what waited too long is given up.
    pub fn tick(&mut self, now: Nanos) {
        const SWEEP: u64 = 1_000_000_000;
        if now.since(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        self.sessions.expire(Nanos(now.0.saturating_sub(self.config.patience)));
    }

    /// Gives up everything that waits.
    pub fn flush(&mut self) {
        self.sessions.expire(Nanos(u64::MAX));
    }

    /// Messages that were none, by reason.
    pub fn rejected(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Reject::ALL.into_iter().map(|reject| (reject.name(), self.rejected[reject as usize]))
    }

    /// What every session knows and did, in no order.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter()
    }

    /// Tells of every session that did something since this was last asked; `None` of one that is forgotten.
    pub fn touched(&mut self, tell: &mut dyn FnMut(&Key, Option<&Session>)) {
        self.sessions.touched(tell);
    }

    /// What sessions did that are forgotten.
    pub fn gone(&self) -> &Counters {
        self.sessions.gone()
    }

    /// Takes for known what an earlier run learnt of exporters.
    pub fn remember(&mut self, saved: Arc<Exporters>) {
        self.sessions.remember(saved);
    }

    /// What is worth knowing in a later run that begins `now`.
    pub fn learnt(&self, now: Nanos) -> Exporters {
        let timeout = self.config.template_timeout;
        self.sessions.learnt(Nanos(if timeout == 0 { 0 } else { now.0.saturating_sub(timeout) }))
    }

    /// Sessions that had to go for want of memory.
    pub fn crowded_out(&self) -> u64 {
        self.sessions.crowded_out()
    }

    /// Bytes in use of [`Config::memory`], near enough.
    pub fn memory(&self) -> usize {
        self.sessions.used() + self.layouts.bytes()
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

/// Who the exporter of a message is: its sender, or the agent that sFlow names.
pub fn exporter(message: &Datagram<'_>) -> IpAddr {
    let agent = match version(message.bytes) {
        Ok(Version::Sflow5) => sflow5::Header::read(&mut Cursor::new(message.bytes)).ok().map(|header| header.agent),
        _ => None,
    };
    agent.unwrap_or(message.from.ip())
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
        shift: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_are_told_again_say_nothing_of_the_exporter_itself() {
        // NetFlow v9 by RFC 3954: a template of one field. The exporter is 1000 s behind.
        let header = [&[0, 9, 0, 1][..], &1_000_000u32.to_be_bytes(), &1_700_000_000u32.to_be_bytes(), &[0; 8]];
        let bytes = [&header.concat()[..], &[0, 0, 0, 12, 1, 0, 0, 1, 0, 8, 0, 4]].concat();
        let message = |seconds| Datagram {
            time: Nanos::new(seconds, 0),
            transport: Transport::Udp,
            from: ([192, 0, 2, 1], 2055).into(),
            to: 2055,
            local: None,
            bytes: &bytes,
        };
        let mut collector = Collector::new(Config::default());
        collector.message(&message(1_700_001_000), &mut Nobody).expect("a message");
        let before: Vec<_> = collector.sessions().map(|session| (session.counters, session.about)).collect();
        // Much later, by a relay.
        collector.learn(&message(1_700_009_000));
        let after: Vec<_> = collector.sessions().map(|session| (session.counters, session.about)).collect();
        assert_eq!(after.len(), 1);
        assert_eq!((after[0].0.messages, after[0].0.bytes), (1, bytes.len() as u64));
        assert_eq!((after[0].0.messages, after[0].1.arrival), (before[0].0.messages, before[0].1.arrival));
        let behind: Vec<_> = collector.sessions().map(|session| session.skew.millis()).collect();
        assert_eq!(behind, [Some(1_000_000)]);
    }
}
