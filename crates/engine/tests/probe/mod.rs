//! A meter that remembers what it handed on, and checks its books after every step.

use core::net::IpAddr;

use flowsonde_engine::meter::Config;
use flowsonde_engine::meter::cache::Counters;
use flowsonde_engine::meter::flow::{EndReason, State};
use flowsonde_engine::meter::{Ended, Group, Groups, Meter, View};
use flowsonde_wire::{Frame, Nanos};

use crate::frames::{Host, Packet};

/// A record, from its client's side.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub id: u32,
    pub protocol: u8,
    pub client: Host,
    pub server: Host,
    pub vlan: u16,
    /// By the client, by the server.
    pub packets: [u64; 2],
    pub bytes: [u64; 2],
    pub flags: [u8; 2],
    pub first: u64,
    pub last: u64,
    pub reason: EndReason,
    pub continued: bool,
    /// Round trip to the client, to the server, application, microseconds.
    pub latency: Option<[u32; 3]>,
    /// Segments sent again, by the client and the server.
    pub again: Option<[u32; 2]>,
}

impl Record {
    fn of(view: &View<'_>) -> Record {
        let (base, c, s) = (view.base, view.side(), view.other());
        let key = &base.key;
        let ports = [key.ports().0, key.ports().1];
        let host = |direction: usize| -> Host {
            let end = if direction == 0 { key.first() } else { key.second() };
            let address = if key.version() == 4 { IpAddr::from(end.octets4()) } else { IpAddr::from(end.octets16()) };
            (address, ports[direction])
        };
        Record {
            id: base.id,
            protocol: key.protocol(),
            client: host(c),
            server: host(s),
            vlan: key.vlan_inner(),
            packets: [base.packets[c], base.packets[s]],
            bytes: [base.bytes[c], base.bytes[s]],
            flags: [base.tcp_flags[c], base.tcp_flags[s]],
            first: base.first.0,
            last: base.last_seen().0,
            reason: base.state.reason(),
            continued: base.state.is(State::CONTINUED),
            latency: view.latency.map(|l| [l.client_round_trip(), l.server_round_trip(), l.application()]),
            again: view.quality.map(|q| [q.retransmitted(c), q.retransmitted(s)]),
        }
    }
}

/// Every group there is.
pub fn all_groups() -> Groups {
    Group::OPTIONAL.iter().fold(Groups::default(), |groups, (group, ..)| groups.with(*group))
}

/// See the module.
pub struct Probe {
    pub meter: Meter,
    pub records: Vec<Record>,
}

impl Probe {
    pub fn new(config: Config) -> Probe {
        Probe { meter: Meter::new(config), records: Vec::new() }
    }

    /// Meters one packet.
    pub fn take(&mut self, packet: &Packet) {
        self.frames(&[packet.build().frame()]);
    }

    /// Meters packets, each as a batch of its own.
    pub fn take_all(&mut self, packets: &[Packet]) {
        for packet in packets {
            self.take(packet);
        }
    }

    pub fn frames(&mut self, frames: &[Frame<'_>]) {
        let records = &mut self.records;
        self.meter.frames(frames, &mut |ended| keep(records, ended));
        self.balance();
    }

    pub fn tick(&mut self, at: u64) {
        let records = &mut self.records;
        self.meter.tick(Nanos(at), &mut |ended| keep(records, ended));
        self.balance();
    }

    /// Ends all, and gives every record there was, in order.
    pub fn finish(mut self) -> Vec<Record> {
        self.flush();
        self.records
    }

    pub fn flush(&mut self) {
        let records = &mut self.records;
        self.meter.flush(&mut |ended| keep(records, ended));
        let counters = self.balance();
        assert_eq!((counters.held, counters.parked), (0, 0), "something stayed behind: {counters:?}");
        assert_eq!(counters.exported, self.records.len() as u64);
    }

    /// Checks the books.
    pub fn balance(&self) -> Counters {
        let c = self.meter.counters();
        let undecoded: u64 = c.undecoded.iter().sum();
        assert_eq!(c.packets, c.metered + c.sampled_out + undecoded + c.parked, "packets: {c:?}");
        assert_eq!(
            c.started,
            c.exported + c.too_small + c.one_way + c.two_way + c.other_application + c.held,
            "records: {c:?}"
        );
        c
    }
}

fn keep(records: &mut Vec<Record>, ended: &Ended) {
    records.extend(ended.views().map(|view| Record::of(&view)));
}
