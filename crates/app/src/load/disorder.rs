//! Datagrams lost and reordered on purpose, as a network would.

use flowsonde_engine::encode::Messages;

use super::flow::mix;

/// What is done to the datagrams.
#[derive(Debug)]
pub struct Disorder {
    /// One datagram in so many is left out; 0 for none.
    gap: u32,
    /// Datagrams of one burst change places with each other within so many; 0 or 1 for none.
    shuffle: usize,
    seed: u64,
    seen: u64,
    /// What was left out: datagrams and flows.
    pub left_out: (u64, u64),
    kept: Messages,
}

impl Disorder {
    /// Leaves out one in `gap`, mixes up `shuffle` at a time.
    pub fn new(gap: u32, shuffle: u16, seed: u64) -> Disorder {
        let shuffle = usize::from(shuffle);
        Disorder { gap, shuffle, seed, seen: 0, left_out: (0, 0), kept: Messages::default() }
    }

    /// The datagrams that are to be sent of a burst, in their order.
    pub fn apply<'a>(&'a mut self, messages: &'a Messages) -> &'a Messages {
        if self.gap == 0 && self.shuffle < 2 {
            return messages;
        }
        let mut list: Vec<_> = messages.iter().collect();
        for window in list.chunks_mut(self.shuffle.max(1)) {
            for last in (1..window.len()).rev() {
                self.seed = mix(self.seed);
                window.swap(last, self.seed as usize % (last + 1));
            }
        }
        self.kept.clear();
        for (message, records) in list {
            self.seen += 1;
            if self.gap > 0 && self.seen.is_multiple_of(u64::from(self.gap)) {
                self.left_out = (self.left_out.0 + 1, self.left_out.1 + u64::from(records));
            } else {
                self.kept.buffer().extend_from_slice(message);
                self.kept.finish(records);
            }
        }
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst() -> Messages {
        let mut messages = Messages::default();
        for number in 0..20 {
            messages.buffer().push(number);
            messages.finish(u32::from(number));
        }
        messages
    }

    #[test]
    fn nothing_is_touched_unless_asked_for() {
        let messages = burst();
        assert_eq!(Disorder::new(0, 1, 1).apply(&messages).bytes(), messages.bytes());
    }

    #[test]
    fn one_in_so_many_is_left_out() {
        let mut disorder = Disorder::new(6, 0, 1);
        let kept = disorder.apply(&burst()).bytes().to_vec();
        assert_eq!(kept, [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 18, 19]);
        assert_eq!(disorder.left_out, (3, 5 + 11 + 17));
        assert_eq!(disorder.apply(&burst()).bytes()[..4], [0, 1, 2, 4]);
    }

    #[test]
    fn shuffling_stays_within_its_window() {
        let mut disorder = Disorder::new(0, 5, 1);
        let kept = disorder.apply(&burst()).bytes().to_vec();
        assert_ne!(kept, burst().bytes());
        for (number, window) in kept.chunks(5).enumerate() {
            let mut sorted = window.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, burst().bytes()[number * 5..number * 5 + 5]);
        }
        assert_eq!(Disorder::new(0, 5, 1).apply(&burst()).bytes(), kept);
    }
}
