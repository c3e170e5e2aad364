//! When a detector is shown packets, when it has to make up its mind, and that it is told of the end of every flow.

#![allow(clippy::panic, clippy::unwrap_used, dead_code, reason = "a test that panics has failed")]

mod frames;
mod probe;

use core::num::NonZeroU32;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use flowsonde_engine::meter::application::{Counters, Detector, Dissection, Limits, Ticket, Verdict};
use flowsonde_engine::meter::config::{Known, Wanted};
use flowsonde_engine::meter::{Config, Group, Groups, Meter};
use flowsonde_wire::Nanos;

use frames::{ACK, FIN, Packet, SECOND, SYN, host};
use probe::Probe;

const T: u64 = 1000 * SECOND;

/// What the detector saw.
#[derive(Debug, Default)]
struct Seen {
    /// Packets of flows it has not done with.
    open: BTreeMap<u32, u32>,
    /// Packets it took to each verdict, and whether it gave up.
    verdicts: Vec<(u32, bool)>,
    begun: u32,
    room: Option<usize>,
    /// What the meter counted.
    counters: Counters,
}

/// Knows a flow by a payload of 7 bytes (as application 7 over 3), 8 bytes is application 8; until then it wants more.
#[derive(Debug, Default, Clone)]
struct Fake(Arc<Mutex<Seen>>);

impl Detector for Fake {
    fn begin(&mut self) -> Option<Ticket> {
        let mut seen = self.0.lock().unwrap();
        if seen.room.is_some_and(|room| seen.open.len() >= room) {
            return None;
        }
        seen.begun += 1;
        let begun = seen.begun;
        seen.open.insert(begun, 0);
        NonZeroU32::new(begun).map(Ticket)
    }

    fn packet(&mut self, ticket: Ticket, ip: &[u8], _: Nanos, last: bool) -> Option<Verdict<'_>> {
        let mut seen = self.0.lock().unwrap();
        let packets = seen.open.get_mut(&ticket.0.get()).expect("a ticket that is not void");
        *packets += 1;
        let packets = *packets;
        // IPv4 and UDP without options.
        let known = match ip.len() - 28 {
            7 => Some((3, 7)),
            8 => Some((0, 8)),
            _ => None,
        };
        let (master, app) = match (known, last) {
            (Some(known), _) => known,
            (None, true) => (0, 0),
            (None, false) => return None,
        };
        seen.open.remove(&ticket.0.get());
        seen.verdicts.push((packets, false));
        Some(Verdict { master, app, risk: 5, host: b"host.example", ..Verdict::default() })
    }

    fn give_up(&mut self, ticket: Ticket) -> Verdict<'_> {
        let mut seen = self.0.lock().unwrap();
        let packets = seen.open.remove(&ticket.0.get()).expect("a ticket that is not void");
        seen.verdicts.push((packets, true));
        Verdict { app: 9, ..Verdict::default() }
    }
}

/// Carrier, application, risks, host of every record, in order of their ends; and what the detector saw.
fn run(
    config: Config,
    limits: Limits,
    room: Option<usize>,
    packets: &[Packet],
) -> (Vec<(u16, u16, u64, String)>, Seen) {
    let fake = Fake::default();
    fake.0.lock().unwrap().room = room;
    let groups = Groups::default().with(Group::Host);
    let mut probe = Probe::new(Config::default());
    probe.meter = Meter::new(Config { groups, ..config }).dissecting(Dissection::new(Box::new(fake.clone()), limits));
    let mut told = Vec::new();
    let mut keep = |ended: &flowsonde_engine::meter::Ended| {
        for view in ended.views() {
            let (application, host) = (view.application.unwrap(), view.host.unwrap());
            told.push((application.master, application.app, application.risk, host.text().to_owned()));
        }
    };
    for packet in packets {
        probe.meter.frames(&[packet.build().frame()], &mut keep);
        probe.balance();
    }
    probe.meter.flush(&mut keep);
    let counters = probe.balance();
    assert_eq!(counters.exported, told.len() as u64);
    let mut seen = core::mem::take(&mut *fake.0.lock().unwrap());
    seen.counters = counters.dissection;
    assert!(seen.open.is_empty(), "flows the detector was not told the end of: {seen:?}");
    (told, seen)
}

fn udp(at: u64, port: u16, payload: usize) -> Packet {
    Packet::udp(T + at * SECOND, host(1, port), host(2, 53), payload)
}

fn known(master: u16, app: u16) -> (u16, u16, u64, String) {
    (master, app, 5, "host.example".to_owned())
}

fn given_up() -> (u16, u16, u64, String) {
    (0, 9, 0, String::new())
}

#[test]
fn packets_are_shown_until_the_verdict_stands() {
    let packets: Vec<Packet> = [1, 2, 7, 8, 8].iter().map(|&payload| udp(0, 5000, payload)).collect();
    let (told, seen) = run(Config::default(), Limits::default(), None, &packets);
    assert_eq!((told, seen.verdicts, seen.begun), (vec![known(3, 7)], vec![(3, false)], 1));
}

