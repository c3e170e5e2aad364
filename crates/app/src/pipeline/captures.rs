//! Captures: one thread, in the packets' own time.

use std::sync::atomic::Ordering;
use std::time::Instant;

use flowsonde_engine::meter::Meter;
use flowsonde_io::source::files::Files;
use flowsonde_io::source::paced::Paced;
use flowsonde_io::source::{Input, Poll, Source};

use super::books::Account;
use super::outputs::Outputs;
use super::setup::Plan;
use super::{Countdown, Signal, books};
use crate::flags::Options;
use crate::ledger::Ledger;
use crate::log;
use crate::progress::{Done, Progress};
use crate::stop::Stop;

/// Polls between two looks at the clock: about 2,000 packets.
const STRIDE: u64 = 64;

/// Meters captures to their end, or until told to stop.
pub fn run(options: &Options, inputs: Vec<Input>, signal: &Signal) -> Result<(), Stop> {
    let plan = Plan::new(options)?;
    let name = name(&inputs);
    let files = Files::open(inputs, options.capture.filter.as_deref()).map_err(super::unread)?;
    let mut outputs = super::open_outputs(options, &plan, &name, true, signal)?;
    if options.capture.original_speed {
        Run::new(options, &plan, name, Paced::new(files))?.complete(&mut outputs, signal)
    } else {
        Run::new(options, &plan, name, files)?.complete(&mut outputs, signal)
    }
}

fn name(inputs: &[Input]) -> String {
    match inputs {
        [Input::File(path) | Input::Member(path)] => path.display().to_string(),
        [Input::Stdin] => "-".to_owned(),
        [Input::Interface(name)] => name.clone(),
        many => format!("{} captures", many.len()),
    }
}

struct Run<'a, S> {
    options: &'a Options,
    source: S,
    meter: Meter,
    account: Account,
    countdown: Countdown,
    progress: Progress,
    written: Instant,
}

impl<'a, S: Source> Run<'a, S> {
    fn new(options: &'a Options, plan: &Plan, name: String, source: S) -> Result<Self, Stop> {
        Ok(Run {
            options,
            source,
            meter: plan.meter(plan.meter.clone())?,
            account: Account { name, ..Account::default() },
            countdown: Countdown::new(options.capture.count),
            progress: Progress::new(options.process.progress, Instant::now()),
            written: Instant::now(),
        })
    }

    fn complete(mut self, outputs: &mut Outputs, signal: &Signal) -> Result<(), Stop> {
        super::write_ledger(self.options, &self.ledger(outputs, false))?;
        let read = self.read(outputs, signal);
        // What was read before an error counts all the same.
        let now = self.meter.now();
        self.meter.flush(&mut |ended| {
            self.account.handed_on += ended.len() as u64;
            outputs.take(ended, now);
        });
        outputs.close(now);
        self.warn();
        let shown = self.show(outputs, true);
        // Where nothing could be read there is only the error to tell.
        if let Some(summary) = outputs.summary.as_ref().filter(|_| read.is_ok() || self.account.source.seen > 0) {
            summary.print(&self.account);
        }
        super::both(read, shown).and_then(|()| outputs.outcome())
    }

    fn read(&mut self, outputs: &mut Outputs, signal: &Signal) -> Result<(), Stop> {
        for polls in 1u64.. {
            let poll = self.source.poll(&mut |frames| {
                let taken = self.countdown.take(frames.len());
                self.account.over_count += (frames.len() - taken) as u64;
                let frames = frames.get(..taken).unwrap_or(&[]);
                if let (Some(first), Some(last)) = (frames.first(), frames.last()) {
                    outputs.boot(first.time);
                    // No flow ends after its export.
                    self.meter.frames(frames, &mut |ended| {
                        self.account.handed_on += ended.len() as u64;
                        outputs.take(ended, last.time);
                    });
                }
            });
            if self.source.another() {
                self.meter.another_capture();
            }
            let idle = match poll {
                Ok(Poll::End) => break,
                Ok(Poll::Idle) => true,
                Ok(Poll::Frames(_)) => self.options.capture.original_speed,
                Err(error) => return Err(super::unread(error)),
            };
            if idle || polls % STRIDE == 0 {
                if signal.load(Ordering::Relaxed) || self.countdown.over() || outputs.gone() {
                    break;
                }
                self.between(outputs)?;
            }
        }
        Ok(())
    }

    fn between(&mut self, outputs: &mut Outputs) -> Result<(), Stop> {
        outputs.tick(self.meter.now());
        let (source, meter) = (self.source.counters(), self.meter.counters());
        outputs.event(self.options, || Account { source, meter, ..self.account.clone() }.sums());
        let now = Instant::now();
        if self.progress.due(now) {
            let counters = self.meter.counters();
            let (bytes, total) = self.source.progress().map_or((0, None), |(done, total)| (done, Some(total)));
            self.progress.show(&Done { bytes, total, packets: counters.packets, flows: counters.started }, now);
        }
        if now.duration_since(self.written) >= self.options.process.ledger_interval.duration() {
            self.written = now;
            self.warn();
            self.show(outputs, false)?;
        }
        Ok(())
    }

    fn warn(&mut self) {
        while let Some(warning) = self.source.warning() {
            log::warn("capture", &warning);
        }
    }

    fn ledger(&mut self, outputs: &Outputs, last: bool) -> Ledger {
        self.account.source = self.source.counters();
        self.account.meter = self.meter.counters();
        books::ledger(std::slice::from_ref(&self.account), outputs, last)
    }

    fn show(&mut self, outputs: &Outputs, last: bool) -> Result<(), Stop> {
        super::show(self.options, &self.ledger(outputs, last), last)
    }
}
