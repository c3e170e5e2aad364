//! What exporters tell besides flows, on its way from a desk to ntopng: bounded, and counted.

use flowsonde_engine::decode::records::{About, InterfaceCounters, Set};
use flowsonde_engine::transcode::{self, Aside, Scratch};
use flowsonde_wire::Nanos;

/// Most in a second, by the time of messages: counters of 1,600 ports every half minute are 53.
const MOST: u32 = 2000;

/// What a desk has gathered, and what it did.
#[derive(Default)]
pub struct Asides {
    gathered: Vec<Aside>,
    scratch: Scratch,
    second: u64,
    taken: u32,
    pub counters: Counters,
}

/// `told = handed on + rate_limit + export_queue_full`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// What exporters told.
    pub told: u64,
    /// Too many in a second.
    pub rate_limit: u64,
    /// Did not fit into the queue to the outputs.
    pub queue_full: u64,
}

impl Asides {
    /// Takes counters of an interface, and its name.
    pub fn counters(&mut self, sample: &InterfaceCounters<'_>, about: &About, now: Nanos) {
        for aside in [transcode::counter(sample, about), transcode::interface(sample, about)].into_iter().flatten() {
            self.take(aside, now);
        }
    }

    /// Takes options data.
    pub fn options(&mut self, set: &Set<'_>, now: Nanos) {
        let mut scratch = core::mem::take(&mut self.scratch);
        transcode::options(set, &mut scratch, &mut |aside| self.take(aside, now));
        self.scratch = scratch;
    }

    fn take(&mut self, aside: Aside, now: Nanos) {
        self.counters.told += 1;
        if self.second != now.seconds() {
            self.second = now.seconds();
            self.taken = 0;
        }
        if self.taken >= MOST {
            self.counters.rate_limit += 1;
            return;
        }
        self.taken += 1;
        self.gathered.push(aside);
    }

    /// What was gathered since.
    pub fn gathered(&mut self) -> Option<Vec<Aside>> {
        (!self.gathered.is_empty()).then(|| core::mem::take(&mut self.gathered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_so_many_a_second() {
        let mut asides = Asides::default();
        for n in 0..3 * MOST {
            asides.take(Aside::Counter(String::new()), Nanos::new((n / (2 * MOST)).into(), 0));
        }
        assert_eq!(asides.gathered().map(|all| all.len()), Some(2 * MOST as usize));
        assert_eq!((asides.counters.told, asides.counters.rate_limit), (u64::from(3 * MOST), u64::from(MOST)));
        assert!(asides.gathered().is_none());
    }
}
