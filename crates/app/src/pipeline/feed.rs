//! The thread of the outputs, where others make what it takes.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::worker::PULSE;
use crate::stop::Stop;

/// Takes what workers send.
pub trait Feed {
    /// What they send.
    type Parcel;
    /// How long parcels gather before it looks again: whoever is waited for has to wake us, which may cost both as much as
    /// what there is to do.
    const GATHER: Duration = Duration::ZERO;

    /// Takes one.
    fn take(&mut self, parcel: Self::Parcel);
    /// Does what is due by the clock.
    fn tick(&mut self);
    /// There is an end to it, or no use in it.
    fn over(&self) -> bool;
    /// Tells the ledger.
    fn show(&mut self) -> Result<(), Stop>;

    /// Goes on until it is over, or until no worker is left. The ledger is told every `interval`.
    fn run(&mut self, receiver: &Receiver<Self::Parcel>, interval: Duration) -> Result<(), Stop> {
        let mut written = Instant::now();
        loop {
            match receiver.recv_timeout(PULSE) {
                Ok(parcel) => {
                    self.take(parcel);
                    if !Self::GATHER.is_zero() {
                        receiver.try_iter().for_each(|parcel| self.take(parcel));
                        thread::sleep(Self::GATHER);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.tick();
            if self.over() {
                return Ok(());
            }
            if written.elapsed() >= interval {
                written = Instant::now();
                self.show()?;
            }
        }
    }
}
