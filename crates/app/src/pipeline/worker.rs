//! A worker of an interface: a ring and a meter of its own, on a thread of its own.
//!
//! It tells what it did in an [`Account`] that others read at any time, so what is in there balances at any time: ended
//! flows are kept until the account that has them as ended is published, and are handed on only then. So no output ever
//! has a flow that its worker has not told of.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flowsonde_engine::meter::{Ended, Meter};
use flowsonde_io::source::{Poll, Source};
use flowsonde_wire::Nanos;

use super::Countdown;
use super::books::Account;
use super::live::now;
use crate::log;

/// Batches of ended flows that may wait for the outputs: about 128 flows each.
pub const QUEUE: usize = 4096;
/// How often a worker tells what it did, and looks whether flows timed out without a packet.
pub const PULSE: Duration = Duration::from_millis(100);

/// What a worker sends.
pub type Batch = (Ended, Nanos);

/// Captures, meters, and sends ended flows to the outputs.
pub struct Worker {
    source: Box<dyn Source + Send>,
    meter: Meter,
    account: Arc<Mutex<Account>>,
    sender: SyncSender<Batch>,
    countdown: Countdown,
    stop: Arc<AtomicBool>,
    ended: Waiting,
    handed_on: u64,
    over_count: u64,
}

impl Worker {
    /// With nothing captured yet.
    pub fn new(
        source: Box<dyn Source + Send>,
        meter: Meter,
        account: Arc<Mutex<Account>>,
        sender: SyncSender<Batch>,
        countdown: Countdown,
        stop: Arc<AtomicBool>,
    ) -> Worker {
        let ended = Waiting::default();
        Worker { source, meter, account, sender, countdown, stop, ended, handed_on: 0, over_count: 0 }
    }

    /// Captures until told to stop, then ends every flow; an error says why it could not go on.
    pub fn run(mut self) -> Result<(), String> {
        let captured = self.capture();
        self.flush();
        captured
    }

    fn capture(&mut self) -> Result<(), String> {
        let mut pulse = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let (meter, ended) = (&mut self.meter, &mut self.ended);
            let (countdown, over) = (&self.countdown, &mut self.over_count);
            let poll = self.source.poll(&mut |frames| {
                let taken = countdown.take(frames.len());
                *over += (frames.len() - taken) as u64;
                meter.frames(frames.get(..taken).unwrap_or(&[]), &mut |batch| ended.keep(batch));
            });
            if !self.ended.batches.is_empty() {
                self.publish();
                self.offer();
            }
            match poll {
                Ok(Poll::End) => break,
                Ok(_) => {}
                Err(error) => return Err(error.0),
            }
            if self.countdown.over() {
                self.stop.store(true, Ordering::Relaxed);
            }
            if pulse.elapsed() >= PULSE {
                pulse = Instant::now();
                self.meter.tick(now(), &mut |batch| self.ended.keep(batch));
                self.publish();
                self.offer();
            }
        }
        Ok(())
    }

    /// Queues ended flows, or counts them as lost: a worker never waits.
    fn offer(&mut self) {
        for ended in self.ended.batches.drain(..) {
            let flows = ended.len() as u64;
            match self.sender.try_send((ended, now())) {
                Ok(()) => self.handed_on += flows,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.ended.lost += flows,
            }
        }
        let mut account = lock(&self.account);
        account.queue_full = self.ended.lost;
        account.waiting = 0;
        account.handed_on = self.handed_on;
    }

    /// Ends every flow. The outputs are still being read: nothing may be lost now for want of room.
    fn flush(&mut self) {
        // What ended before, and is told of.
        self.meter.tick(self.meter.now(), &mut |batch| self.ended.keep(batch));
        self.publish();
        for ended in core::mem::take(&mut self.ended.batches) {
            self.send(ended);
        }
        self.publish();
        // What ends now is too much to keep; so it is told of batch by batch, and once more, from the meter, at the end.
        let (account, sender) = (&self.account, &self.sender);
        let (handed_on, lost) = (&mut self.handed_on, &mut self.ended.lost);
        self.meter.flush(&mut |batch| {
            let flows = batch.len() as u64;
            lock(account).end(flows);
            if sender.send((batch.clone(), now())).is_ok() {
                *handed_on += flows;
            } else {
                *lost += flows;
            }
        });
        self.publish();
    }

    fn send(&mut self, ended: Ended) {
        let flows = ended.len() as u64;
        if self.sender.send((ended, now())).is_ok() {
            self.handed_on += flows;
        } else {
            self.ended.lost += flows;
        }
    }

    fn publish(&mut self) {
        let source = self.source.counters();
        while let Some(warning) = self.source.warning() {
            log::warn("capture", &warning);
        }
        let mut account = lock(&self.account);
        account.source = source;
        account.meter = self.meter.counters();
        account.over_count = self.over_count;
        account.queue_full = self.ended.lost;
        account.waiting = self.ended.batches.iter().map(|batch| batch.len() as u64).sum();
        account.handed_on = self.handed_on;
    }
}

