//! The collector at work: exporters' messages in, records out.
//!
//! ```text
//! captures, one port:  one thread   source -> desk -> outputs
//! several ports:       one each     source -> desk --queue--> outputs     one thread for all outputs
//! ```
//!
//! A desk is everything from message to finished output message: a [`Collector`] and a transcoder an output. Exporters
//! stay with one desk, as their templates and sequence numbers do.

mod asides;
mod bad_packets;
mod books;
mod cached;
mod desk;
mod lines;
mod outputs;
mod places;
mod template_cache;
mod transcoders;

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flowsonde_engine::encode::Messages;
use flowsonde_engine::transcode::Aside;
use flowsonde_io::source::Poll;
use flowsonde_io::source::exports::Exports;
use flowsonde_wire::Nanos;

use super::{Signal, inputs};
use crate::flags::Options;
use crate::log;
use crate::progress::{Done, Progress};
use crate::stop::Stop;
use books::Account;
use desk::Desk;
use lines::Lines;
use outputs::Outputs;
use places::{open, open_captures};
use template_cache::TemplateCache;

/// Output messages that may wait between a desk and the outputs.
const QUEUE: usize = 1024;
/// Empty buffers that are kept for a desk.
const SPARE: usize = 16;
/// How long messages gather before the outputs look again.
const GATHER: Duration = Duration::from_millis(2);
/// How often a desk looks at the clock and tells what it did.
const PULSE: Duration = Duration::from_millis(100);

pub(super) use transcoders::check_text as check_outputs;

/// Checks all that can be checked without receiving anything.
pub fn check(options: &Options) -> Result<(), Stop> {
    if !options.capture.inputs.is_empty() {
        inputs(options)?;
    }
    if options.collect.cache { cached::check(options) } else { transcoders::check(options) }
}

/// The time of day.
fn now() -> Nanos {
    Nanos(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64))
}

/// Collects until the captures end, or until told to stop.
pub fn run(options: &Options, signal: &Signal) -> Result<(), Stop> {
    match (options.capture.inputs.is_empty(), options.collect.cache) {
        (true, false) => live(options, signal),
        (false, false) => captures(options, signal),
        (true, true) => cached::live(options, signal),
        (false, true) => cached::captures(options, signal),
    }
}

fn captures(options: &Options, signal: &Signal) -> Result<(), Stop> {
    let mut source = open_captures(options)?;
    let mut outputs = Outputs::open(options, true, signal)?;
    let mut desk = Desk::new(options, 1, bad_packets(options)?, Lines::new(options, 0, outputs.writes())?);
    let mut cache = TemplateCache::open(options)?;
    desk.remember(cache.as_mut());
    let mut account = Account::new("captures");
    let mut progress = Progress::new(options.process.progress, Instant::now());
    let mut pulse = Instant::now();
    let mut written = Instant::now();
    let read = loop {
        let poll = source.poll(&mut desk);
        outputs.clock(desk.now());
        desk.way.deliver(&mut |at, messages| outputs.send(at, messages));
        outputs.asides(desk.asides().unwrap_or_default());
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
            desk.tick(desk.now());
            desk.way.tick(desk.now());
            outputs.tick();
            tell(&mut source);
            let (bytes, total) = source.progress().map_or((0, None), |(done, total)| (done, Some(total)));
            let counters = source.counters();
            progress.show(&Done { bytes, total, packets: counters.packets, flows: desk.flows() }, Instant::now());
        }
        if written.elapsed() >= options.process.ledger_interval.duration() {
            written = Instant::now();
            account.update_lines(&mut source, &mut desk);
            super::show(options, &books::ledger(std::slice::from_ref(&account), &outputs, false), false)?;
        }
    };
    desk.close();
    desk.way.flush();
    desk.way.deliver(&mut |at, messages| outputs.send(at, messages));
    cache.iter_mut().for_each(|cache| cache.write(true));
    outputs.close();
    tell(&mut source);
    drop(progress);
    account.update_lines(&mut source, &mut desk);
    super::show(options, &books::ledger(std::slice::from_ref(&account), &outputs, true), true)?;
    super::both(read, outputs.outcome())
}

