//! The ledger of a collector: from the socket to every output.
//!
//! ```text
//! receive  (datagrams) came       -> handed on  | kernel_drops, truncated, ...                     one a port
//! decode   (datagrams) handed on  -> read       | short, not_flow                                  one a port
//! exporter (datagrams) read       -> read                                                          one an exporter
//! sets     (messages)  data sets  -> decoded    | no_template                 held: waiting        one an exporter
//! records  (records)   flows      -> outputs                                                       one an exporter
//! encode   (records)   for it     -> encoded    | v5_ipv6, not_in_template                         one an output
//! queue    (records)   encoded    -> sent       | export_queue_full           held: unfinished     one an output
//! send     (records)   sent       -> delivered  | whatever the sink lost      held: queued         one an output
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use flowsonde_engine::decode::session;
use flowsonde_engine::transcode::Lost;
use flowsonde_io::source::exports::{Counters as Source, Exports};

use super::desk::Desk;
use super::outputs::Outputs;
use crate::ledger::{Ledger, Stage, Unit};

/// What one source and its desk did.
#[derive(Clone, Debug)]
pub struct Account {
    name: String,
    source: Source,
    rejected: Vec<(&'static str, u64)>,
    /// By exporter: address and port.
    exporters: BTreeMap<(IpAddr, u16), Exporter>,
    gone: session::Counters,
    lines: Vec<Line>,
}

/// What one exporter sent, all its domains together.
#[derive(Clone, Debug, Default)]
struct Exporter {
    counters: session::Counters,
    waiting: u64,
    lost: u64,
    sflow: bool,
    last_seen: u64,
}

/// What one output was given.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    records: u64,
    lost: Lost,
    queue_full: u64,
}

impl Account {
    /// With nothing done.
    pub fn new(name: &str) -> Account {
        Account {
            name: name.to_owned(),
            source: Source::default(),
            rejected: Vec::new(),
            exporters: BTreeMap::new(),
            gone: session::Counters::default(),
            lines: Vec::new(),
        }
    }

    /// Takes the present state.
    pub fn update(&mut self, source: &mut dyn Exports, desk: &Desk) {
        self.source = source.counters();
        self.rejected.clear();
        self.rejected.extend(desk.collector.rejected());
        self.exporters.clear();
        for session in desk.collector.sessions() {
            let about = &session.about;
            let exporter = self.exporters.entry((about.exporter, about.port)).or_default();
            exporter.counters.add(&session.counters);
            exporter.waiting += session.waiting.len() as u64;
            exporter.lost += session.sequence.lost;
            exporter.sflow |= about.version == flowsonde_engine::decode::records::Version::Sflow5;
            exporter.last_seen = exporter.last_seen.max(about.arrival.seconds());
        }
        self.gone = *desk.collector.gone();
        self.lines.clear();
        let lines = desk.lines();
        self.lines.extend(lines.map(|line| Line {
            records: line.records,
            lost: line.lost(),
            queue_full: line.queue_full,
        }));
    }
}

/// Sums over all desks, for ntopng.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    pub bytes: u64,
    pub datagrams: u64,
    pub kernel_drops: u64,
    pub rejected: u64,
    pub flows: u64,
    pub samples: u64,
    pub sample_drops: u64,
    pub queue_full: u64,
    pub exporters: Vec<Told>,
}

/// What ntopng is told of an exporter.
#[derive(Clone, Debug)]
pub struct Told {
    pub address: IpAddr,
    pub last_seen: u64,
    pub samples: u64,
    pub flows: u64,
    pub lost: u64,
}

