//! Later fragments find the flow of their first one.
//!
//! Only the first fragment carries ports (RFC 791, section 3.2; RFC 8200, section 4.5). A table keyed by (addresses,
//! protocol, identification) remembers them; fragments that come before the first are parked, without their bytes, until
//! it comes. Nothing is reassembled. What never completes, overlaps, or comes without a first fragment is counted and
//! still metered, in a flow with ports 0.

use std::collections::{HashMap, VecDeque};

use flowsonde_wire::Nanos;

use super::packet::{Fragment, Packet, Part, Ports};
use crate::meter::key::Key;

/// Datagrams remembered at once; beyond it the oldest is given up.
const MAX_DATAGRAMS: usize = 4096;
/// Fragments parked for one datagram, a 64 KiB datagram over a 1500 byte link being 45.
const MAX_PARKED: usize = 64;
/// Ranges remembered of one datagram, to see overlaps.
const MAX_RANGES: usize = 64;
/// How long a datagram is remembered: reassembly gives up after 15 s (RFC 1122) to 60 s (RFC 8200).
const LIFETIME: u64 = 30_000_000_000;
/// How long a complete one is, for fragments captured twice. What comes later under its identification is another's.
const AFTERMATH: u64 = 100_000_000;

/// What the table met; each is a counter of the ledger's notes, none a lost packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Fragments seen.
    pub fragments: u64,
    /// Fragments that overlap an earlier one of their datagram.
    pub overlapping: u64,
    /// Datagrams that were not complete when they were given up.
    pub incomplete: u64,
    /// Later fragments metered without ports, their first one never having come.
    pub orphans: u64,
    /// Datagrams given up, not complete, because the table was full.
    pub evicted: u64,
}

/// The key with ports left out (of IPv6 also the protocol: later fragments name the extension header theirs began with),
/// and the identification. Addresses are ordered, so the sender is part of it.
type Id = (Key, u8, u32);

#[derive(Debug, Default)]
struct Datagram {
    /// Which entry of the order is its own.
    serial: u64,
    /// When it became complete.
    completed: Option<Nanos>,
    ports: Option<Ports>,
    parked: Vec<Packet<'static>>,
    ranges: Vec<(u32, u32)>,
    end: Option<u32>,
}

impl Datagram {
    /// Whether a fragment that comes now, with these ports if it is a first one, belongs to another datagram under the same
    /// identification.
    fn is_another(&self, ports: Option<&Ports>, now: Nanos) -> bool {
        self.completed.is_some_and(|completed| now.since(completed) > AFTERMATH)
            || self.ports.as_ref().zip(ports).is_some_and(|(known, ports)| known != ports)
    }

    fn is_complete(&self) -> bool {
        let seen: u32 = self.ranges.iter().map(|(from, to)| to - from).sum();
        self.end.is_some_and(|end| seen >= end)
    }

    /// Remembers a range; true when it overlaps what is remembered.
    fn cover(&mut self, f: &Fragment) -> bool {
        let (from, to) = (u32::from(f.offset), u32::from(f.offset) + u32::from(f.len));
        if !f.more {
            self.end = Some(to);
        }
        let overlaps = self.ranges.iter().any(|&(a, b)| from < b && a < to);
        if !overlaps && self.ranges.len() < MAX_RANGES {
            self.ranges.push((from, to));
        }
        overlaps
    }
}

/// Datagrams under way.
#[derive(Debug, Default)]
pub struct Fragments {
    datagrams: HashMap<Id, Datagram>,
    /// By age; the entry of a datagram that is gone leads nowhere.
    order: VecDeque<(Nanos, Id, u64)>,
    serial: u64,
    counters: Counters,
}

