//! Captures: one thread, in the time of the messages.

use std::slice;
use std::sync::atomic::Ordering;
use std::time::Instant;

use flowsonde_io::source::Poll;
use flowsonde_io::source::exports::Exports;

use super::books::{self, Account};
use super::desk::Desk;
use super::places::open_captures;
use super::template_cache::TemplateCache;
use super::way::{Ends, Way};
use super::{PULSE, bad_packets, tell};
use crate::flags::Options;
use crate::pipeline::{self, Signal};
use crate::progress::{Done, Progress};
use crate::stop::Stop;

/// Collects until the captures end, or until told to stop.
pub fn run<E: Ends>(options: &Options, signal: &Signal) -> Result<(), Stop> {
    let mut source = open_captures(options)?;
    let mut ends = E::open(options, "captures", true, signal)?;
    let mut desk = Desk::new(options, 1, bad_packets(options)?, ends.way(options, 0, 1)?);
    let mut learnt = TemplateCache::open(options)?;
    desk.remember(learnt.as_mut());
    let mut account = Account::new("captures");
    let mut progress = Progress::new(options.process.progress, Instant::now());
    let mut pulse = Instant::now();
    let mut written = Instant::now();
    let read = loop {
        let poll = source.poll(&mut desk);
        ends.clock(desk.now());
        hand_on(&mut desk, &mut ends);
        match poll {
            Ok(Poll::End) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(Stop::Failed(error.0)),
        }
        if signal.load(Ordering::Relaxed) || ends.gone() {
            break Ok(());
        }
        if pulse.elapsed() >= PULSE {
            pulse = Instant::now();
            desk.tick(desk.now());
            desk.way.tick(desk.now());
            ends.tick(desk.now());
            tell(&mut source);
            let (bytes, total) = source.progress().map_or((0, None), |(done, total)| (done, Some(total)));
            let counters = source.counters();
            progress.show(&Done { bytes, total, packets: counters.packets, flows: desk.flows() }, Instant::now());
        }
        if written.elapsed() >= options.process.ledger_interval.duration() {
            written = Instant::now();
            account.update(&mut source, &mut desk);
            pipeline::show(options, &books::ledger(slice::from_ref(&account), &ends, false), false)?;
        }
    };
    desk.close();
    desk.way.finish();
    hand_on(&mut desk, &mut ends);
    desk.way.empty(desk.now(), &mut |_| {}, &mut |parcel| {
        ends.take(parcel);
        true
    });
    learnt.iter_mut().for_each(|cache| cache.write(true));
    ends.close(desk.now());
    tell(&mut source);
    drop(progress);
    account.update(&mut source, &mut desk);
    let shown = pipeline::show(options, &books::ledger(slice::from_ref(&account), &ends, true), true);
    pipeline::both(read, shown).and_then(|()| ends.outcome())
}

fn hand_on<E: Ends>(desk: &mut Desk<E::Way>, ends: &mut E) {
    desk.way.hand_on(desk.now(), &mut |parcel| {
        ends.take(parcel);
        true
    });
    ends.asides(desk.asides().unwrap_or_default());
}
