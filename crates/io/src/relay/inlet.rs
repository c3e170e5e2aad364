//! What a collector has of one relay, by numbers.
//!
//! ```text
//!   settled: acknowledged      taken: handed on        the relay's next
//!   |--------------------------|-----------------------|
//! ```
//!
//! What was taken is not taken again, however often it is sent; what is between the two comes again when the collector is
//! started anew.

use flowsonde_wire::relay::{Batch, Reason, Relay};

/// See the module.
#[derive(Clone, Debug)]
pub struct Inlet {
    /// Who it is.
    pub relay: Relay,
    /// When the relay was started.
    pub epoch: u64,
    /// Every number before it was handed on, or lost.
    pub taken: u64,
    /// Every number before it is in the outputs, or lost.
    pub settled: u64,
    /// Datagrams that were handed on.
    pub datagrams: u64,
    /// Datagrams that came again.
    pub duplicates: u64,
    /// Datagrams that were lost, by [`Reason::ALL`].
    pub lost: [u64; Reason::ALL.len()],
    /// New starts of the relay.
    pub restarts: u64,
}

/// What of a batch is new: how many datagrams at its beginning are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Those that came before.
    pub known: u32,
}

impl Inlet {
    /// Of a relay whose numbers go on from `next`, as far as is known.
    pub fn new(relay: Relay, epoch: u64, next: u64) -> Inlet {
        Inlet {
            relay,
            epoch,
            taken: next,
            settled: next,
            datagrams: 0,
            duplicates: 0,
            lost: [0; Reason::ALL.len()],
            restarts: 0,
        }
    }

    /// The relay says what it has. Where it begins anew its numbers do too, but for one that has a spool.
    pub fn welcome(&mut self, durable: bool, epoch: u64, first: u64) {
        if epoch != self.epoch {
            self.restarts += 1;
            self.epoch = epoch;
            if !durable {
                (self.taken, self.settled) = (first, first);
            }
        }
    }

    /// A batch came: `None` when all of it is known.
    pub fn batch(&mut self, batch: &Batch<'_>) -> Option<Part> {
        let end = batch.first.checked_add(batch.count.into())?;
        // It was to tell of the hole.
        if batch.first > self.taken {
            self.gap(Reason::Other(0), self.taken, batch.first - self.taken);
        }
        let known = (self.taken - batch.first).min(batch.count.into()) as u32;
        self.duplicates += u64::from(known);
        if known == batch.count {
            return None;
        }
        self.datagrams += u64::from(batch.count - known);
        self.taken = end;
        Some(Part { known })
    }

    /// Datagrams of a batch that could not be read: they count as lost.
    pub fn unread(&mut self, count: u64) {
        self.datagrams = self.datagrams.saturating_sub(count);
        self.lose(Reason::Other(0), count);
    }

    /// The relay lost these.
    pub fn gap(&mut self, reason: Reason, first: u64, count: u64) {
        let Some(end) = first.checked_add(count) else { return };
        if first > self.taken {
            self.lose(Reason::Other(0), first - self.taken);
            self.taken = first;
        }
        self.lose(reason, end.saturating_sub(self.taken));
        self.taken = self.taken.max(end);
    }

    fn lose(&mut self, reason: Reason, count: u64) {
        let at = Reason::ALL.iter().position(|known| *known == reason).unwrap_or(Reason::ALL.len() - 1);
        if let Some(lost) = self.lost.get_mut(at) {
            *lost = lost.saturating_add(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_wire::Nanos;

    fn batch(first: u64, count: u32) -> Batch<'static> {
        Batch { compressed: false, count, first, time: Nanos(0), length: 0, bytes: &[] }
    }

    #[test]
    fn nothing_is_taken_twice_and_holes_count_once() {
        let mut inlet = Inlet::new([1; 16], 5, 0);
        assert_eq!(inlet.batch(&batch(0, 10)), Some(Part { known: 0 }));
        assert_eq!(inlet.batch(&batch(0, 10)), None);
        assert_eq!(inlet.batch(&batch(5, 10)), Some(Part { known: 5 }));
        inlet.gap(Reason::SpoolFull, 15, 5);
        inlet.gap(Reason::SpoolFull, 15, 5);
        assert_eq!(inlet.batch(&batch(22, 1)), Some(Part { known: 0 }));
        assert_eq!((inlet.taken, inlet.datagrams, inlet.duplicates), (23, 16, 15));
        // Five that it told of, two that it did not.
        assert_eq!(inlet.lost, [0, 5, 0, 0, 2]);
        inlet.welcome(true, 6, 3);
        assert_eq!((inlet.taken, inlet.restarts), (23, 1));
        inlet.welcome(false, 7, 0);
        assert_eq!((inlet.taken, inlet.restarts), (0, 2));
        assert_eq!(inlet.batch(&batch(u64::MAX, 2)), None);
    }
}
