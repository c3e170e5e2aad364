//! The cached way of collecting: records of one flow become one.
//!
//! ```text
//! Set of records --reader--> Collected --meter--> Ended flows, as of packets
//! ```
//!
//! A flow is what packets' flows are, and its exporter and the interfaces it passed: the same packets seen in two places are
//! two flows.

use flowsonde_wire::Nanos;

use crate::decode::layout::Spans;
use crate::decode::records::{Set, Taken};
use crate::meter::cache::{BATCH, Counters};
use crate::meter::{Collected, Config, Ended, Meter};
use crate::transcode::PerLayout;

mod events;
mod load;
mod paths;
mod reader;

use events::What;
use paths::Paths;
use reader::{Context, Reader};

/// Merges collected records in a cache.
#[derive(Debug)]
pub struct Merger {
    config: Config,
    meter: Meter,
    readers: PerLayout<Reader>,
    paths: Paths,
    spans: Spans,
    batch: Vec<Collected>,
    /// The port of an exporter tells it from others.
    by_port: bool,
    /// Events without traffic, which are no flows.
    events: [u64; What::ALL.len()],
}

impl Merger {
    /// An empty cache. Exporters that differ only in their port are one unless `by_port`.
    pub fn new(config: Config, by_port: bool) -> Merger {
        let config = Config { collected: true, ..config };
        Merger {
            meter: Meter::new(config.clone()),
            readers: PerLayout::default(),
            paths: Paths::new(config.random),
            spans: Spans::default(),
            batch: Vec::with_capacity(BATCH),
            by_port,
            events: [0; What::ALL.len()],
            config,
        }
    }

    /// Merges the records of a set. Ended flows are given to `out` some at a time.
    pub fn flows(&mut self, set: &Set<'_>, out: &mut impl FnMut(&Ended)) -> Taken {
        let Merger { config, meter, readers, paths, spans, batch, by_port, events } = self;
        let reader = readers.of(set.layout, |layout| Reader::new(layout, config.groups));
        let usual = set.samplers.usually();
        let silent = set.layout.sampling.is_silent();
        let mut context = Context {
            about: set.about,
            sampling: usual,
            parts: &config.parts,
            by_port: *by_port,
            applications: set.applications,
        };
        let mut taken = Taken::default();
        let mut rest = set.bytes;
        while let Some((record, after)) = set.layout.split(rest, spans) {
            if !silent {
                context.sampling = set.samplers.told_of(set.layout, &record, spans);
            }
            rest = after;
            taken.records += 1;
            let collected = reader.read(&record, spans, &context, paths);
            if let Some(event) = &reader.event
                && !collected.has_traffic()
            {
                let what = event.read(&record, spans) as usize;
                events.get_mut(what).into_iter().for_each(|count| *count += 1);
                continue;
            }
            batch.push(collected);
            if batch.len() == BATCH {
                meter.records(batch, set.about.arrival, out);
                batch.clear();
            }
        }
        if !batch.is_empty() {
            meter.records(batch, set.about.arrival, out);
            batch.clear();
        }
        taken.rest = rest.len();
        taken
    }

    /// What follows is of another capture, which may be older than the one before.
    pub fn another_capture(&mut self) {
        self.meter.another_capture();
    }

    /// Tells the time when no records come, and hands on what ended by it.
    pub fn tick(&mut self, now: Nanos, out: &mut impl FnMut(&Ended)) {
        self.meter.tick(now, out);
    }

    /// Ends every flow.
    pub fn flush(&mut self, out: &mut impl FnMut(&Ended)) {
        self.meter.flush(out);
    }

    /// What was done so far: packets are records here.
    pub fn counters(&self) -> Counters {
        self.meter.counters()
    }

    /// Records that became no flow, as they tell of an event without traffic, by what happened.
    pub fn events(&self) -> impl Iterator<Item = (&'static str, u64)> {
        What::ALL.into_iter().map(|what| what.name()).zip(self.events)
    }

    /// How often exporters and interfaces were too many to be told apart, and all were forgotten.
    pub fn forgotten(&self) -> u64 {
        self.paths.forgotten
    }

    /// Time of the latest record or tick.
    pub fn now(&self) -> Nanos {
        self.meter.now()
    }

    /// Bytes taken by flows and their index.
    pub fn bytes(&self) -> usize {
        self.meter.bytes()
    }
}
