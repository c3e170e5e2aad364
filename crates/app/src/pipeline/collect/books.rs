//! The ledger of a collector: from the socket to every output.
//!
//! ```text
//! receive  (datagrams) came       -> handed on  | kernel_drops, truncated, ...                     one a port
//! relay    (datagrams) a relay's  -> handed on  | not_flow, not_allowed, rate_limit         one an exporter of a relay
//! decode   (datagrams) handed on  -> read       | short, not_flow, not_allowed                     one a port
//! exporter (datagrams) read       -> read                                                          one an exporter
//! sets     (messages)  data sets  -> decoded    | no_template                 held: waiting        one an exporter
//! records  (records)   flows      -> outputs                                                       one an exporter
//! filter   (records)   flows      -> outputs    | black_listed, filtered, interface      where any   one a port
//! asides   (messages)  told       -> outputs    | rate_limit, export_queue_full                    one a port, for ntopng
//! options  (records)   for it     -> encoded    | not_in_template, export_queue_full               one an output that has them
//! encode   (records)   for it     -> encoded    | v5_ipv6, not_in_template                         one an output
//! queue    (records)   encoded    -> sent       | export_queue_full           held: unfinished     one an output
//! send     (records)   sent       -> delivered  | whatever the sink lost      held: queued         one an output
//! ```

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::SystemTime;

use flowsonde_engine::decode::records::Version;
use flowsonde_engine::decode::session::{self, Session};
use flowsonde_engine::decode::sessions::Key;
use flowsonde_engine::transcode::Passed;
use flowsonde_io::source::exports::{Counters as Source, Exports};
use flowsonde_wire::relay::{self, Relay};

use super::asides;
use super::desk::Desk;
use super::lines::LineDid;
use super::outputs::Outputs;
use super::way::{Did, Done, Ends, Way};
use crate::ledger::{Ledger, Stage, Unit};
use crate::pipeline::ntopng::{Collected, Exporter as Told, Sums};

