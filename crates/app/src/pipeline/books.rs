//! The ledger of a probe: from the wire to every output, with no packet and no record unaccounted for.
//!
//! ```text
//! capture (packets)  seen      -> handed on   | kernel_drop, filtered, unreadable
//! meter   (packets)  handed on -> metered     | count_limit, sampled_out, not_ip, truncated, ...   held: parked fragments
//! cache   (flows)    begun     -> exported    | too_small, one_way, two_way, other_application                    held: active
//! queue   (flows)    exported  -> to outputs  | export_queue_full, export_sampled_out             held: on the way
//! encode  (flows)    taken     -> encoded     | v5_ipv6, not_in_template                          one stage an output
//! send    (records)  written   -> delivered   | whatever the sink lost                            held: queued
//! ```
//!
//! Packets become flows between `meter` and `cache`, and flows become one or two records each between `encode` and `send`.
//! Every output takes every flow, but for collectors that take turns: their `encode` stages add up to what `queue`
//! delivered.

use std::time::SystemTime;

use flowsonde_engine::decode::packet;
use flowsonde_engine::meter::cache::Counters as Meter;
use flowsonde_io::source::Counters as Source;

use super::ntopng::Sums;
use super::outputs::Outputs;
use crate::ledger::{Ledger, Stage, Unit};

/// What one source and its meter did.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Interface or captures.
    pub name: String,
    /// Of the source.
    pub source: Source,
    /// Of the meter.
    pub meter: Meter,
    /// Packets the source handed on that were over `--count`.
    pub over_count: u64,
    /// Flows that did not fit into the queue to the outputs.
    pub queue_full: u64,
    /// Flows that ended and left the meter, but were not handed on yet.
    pub waiting: u64,
    /// Flows handed on, to the queue or to the outputs.
    pub handed_on: u64,
    /// The worker is no more, and what it held is lost.
    pub abandoned: bool,
}

impl Account {
    /// Counts flows that a flush ends, and that are handed on at once. The others are under way until the meter tells
    /// what became of them.
    pub fn end(&mut self, flows: u64) {
        let known = flows.min(self.meter.held);
        self.meter.held -= known;
        // Those whose first packets were freed from the fragments by the same flush.
        self.meter.started += flows - known;
        self.meter.exported += flows;
        self.handed_on += flows;
    }

    /// What ntopng is told.
    pub fn sums(&self) -> Sums {
        Sums {
            bytes: self.meter.bytes,
            packets: self.source.seen,
            drops: self.source.kernel_drops,
            queue_full: self.queue_full,
            evicted: self.meter.evicted,
            ..Sums::default()
        }
    }

    /// The stage, with what it holds lost if nobody is there to hand it on.
    fn given_up(&self, stage: Stage) -> Stage {
        if !self.abandoned {
            return stage;
        }
        let held = stage.held;
        Stage { held: 0, ..stage.losing("worker_failed", held) }
    }

    /// Flows that ended and are still with the worker.
    fn ended(&self) -> u64 {
        self.meter.gathered + self.waiting
    }
}

/// Why an encoder loses flows.
const ENCODE: [&str; 2] = ["v5_ipv6", "not_in_template"];

/// The ledger of all accounts and outputs.
pub fn ledger(accounts: &[Account], outputs: &Outputs, last: bool) -> Ledger {
    let mut ledger = Ledger::new(SystemTime::now(), last);
    for account in accounts {
        ledger.stages.push(capture(account));
    }
    for account in accounts {
        ledger.stages.push(meter(account));
    }
    flows(&mut ledger, accounts, outputs);
    ledger
}

/// The stages from the caches on.
pub(super) fn flows(ledger: &mut Ledger, accounts: &[Account], outputs: &Outputs) {
    for account in accounts {
        ledger.stages.push(cache(account));
    }
    ledger.stages.push(queue(accounts, outputs));
    for output in outputs.iter() {
        let (encoder, _) = output.counters();
        let mut stage = Stage::new("encode", &output.name, Unit::Flows)
            .losing(ENCODE[0], encoder.v5_ipv6)
            .losing(ENCODE[1], encoder.untold);
        stage.received = encoder.flows;
        stage.delivered = encoder.encoded;
        ledger.stages.push(stage);
    }
    for output in outputs.iter() {
        let (encoder, sink) = output.counters();
        let mut stage = Stage::new("send", &output.name, Unit::Records);
        for &(reason, number) in &sink.lost {
            stage = stage.losing(reason, number);
        }
        for &(name, number) in &sink.notes {
            stage = stage.noting(name, number);
        }
        stage.received = encoder.records;
        stage.delivered = sink.delivered;
        stage.held = encoder.pending + output.gathered() + sink.queued;
        ledger.stages.push(stage);
    }
}

