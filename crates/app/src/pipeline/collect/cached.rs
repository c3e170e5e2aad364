//! The cached way: records are merged in a cache, and the flows they become go where the probe's go.
//!
//! ```text
//! captures:  one thread   source -> desk -> outputs
//! ports:     one each     source -> desk --queue--> outputs     one thread for all outputs
//! ```
//!
//! A desk here is a collector and a cache. As with the probe's workers, ended flows are handed on only once the account that
//! has them as ended is published, so that every ledger balances.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Instant, SystemTime};

use flowsonde_engine::decode::records::{Set, Taken};
use flowsonde_engine::merge::Merger;
use flowsonde_engine::meter::{Config, Ended};
use flowsonde_io::source::Poll;
use flowsonde_io::source::exports::Exports;
use flowsonde_wire::Nanos;

use super::desk::{Desk, Way};
use super::places::{open, open_captures};
use super::template_cache::TemplateCache;
use super::{PULSE, bad_packets, books, now, tell};
use crate::flags::Options;
use crate::ledger::{Ledger, Stage, Unit};
use crate::pipeline::outputs::Outputs;
use crate::pipeline::setup::Plan;
use crate::pipeline::worker::{Batch, QUEUE, Waiting, lock};
use crate::pipeline::{self, Signal};
use crate::progress::{Done, Progress};
use crate::stop::Stop;

/// Checks all that can be checked without receiving anything.
pub fn check(options: &Options) -> Result<(), Stop> {
    pipeline::open::check(options, &Plan::collected(options)?)
}

/// The cache of one desk.
struct Cache {
    merger: Merger,
    ended: Waiting,
}

impl Cache {
    fn new(options: &Options, meter: Config) -> Cache {
        Cache { merger: Merger::new(meter, !options.collect.ignore_port), ended: Waiting::default() }
    }

    /// Ends what is over.
    fn tick(&mut self, now: Nanos) {
        let Cache { merger, ended } = self;
        merger.tick(now, &mut |batch| ended.keep(batch));
    }
}

impl Way for Cache {
    fn flows(&mut self, set: &Set<'_>, _: Nanos) -> Taken {
        let Cache { merger, ended } = self;
        merger.flows(set, &mut |batch| ended.keep(batch))
    }
}

/// What one desk did: what came, and what became of it.
#[derive(Clone, Debug)]
struct Account {
    came: books::Account,
    flows: pipeline::books::Account,
    /// Times the exporters and interfaces were too many.
    forgotten: u64,
}

impl Account {
    fn new(name: &str) -> Account {
        let flows = pipeline::books::Account { name: name.to_owned(), ..pipeline::books::Account::default() };
        Account { came: books::Account::new(name), flows, forgotten: 0 }
    }

    fn update(&mut self, source: &mut dyn Exports, desk: &mut Desk<Cache>, handed_on: u64) {
        self.came.update(source, desk);
        let Cache { merger, ended } = &desk.way;
        self.flows.meter = merger.counters();
        self.flows.queue_full = ended.lost;
        self.flows.waiting = ended.batches.iter().map(|batch| batch.len() as u64).sum();
        self.flows.handed_on = handed_on;
        self.forgotten = merger.forgotten();
    }
}

fn ledger(accounts: &[Account], outputs: &Outputs, last: bool) -> Ledger {
    let mut ledger = Ledger::new(SystemTime::now(), last);
    let came: Vec<_> = accounts.iter().map(|account| &account.came).collect();
    books::received(&mut ledger, &came);
    for Account { flows, forgotten, .. } in accounts {
        let stage = Stage::new("merge", &flows.name, Unit::Records);
        let stage = Stage { received: flows.meter.packets, delivered: flows.meter.metered, ..stage };
        ledger.stages.push(if *forgotten > 0 { stage.noting("exporters_forgotten", *forgotten) } else { stage });
    }
    let flows: Vec<_> = accounts.iter().map(|account| account.flows.clone()).collect();
    pipeline::books::flows(&mut ledger, &flows, outputs);
    ledger
}

/// When the zero of sysUptime is: exporters tell of flows that began before this program did, and NetFlow has no numbers
/// for times before it.
fn boot(now: Nanos) -> Nanos {
    const DAY: u64 = 86_400;
    Nanos(now.0.saturating_sub(DAY * 1_000_000_000))
}