/// Runs a worker to its end. When it fails while others are `running`, that is told at once: they may go on for months.
/// A panic is a failure too; what was in the worker is lost, and its account says so.
pub fn supervise(worker: Worker, running: &AtomicUsize) -> Result<(), String> {
    let account = Arc::clone(&worker.account);
    let done = panic::catch_unwind(AssertUnwindSafe(|| worker.run())).unwrap_or_else(|_| {
        let mut account = lock(&account);
        account.abandoned = true;
        Err(format!("-i {}: its worker panicked, which is a bug; please report what it said", account.name))
    });
    let last = running.fetch_sub(1, Ordering::Relaxed) == 1;
    if let Err(error) = &done
        && !last
    {
        log::warn("worker", &format!("{error}; the other workers go on"));
    }
    done
}

/// Ended flows until they are told of.
#[derive(Default)]
pub struct Waiting {
    pub batches: Vec<Ended>,
    /// Flows there was no room for, here or in the queue.
    pub lost: u64,
}

impl Waiting {
    /// Keeps a batch, or counts its flows as lost.
    pub fn keep(&mut self, batch: &Ended) {
        // More would not fit into the queue.
        if self.batches.len() < QUEUE {
            self.batches.push(batch.clone());
        } else {
            self.lost += batch.len() as u64;
        }
    }
}

