//! What a record adds to its connection, where records tell a connection's counts more than once: firewall events, and
//! totals that grow from record to record.
//!
//! ```text
//! 233 firewallEvent     NSEL: Cisco ASA NetFlow Implementation Guide, "Data Records" and "Flow Update Events"
//!   1 created           no bytes
//!   5 updated           231, 232: bytes since the update before. One more comes with the deletion
//!   2 deleted           231, 232: bytes of the whole connection, those of its updates again; a short one has no update
//!   3 denied            no connection, no bytes
//! 85 octetTotalCount    bytes since the flow began: releases before 8.4(5) when a connection is deleted, other exporters in
//!                       each of its records
//! ```
//!
//! Records of such layouts get four counters behind them, of 8 bytes each, which tell what is new: octetDeltaCount,
//! 23 and 24 as nProbe has them, and packetDeltaCount. Whatever tells bytes and packets finds them there; passing on leaves
//! them out. NSEL of most releases counts no packets, others have them at 298 and 299. Bytes without a packet are none to
//! ntopng, so that bytes have at least one packet here.
//!
//! That a deletion tells all of a connection is what captures show (github.com/ntop/ntopng/issues/1359,
//! github.com/phaag/nfdump/issues/116). What was told of a connection is remembered, so that its deletion adds only what no
//! update told. Of one exporter that is bounded: where more connections are updated, those longest without a record are
//! forgotten, and counted.
//!
//! Left out: layouts that tell 1 octetDeltaCount, which is what is new by its definition, whatever the event.

use core::hash::{BuildHasher, Hasher};
use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::Arc;

use flowsonde_wire::export::ipfix::{REVERSE_PEN, Specifier};

use super::layout::{Field, Layout, Record, Refused, Spans};
use super::records::{About, Receive, Set};
use super::session::Session;

/// 233 firewallEvent.
pub const FIREWALL_EVENT: u16 = 233;
/// A connection was deleted.
pub const DELETED: u64 = 2;
/// None came about.
pub const DENIED: u64 = 3;

/// The counters behind a record: bytes there and back, packets there and back.
pub(super) const ADDED: [Specifier; 4] = [counter(1), counter(23), counter(2), counter(24)];

const fn counter(id: u16) -> Specifier {
    Specifier { pen: 0, id, length: 8 }
}

/// What a counter of the exporter's counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// What is new.
    Record,
    /// What is new; in a deletion all.
    Event,
    /// All since the flow began.
    Beginning,
}

/// Where each of the four is had from, best first.
const SOURCES: [&[(u32, u16, Since)]; 4] = [
    &[(0, 231, Since::Event), (0, 85, Since::Beginning)],
    &[
        (0, 23, Since::Record),
        (REVERSE_PEN, 1, Since::Record),
        (0, 232, Since::Event),
        (REVERSE_PEN, 85, Since::Beginning),
    ],
    &[(0, 2, Since::Record), (0, 298, Since::Event), (0, 86, Since::Beginning)],
    &[
        (0, 24, Since::Record),
        (REVERSE_PEN, 2, Since::Record),
        (0, 299, Since::Event),
        (REVERSE_PEN, 86, Since::Beginning),
    ],
];

/// What every record of a connection has alike: its number, protocol, addresses, ports.
const CONNECTION: [u16; 8] = [148, 4, 8, 12, 27, 28, 7, 11];
/// And of a flow besides: interfaces, VLAN, direction, ICMP.
const FLOW: [u16; 9] = [10, 14, 58, 61, 32, 139, 252, 253, 5];
/// When it began.
const BEGAN: [u16; 5] = [152, 22, 150, 154, 156];

/// How records of a layout are counted.
#[derive(Debug)]
pub struct Counting {
    /// The records with their counters behind them.
    pub layout: Arc<Layout>,
    event: Option<Field>,
    /// 136 flowEndReason.
    reason: Option<Field>,
    /// What tells one connection from others.
    identity: Box<[Field]>,
    counters: [Option<(Field, Since)>; 4],
}