fn capture(account: &Account) -> Stage {
    let source = &account.source;
    let mut stage = Stage::new("capture", &account.name, Unit::Packets)
        .losing("kernel_drop", source.kernel_drops)
        .losing("filtered", source.filtered)
        .losing("unreadable", source.cut);
    stage.received = source.seen;
    stage.delivered = account.meter.packets + account.over_count;
    // Nothing is held: a source counts what it sees as it hands it on.
    stage
}

fn meter(account: &Account) -> Stage {
    let meter = &account.meter;
    let mut stage = Stage::new("meter", &account.name, Unit::Packets)
        .losing("count_limit", account.over_count)
        .losing("sampled_out", meter.sampled_out);
    for (error, number) in packet::Error::ALL.into_iter().zip(meter.undecoded) {
        stage = stage.losing(error.name(), number);
    }
    let fragments = &meter.fragments;
    stage = stage
        .noting("fragments", fragments.fragments)
        .noting("fragments_overlapping", fragments.overlapping)
        .noting("fragments_incomplete", fragments.incomplete)
        .noting("fragments_orphaned", fragments.orphans)
        .noting("fragments_evicted", fragments.evicted)
        .noting("dpi_packets", meter.dissection.packets)
        .noting("dpi_no_room", meter.dissection.no_room);
    stage.received = meter.packets + account.over_count;
    stage.delivered = meter.metered;
    stage.held = meter.parked;
    account.given_up(stage)
}

fn cache(account: &Account) -> Stage {
    let meter = &account.meter;
    let mut stage = Stage::new("cache", &account.name, Unit::Flows)
        .losing("too_small", meter.too_small)
        .losing("other_application", meter.other_application)
        .losing("one_way", meter.one_way)
        .losing("two_way", meter.two_way)
        .noting("evicted", meter.evicted)
        .noting("dpi_granted", meter.dissection.granted);
    stage.received = meter.started;
    stage.delivered = meter.exported;
    stage.held = meter.held;
    account.given_up(stage)
}

fn queue(accounts: &[Account], outputs: &Outputs) -> Stage {
    let full: u64 = accounts.iter().map(|account| account.queue_full).sum();
    let mut stage = Stage::new("queue", "outputs", Unit::Flows)
        .losing("export_queue_full", full)
        .losing("export_sampled_out", outputs.sampled_out);
    stage.received = accounts.iter().map(|account| account.meter.exported).sum();
    stage.delivered = outputs.flows;
    let (abandoned, present): (Vec<&Account>, Vec<&Account>) = accounts.iter().partition(|account| account.abandoned);
    if !abandoned.is_empty() {
        stage = stage.losing("worker_failed", abandoned.iter().map(|account| account.ended()).sum());
    }
    let gone = accounts.iter().map(|account| account.handed_on).sum::<u64>()
        + present.iter().map(|account| account.ended()).sum::<u64>();
    // Counted by itself, not as what is missing. When the outputs took more than they were handed, which cannot be, the
    // stage does not balance, and that is told.
    stage.held = gone.saturating_sub(outputs.flows + outputs.sampled_out);
    stage
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use flowsonde_engine::fill::Env;
    use flowsonde_io::sink;

    use super::*;
    use crate::pipeline::names::REFUSED;

    /// What the table under a heading of the page names, by stage.
    fn told(table: &str) -> BTreeSet<(&str, &str)> {
        let mut told = BTreeSet::new();
        let mut stage = "";
        for line in table.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [first, reasons, _] = cells[..] else { continue };
            if first.starts_with('`') {
                stage = first.trim_matches('`');
            }
            told.extend(reasons.split(", ").map(|reason| (stage, reason.trim_matches('`'))));
        }
        told
    }

    #[test]
    fn every_reason_and_note_is_in_the_docs() {
        let page = include_str!("../../../../docs/ledger.md");
        let lost = page.split("## What gets lost").nth(1).expect("the chapter");
        let (table, notes) = lost.split_once("## What is noted besides").expect("the chapter");
        let outputs = Outputs::new(Env::default(), Vec::new(), Vec::new());
        let made = ledger(&[Account::default()], &outputs, true);
        let mut known: BTreeSet<(&str, &str)> = sink::LOSSES.iter().map(|(reason, _)| ("send", *reason)).collect();
        known.extend(ENCODE.iter().map(|reason| ("encode", *reason)));
        known.extend(made.stages.iter().flat_map(|stage| stage.lost.keys().map(|reason| (stage.stage, *reason))));
        assert_eq!(told(table), known);
        let noted = made.stages.iter().flat_map(|stage| stage.notes.keys().map(|note| (stage.stage, *note)));
        assert_eq!(told(notes), noted.chain(REFUSED.map(|note| ("send", note))).collect());
        for (reason, meaning) in sink::LOSSES {
            assert!(table.contains(&format!(" | `{reason}` | {meaning} |\n")), "{reason}");
        }
    }
}
