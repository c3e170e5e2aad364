//! Interfaces: a worker a ring, one thread for the outputs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use flowsonde_io::source::live;
use flowsonde_wire::Nanos;

use super::books::Account;
use super::feed::Feed;
use super::outputs::Outputs;
use super::setup::Plan;
use super::worker::{Batch, QUEUE, Worker, lock, supervise};
use super::{Countdown, Signal, books, setup};
use crate::flags::Options;
use crate::ledger::Ledger;
use crate::stop::Stop;

/// Meters interfaces until told to stop.
pub fn run(options: &Options, interfaces: &[String], signal: &Signal) -> Result<(), Stop> {
    let mut plan = Plan::new(options)?;
    if let Some(address) = live::address(interfaces) {
        plan.env.address = address.octets();
    }
    let asked = options.capture.workers.map_or_else(auto_workers, usize::from).max(1);
    let live_options = setup::live(options, asked);
    let mut sources = Vec::new();
    for name in interfaces {
        let opened = live::open(name, &live_options).map_err(super::unread)?;
        let many = opened.len() > 1;
        for (i, source) in opened.into_iter().enumerate() {
            sources.push((if many { format!("{name}#{i}") } else { name.clone() }, source));
        }
    }
    let mut outputs = super::open_outputs(options, &plan, &interfaces.join(","), false, signal)?;
    super::drop_privileges(options)?;
    outputs.boot(now());
    let stop = Arc::new(AtomicBool::new(false));
    let countdown = Countdown::new(options.capture.count);
    let workers = sources.len();
    let (sender, receiver) = sync_channel(QUEUE);
    let account = |(name, _): &(String, _)| Arc::new(Mutex::new(Account { name: name.clone(), ..Account::default() }));
    let books = Books { options, accounts: sources.iter().map(account).collect() };
    super::write_ledger(options, &books.ledger(&outputs, false))?;
    let running = Arc::new(AtomicUsize::new(workers));
    let mut threads = Vec::new();
    for (number, ((name, source), account)) in sources.into_iter().zip(&books.accounts).enumerate() {
        let account = Arc::clone(account);
        let mut meter = plan.meter.clone();
        meter.max_flows = (meter.max_flows / workers as u32).max(1);
        meter.first_id = (u64::from(u32::MAX) / workers as u64 * number as u64) as u32 + 1;
        let worker =
            Worker::new(source, plan.meter(meter)?, account, sender.clone(), countdown.clone(), Arc::clone(&stop));
        let running = Arc::clone(&running);
        let cpus = options.capture.cpus.clone();
        let thread = thread::Builder::new().name(format!("meter {name}")).spawn(move || {
            super::pin(&cpus, number);
            supervise(worker, &running)
        });
        threads.push(thread.map_err(|error| Stop::Failed(format!("cannot start a worker: {error}")))?);
    }
    drop(sender);
    let mut feeding = Feeding { outputs: &mut outputs, books: &books, signal, stop: &stop };
    let fed = feeding.run(&receiver, options.process.ledger_interval.duration());
    stop.store(true, Ordering::Relaxed);
    // Workers end their flows into the queue; it is read until the last of them is gone.
    for (ended, time) in &receiver {
        outputs.take(&ended, time);
    }
    let mut failed = None;
    for thread in threads {
        let ended = thread.join().unwrap_or_else(|_| Err("a worker panicked, which is a bug".into()));
        failed = failed.or(ended.err());
    }
    outputs.close(now());
    let shown = books.show(&outputs, true);
    if let Some(summary) = &outputs.summary {
        summary.print(&books.total());
    }
    let captured = failed.map_or(Ok(()), |error| Err(Stop::Failed(error)));
    super::both(fed.and(captured), shown).and_then(|()| outputs.outcome())
}

/// Half of the CPUs: the kernel needs the others to receive.
fn auto_workers() -> usize {
    thread::available_parallelism().map_or(1, |cpus| (cpus.get() / 2).clamp(1, 8))
}

/// The outputs at work, and what they tell.
struct Feeding<'a> {
    outputs: &'a mut Outputs,
    books: &'a Books<'a>,
    signal: &'a Signal,
    stop: &'a AtomicBool,
}

impl Feed for Feeding<'_> {
    type Parcel = Batch;

    fn take(&mut self, (ended, time): Batch) {
        self.outputs.take(&ended, time);
    }

    fn tick(&mut self) {
        self.outputs.tick(now());
        self.outputs.event(self.books.options, || self.books.total().sums());
    }

    fn over(&self) -> bool {
        self.signal.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed) || self.outputs.gone()
    }

    fn show(&mut self) -> Result<(), Stop> {
        self.books.show(self.outputs, false)
    }
}

/// The workers' accounts.
struct Books<'a> {
    options: &'a Options,
    accounts: Vec<Arc<Mutex<Account>>>,
}

impl Books<'_> {
    fn all(&self) -> Vec<Account> {
        self.accounts.iter().map(|account| lock(account).clone()).collect()
    }

    fn total(&self) -> Account {
        let mut total = Account::default();
        for account in self.all() {
            total.source = total.source.plus(account.source);
            total.queue_full += account.queue_full;
            total.over_count += account.over_count;
            total.meter.packets += account.meter.packets;
            total.meter.bytes += account.meter.bytes;
            total.meter.metered += account.meter.metered;
            total.meter.started += account.meter.started;
            total.meter.evicted += account.meter.evicted;
        }
        total
    }

    fn ledger(&self, outputs: &Outputs, last: bool) -> Ledger {
        books::ledger(&self.all(), outputs, last)
    }

    fn show(&self, outputs: &Outputs, last: bool) -> Result<(), Stop> {
        super::show(self.options, &self.ledger(outputs, last), last)
    }
}

/// The wall clock.
pub(crate) fn now() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanos::new(since.as_secs(), u64::from(since.subsec_nanos()))
}
