//! What exporters tell besides flows, on its way from a desk to ntopng: bounded, and counted.

use flowsonde_engine::decode::records::{About, InterfaceCounters, Set};
use flowsonde_engine::transcode::{self, Aside, Gather, Scratch};
use flowsonde_wire::Nanos;

/// Most in a second, by the time of messages: counters of 1,600 ports every half minute are 53.
const MOST: u32 = 2000;

/// What a desk has gathered, and what it did.
#[derive(Default)]
pub struct Asides {
    gathered: Vec<Aside>,
    scratch: Scratch,
    rate: Rate,
    pub counters: Counters,
}

/// How many were taken in a second.
#[derive(Default)]
struct Rate {
    second: u64,
    taken: u32,
}

impl Rate {
    /// Whether there is room for another.
    fn has_room(&mut self, now: Nanos) -> bool {
        if self.second != now.seconds() {
            *self = Rate { second: now.seconds(), taken: 0 };
        }
        self.taken < MOST
    }
}

/// What is gathered at a time.
struct At<'a> {
    asides: &'a mut Asides,
    now: Nanos,
}

impl Gather for At<'_> {
    fn has_room(&mut self) -> bool {
        let room = self.asides.rate.has_room(self.now);
        if !room {
            self.asides.counters.told += 1;
            self.asides.counters.rate_limit += 1;
        }
        room
    }

    fn take(&mut self, aside: Aside) {
        self.asides.counters.told += 1;
        self.asides.rate.taken += 1;
        self.asides.gathered.push(aside);
    }
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
        let mut at = At { asides: self, now };
        for tell in [transcode::counter, transcode::interface] {
            if at.has_room()
                && let Some(aside) = tell(sample, about)
            {
                at.take(aside);
            }
        }
    }

    /// Takes options data.
    pub fn options(&mut self, set: &Set<'_>, now: Nanos) {
        let mut scratch = core::mem::take(&mut self.scratch);
        transcode::options(set, &mut scratch, &mut At { asides: self, now });
        self.scratch = scratch;
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
            let mut at = At { asides: &mut asides, now: Nanos::new((n / (2 * MOST)).into(), 0) };
            if at.has_room() {
                at.take(Aside::Counter(String::new()));
            }
        }
        assert_eq!(asides.gathered().map(|all| all.len()), Some(2 * MOST as usize));
        assert_eq!((asides.counters.told, asides.counters.rate_limit), (u64::from(3 * MOST), u64::from(MOST)));
        assert!(asides.gathered().is_none());
    }
}
