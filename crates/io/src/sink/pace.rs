//! Pauses between exported packets (`-e`, `-B`), for receivers that cannot take a burst. Who ends the program does not
//! wait for them.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A pause of `delay` after every `packets` packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long to pause, `-e`.
    pub delay: Duration,
    /// How many packets go out before a pause, `-B`; 0 means 1.
    pub packets: u32,
}

/// A [`Pace`] being kept.
#[derive(Debug)]
pub(super) struct Pacer {
    pace: Option<Pace>,
    left: u32,
    /// Once true there are no more pauses.
    hurry: Option<Arc<AtomicBool>>,
}

impl Pacer {
    pub(super) fn new(pace: Option<Pace>) -> Self {
        let pace = pace.filter(|pace| !pace.delay.is_zero());
        Pacer { pace, left: pace.map_or(u32::MAX, |pace| pace.packets.max(1)), hurry: None }
    }

    /// Makes no more pauses once this is true.
    pub(super) fn until(self, hurry: Option<Arc<AtomicBool>>) -> Self {
        Pacer { hurry, ..self }
    }

    /// Packets that may go out before the next pause, at least one.
    pub(super) fn allowance(&self) -> usize {
        self.left as usize
    }

    /// Packets between pauses, at least one.
    pub(super) fn period(&self) -> usize {
        self.pace.map_or(u32::MAX, |pace| pace.packets.max(1)) as usize
    }

    /// Counts packets that went out, and pauses when the allowance is used up.
    pub(super) fn sent(&mut self, packets: usize) {
        let Some(pace) = self.pace else { return };
        self.left = self.left.saturating_sub(u32::try_from(packets).unwrap_or(u32::MAX));
        if self.left == 0 {
            let hurry = self.hurry.as_ref().is_some_and(|hurry| hurry.load(Ordering::Relaxed));
            if !hurry {
                std::thread::sleep(pace.delay);
            }
            self.left = pace.packets.max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowance_runs_down_and_is_renewed_by_the_pause() {
        let mut pacer = Pacer::new(Some(Pace { delay: Duration::from_micros(1), packets: 3 }));
        assert_eq!(pacer.allowance(), 3);
        pacer.sent(2);
        assert_eq!(pacer.allowance(), 1);
        pacer.sent(1);
        assert_eq!(pacer.allowance(), 3);
        assert_eq!(pacer.period(), 3);
    }

    #[test]
    fn a_hurry_makes_no_pauses() {
        // A pause so long that the test would never end.
        let pace = Pace { delay: Duration::MAX, packets: 1 };
        let mut pacer = Pacer::new(Some(pace)).until(Some(Arc::new(AtomicBool::new(true))));
        for _ in 0..3 {
            pacer.sent(1);
            assert_eq!(pacer.allowance(), 1);
        }
    }

    #[test]
    fn no_delay_is_no_pace() {
        let mut pacer = Pacer::new(Some(Pace { delay: Duration::ZERO, packets: 1 }));
        pacer.sent(10);
        assert!(pacer.allowance() > 1_000_000);
    }
}
