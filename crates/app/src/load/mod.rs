//! The load generator: export traffic made up or replayed, to try collectors with.
//!
//! ```text
//! Flows -> netflow5 | templated (layout) | sflow5 -> Generator --Sender (pace, disorder)--> Target: sockets | capture
//!                                          Replay -----------'
//! ```
//!
//! Left of the sender everything is pure: time comes in as an argument, a seed decides the rest.

pub(crate) mod capture;
mod disorder;
pub mod flow;
mod frame;
pub mod layout;
mod netflow5;
pub mod options;
mod pace;
mod receiver;
mod replay;
mod report;
mod sender;
mod sflow5;
pub mod stream;
mod target;
mod templated;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flowsonde_engine::encode::Messages;
use flowsonde_io::process;

pub use options::{Action, Options};
pub use report::Report;

use crate::stop::Stop;
use pace::Unit;
use replay::Replay;
use sender::{Done, Sender};
use stream::Generator;
use target::Target;

/// Datagrams of one exporter sent together; of a few when many take turns.
const BURST: usize = 64;
const BURST_OF_MANY: usize = 8;

/// Sends what the options say, and tells what was done.
pub fn run(options: &Options) -> Result<Report, Stop> {
    let stop = Arc::new(AtomicBool::new(false));
    for number in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(number, Arc::clone(&stop))
            .map_err(|error| Stop::Failed(format!("signals cannot be handled: {error}")))?;
    }
    let (target, addresses) = Target::open(options)?;
    let before = process::cpu_time();
    let mut sender = Sender::new(options, target, stop);
    let mut skipped = 0;
    if options.replay.is_empty() {
        generate(options, addresses, &mut sender)?;
    } else {
        let mut replay = Replay::new(addresses);
        for _ in 0..options.repeat {
            if !replay.send(&options.replay, &mut sender)? {
                break;
            }
        }
        skipped = replay.skipped;
    }
    let time = sender.elapsed();
    let Done { target, left_out, dropped } = sender.finish()?;
    let (datagrams, flows, bytes) = target.sent;
    Ok(Report {
        datagrams,
        flows: options.replay.is_empty().then_some(flows),
        bytes,
        time,
        cpu: process::cpu_time().saturating_sub(before),
        lost: target.lost,
        left_out,
        skipped,
        dropped,
    })
}

fn generate(options: &Options, addresses: u32, sender: &mut Sender) -> Result<(), Stop> {
    let plan = stream::Plan { addresses, ..options.plan.clone() };
    let mut generator = Generator::new(&plan);
    let mut messages = Messages::default();
    let shuffle = usize::from(options.shuffle);
    let burst = match (&options.pcap, plan.exporters) {
        // Each packet of a capture has its own time.
        (Some(_), _) => 1,
        (None, 1) => BURST,
        (None, _) => BURST_OF_MANY,
    };
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(datagrams) = sender.wait(burst)? else { break };
        messages.clear();
        // What is to change places has to be there together.
        let number = generator.burst(datagrams.max(shuffle), left, sender.now(), &mut messages);
        left -= messages.records();
        sender.send(number, &messages)?;
    }
    Ok(())
}

impl Options {
    /// What a rate counts.
    fn unit(&self) -> Unit {
        if self.datagrams || !self.replay.is_empty() { Unit::Datagrams } else { Unit::Flows }
    }
}