impl Fragments {
    /// Takes a fragment. True when it can be metered now, which the caller does, in the flow of its datagram where that is
    /// known; else it waits. What waited until now is appended to `ready`, to be metered after it.
    pub fn take(&mut self, packet: &mut Packet<'_>, ready: &mut Vec<Packet<'static>>) -> bool {
        let (fragment, first) = match packet.part {
            Part::Whole => return true,
            Part::First(f) => (f, true),
            Part::Later(f) => (f, false),
        };
        self.expire(packet.time, ready);
        self.counters.fragments += 1;
        let bare = packet.key.of_datagram();
        let id = (bare, packet.direction_by_address(), fragment.id);
        let ports = first.then(|| packet.ports());
        if self.datagrams.get(&id).is_some_and(|datagram| datagram.is_another(ports.as_ref(), packet.time)) {
            self.give_up(&id, ready);
        }
        if !self.datagrams.contains_key(&id) {
            self.make_room(ready);
            self.serial += 1;
            self.order.push_back((packet.time, id, self.serial));
            self.datagrams.insert(id, Datagram { serial: self.serial, ..Datagram::default() });
        }
        let Some(datagram) = self.datagrams.get_mut(&id) else { return true };
        if datagram.cover(&fragment) {
            self.counters.overlapping += 1;
        }
        if datagram.completed.is_none() && datagram.is_complete() {
            datagram.completed = Some(packet.time);
        }
        if let Some(ports) = ports {
            datagram.ports = Some(ports);
            for mut waiting in datagram.parked.drain(..) {
                waiting.adopt(&ports);
                ready.push(waiting);
            }
        } else if let Some(ports) = &datagram.ports {
            packet.adopt(ports);
        } else if datagram.parked.len() < MAX_PARKED {
            datagram.parked.push(packet.without_bytes());
            return false;
        } else {
            self.counters.orphans += 1;
        }
        true
    }

    /// Gives up every datagram, as at the end of a capture.
    pub fn flush(&mut self, ready: &mut Vec<Packet<'static>>) {
        while !self.order.is_empty() {
            self.give_up_oldest(ready);
        }
    }

    /// Gives up what is older than its lifetime.
    pub fn expire(&mut self, now: Nanos, ready: &mut Vec<Packet<'static>>) {
        while self.order.front().is_some_and(|(since, ..)| now.since(*since) > LIFETIME) {
            self.give_up_oldest(ready);
        }
    }

    /// What was met so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Packets parked, waiting for their first fragment.
    pub fn parked(&self) -> usize {
        self.datagrams.values().map(|d| d.parked.len()).sum()
    }

    /// Makes room for one more datagram.
    fn make_room(&mut self, ready: &mut Vec<Packet<'static>>) {
        if self.order.len() >= 2 * MAX_DATAGRAMS {
            let datagrams = &self.datagrams;
            self.order.retain(|(_, id, serial)| datagrams.get(id).is_some_and(|datagram| datagram.serial == *serial));
        }
        while self.datagrams.len() >= MAX_DATAGRAMS {
            let incomplete = self.counters.incomplete;
            self.give_up_oldest(ready);
            self.counters.evicted += self.counters.incomplete - incomplete;
        }
    }

    fn give_up_oldest(&mut self, ready: &mut Vec<Packet<'static>>) {
        let Some((_, id, serial)) = self.order.pop_front() else { return };
        if self.datagrams.get(&id).is_some_and(|datagram| datagram.serial == serial) {
            self.give_up(&id, ready);
        }
    }

