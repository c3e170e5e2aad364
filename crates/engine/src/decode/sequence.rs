//! Gaps in the sequence numbers of an exporter.
//!
//! NetFlow v5 counts flows, v9 messages, IPFIX data records, sFlow datagrams; here all are units. A message that comes
//! late fills the gap it left. A step back of over 1,000, or an uptime that fell, is a new start of the exporter.

/// What is expected next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    next: Option<u32>,
    uptime_ms: u32,
    /// Units that never came.
    pub lost: u64,
    /// Units that came late.
    pub late: u64,
    /// New starts.
    pub epochs: u64,
}

/// A step back further than this is a new start.
const REORDERING: i32 = 1000;
/// An uptime may go back this much, in milliseconds, by reordering.
const SLACK_MS: u32 = 60_000;

impl Sequence {
    /// A message arrived that begins with number `first` and holds `units`. `uptime_ms` where the format tells it.
    #[inline]
    pub fn arrived(&mut self, first: u32, units: u32, uptime_ms: Option<u32>) {
        let restarted = uptime_ms.is_some_and(|now| {
            let before = core::mem::replace(&mut self.uptime_ms, now);
            // Not a wrap of the counter (49.7 days), which begins anew near the top.
            now.saturating_add(SLACK_MS) < before && before < u32::MAX - SLACK_MS
        });
        let after = first.wrapping_add(units);
        let Some(next) = self.next else {
            self.next = Some(after);
            return;
        };
        let step = first.wrapping_sub(next) as i32;
        if step == 0 {
            self.next = Some(after);
        } else if restarted || step < -REORDERING {
            self.epochs += 1;
            self.next = Some(after);
        } else if step > 0 {
            self.lost += u64::from(step.unsigned_abs());
            self.next = Some(after);
        } else {
            self.late += u64::from(units);
            self.lost = self.lost.saturating_sub(units.into());
        }
    }

    /// How many units a message holds is not known: the next one is taken as it comes.
    pub fn unknown(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_count_and_late_ones_fill_them() {
        let mut sequence = Sequence::default();
        for (first, lost, late) in [(100, 0, 0), (130, 0, 0), (190, 30, 0), (220, 30, 0), (160, 0, 30), (250, 0, 30)] {
            sequence.arrived(first, 30, None);
            assert_eq!((sequence.lost, sequence.late), (lost, late), "at {first}");
        }
        assert_eq!(sequence.epochs, 0);
    }

    #[test]
    fn numbers_wrap() {
        let mut sequence = Sequence::default();
        sequence.arrived(u32::MAX - 9, 10, None);
        sequence.arrived(0, 10, None);
        sequence.arrived(20, 10, None);
        assert_eq!((sequence.lost, sequence.epochs), (10, 0));
    }

    #[test]
    fn a_restart_is_no_loss() {
        let mut sequence = Sequence::default();
        sequence.arrived(5000, 1, None);
        sequence.arrived(0, 1, None);
        assert_eq!((sequence.lost, sequence.epochs), (0, 1));
        let mut sequence = Sequence::default();
        sequence.arrived(50, 1, Some(900_000));
        sequence.arrived(0, 1, Some(3000));
        sequence.arrived(1, 1, Some(4000));
        assert_eq!((sequence.lost, sequence.late, sequence.epochs), (0, 0, 1));
        // The uptime wraps; nothing restarts.
        let mut sequence = Sequence::default();
        sequence.arrived(50, 1, Some(u32::MAX - 100));
        sequence.arrived(51, 1, Some(900));
        assert_eq!((sequence.lost, sequence.epochs), (0, 0));
    }
}