impl Counting {
    /// Compiles a layout. `None` where each record tells what is new; `number` is for the layout of what becomes of it.
    pub fn new(layout: &Layout, number: u32) -> Result<Option<Counting>, Refused> {
        let has = |id| layout.find(id).is_some();
        let event = layout.find(FIREWALL_EVENT).copied();
        let counters = SOURCES
            .map(|sources| sources.iter().find_map(|&(pen, id, since)| Some((*layout.find_of(pen, id)?, since))));
        let began = BEGAN.into_iter().find(|&id| has(id));
        let counts = counters.iter().flatten().any(|(_, since)| *since != Since::Record);
        let totals = counters.iter().flatten().any(|(_, since)| *since == Since::Beginning);
        // A total of which nothing says where it begins may be of one record as well.
        let wanted = if event.is_some() { counts } else { totals && !has(231) && (has(148) || began.is_some()) };
        if !wanted || has(1) || layout.is_options() || layout.sampled {
            return Ok(None);
        }
        let of = |ids: &[u16]| ids.iter().filter_map(|&id| layout.find(id).copied()).collect::<Vec<_>>();
        let mut identity = of(&CONNECTION);
        if event.is_none() {
            identity.extend(of(&FLOW));
        }
        // Cisco's numbers are of one connection; its records need not all tell when it began.
        if event.is_none() || !has(148) {
            identity.extend(began.and_then(|id| layout.find(id).copied()));
        }
        Ok(Some(Counting {
            layout: Arc::new(Layout::extended(number, layout, &ADDED)?),
            event,
            reason: layout.find(136).copied(),
            identity: identity.into(),
            counters,
        }))
    }

    /// What a record tells.
    fn read(&self, record: &Record<'_>, spans: &Spans) -> Said {
        let number = |field: &Option<Field>| field.as_ref().map(|field| record.number(field, spans));
        let event = number(&self.event);
        let deleted = event == Some(DELETED);
        let counts = self.counters.map(|counter| {
            let (field, since) = counter?;
            let since = if deleted && since == Since::Event { Since::Beginning } else { since };
            let bits = 8 * u32::try_from(record.value(&field, spans).len()).unwrap_or(8).clamp(1, 8);
            Some(Count { n: record.number(&field, spans), since, most: u64::MAX >> (64 - bits) })
        });
        // 2, the active timeout, ends a record only.
        let over = deleted || number(&self.reason).is_some_and(|reason| matches!(reason, 1 | 3..=5));
        Said { counts, denied: event == Some(DENIED), over }
    }

    /// A number of the connection.
    fn identity(&self, record: &Record<'_>, spans: &Spans, seed: &RandomState) -> u64 {
        let mut hasher = seed.build_hasher();
        for field in &self.identity {
            let value = record.value(field, spans);
            // Numbers may be sent shorter (RFC 7011, section 6.2).
            let zeros = value.iter().take_while(|byte| **byte == 0).count();
            hasher.write_u16(field.id);
            hasher.write(value.get(zeros..).unwrap_or(&[]));
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }
}

/// What a record tells of its connection.
#[derive(Clone, Copy, Debug)]
struct Said {
    counts: [Option<Count>; 4],
    denied: bool,
    /// It is the last.
    over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    n: u64,
    since: Since,
    /// Largest number of its width.
    most: u64,
}

/// What was told of one connection.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    told: [u64; 4],
    over: bool,
}

impl Known {
    /// What a count adds.
    fn add(&mut self, at: usize, count: Count) -> u64 {
        let Some(told) = self.told.get_mut(at) else { return 0 };
        let new = match count.since {
            Since::Record => return count.n,
            // The deletion came before its update, and told all.
            Since::Event if self.over => 0,
            Since::Event => count.n,
            Since::Beginning if *told == 0 => count.n,
            Since::Beginning => {
                // Counters wrap; one that is behind what was told is late.
                let ahead = count.n.wrapping_sub(*told) & count.most;
                if ahead > count.most / 2 { 0 } else { ahead }
            }
        };
        *told = told.saturating_add(new);
        new
    }
}

/// The connections of a session whose counts were told, those of late apart from the others.
#[derive(Debug, Default)]
pub struct Connections {
    young: HashMap<u64, Known>,
    old: HashMap<u64, Known>,
    seed: RandomState,
}

impl Connections {
    /// Most of either sort: seven eighths of a power of two, which is what a table of that size takes.
    const MOST: usize = 7 << 14;