/// Collects from captures to their end, or until told to stop.
pub fn captures(options: &Options, signal: &Signal) -> Result<(), Stop> {
    let plan = Plan::collected(options)?;
    let mut source = open_captures(options)?;
    let mut outputs = pipeline::open_outputs(options, &plan, "captures", true, signal)?.of_exporters();
    let cache = Cache::new(options, plan.meter);
    let mut desk = Desk::new(options, 1, bad_packets(options)?, cache);
    let mut learnt = TemplateCache::open(options)?;
    desk.remember(learnt.as_mut());
    let mut account = Account::new("captures");
    let mut handed_on = 0;
    let mut progress = Progress::new(options.process.progress, Instant::now());
    let mut pulse = Instant::now();
    let mut written = Instant::now();
    let read = loop {
        let poll = source.poll(&mut desk);
        let now = desk.now();
        if now > Nanos(0) {
            outputs.boot(boot(now));
        }
        for batch in desk.way.ended.batches.drain(..) {
            handed_on += batch.len() as u64;
            outputs.take(&batch, now);
        }
        match poll {
            Ok(Poll::End) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(Stop::Failed(error.0)),
        }
        if signal.load(Ordering::Relaxed) || outputs.gone() {
            break Ok(());
        }
        if pulse.elapsed() >= PULSE {
            pulse = Instant::now();
            desk.tick(now);
            outputs.tick(now);
            tell(&mut source);
            let (bytes, total) = source.progress().map_or((0, None), |(done, total)| (done, Some(total)));
            let counters = source.counters();
            progress.show(&Done { bytes, total, packets: counters.packets, flows: desk.flows() }, Instant::now());
        }
        if written.elapsed() >= options.process.ledger_interval.duration() {
            written = Instant::now();
            account.update(&mut source, &mut desk, handed_on);
            pipeline::show(options, &ledger(std::slice::from_ref(&account), &outputs, false), false)?;
        }
    };
    desk.close();
    let now = desk.now();
    let Cache { merger, ended } = &mut desk.way;
    let rest = core::mem::take(&mut ended.batches);
    let mut take = |batch: &Ended| {
        handed_on += batch.len() as u64;
        outputs.take(batch, now);
    };
    rest.iter().for_each(&mut take);
    merger.flush(&mut take);
    learnt.iter_mut().for_each(|cache| cache.write(true));
    outputs.close(now);
    tell(&mut source);
    drop(progress);
    account.update(&mut source, &mut desk, handed_on);
    let shown = pipeline::show(options, &ledger(std::slice::from_ref(&account), &outputs, true), true);
    pipeline::both(read, shown).and_then(|()| outputs.outcome())
}

/// Collects from the network until told to stop.
pub fn live(options: &Options, signal: &Signal) -> Result<(), Stop> {
    let plan = Plan::collected(options)?;
    let sources = open(options)?;
    let names: Vec<_> = sources.iter().map(|(name, _)| name.as_str()).collect();
    let mut outputs = pipeline::open_outputs(options, &plan, &names.join(","), false, signal)?.of_exporters();
    pipeline::drop_privileges(options)?;
    outputs.boot(boot(now()));
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = sync_channel(QUEUE);
    let (desks, bad) = (sources.len(), bad_packets(options)?);
    let mut learnt = TemplateCache::open(options)?;
    let mut accounts = Vec::new();
    let mut threads = Vec::new();
    for (number, (name, source)) in sources.into_iter().enumerate() {
        let account = Arc::new(Mutex::new(Account::new(&name)));
        accounts.push(Arc::clone(&account));
        let workers = u32::try_from(desks).unwrap_or(u32::MAX).max(1);
        let mut meter = plan.meter.clone();
        meter.max_flows = (meter.max_flows / workers).max(1);
        meter.first_id = (u64::from(u32::MAX) / u64::from(workers) * number as u64) as u32 + 1;
        let mut desk = Desk::new(options, desks, bad.clone(), Cache::new(options, meter));
        desk.remember(learnt.as_mut());
        let worker = Worker { source, desk, account, sender: sender.clone(), stop: Arc::clone(&stop), handed_on: 0 };
        let thread = thread::Builder::new().name(format!("collect {name}")).spawn(move || worker.run());
        threads.push(thread.map_err(|error| Stop::Failed(format!("cannot start a worker: {error}")))?);
    }
    drop(sender);
    let books = Books { options, accounts };
    let fed = feed(&mut outputs, &receiver, &books, &mut learnt, signal);
    stop.store(true, Ordering::Relaxed);
    // Desks end their flows into the queue; it is read until the last of them is gone.
    for (ended, time) in &receiver {
        outputs.take(&ended, time);
    }
    let mut failed = fed;
    for (thread, account) in threads.into_iter().zip(&books.accounts) {
        let ended = thread.join().unwrap_or_else(|_| {
            lock(account).flows.abandoned = true;
            Err(Stop::Failed("a worker panicked, which is a bug".into()))
        });
        failed = pipeline::both(failed, ended);
    }
    learnt.iter_mut().for_each(|cache| cache.write(true));
    outputs.close(now());
    let shown = books.show(&outputs, true);
    pipeline::both(failed, shown).and_then(|()| outputs.outcome())
}