/// What one source and its desk did: what came, and what became of it.
#[derive(Clone, Debug)]
pub struct Account<D> {
    pub name: String,
    source: Source,
    rejected: Vec<(&'static str, u64)>,
    sessions: HashMap<Key, Seen>,
    gone: session::Counters,
    crowded_out: u64,
    left_out: Option<[(&'static str, u64); 3]>,
    asides: Option<asides::Counters>,
    /// What relays counted, by relay and exporter.
    relayed: BTreeMap<(Relay, SocketAddr), relay::Exporter>,
    pub did: D,
}

/// Exporters of relays that are told apart.
const RELAYED: usize = 131_072;

/// What one session did.
#[derive(Clone, Debug)]
struct Seen {
    exporter: SocketAddr,
    counters: session::Counters,
    waiting: u64,
    templates: u64,
    skew_ms: Option<i64>,
    sflow: bool,
    last_seen: u64,
}

/// What one exporter sent, all its domains together.
#[derive(Clone, Debug, Default)]
struct Exporter {
    counters: session::Counters,
    waiting: u64,
    templates: u64,
    domains: u64,
    /// Of the domain whose clock is furthest off.
    skew_ms: Option<i64>,
    sflow: bool,
    last_seen: u64,
}

impl Seen {
    fn of(key: &Key, session: &Session) -> Seen {
        let about = &session.about;
        Seen {
            exporter: key.from,
            counters: session.summary(),
            waiting: session.waiting.len() as u64,
            templates: session.templates.len() as u64,
            skew_ms: session.skew.millis(),
            sflow: about.version == Version::Sflow5,
            last_seen: about.arrival.seconds(),
        }
    }
}

impl Exporter {
    fn add(&mut self, seen: &Seen) {
        self.counters.add(&seen.counters);
        self.waiting += seen.waiting;
        self.templates += seen.templates;
        self.domains += 1;
        self.skew_ms = self.skew_ms.into_iter().chain(seen.skew_ms).max_by_key(|skew| skew.unsigned_abs());
        self.sflow |= seen.sflow;
        self.last_seen = self.last_seen.max(seen.last_seen);
    }
}

impl<D: Did> Account<D> {
    /// With nothing done.
    pub fn new(name: &str) -> Account<D> {
        Account {
            name: name.to_owned(),
            source: Source::default(),
            rejected: Vec::new(),
            sessions: HashMap::new(),
            gone: session::Counters::default(),
            crowded_out: 0,
            left_out: None,
            asides: None,
            relayed: BTreeMap::new(),
            did: D::new(name),
        }
    }

    /// Takes the present state. Costs as much as there are exporters that sent something since the last time.
    pub fn update<W: Way<Did = D>>(&mut self, source: &mut dyn Exports, desk: &mut Desk<W>) {
        self.source = source.counters();
        self.rejected.clear();
        self.rejected.extend(desk.rejected());
        let sessions = &mut self.sessions;
        desk.collector.touched(&mut |key, session| {
            match session {
                Some(session) => sessions.insert(*key, Seen::of(key, session)),
                None => sessions.remove(key),
            };
        });
        self.gone = *desk.collector.gone();
        self.crowded_out = desk.collector.crowded_out();
        self.left_out = desk.left_out();
        self.asides = desk.aside_counters();
        for (relay, exporter) in source.relayed() {
            let key = (relay, exporter.from);
            if self.relayed.len() < RELAYED || self.relayed.contains_key(&key) {
                self.relayed.insert(key, exporter);
            }
        }
        desk.way.tell(&mut self.did);
    }

    /// By address and port.
    fn exporters(&self) -> BTreeMap<SocketAddr, Exporter> {
        let mut exporters = BTreeMap::<_, Exporter>::new();
        for seen in self.sessions.values() {
            exporters.entry(seen.exporter).or_default().add(seen);
        }
        exporters
    }
}

/// The sums of these accounts.
pub fn sums<D: Did>(accounts: &[Account<D>]) -> Sums {
    let mut sums = Sums::default();
    let mut collected = Collected::default();
    for account in accounts {
        sums.bytes += account.source.bytes;
        sums.packets += account.source.datagrams;
        sums.drops += account.source.kernel_drops;
        sums.queue_full += account.did.queue_full();
        collected.rejected += account.rejected.iter().map(|(_, count)| count).sum::<u64>();
        for (address, exporter) in account.exporters() {
            let counters = &exporter.counters;
            let (samples, flows) = if exporter.sflow { (counters.flows, 0) } else { (0, counters.flows) };
            collected.samples += samples;
            collected.flows += flows;
            collected.sample_drops += counters.sample_drops;
            let last_seen = exporter.last_seen;
            let lost = counters.lost_flows + counters.lost_records + counters.lost_messages;
            collected.exporters.push(Told { address: address.ip(), last_seen, samples, flows, lost });
        }
    }
    sums.flows = collected.flows + collected.samples;
    Sums { collected: Some(collected), ..sums }
}

/// The ledger of these accounts and outputs.
pub fn ledger<E: Ends>(accounts: &[Account<Done<E>>], ends: &E, last: bool) -> Ledger {
    let mut ledger = Ledger::new(SystemTime::now(), last);
    received(&mut ledger, accounts);
    ends.stages(accounts, &mut ledger);
    ledger
}

/// The stages up to the records that are wanted.
fn received<D: Did>(ledger: &mut Ledger, accounts: &[Account<D>]) {
    for account in accounts {
        let mut stage = Stage::new("receive", &account.name, Unit::Datagrams);
        for (reason, count) in account.source.lost() {
            stage = stage.losing(reason, count);
        }
        stage.received = account.source.received();
        stage.delivered = account.source.datagrams;
        let (duplicates, restarts) = (account.source.duplicates, account.source.restarts);
        ledger.stages.push(noting(stage, &[("duplicates", duplicates), ("relay_restarts", restarts)]));
        for ((relay, from), counted) in &account.relayed {
            let name: String = relay.iter().map(|byte| format!("{byte:02x}")).collect();
            let mut stage = Stage::new("relay", name, Unit::Datagrams)
                .losing("not_flow", counted.not_flow)
                .losing("not_allowed", counted.not_allowed)
                .losing("rate_limit", counted.rate);
            stage.exporter = Some(from.to_string());
            (stage.received, stage.delivered) = (counted.received, counted.passed);
            ledger.stages.push(stage);
        }
    }
    for account in accounts {
        let exporters = account.exporters();
        let mut stage = Stage::new("decode", &account.name, Unit::Datagrams);
        for (reason, count) in &account.rejected {
            stage = stage.losing(reason, *count);
        }
        stage.received = account.source.datagrams;
        stage.delivered =
            exporters.values().map(|exporter| exporter.counters.messages).sum::<u64>() + account.gone.messages;
        ledger.stages.push(noting(stage, &[("crowded_out", account.crowded_out)]));
        let flows = exporters.values().map(|exporter| exporter.counters.flows).sum::<u64>() + account.gone.flows;
        for (name, exporter) in exporters {
            of_exporter(ledger, &account.name, &name.to_string(), &exporter);
        }
        // Those that are forgotten together as one.
        if account.gone != session::Counters::default() {
            let gone = Exporter { counters: account.gone, ..Exporter::default() };
            of_exporter(ledger, &account.name, "forgotten", &gone);
        }
        if let Some(left_out) = account.left_out {
            let stage = left_out
                .iter()
                .fold(Stage::new("filter", &account.name, Unit::Records), |stage, (why, n)| stage.losing(why, *n));
            let delivered = flows.saturating_sub(left_out.iter().map(|(_, n)| n).sum());
            ledger.stages.push(Stage { received: flows, delivered, ..stage });
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
}

/// The stages of what is not cached.
pub fn sent(ledger: &mut Ledger, accounts: &[Account<Vec<LineDid>>], outputs: &Outputs) {
    for (at, (name, sink)) in outputs.counters().enumerate() {
        let lines = || accounts.iter().filter_map(|account| account.did.get(at));
        let sum = |of: fn(&LineDid) -> u64| lines().map(of).sum::<u64>();
        if lines().any(|line| line.options.is_some()) {
            let sum_of = |of: fn(&Passed) -> u64| lines().filter_map(|line| line.options.as_ref()).map(of).sum::<u64>();
            let (untold, full) = (sum_of(|options| options.untold), sum(|line| line.options_full));
            let mut stage = Stage::new("options", name, Unit::Records)
                .losing("not_in_template", untold)
                .losing("export_queue_full", full);
            stage.received = sum_of(|options| options.received);
            stage.held = sum_of(|options| options.pending);
            stage.delivered = stage.received.saturating_sub(untold + full + stage.held);
            ledger.stages.push(stage);
        }
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
        let mut stage = noting(stage, &sink.notes);
        stage.received = sink.records;
        stage.delivered = sink.delivered;
        stage.held = sink.queued;
        ledger.stages.push(stage);
    }
}

/// The three stages of an exporter.
fn of_exporter(ledger: &mut Ledger, source: &str, name: &str, exporter: &Exporter) {
    let Exporter { counters, skew_ms, .. } = exporter;
    let stage = |stage, unit| Stage { exporter: Some(name.to_owned()), ..Stage::new(stage, source, unit) };
    let both = |stage: Stage, count| Stage { received: count, delivered: count, ..stage };
    let skew = |behind: bool| skew_ms.filter(|skew| (*skew > 0) == behind).map_or(0, i64::unsigned_abs);
    ledger.stages.push(noting(
        both(stage("exporter", Unit::Datagrams), counters.messages),
        &[
            ("bytes", counters.bytes),
            ("domains", exporter.domains),
            ("malformed", counters.malformed),
            ("sequence_lost_flows", counters.lost_flows),
            ("sequence_lost_records", counters.lost_records),
            ("sequence_lost_datagrams", counters.lost_messages),
            ("sequence_late", counters.late),
            ("restarts", counters.epochs),
            ("clock_behind_ms", skew(true)),
            ("clock_ahead_ms", skew(false)),
        ],
    ));
    let sets = stage("sets", Unit::Messages)
        .losing("no_template", counters.no_template)
        .losing("template_late", counters.expired)
        .losing("template_ids", counters.sets_filtered);
    let sets = Stage { received: counters.sets, delivered: counters.sets_decoded, held: exporter.waiting, ..sets };
    ledger.stages.push(noting(
        sets,
        &[
            ("templates", exporter.templates),
            ("templates_received", counters.templates),
            ("templates_restored", counters.templates_restored),
            ("templates_refused", counters.templates_refused),
            ("templates_changed", counters.templates_changed),
            ("templates_borrowed", counters.borrowed),
            ("withdrawals", counters.withdrawals),
            ("replayed", counters.replayed),
        ],
    ));
    ledger.stages.push(noting(
        both(stage("records", Unit::Records), counters.flows),
        &[
            ("options", counters.options),
            ("applications_refused", counters.applications_refused),
            ("applications_forgotten", counters.applications_forgotten),
            ("connections_forgotten", counters.connections_forgotten),
            ("samples_other", counters.samples_other),
            ("samples_lost", counters.samples_lost),
            ("samples_malformed", counters.samples_malformed),
            ("samples_unknown", counters.samples_unknown),
            ("sample_drops", counters.sample_drops),
            ("counter_samples", counters.counter_samples),
        ],
    ));
}

/// Notes those that are not zero.
fn noting(stage: Stage, notes: &[(&'static str, u64)]) -> Stage {
    notes.iter().filter(|(_, count)| *count > 0).fold(stage, |stage, (name, count)| stage.noting(name, *count))
}