fn live(options: &Options, signal: &Signal) -> Result<(), Stop> {
    let sources = open(options)?;
    let mut outputs = Outputs::open(options, false, signal)?;
    super::drop_privileges(options)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = sync_channel::<Parcel>(QUEUE);
    let mut accounts = Vec::new();
    let mut threads = Vec::new();
    let (desks, bad) = (sources.len(), bad_packets(options)?);
    let mut cache = TemplateCache::open(options)?;
    for (number, (name, source)) in sources.into_iter().enumerate() {
        let account = Arc::new(Mutex::new(Account::new(&name)));
        accounts.push(Arc::clone(&account));
        let lines = Lines::new(options, number, outputs.writes())?;
        let mut desk = Desk::new(options, desks, bad.clone(), lines);
        desk.remember(cache.as_mut());
        let (back, returned) = sync_channel(SPARE);
        let sender = sender.clone();
        let worker = Worker { source, desk, account, sender, back, returned, stop: Arc::clone(&stop) };
        let thread = thread::Builder::new().name(format!("collect {name}")).spawn(move || worker.run());
        threads.push(thread.map_err(|error| Stop::Failed(format!("cannot start a worker: {error}")))?);
    }
    drop(sender);
    let snapshot = || -> Vec<Account> {
        accounts.iter().map(|account| account.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    };
    let mut written = Instant::now();
    let fed = loop {
        match receiver.recv_timeout(PULSE) {
            Ok(parcel) => {
                parcel.send(&mut outputs);
                receiver.try_iter().for_each(|parcel| parcel.send(&mut outputs));
                // Whoever is waited for has to wake us, which costs both as much as what there is to do.
                thread::sleep(GATHER);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break Ok(()),
        }
        if outputs.due() {
            outputs.event(options, || books::sums(&snapshot()));
            outputs.clock(now());
            outputs.tick();
            cache.iter_mut().for_each(|cache| cache.write(false));
        }
        if signal.load(Ordering::Relaxed) || outputs.gone() {
            break Ok(());
        }
        if written.elapsed() >= options.process.ledger_interval.duration() {
            written = Instant::now();
            if let Err(stop) = super::show(options, &books::ledger(&snapshot(), &outputs, false), false) {
                break Err(stop);
            }
        }
    };
    stop.store(true, Ordering::Relaxed);
    // Desks finish what they have begun into the queue; it is read until the last of them is gone.
    for parcel in &receiver {
        parcel.send(&mut outputs);
    }
    let mut failed = fed;
    for thread in threads {
        match thread.join() {
            Ok(result) => failed = failed.and(result),
            Err(_) => failed = failed.and(Err(Stop::Failed("a worker ended by a bug".into()))),
        }
    }
    cache.iter_mut().for_each(|cache| cache.write(true));
    outputs.close();
    super::show(options, &books::ledger(&snapshot(), &outputs, true), true)?;
    super::both(failed, outputs.outcome())
}

fn bad_packets(options: &Options) -> Result<desk::Bad, Stop> {
    let Some(path) = &options.collect.bad_packets else { return Ok(None) };
    Ok(Some(Arc::new(Mutex::new(bad_packets::BadPackets::create(path)?))))
}

fn tell(source: &mut dyn Exports) {
    for notice in source.notices() {
        log::warn("collect", &notice);
    }
}

/// What goes from a desk to the outputs.
enum Parcel {
    /// Messages for the output of this number, and where the empty buffer goes back to.
    Messages(usize, Messages, SyncSender<Messages>),
    /// What exporters told besides flows.
    Asides(Vec<Aside>),
}

impl Parcel {
    fn send(self, outputs: &mut Outputs) {
        match self {
            Parcel::Messages(at, mut messages, back) => {
                outputs.send(at, &messages);
                messages.clear();
                // A desk that has enough of them, or is gone, wants no more.
                let _full = back.try_send(messages);
            }
            Parcel::Asides(asides) => outputs.asides(asides),
        }
    }
}

/// One source with its desk, on a thread of its own.
struct Worker {
    source: Box<dyn Exports>,
    desk: Desk<Lines>,
    account: Arc<Mutex<Account>>,
    sender: SyncSender<Parcel>,
    back: SyncSender<Messages>,
    returned: Receiver<Messages>,
    stop: Arc<AtomicBool>,
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
            // Told before it is handed on, so that nothing is delivered that was not received.
            self.publish();
            self.hand_on();
            match poll {
                Ok(Poll::End) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(Stop::Failed(error.0)),
            }
            if self.stop.load(Ordering::Relaxed) {
                break Ok(());
            }
        };
        self.desk.close();
        self.desk.way.flush();
        self.publish();
        self.hand_on();
        result
    }

    fn publish(&mut self) {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.update_lines(&mut *self.source, &mut self.desk);
    }

    /// Hands finished messages to the outputs; a full queue loses them, counted.
    fn hand_on(&mut self) {
        let (sender, back, returned) = (&self.sender, &self.back, &self.returned);
        let mut lost = Vec::new();
        self.desk.way.give_away(&mut |at, messages| {
            let records = messages.records();
            let messages = mem::replace(messages, returned.try_recv().unwrap_or_default());
            if let Err(TrySendError::Full(_)) = sender.try_send(Parcel::Messages(at, messages, back.clone())) {
                lost.push((at, records));
            }
        });
        if let Some(asides) = self.desk.asides() {
            let count = asides.len() as u64;
            if let Err(TrySendError::Full(_)) = sender.try_send(Parcel::Asides(asides)) {
                self.desk.lose_asides(count);
                self.publish();
            }
        }
        if !lost.is_empty() {
            self.desk.way.lose(&lost);
            self.publish();
        }
    }
}