    /// What a record adds: bytes there and back, packets there and back. Counts connections that are forgotten for it.
    fn add(&mut self, identity: u64, said: &Said, forgotten: &mut u64) -> [u64; 4] {
        if said.denied {
            return [0; 4];
        }
        let known = self.young.get(&identity).or_else(|| self.old.get(&identity)).copied();
        let mut now = known.unwrap_or_default();
        let mut new = [0; 4];
        for (at, (new, count)) in new.iter_mut().zip(&said.counts).enumerate() {
            *new = count.map_or(0, |count| now.add(at, count));
        }
        now.over |= said.over;
        // A connection that is over with its first record has no other.
        if known.is_some() || !now.over && now.told != [0; 4] {
            self.keep(identity, now, forgotten);
        }
        let [there, back, packets_there, packets_back] = new;
        let least = |bytes: u64| u64::from(bytes > 0);
        [there, back, packets_there.max(least(there)), packets_back.max(least(back))]
    }

    fn keep(&mut self, identity: u64, known: Known, forgotten: &mut u64) {
        if self.young.len() >= Self::MOST && !self.young.contains_key(&identity) {
            *forgotten += self.old.values().filter(|known| !known.over).count() as u64;
            self.old = core::mem::take(&mut self.young);
        }
        self.old.remove(&identity);
        self.young.insert(identity, known);
    }

    /// How many may have more records.
    pub fn open(&self) -> u64 {
        self.young.values().chain(self.old.values()).filter(|known| !known.over).count() as u64
    }

    /// Bytes of both tables.
    pub fn bytes(&self) -> usize {
        (self.young.capacity() + self.old.capacity()) * (size_of::<(u64, Known)>() + 1) * 8 / 7
    }
}

/// Counts records.
#[derive(Debug, Default)]
pub struct Decoder {
    rows: Vec<u8>,
    spans: Spans,
}

impl Decoder {
    /// Hands on the records of a set, each with what it adds behind it.
    pub fn read(&mut self, session: &mut Session, about: &About, how: &Counting, set: &Raw<'_>, out: &mut dyn Receive) {
        let Decoder { rows, spans } = self;
        rows.clear();
        let connections = session.connections.get_or_insert_default();
        let mut rest = set.bytes;
        while let Some((record, after)) = set.layout.split(rest, spans) {
            rest = after;
            let identity = how.identity(&record, spans, &connections.seed);
            let said = how.read(&record, spans);
            let new = connections.add(identity, &said, &mut session.counters.connections_forgotten);
            rows.extend_from_slice(record.bytes());
            new.iter().for_each(|count| rows.extend_from_slice(&count.to_be_bytes()));
        }
        let Session { samplers, templates, applications, .. } = &*session;
        let taken = out.flows(&Set { layout: &how.layout, bytes: rows, about, samplers, templates, applications });
        session.counters.flows += u64::from(taken.records);
    }
}

/// Records as they came.
pub struct Raw<'a> {
    /// How they lie.
    pub layout: &'a Layout,
    /// One behind the other.
    pub bytes: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An update or a deletion that tells so many bytes.
    fn said(n: u64, since: Since, over: bool) -> Said {
        Said { counts: [Some(Count { n, since, most: u32::MAX.into() }), None, None, None], denied: false, over }
    }

    #[test]
    fn connections_are_bounded_and_those_without_a_record_go_first() {
        let mut connections = Connections::default();
        let mut forgotten = 0;
        let most = Connections::MOST as u64;
        for identity in 0..3 * most {
            assert_eq!(connections.add(identity, &said(7, Since::Event, false), &mut forgotten), [7, 0, 1, 0]);
            // One that goes on.
            connections.add(0, &said(0, Since::Event, false), &mut forgotten);
        }
        assert!(forgotten >= most - 1 && forgotten < 2 * most, "{forgotten}");
        assert!(connections.young.len() + connections.old.len() <= 2 * Connections::MOST);
        assert!(connections.bytes() < 16 << 20, "{}", connections.bytes());
        let mut deleted = |identity| connections.add(identity, &said(9, Since::Beginning, true), &mut forgotten)[0];
        assert_eq!([deleted(0), deleted(3 * most - 1)], [2, 2]);
        assert_eq!(deleted(1), 9, "forgotten: it counts whole");
    }

    #[test]
    fn what_is_over_with_its_first_record_takes_no_room() {
        let mut connections = Connections::default();
        let mut forgotten = 0;
        for identity in 0..1000 {
            connections.add(identity, &said(9, Since::Beginning, true), &mut forgotten);
            connections.add(identity, &said(0, Since::Event, false), &mut forgotten);
        }
        assert_eq!((connections.bytes(), forgotten), (0, 0));
    }
}