/// Takes what the desks send until told to stop, or until none is left.
fn feed(
    outputs: &mut Outputs,
    receiver: &Receiver<Batch>,
    books: &Books<'_>,
    learnt: &mut Option<TemplateCache>,
    signal: &Signal,
) -> Result<(), Stop> {
    let mut written = Instant::now();
    let mut pulse = Instant::now();
    loop {
        match receiver.recv_timeout(PULSE) {
            Ok((ended, time)) => outputs.take(&ended, time),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        outputs.tick(now());
        outputs.event(books.options, || books.sums());
        if signal.load(Ordering::Relaxed) || outputs.gone() {
            return Ok(());
        }
        if pulse.elapsed() >= PULSE {
            pulse = Instant::now();
            learnt.iter_mut().for_each(|cache| cache.write(false));
        }
        if written.elapsed() >= books.options.process.ledger_interval.duration() {
            written = Instant::now();
            books.show(outputs, false)?;
        }
    }
}

/// The desks' accounts.
struct Books<'a> {
    options: &'a Options,
    accounts: Vec<Arc<Mutex<Account>>>,
}

impl Books<'_> {
    /// For ntopng.
    fn sums(&self) -> pipeline::ntopng::Sums {
        let came: Vec<_> = self.accounts.iter().map(|account| lock(account).came.clone()).collect();
        books::sums(&came)
    }

    fn show(&self, outputs: &Outputs, last: bool) -> Result<(), Stop> {
        let accounts: Vec<Account> = self.accounts.iter().map(|account| lock(account).clone()).collect();
        pipeline::show(self.options, &ledger(&accounts, outputs, last), last)
    }
}

/// One source with its desk, on a thread of its own.
struct Worker {
    source: Box<dyn Exports>,
    desk: Desk<Cache>,
    account: Arc<Mutex<Account>>,
    sender: SyncSender<Batch>,
    stop: Arc<AtomicBool>,
    handed_on: u64,
}

impl Worker {
    fn run(mut self) -> Result<(), Stop> {
        let mut pulse = Instant::now();
        let result = loop {
            let poll = self.source.poll(&mut self.desk);
            let idle = matches!(poll, Ok(Poll::Idle));
            if idle || pulse.elapsed() >= PULSE {
                pulse = Instant::now();
                self.desk.tick(now());
                self.desk.way.tick(now());
                tell(&mut *self.source);
            }
            self.publish();
            self.offer();
            match poll {
                Ok(Poll::End) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(Stop::Failed(error.0)),
            }
            if self.stop.load(Ordering::Relaxed) {
                break Ok(());
            }
        };
        self.flush();
        result
    }

    fn publish(&mut self) {
        lock(&self.account).update(&mut *self.source, &mut self.desk, self.handed_on);
    }

    /// Queues ended flows, or counts them as lost: a desk never waits.
    fn offer(&mut self) {
        let ended = &mut self.desk.way.ended;
        if ended.batches.is_empty() {
            return;
        }
        for batch in ended.batches.drain(..) {
            let flows = batch.len() as u64;
            match self.sender.try_send((batch, now())) {
                Ok(()) => self.handed_on += flows,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => ended.lost += flows,
            }
        }
        let mut account = lock(&self.account);
        account.flows.queue_full = ended.lost;
        account.flows.waiting = 0;
        account.flows.handed_on = self.handed_on;
    }

    /// Ends every flow. The outputs are still being read: nothing may be lost now for want of room.
    fn flush(&mut self) {
        // What still waited for a template, and what ended before.
        self.desk.close();
        self.desk.way.tick(now());
        self.publish();
        for batch in core::mem::take(&mut self.desk.way.ended.batches) {
            let flows = batch.len() as u64;
            if self.sender.send((batch, now())).is_ok() {
                self.handed_on += flows;
            } else {
                self.desk.way.ended.lost += flows;
            }
        }
        self.publish();
        // What ends now is too much to keep; so it is told of batch by batch, and once more, from the cache, at the end.
        let (account, sender, handed_on) = (&self.account, &self.sender, &mut self.handed_on);
        let Cache { merger, ended } = &mut self.desk.way;
        merger.flush(&mut |batch| {
            let flows = batch.len() as u64;
            lock(account).flows.end(flows);
            if sender.send((batch.clone(), now())).is_ok() {
                *handed_on += flows;
            } else {
                ended.lost += flows;
            }
        });
        self.publish();
    }
}
