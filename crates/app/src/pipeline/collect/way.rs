//! The two ways of collecting, as the loops that drive them see them.
//!
//! ```text
//! Desk<Way> --Parcel--> Ends        lines: records to messages, no cache     cached: records to flows
//! ```

use flowsonde_engine::decode::records::{Set, Taken};
use flowsonde_engine::transcode::Aside;
use flowsonde_wire::Nanos;

use super::books::Account;
use crate::flags::Options;
use crate::ledger::Ledger;
use crate::pipeline::Signal;
use crate::pipeline::ntopng::Sums;
use crate::stop::Stop;

/// What records go to at a desk.
pub trait Way: Send + 'static {
    /// What goes on from there to the outputs.
    type Parcel: Send;
    /// What it did.
    type Did: Did;
    /// Parcels that may wait between the desks and the outputs.
    const QUEUE: usize;

    /// Takes the records of a set. Tells how many there were.
    fn flows(&mut self, set: &Set<'_>, now: Nanos) -> Taken;
    /// Takes the records of a set of options data.
    fn options(&mut self, set: &Set<'_>, now: Nanos) {
        let _ = (set, now);
    }
    /// What waited too long goes on.
    fn tick(&mut self, now: Nanos);
    /// Hands on what is finished by now. What `to` has no room for is lost, and counted.
    fn hand_on(&mut self, now: Nanos, to: &mut dyn FnMut(Self::Parcel) -> bool);
    /// Finishes what was begun, as far as there is room for it here.
    fn finish(&mut self);
    /// Hands on what there was no room for. Of each piece the flows are told before.
    fn empty(&mut self, _now: Nanos, _ended: &mut dyn FnMut(u64), _to: &mut dyn FnMut(Self::Parcel) -> bool) {}
    /// Tells what it did.
    fn tell(&self, did: &mut Self::Did);
}

/// What a way did.
pub trait Did: Clone + Send + 'static {
    /// Nothing.
    fn new(name: &str) -> Self;
    /// Records, or flows, that did not fit into the queue to the outputs.
    fn queue_full(&self) -> u64;
    /// Flows end by [`Way::empty`].
    fn end(&mut self, _flows: u64) {}
    /// The desk is no more, and what it held is lost.
    fn abandon(&mut self) {}
}

/// The outputs of a way.
pub trait Ends: Sized {
    /// The way.
    type Way: Way;

    /// Opens them, for what comes from `source`. `patient` where nothing is lost by waiting, until there is the signal.
    fn open(options: &Options, source: &str, patient: bool, signal: &Signal) -> Result<Self, Stop>;
    /// The way of the desk of this number, of so many.
    fn way(&self, options: &Options, number: usize, desks: usize) -> Result<Self::Way, Stop>;
    /// Takes what a desk handed on.
    fn take(&mut self, parcel: Parcel<Self>);
    /// Tells ntopng what exporters told besides flows.
    fn asides(&mut self, asides: Vec<Aside>);
    /// Tells the time of what follows.
    fn clock(&mut self, now: Nanos);
    /// Does what is due: writes what is queued, rotates, connects again.
    fn tick(&mut self, now: Nanos);
    /// Tells ntopng how the collector is, when that is due.
    fn event(&mut self, options: &Options, sums: impl Fn() -> Sums);
    /// What they were given is to be where it outlives the program, as far as they can do that.
    fn settle(&mut self, now: Nanos);
    /// An output is gone for good.
    fn gone(&self) -> bool;
    /// Sends all that is left.
    fn close(&mut self, now: Nanos);
    /// What they could not do; to be called once they are closed.
    fn outcome(&self) -> Result<(), Stop>;
    /// Adds the stages from the desks on.
    fn stages(&self, accounts: &[Account<Done<Self>>], ledger: &mut Ledger);
}

/// What the way of these outputs hands on.
pub type Parcel<E> = <<E as Ends>::Way as Way>::Parcel;
/// What it did.
pub type Done<E> = <<E as Ends>::Way as Way>::Did;
