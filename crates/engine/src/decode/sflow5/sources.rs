//! What each source of an agent sampled, and what it could not.
//!
//! Every source numbers its samples, and counts those it chose but had to drop. Numbers wrap at 32 bits; a sample that
//! comes late fills the gap it left; a step back of over 1,000 is a new start.

use flowsonde_wire::export::sflow5::Source;

/// Most sources of one sub-agent. A chassis has some thousand ports at most.
const MAX_SOURCES: usize = 4096;
/// A step back further than this is a new start.
const REORDERING: u32 = 1000;

/// Sources by their class and number.
///
/// They are kept in order: there are few, new ones are seldom, and nobody can make a search of it slow.
#[derive(Debug, Default)]
pub struct Sources {
    by_id: Vec<Expected>,
    epoch: u64,
    /// Samples of sources beyond the most that are kept: nothing is known of their gaps.
    pub untracked: u64,
}

#[derive(Clone, Copy, Debug)]
struct Expected {
    id: u64,
    next: u32,
    drops: u32,
}

/// What a sample tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Samples missing in front of it.
    pub lost: u64,
    /// It was one of those missing.
    pub late: bool,
    /// Samples the source dropped since the one before.
    pub drops: u64,
}

/// What is numbered apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Samples of packets.
    Flow,
    /// Packets discarded.
    Discard,
}

impl Sources {
    /// The agent's own count of new starts: another one and all begin anew.
    #[inline]
    pub fn epoch(&mut self, epoch: u64) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.by_id.clear();
        }
    }

    /// A sample arrived with its number and its source's count of drops.
    #[inline]
    pub fn arrived(&mut self, kind: Kind, source: Source, sequence: u32, drops: u32) -> Told {
        // Classes are 0 to 3.
        let id = u64::from(source.class) << 33 | u64::from(source.index) << 1 | kind as u64;
        let now = Expected { id, next: sequence.wrapping_add(1), drops };
        let place = match self.by_id.binary_search_by_key(&id, |expected| expected.id) {
            Ok(place) => place,
            Err(place) if self.by_id.len() < MAX_SOURCES => {
                self.by_id.insert(place, now);
                return Told::default();
            }
            Err(_) => {
                self.untracked += 1;
                return Told::default();
            }
        };
        let Some(before) = self.by_id.get_mut(place) else { return Told::default() };
        let step = sequence.wrapping_sub(before.next);
        if step <= u32::MAX / 2 {
            let more = drops.wrapping_sub(before.drops);
            *before = now;
            // Drops that fell are of a new start.
            let drops = if more <= u32::MAX / 2 { more.into() } else { 0 };
            return Told { lost: step.into(), late: false, drops };
        }
        if step.wrapping_neg() > REORDERING {
            *before = now;
            return Told::default();
        }
        Told { late: true, ..Told::default() }
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: Source = Source { class: 0, index: 7 };

    fn told(lost: u64, late: bool, drops: u64) -> Told {
        Told { lost, late, drops }
    }

    #[test]
    fn gaps_and_drops_count_across_the_wrap() {
        let mut sources = Sources::default();
        let mut flow = |sequence, drops| sources.arrived(Kind::Flow, PORT, sequence, drops);
        assert_eq!(flow(u32::MAX - 1, u32::MAX - 4), told(0, false, 0));
        assert_eq!(flow(u32::MAX, u32::MAX - 2), told(0, false, 2));
        assert_eq!(flow(2, 7), told(2, false, 10));
        assert_eq!(flow(0, 0), told(0, true, 0));
        assert_eq!(flow(3, 7), told(0, false, 0));
        // A new start.
        assert_eq!(flow(5000, 7), told(4996, false, 0));
        assert_eq!(flow(1, 0), told(0, false, 0));
        assert_eq!(flow(2, 3), told(0, false, 3));
        // What is numbered apart is another source.
        assert_eq!(sources.arrived(Kind::Discard, PORT, 900, 900), told(0, false, 0));
        assert_eq!(sources.arrived(Kind::Flow, Source { class: 1, ..PORT }, 900, 900), told(0, false, 0));
        assert_eq!(sources.len(), 3);
        sources.epoch(1);
        assert!(sources.is_empty());
    }

    #[test]
    fn sources_are_bounded() {
        let mut sources = Sources::default();
        for index in 0..5000 {
            sources.arrived(Kind::Flow, Source { class: 0, index }, 1, 0);
        }
        assert_eq!((sources.len(), sources.untracked), (MAX_SOURCES, 5000 - MAX_SOURCES as u64));
        assert_eq!(sources.arrived(Kind::Flow, PORT, 4, 0), told(2, false, 0));
    }
}
