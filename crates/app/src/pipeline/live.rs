//! Interfaces: a worker a ring, one thread for the outputs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flowsonde_io::process;
use flowsonde_io::source::live;
use flowsonde_wire::Nanos;

use super::books::Account;
use super::outputs::Outputs;
use super::setup::Plan;
use super::worker::{Batch, PULSE, QUEUE, Worker, lock, supervise};
use super::{Countdown, Signal, books, setup};
use crate::flags::Options;
use crate::ledger::Ledger;
use crate::log;
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
        let cpu = options.capture.cpus.get(number % options.capture.cpus.len().max(1)).copied();
        let thread = thread::Builder::new().name(format!("meter {name}")).spawn(move || {
            if let Some(cpu) = cpu
                && let Err(error) = process::pin(cpu)
            {
                log::warn("affinity", &format!("--cpu-affinity={cpu}: {error}; the worker runs on any CPU"));
            }
            supervise(worker, &running)
        });
        threads.push(thread.map_err(|error| Stop::Failed(format!("cannot start a worker: {error}")))?);
    }
    drop(sender);
    let fed = feed(&mut outputs, &receiver, &books, signal, &stop);
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

/// Takes what the workers send until told to stop, or until none is left.
fn feed(
    outputs: &mut Outputs,
    receiver: &Receiver<Batch>,
    books: &Books<'_>,
    signal: &Signal,
    stop: &AtomicBool,
) -> Result<(), Stop> {
    let mut written = Instant::now();
    loop {
        match receiver.recv_timeout(PULSE) {
            Ok((ended, time)) => outputs.take(&ended, time),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        outputs.tick(now());
        outputs.event(books.options, || books.total().sums());
        if signal.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed) || outputs.gone() {
            return Ok(());
        }
        if written.elapsed() >= books.options.process.ledger_interval.duration() {
            written = Instant::now();
            books.show(outputs, false)?;
        }
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
pub(super) fn now() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanos::new(since.as_secs(), u64::from(since.subsec_nanos()))
}