    fn give_up(&mut self, id: &Id, ready: &mut Vec<Packet<'static>>) {
        let Some(datagram) = self.datagrams.remove(id) else { return };
        if !datagram.is_complete() {
            self.counters.incomplete += 1;
        }
        self.counters.orphans += datagram.parked.len() as u64;
        ready.extend(datagram.parked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::packet::decode;
    use crate::decode::packet::tests::{ipv4, raw};
    use crate::meter::key::KeyParts;

    fn feed(table: &mut Fragments, at: u64, bytes: &[u8]) -> Vec<Packet<'static>> {
        let frame = flowsonde_wire::Frame { time: Nanos::new(at, 0), ..raw(bytes) };
        let mut packet = decode(&frame, &KeyParts::default()).expect("valid");
        let mut behind = Vec::new();
        let now = table.take(&mut packet, &mut behind);
        now.then(|| packet.without_bytes()).into_iter().chain(behind).collect()
    }

    const UDP: [u8; 16] = [0x13, 0x88, 0, 53, 0, 32, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn later_fragments_take_the_ports_of_the_first() {
        let mut table = Fragments::default();
        let first = feed(&mut table, 1, &ipv4(1, 2, 17, 0x2000, &UDP));
        let later = feed(&mut table, 1, &ipv4(1, 2, 17, 2, &[0; 16]));
        assert_eq!(first[0].key, later[0].key);
        assert_eq!(later[0].key.ports().0.max(later[0].key.ports().1), 5000);
    }

    #[test]
    fn early_ones_wait_for_the_first() {
        let mut table = Fragments::default();
        assert!(feed(&mut table, 1, &ipv4(2, 1, 17, 2, &[0; 16])).is_empty());
        let ready = feed(&mut table, 2, &ipv4(2, 1, 17, 0x2000, &UDP));
        assert_eq!(ready.len(), 2);
        assert_eq!((ready[0].key, ready[0].direction), (ready[1].key, ready[1].direction));
        assert_eq!(ready[1].time, Nanos::new(1, 0));
    }

    #[test]
    fn what_never_completes_is_metered_without_ports() {
        let mut table = Fragments::default();
        feed(&mut table, 1, &ipv4(1, 2, 17, 2, &[0; 16]));
        let ready = feed(&mut table, 60, &ipv4(1, 3, 17, 0x2000, &UDP));
        assert_eq!(ready.len(), 2);
        assert_eq!(ready[1].key.ports(), (0, 0));
        assert_eq!((table.counters().orphans, table.counters().incomplete), (1, 1));
    }

    #[test]
    fn an_identification_used_again_is_another_datagram() {
        let mut table = Fragments::default();
        let first = |port: u8| {
            let mut udp = UDP;
            udp[1] = port;
            ipv4(1, 2, 17, 0x2000, &udp)
        };
        let last = ipv4(1, 2, 17, 2, &[0; 16]);
        // Complete; then another begins from its end, and its first fragment comes last.
        feed(&mut table, 1, &first(1));
        assert_eq!(
            feed(&mut table, 1, &last)[0].key.ports().0.max(feed(&mut table, 1, &last)[0].key.ports().1),
            0x1301
        );
        assert!(feed(&mut table, 2, &last).is_empty());
        let ready = feed(&mut table, 2, &first(2));
        assert_eq!(ready.len(), 2);
        assert!(ready.iter().all(|packet| packet.key.ports().0.max(packet.key.ports().1) == 0x1302));
        // Not complete; the first fragment of another.
        assert_eq!(table.counters().incomplete, 0);
        feed(&mut table, 4, &first(3));
        feed(&mut table, 4, &first(4));
        assert_eq!(feed(&mut table, 4, &last)[0].key.ports().0.max(53), 0x1304);
        assert_eq!((table.counters().incomplete, table.counters().orphans), (1, 0));
        assert!(table.order.len() >= table.datagrams.len());
    }

    #[test]
    fn overlaps_are_counted() {
        let mut table = Fragments::default();
        feed(&mut table, 1, &ipv4(1, 2, 17, 0x2000, &UDP));
        feed(&mut table, 1, &ipv4(1, 2, 17, 1, &[0; 16]));
        assert_eq!(table.counters().overlapping, 1);
    }

    #[test]
    fn a_flood_stays_within_the_table_and_loses_no_packet() {
        let mut table = Fragments::default();
        let mut metered = 0;
        let total = 3 * MAX_DATAGRAMS;
        for i in 0..total {
            let mut bytes = ipv4(1, 2, 17, 2, &[0; 16]);
            bytes[4..6].copy_from_slice(&(i as u16).to_be_bytes());
            bytes[12..14].copy_from_slice(&((i >> 16) as u16).to_be_bytes());
            metered += feed(&mut table, 1, &bytes).len();
        }
        assert!(table.datagrams.len() <= MAX_DATAGRAMS);
        assert_eq!(metered + table.parked(), total);
        let mut rest = Vec::new();
        table.flush(&mut rest);
        assert_eq!(metered + rest.len(), total);
    }
}