/// The sums of these accounts.
pub fn sums(accounts: &[Account]) -> Sums {
    let mut sums = Sums::default();
    for account in accounts {
        sums.bytes += account.source.bytes;
        sums.datagrams += account.source.datagrams;
        sums.kernel_drops += account.source.kernel_drops;
        sums.rejected += account.rejected.iter().map(|(_, count)| count).sum::<u64>();
        sums.queue_full += account.lines.iter().map(|line| line.queue_full).sum::<u64>();
        for ((address, _), exporter) in &account.exporters {
            let counters = &exporter.counters;
            let (samples, flows) = if exporter.sflow { (counters.flows, 0) } else { (0, counters.flows) };
            sums.samples += samples;
            sums.flows += flows;
            sums.sample_drops += counters.sample_drops;
            let last_seen = exporter.last_seen;
            sums.exporters.push(Told { address: *address, last_seen, samples, flows, lost: exporter.lost });
        }
    }
    sums
}

/// The ledger of these accounts and outputs.
pub fn ledger(accounts: &[Account], outputs: &Outputs, last: bool) -> Ledger {
    let mut ledger = Ledger::new(SystemTime::now(), last);
    for account in accounts {
        let mut stage = Stage::new("receive", &account.name, Unit::Datagrams);
        for (reason, count) in account.source.lost() {
            stage = stage.losing(reason, count);
        }
        stage.received = account.source.received();
        stage.delivered = account.source.datagrams;
        ledger.stages.push(stage);
    }
    for account in accounts {
        let mut stage = Stage::new("decode", &account.name, Unit::Datagrams);
        for (reason, count) in &account.rejected {
            stage = stage.losing(reason, *count);
        }
        stage.received = account.source.datagrams;
        stage.delivered = account.every().map(|(_, counters, _)| counters.messages).sum();
        ledger.stages.push(stage);
    }
    for account in accounts {
        for (name, counters, waiting) in account.every() {
            let stage = |stage, unit| Stage { exporter: Some(name.clone()), ..Stage::new(stage, &account.name, unit) };
            let both = |stage: Stage, count| Stage { received: count, delivered: count, ..stage };
            ledger.stages.push(both(stage("exporter", Unit::Datagrams), counters.messages));
            let sets = stage("sets", Unit::Messages).losing("no_template", counters.no_template);
            ledger.stages.push(Stage {
                received: counters.sets,
                delivered: counters.sets_decoded,
                held: waiting,
                ..sets
            });
            ledger.stages.push(both(stage("records", Unit::Records), counters.flows));
        }
    }
    for (at, (name, sink)) in outputs.counters().enumerate() {
        let lines = || accounts.iter().filter_map(|account| account.lines.get(at));
        let sum = |of: fn(&Line) -> u64| lines().map(of).sum::<u64>();
        let (ipv6, untold) = (sum(|line| line.lost.v5_ipv6), sum(|line| line.lost.not_in_template));
        let mut stage =
            Stage::new("encode", name, Unit::Records).losing("v5_ipv6", ipv6).losing("not_in_template", untold);
        stage.received = sum(|line| line.records);
        stage.delivered = stage.received.saturating_sub(ipv6 + untold);
        let encoded = stage.delivered;
        ledger.stages.push(stage);
        let mut stage = Stage::new("queue", name, Unit::Records);
        stage.received = encoded;
        stage.delivered = sink.records;
        let full = sum(|line| line.queue_full);
        stage = stage.losing("export_queue_full", full);
        // What is pending at a desk, and what is on the way from there.
        stage.held = stage.received.saturating_sub(stage.delivered + full);
        ledger.stages.push(stage);
        let mut stage = Stage::new("send", name, Unit::Records);
        for &(reason, count) in &sink.lost {
            stage = stage.losing(reason, count);
        }
        stage.received = sink.records;
        stage.delivered = sink.delivered;
        stage.held = sink.queued;
        ledger.stages.push(stage);
    }
    ledger
}

impl Account {
    /// Every exporter by name, those that are forgotten together as one.
    fn every(&self) -> impl Iterator<Item = (String, session::Counters, u64)> {
        let gone = (self.gone != session::Counters::default()).then(|| ("forgotten".to_owned(), self.gone, 0));
        let known = self.exporters.iter();
        known
            .map(|((address, port), exporter)| {
                (std::net::SocketAddr::new(*address, *port).to_string(), exporter.counters, exporter.waiting)
            })
            .chain(gone)
    }
}