#[test]
fn the_last_packet_shown_decides() {
    let packets: Vec<Packet> = (0..9).map(|_| udp(0, 5000, 1)).collect();
    let (told, seen) = run(Config::default(), Limits { tcp: 9, other: 4 }, None, &packets);
    assert_eq!((told, seen.verdicts), (vec![known(0, 0)], vec![(4, false)]));
}

#[test]
fn a_flow_that_ends_first_is_given_up() {
    let (told, seen) = run(Config::default(), Limits::default(), None, &[udp(0, 5000, 1), udp(1, 5000, 2)]);
    assert_eq!((told, seen.verdicts), (vec![given_up()], vec![(2, true)]));
}

#[test]
fn a_record_cut_by_the_active_timeout_does_not_end_the_flow() {
    let config = Config { active: 10 * SECOND, idle: 100 * SECOND, ..Config::default() };
    let packets = [udp(0, 5000, 1), udp(11, 5000, 7), udp(22, 5000, 1)];
    let (told, seen) = run(config, Limits::default(), None, &packets);
    let unknown = (0, 0, 0, String::new());
    assert_eq!((told, seen.verdicts), (vec![unknown, known(3, 7), known(3, 7)], vec![(2, false)]));
}

#[test]
fn eviction_idling_and_new_connections_end_flows() {
    let evicting = Config { max_flows: 2, ..Config::default() };
    let packets: Vec<Packet> = (0..10).map(|port| udp(0, 5000 + port, 1)).collect();
    let (told, seen) = run(evicting, Limits::default(), None, &packets);
    assert_eq!((told, seen.begun, seen.verdicts.len()), (vec![given_up(); 10], 10, 10));
    let (told, seen) = run(Config::default(), Limits::default(), None, &[udp(0, 5000, 1), udp(100, 5000, 8)]);
    assert_eq!((told, seen.verdicts), (vec![given_up(), known(0, 8)], vec![(1, true), (1, false)]));
    let tcp = |at, flags, seq| Packet { seq, ..Packet::tcp(T + at, host(1, 5000), host(2, 80), flags) };
    let back = |at, flags, seq| Packet { seq, ..Packet::tcp(T + at, host(2, 80), host(1, 5000), flags) };
    let packets = [tcp(0, SYN, 1), tcp(1, FIN | ACK, 2), back(2, FIN | ACK, 9), tcp(3, SYN, 70_000)];
    let (told, seen) = run(Config::default(), Limits::default(), None, &packets);
    assert_eq!((told.len(), seen.begun), (2, 2));
}

#[test]
fn where_there_is_no_room_flows_have_no_application_but_their_records() {
    let packets: Vec<Packet> = (0..10).map(|port| udp(0, 5000 + port, 1)).collect();
    let (told, seen) = run(Config::default(), Limits::default(), Some(3), &packets);
    assert_eq!((told.len(), seen.begun), (10, 3));
    assert_eq!((seen.counters.packets, seen.counters.no_room), (3, 7));
}

#[test]
fn flows_of_a_known_server_are_granted_but_for_one_in_sixteen() {
    let fake = Fake::default();
    let config = Config { groups: Groups::default(), ..Config::default() };
    let dissection = Dissection::new(Box::new(fake), Limits::default()).trusting(7);
    let mut meter = Meter::new(config).dissecting(dissection);
    for port in 0..100 {
        meter.frames(&[udp(0, 5000 + port, 7).build().frame()], &mut |_| {});
    }
    // Four make it known; of the 96 behind them each 16th is looked at again.
    let counters = meter.counters().dissection;
    assert_eq!((counters.packets, counters.granted, counters.no_room), (10, 90, 0));
}

#[test]
fn records_are_kept_back_for_their_application() {
    let packets = [udp(0, 1, 7), udp(0, 2, 8), udp(0, 3, 1), udp(0, 3, 1), udp(0, 3, 1)];
    let run = |wanted: Wanted| {
        let config = Config { applications: wanted, ..Config::default() };
        let mut ports: Vec<_> = run(config, Limits { tcp: 3, other: 3 }, None, &packets).0;
        ports.sort();
        ports
    };
    let wanted = |known, only: Option<&[u16]>| Wanted { known, only: only.map(<[u16]>::to_vec) };
    assert_eq!(run(wanted(Known::All, None)), [known(0, 0), known(0, 8), known(3, 7)]);
    assert_eq!(run(wanted(Known::Only, None)), [known(0, 8), known(3, 7)]);
    assert_eq!(run(wanted(Known::Never, None)), [known(0, 0)]);
    assert_eq!(run(wanted(Known::All, Some(&[8]))), [known(0, 8)]);
    assert_eq!(run(wanted(Known::All, Some(&[3]))), [known(3, 7)]);
    assert_eq!(run(wanted(Known::All, Some(&[5]))), []);
}