/// An account is whole whenever it is not locked, whatever became of who held it.
pub fn lock<T>(account: &Mutex<T>) -> MutexGuard<'_, T> {
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::thread;

    use flowsonde_engine::encode::{self, Messages};
    use flowsonde_engine::fill::Env;
    use flowsonde_engine::meter::config::Config;
    use flowsonde_io::sink::{self, Sink};
    use flowsonde_io::source::{Counters, Error};
    use flowsonde_wire::{Frame, LinkType};

    use super::*;
    use crate::ledger::Ledger;
    use crate::pipeline::books;
    use crate::pipeline::outputs::{Output, Outputs};

    /// UDP packets, each a flow of its own, until they are used up; what comes then.
    struct Scan {
        worker: u8,
        sent: u32,
        packets: u32,
        end: fn() -> Result<Poll, Error>,
    }

    impl Source for Scan {
        fn poll(&mut self, consume: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
            if self.sent >= self.packets {
                return (self.end)();
            }
            let mut packets = Vec::new();
            for _ in 0..32 {
                self.sent += 1;
                let [a, b, c, d] = self.sent.to_be_bytes();
                let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, self.worker, a, b, 10, 9, 9, 9];
                packet.extend([c, d, 200, 0, 0, 8, 0, 0]);
                packets.push(packet);
            }
            let time = Nanos(1_700_000_000_000_000_000 + u64::from(self.sent) * 1_000_000);
            let frames: Vec<Frame<'_>> = packets
                .iter()
                .map(|bytes| Frame { time, link: LinkType::RAW, wire_len: 28, interface: 0, bytes })
                .collect();
            consume(&frames);
            Ok(Poll::Frames(frames.len()))
        }

        fn counters(&mut self) -> Counters {
            Counters { seen: self.sent.into(), ..Counters::default() }
        }
    }

    /// Takes everything; holds back the last message.
    #[derive(Default)]
    struct Hole(sink::Counters);

    impl Sink for Hole {
        fn send(&mut self, messages: &Messages) {
            self.0.records += messages.records();
            self.0.delivered += messages.records() + core::mem::take(&mut self.0.queued);
            if let Some((_, records)) = messages.iter().last() {
                self.0.queued = records.into();
                self.0.delivered -= u64::from(records);
            }
        }
        fn tick(&mut self) {}
        fn close(&mut self) {
            self.0.delivered += core::mem::take(&mut self.0.queued);
        }
        fn counters(&self) -> sink::Counters {
            self.0.clone()
        }
    }

    fn outputs() -> Outputs {
        let output = |name: &str| {
            let options = encode::Options { queue_seconds: 3600, ..encode::Options::default() };
            Output::new(name, (encode::format(name).unwrap().start)(&options).unwrap(), Box::<Hole>::default())
        };
        Outputs::new(Env::default(), vec![output("json")], vec![output("netflow9"), output("ipfix")]).dealing(false, 1)
    }

    fn assert_balanced(ledger: &Ledger) {
        ledger.check().unwrap();
        for (from, to) in [("capture", "meter"), ("cache", "queue")] {
            ledger.check_link(from, to).unwrap();
        }
        let sum = |stage: &str, of: fn(&crate::ledger::Stage) -> u64, collectors: bool| -> u64 {
            let stages = ledger.stages.iter().filter(|s| s.stage == stage && (s.source != "json") == collectors);
            stages.map(of).sum()
        };
        let handed_on = sum("queue", |s| s.delivered, true);
        for collectors in [false, true] {
            assert_eq!(sum("encode", |s| s.received, collectors), handed_on);
        }
    }

    /// Two workers on packets that never end their flow, into a small cache; every ledger on the way is looked at.
    fn every_ledger_balances(packets: u32, end: fn() -> Result<Poll, Error>) -> (Ledger, u32) {
        let (sender, receiver) = sync_channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let running = Arc::new(AtomicUsize::new(2));
        let mut accounts = Vec::new();
        let mut workers = Vec::new();
        for worker in [1, 2] {
            let account = Arc::new(Mutex::new(Account { name: format!("lo#{worker}"), ..Account::default() }));
            accounts.push(Arc::clone(&account));
            let source = Box::new(Scan { worker, sent: 0, packets, end });
            let meter = Meter::new(Config { max_flows: 10_000, ..Config::default() });
            let (sender, stop) = (sender.clone(), Arc::clone(&stop));
            let worker = Worker::new(source, meter, account, sender, Countdown::new(None), stop);
            let running = Arc::clone(&running);
            workers.push(thread::spawn(move || supervise(worker, &running)));
        }
        drop(sender);
        let all = || -> Vec<Account> { accounts.iter().map(|account| lock(account).clone()).collect() };
        let mut outputs = outputs();
        for (ended, time) in &receiver {
            assert_balanced(&books::ledger(&all(), &outputs, false));
            outputs.take(&ended, time);
            assert_balanced(&books::ledger(&all(), &outputs, false));
        }
        let mut failed = 0;
        for worker in workers {
            failed += u32::from(worker.join().unwrap().is_err());
        }
        outputs.close(now());
        let ledger = books::ledger(&all(), &outputs, true);
        assert_balanced(&ledger);
        (ledger, failed)
    }

    #[test]
    fn every_ledger_on_the_way_balances() {
        let (ledger, failed) = every_ledger_balances(100_000, || Ok(Poll::End));
        let queue = ledger.stages.iter().find(|stage| stage.stage == "queue").unwrap();
        assert_eq!((queue.received, failed), (200_000, 0));
    }

    #[test]
    fn also_while_a_worker_that_failed_ends_its_flows() {
        let (_, failed) = every_ledger_balances(9_984, || Err(Error("-i lo: is gone".into())));
        assert_eq!(failed, 2);
    }

    #[test]
    fn what_a_worker_held_that_panicked_is_lost_and_told() {
        let (ledger, failed) = every_ledger_balances(20_000, || unreachable!("on purpose"));
        assert_eq!(failed, 2);
        let lost = |name: &str| -> u64 {
            ledger.stages.iter().filter(|s| s.stage == name).filter_map(|s| s.lost.get("worker_failed")).sum()
        };
        assert!(lost("cache") > 0 && lost("cache") <= 20_000, "{ledger:?}");
    }
}
