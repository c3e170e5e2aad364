//! The cached way: records are merged in a cache, and the flows they become go where the probe's go.
//!
//! As with the probe's workers, ended flows are handed on only once the account that has them as ended is published, so that
//! every ledger balances.

use flowsonde_engine::decode::records::{Set, Taken};
use flowsonde_engine::merge::Merger;
use flowsonde_engine::meter::Config;
use flowsonde_engine::transcode::Aside;
use flowsonde_wire::Nanos;

use super::books::Account;
use super::way::{self, Ends, Way};
use crate::flags::Options;
use crate::ledger::{Ledger, Stage, Unit};
use crate::pipeline::books;
use crate::pipeline::ntopng::Sums;
use crate::pipeline::outputs::Outputs;
use crate::pipeline::setup::Plan;
use crate::pipeline::worker::{Batch, QUEUE, Waiting};
use crate::pipeline::{self, Signal};
use crate::stop::Stop;

/// Checks all that can be checked without receiving anything.
pub fn check(options: &Options) -> Result<(), Stop> {
    pipeline::open::check(options, &Plan::collected(options)?)
}

/// The cache of one desk.
pub struct Cache {
    merger: Merger,
    ended: Waiting,
    handed_on: u64,
    /// Flows end by the clock. Those of captures end by their records alone, so that they are the same every time.
    by_clock: bool,
}

impl Way for Cache {
    type Parcel = Batch;
    type Did = Did;
    const QUEUE: usize = QUEUE;

    fn flows(&mut self, set: &Set<'_>, _: Nanos) -> Taken {
        let Cache { merger, ended, .. } = self;
        merger.flows(set, &mut |batch| ended.keep(batch))
    }

    fn tick(&mut self, now: Nanos) {
        if self.by_clock {
            let Cache { merger, ended, .. } = self;
            merger.tick(now, &mut |batch| ended.keep(batch));
        }
    }

    fn hand_on(&mut self, now: Nanos, to: &mut dyn FnMut(Batch) -> bool) {
        for batch in self.ended.batches.drain(..) {
            let flows = batch.len() as u64;
            if to((batch, now)) {
                self.handed_on += flows;
            } else {
                self.ended.lost += flows;
            }
        }
    }

    fn finish(&mut self) {}

    fn empty(&mut self, now: Nanos, told: &mut dyn FnMut(u64), to: &mut dyn FnMut(Batch) -> bool) {
        let Cache { merger, ended, handed_on, .. } = self;
        merger.flush(&mut |batch| {
            let flows = batch.len() as u64;
            told(flows);
            if to((batch.clone(), now)) {
                *handed_on += flows;
            } else {
                ended.lost += flows;
            }
        });
    }

    fn tell(&self, did: &mut Did) {
        let Cache { merger, ended, handed_on, .. } = self;
        let flows = &mut did.flows;
        flows.meter = merger.counters();
        flows.queue_full = ended.lost;
        flows.waiting = ended.batches.iter().map(|batch| batch.len() as u64).sum();
        flows.handed_on = *handed_on;
        did.forgotten = merger.forgotten();
        did.events.clear();
        did.events.extend(merger.events());
    }
}

/// What became of what came.
#[derive(Clone, Debug)]
pub struct Did {
    flows: books::Account,
    /// Times the exporters and interfaces were too many.
    forgotten: u64,
    /// Events without traffic, by name.
    events: Vec<(&'static str, u64)>,
}

impl way::Did for Did {
    fn new(name: &str) -> Did {
        let flows = books::Account { name: name.to_owned(), ..books::Account::default() };
        Did { flows, forgotten: 0, events: Vec::new() }
    }

    fn queue_full(&self) -> u64 {
        self.flows.queue_full
    }

    fn end(&mut self, flows: u64) {
        self.flows.end(flows);
    }

    fn abandon(&mut self) {
        self.flows.abandoned = true;
    }
}

/// The probe's outputs, for flows of exporters.
pub struct Flows {
    outputs: Outputs,
    meter: Config,
}

impl Ends for Flows {
    type Way = Cache;

    fn open(options: &Options, source: &str, patient: bool, signal: &Signal) -> Result<Flows, Stop> {
        let plan = Plan::collected(options)?;
        let outputs = pipeline::open_outputs(options, &plan, source, patient, signal)?.of_exporters();
        Ok(Flows { outputs, meter: plan.meter })
    }

    fn way(&self, options: &Options, number: usize, desks: usize) -> Result<Cache, Stop> {
        let desks = u32::try_from(desks).unwrap_or(u32::MAX).max(1);
        let mut meter = self.meter.clone();
        meter.max_flows = (meter.max_flows / desks).max(1);
        meter.first_id = (u64::from(u32::MAX) / u64::from(desks) * number as u64) as u32 + 1;
        Ok(Cache {
            merger: Merger::new(meter, !options.collect.ignore_port),
            ended: Waiting::default(),
            handed_on: 0,
            by_clock: options.capture.inputs.is_empty(),
        })
    }

    fn take(&mut self, (ended, now): Batch) {
        self.outputs.take(&ended, now);
    }

    fn asides(&mut self, asides: Vec<Aside>) {
        self.outputs.asides(asides);
    }

    fn clock(&mut self, now: Nanos) {
        if now > Nanos(0) {
            self.outputs.boot(boot(now));
        }
    }

    fn tick(&mut self, now: Nanos) {
        self.outputs.tick(now);
    }

    fn settle(&mut self, now: Nanos) {
        self.outputs.tick(now);
    }

    fn event(&mut self, options: &Options, sums: impl Fn() -> Sums) {
        self.outputs.event(options, sums);
    }

    fn gone(&self) -> bool {
        self.outputs.gone()
    }

    fn close(&mut self, now: Nanos) {
        self.outputs.close(now);
    }

    fn outcome(&self) -> Result<(), Stop> {
        self.outputs.outcome()
    }

    fn stages(&self, accounts: &[Account<Did>], ledger: &mut Ledger) {
        for Account { did: Did { flows, forgotten, events }, .. } in accounts {
            let stage = Stage::new("merge", &flows.name, Unit::Records);
            let stage = events.iter().fold(stage, |stage, (what, count)| stage.losing(what, *count));
            let received = flows.meter.packets + events.iter().map(|(_, count)| count).sum::<u64>();
            let stage = Stage { received, delivered: flows.meter.metered, ..stage };
            ledger.stages.push(if *forgotten > 0 { stage.noting("exporters_forgotten", *forgotten) } else { stage });
        }
        let flows: Vec<_> = accounts.iter().map(|account| account.did.flows.clone()).collect();
        books::flows(ledger, &flows, &self.outputs);
    }
}

/// When the zero of sysUptime is: exporters tell of flows that began before this program did, and NetFlow has no numbers
/// for times before it.
fn boot(now: Nanos) -> Nanos {
    const DAY: u64 = 86_400;
    Nanos(now.0.saturating_sub(DAY * 1_000_000_000))
}
