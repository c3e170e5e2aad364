//! One source with its desk, on a thread of its own.
//!
//! What is handed on was told of before, so that nothing is delivered that was not received, and every ledger balances.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flowsonde_engine::transcode::Aside;
use flowsonde_io::source::Poll;
use flowsonde_io::source::exports::{Exports, Unsettled};

use super::books::Account;
use super::desk::Desk;
use super::way::{Did, Way};
use super::{PULSE, now, tell};
use crate::pipeline::worker::lock;
use crate::stop::Stop;

/// What goes from a desk to the outputs.
pub enum Parcel<W: Way> {
    /// What it made of records.
    Way(W::Parcel),
    /// What exporters told besides flows.
    Asides(Vec<Aside>),
    /// What came before is to be where it outlives us; then the number of this is to be told.
    Settle(Settle),
}

/// How far a relay's messages were handed on, and who waits to hear that they arrived.
pub struct Settle {
    pub unsettled: Unsettled,
    pub done: Arc<AtomicU64>,
}

/// Between two settlements: what is made of records gathers meanwhile, and goes out in parts when one is due.
const SETTLE: Duration = Duration::from_millis(20);
/// How long the last one is waited for.
const LAST: Duration = Duration::from_secs(5);

/// See the module.
pub struct Worker<W: Way> {
    pub source: Box<dyn Exports>,
    pub desk: Desk<W>,
    pub account: Arc<Mutex<Account<W::Did>>>,
    pub sender: SyncSender<Parcel<W>>,
    pub stop: Arc<AtomicBool>,
    /// Nothing is lost for want of room: the source waits, and keeps what comes.
    pub patient: bool,
    /// The last settlement that was asked for.
    pub asked: Option<u64>,
}

impl<W: Way> Worker<W> {
    /// Collects until told to stop, then finishes what was begun.
    pub fn run(mut self) -> Result<(), Stop> {
        let mut pulse = Instant::now();
        let (mut settled, done) = (Instant::now(), Arc::new(AtomicU64::new(0)));
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
            // A full queue loses what does not fit: a desk never waits.
            if settled.elapsed() >= SETTLE {
                settled = Instant::now();
                self.settle(&done);
            }
            match self.patient {
                true => self.hand_on(|sender, parcel| sender.send(parcel).is_ok()),
                false => self.hand_on(|sender, parcel| sender.try_send(parcel).is_ok()),
            }
            match poll {
                Ok(Poll::End) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(Stop::Failed(error.0)),
            }
            if self.stop.load(Ordering::Relaxed) {
                break Ok(());
            }
        };
        self.finish();
        self.settle(&done);
        let since = Instant::now();
        while let Some(ticket) = self.asked
            && done.load(Ordering::Acquire) < ticket
            && since.elapsed() < LAST
        {
            thread::sleep(Duration::from_millis(1));
        }
        self.source.settled(done.load(Ordering::Acquire));
        result
    }

    /// Says what arrived for good, and asks for more to.
    fn settle(&mut self, done: &Arc<AtomicU64>) {
        self.source.settled(done.load(Ordering::Acquire));
        let Some(unsettled) = self.source.unsettled() else { return };
        self.asked = Some(unsettled.ticket);
        // Records that wait for others to go with go now.
        self.desk.way.finish();
        self.hand_on(|sender, parcel| sender.send(parcel).is_ok());
        // Without a receiver nothing arrives.
        let _gone = self.sender.send(Parcel::Settle(Settle { unsettled, done: Arc::clone(done) }));
    }

    fn publish(&mut self) {
        lock(&self.account).update(&mut *self.source, &mut self.desk);
    }

    /// Hands on what is finished; what `send` does not take is lost, and counted.
    fn hand_on(&mut self, send: impl Fn(&SyncSender<Parcel<W>>, Parcel<W>) -> bool) {
        let (sender, mut lost) = (&self.sender, false);
        self.desk.way.hand_on(now(), &mut |parcel| {
            let sent = send(sender, Parcel::Way(parcel));
            lost |= !sent;
            sent
        });
        if let Some(asides) = self.desk.asides() {
            let count = asides.len() as u64;
            if !send(sender, Parcel::Asides(asides)) {
                self.desk.lose_asides(count);
                lost = true;
            }
        }
        if lost {
            self.publish();
        }
    }

    /// The outputs are still being read: nothing may be lost now for want of room.
    fn finish(&mut self) {
        self.desk.close();
        self.desk.way.tick(now());
        self.desk.way.finish();
        self.publish();
        let wait = |sender: &SyncSender<Parcel<W>>, parcel| sender.send(parcel).is_ok();
        self.hand_on(wait);
        let (account, sender) = (&self.account, &self.sender);
        self.desk
            .way
            .empty(now(), &mut |flows| lock(account).did.end(flows), &mut |parcel| wait(sender, Parcel::Way(parcel)));
        self.publish();
    }
}
