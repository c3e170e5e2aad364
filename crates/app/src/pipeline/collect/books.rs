//! The ledger of a collector: from the socket to every output.
//!
//! ```text
//! receive  (datagrams) came       -> handed on  | kernel_drops, truncated, ...                     one a port
//! decode   (datagrams) handed on  -> read       | short, not_flow                                  one a port
//! exporter (datagrams) read       -> read                                                          one an exporter
//! sets     (messages)  data sets  -> decoded    | no_template                 held: waiting        one an exporter
//! records  (records)   flows      -> outputs                                                       one an exporter
//! asides   (messages)  told       -> outputs    | rate_limit, export_queue_full                    one a port, for ntopng
//! queue    (records)   for it     -> sent       | export_queue_full           held: unfinished     one an output
//! send     (records)   sent       -> delivered  | whatever the sink lost      held: queued         one an output
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use flowsonde_engine::decode::session;
use flowsonde_io::source::exports::{Counters as Source, Exports};

use super::asides;
use super::desk::Desk;
use super::outputs::Outputs;
use crate::ledger::{Ledger, Stage, Unit};
use crate::pipeline::ntopng::{Collected, Exporter as Told, Sums};

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
    asides: Option<asides::Counters>,
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
            asides: None,
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
        self.asides = desk.aside_counters();
        self.lines.clear();
        self.lines.extend(desk.lines().map(|line| Line { records: line.records, queue_full: line.queue_full }));
    }
}

/// The sums of these accounts.
pub fn sums(accounts: &[Account]) -> Sums {
    let mut sums = Sums::default();
    let mut collected = Collected::default();
    for account in accounts {
        sums.bytes += account.source.bytes;
        sums.packets += account.source.datagrams;
        sums.drops += account.source.kernel_drops;
        sums.queue_full += account.lines.iter().map(|line| line.queue_full).sum::<u64>();
        collected.rejected += account.rejected.iter().map(|(_, count)| count).sum::<u64>();
        for ((address, _), exporter) in &account.exporters {
            let counters = &exporter.counters;
            let (samples, flows) = if exporter.sflow { (counters.flows, 0) } else { (0, counters.flows) };
            collected.samples += samples;
            collected.flows += flows;
            collected.sample_drops += counters.sample_drops;
            let last_seen = exporter.last_seen;
            collected.exporters.push(Told { address: *address, last_seen, samples, flows, lost: exporter.lost });
        }
    }
    sums.flows = collected.flows + collected.samples;
    Sums { collected: Some(collected), ..sums }
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
    for account in accounts {
        let Some(asides) = account.asides else { continue };
        let mut stage = Stage::new("asides", &account.name, Unit::Messages)
            .losing("rate_limit", asides.rate_limit)
            .losing("export_queue_full", asides.queue_full);
        stage.received = asides.told;
        stage.delivered = asides.told - asides.rate_limit - asides.queue_full;
        ledger.stages.push(stage);
    }
    for (at, (name, sink)) in outputs.counters().enumerate() {
        let lines = || accounts.iter().filter_map(|account| account.lines.get(at));
        let mut stage = Stage::new("queue", name, Unit::Records);
        stage.received = lines().map(|line| line.records).sum();
        stage.delivered = sink.records;
        let full = lines().map(|line| line.queue_full).sum();
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
