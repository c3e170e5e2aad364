//! Ports: a desk each on a thread of its own, one thread for all outputs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::books::{self, Account};
use super::desk::Desk;
use super::places::open;
use super::relay_state::RelayState;
use super::template_cache::TemplateCache;
use super::way::{Did, Done, Ends, Way};
use super::worker::{Parcel, Worker};
use super::{bad_packets, now};
use crate::flags::Options;
use crate::pipeline::feed::Feed;
use crate::pipeline::worker::lock;
use crate::pipeline::{self, Signal};
use crate::stop::Stop;

/// Collects from the network until told to stop.
pub fn run<E: Ends>(options: &Options, signal: &Signal) -> Result<(), Stop> {
    let state = RelayState::open(options)?;
    let sources = open(options, state.as_ref())?;
    let names: Vec<_> = sources.iter().map(|(name, _)| name.as_str()).collect();
    let mut ends = E::open(options, &names.join(","), false, signal)?;
    pipeline::drop_privileges(options)?;
    ends.clock(now());
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = sync_channel(E::Way::QUEUE);
    let (desks, bad) = (sources.len(), bad_packets(options)?);
    let mut learnt = TemplateCache::open(options)?;
    let mut accounts = Vec::new();
    let mut threads = Vec::new();
    for (number, (name, source)) in sources.into_iter().enumerate() {
        let account = Arc::new(Mutex::new(Account::new(&name)));
        accounts.push(Arc::clone(&account));
        let mut desk = Desk::new(options, desks, bad.clone(), ends.way(options, number, desks)?);
        desk.remember(learnt.as_mut());
        let (sender, stop, patient) = (sender.clone(), Arc::clone(&stop), source.is_patient());
        let worker = Worker { source, desk, account, sender, stop, patient, asked: None };
        let thread = thread::Builder::new().name(format!("collect {name}")).spawn({
            let cpus = options.capture.cpus.clone();
            move || {
                pipeline::pin(&cpus, number);
                worker.run()
            }
        });
        threads.push(thread.map_err(|error| Stop::Failed(format!("cannot start a worker: {error}")))?);
    }
    drop(sender);
    let mut collecting = Collecting { options, signal, ends, accounts, learnt, state };
    let fed = collecting.run(&receiver, options.process.ledger_interval.duration());
    stop.store(true, Ordering::Relaxed);
    // Desks finish what they have begun into the queue; it is read until the last of them is gone.
    for parcel in &receiver {
        collecting.take(parcel);
    }
    let mut failed = fed;
    for (thread, account) in threads.into_iter().zip(&collecting.accounts) {
        let ended = thread.join().unwrap_or_else(|_| {
            lock(account).did.abandon();
            Err(Stop::Failed("a worker panicked, which is a bug".into()))
        });
        failed = pipeline::both(failed, ended);
    }
    collecting.learnt.iter_mut().for_each(|cache| cache.write(true));
    collecting.ends.close(now());
    let shown = collecting.tell(true);
    pipeline::both(failed, shown).and_then(|()| collecting.ends.outcome())
}

/// The outputs at work, and what they tell.
struct Collecting<'a, E: Ends> {
    options: &'a Options,
    signal: &'a Signal,
    ends: E,
    accounts: Vec<Arc<Mutex<Account<Done<E>>>>>,
    learnt: Option<TemplateCache>,
    state: Option<RelayState>,
}

impl<E: Ends> Collecting<'_, E> {
    fn tell(&self, last: bool) -> Result<(), Stop> {
        pipeline::show(self.options, &books::ledger(&snapshot(&self.accounts), &self.ends, last), last)
    }
}

impl<E: Ends> Feed for Collecting<'_, E> {
    type Parcel = Parcel<E::Way>;
    const GATHER: Duration = Duration::from_millis(2);

    fn take(&mut self, parcel: Self::Parcel) {
        match parcel {
            Parcel::Way(parcel) => self.ends.take(parcel),
            Parcel::Asides(asides) => self.ends.asides(asides),
            Parcel::Settle(settle) => {
                self.ends.settle(now());
                if let Some(state) = &mut self.state {
                    state.keep(&settle.unsettled.positions);
                }
                settle.done.store(settle.unsettled.ticket, Ordering::Release);
            }
        }
    }

    fn tick(&mut self) {
        let Collecting { ends, accounts, learnt, .. } = self;
        ends.tick(now());
        ends.event(self.options, || books::sums(&snapshot(accounts)));
        learnt.iter_mut().for_each(|cache| cache.write(false));
    }

    fn over(&self) -> bool {
        self.signal.load(Ordering::Relaxed) || self.ends.gone()
    }

    fn show(&mut self) -> Result<(), Stop> {
        self.tell(false)
    }
}

fn snapshot<D: Did>(accounts: &[Arc<Mutex<Account<D>>>]) -> Vec<Account<D>> {
    accounts.iter().map(|account| lock(account).clone()).collect()
}
