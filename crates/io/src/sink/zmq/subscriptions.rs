//! What the peers of a publishing socket want to hear.

use super::header::Topic;

/// Prefixes subscribed to, and by how many.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    prefixes: Vec<(Vec<u8>, u32)>,
    counts: [u32; Topic::ALL.len()],
    /// There were more prefixes than are kept: any topic may be wanted.
    full: bool,
    /// There is one peer at most: what it says twice, after it came back, it says once.
    single: bool,
}

/// Peers decide what they subscribe to, so there is a bound. ntopng has nine.
const MOST: usize = 64;
/// The topic of a header is no longer; what a longer prefix says of the rest is not looked at.
const LONGEST: usize = 16;

impl Subscriptions {
    pub(super) fn new(single: bool) -> Self {
        Subscriptions { single, ..Subscriptions::default() }
    }

    /// Takes a message of a peer. True when it is a new subscription.
    pub(super) fn take(&mut self, message: &[u8]) -> bool {
        let Some((&kind @ (0 | 1), prefix)) = message.split_first() else { return false };
        let prefix = prefix.get(..LONGEST).unwrap_or(prefix);
        let known = self.prefixes.iter().position(|(other, _)| other == prefix);
        match (kind, known) {
            (1, Some(at)) => {
                if let Some((_, count)) = self.prefixes.get_mut(at) {
                    *count = if self.single { 1 } else { count.saturating_add(1) };
                }
            }
            (1, None) if self.prefixes.len() < MOST => self.prefixes.push((prefix.to_vec(), 1)),
            (1, None) => self.full = true,
            (_, Some(at)) => {
                if let Some((_, count)) = self.prefixes.get_mut(at) {
                    *count -= 1;
                    if *count == 0 {
                        self.prefixes.swap_remove(at);
                    }
                }
                self.full &= !self.prefixes.is_empty();
            }
            (_, None) => {}
        }
        for (count, topic) in self.counts.iter_mut().zip(Topic::ALL) {
            let padded = topic.padded();
            let wanted = self.prefixes.iter().filter(|(prefix, _)| padded.starts_with(prefix));
            *count = wanted.fold(u32::from(self.full), |sum, (_, count)| sum.saturating_add(*count));
        }
        kind == 1
    }

    /// How many subscriptions a topic matches; a peer may have several.
    pub(super) fn to(&self, topic: Topic) -> u32 {
        self.counts.get(topic as usize).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_count() {
        let mut peers = Subscriptions::new(false);
        for message in [&b"\x01flow"[..], b"\x01flow\0", b"\x01", b"\x01flower", b"\x01snmp-ifaces"] {
            assert!(peers.take(message));
        }
        assert_eq!(Topic::ALL.map(|topic| peers.to(topic)), [3, 1, 1, 1, 1, 2, 1]);
        for message in [&b"\0"[..], b"\0flow", b"\0never", b"\x02flow", b""] {
            assert!(!peers.take(message));
        }
        assert_eq!(Topic::ALL.map(|topic| peers.to(topic)), [1, 0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn same_prefix_of_many_and_of_one() {
        for (single, after) in [(false, 1), (true, 0)] {
            let mut peers = Subscriptions::new(single);
            peers.take(b"\x01flow");
            peers.take(b"\x01flow");
            peers.take(b"\0flow");
            assert_eq!(peers.to(Topic::Flow), after);
        }
    }

    #[test]
    fn bounded() {
        let mut peers = Subscriptions::new(false);
        for number in 0..1000 {
            peers.take(format!("\x01x{number}").as_bytes());
        }
        assert_eq!(peers.prefixes.len(), MOST);
        assert_eq!(peers.to(Topic::Flow), 1);
        for number in 0..1000 {
            peers.take(format!("\0x{number}").as_bytes());
        }
        assert_eq!(peers.to(Topic::Flow), 0);
        peers.take(&[b"\x01flow".to_vec(), vec![0; 100]].concat());
        assert_eq!(peers.to(Topic::Flow), 1);
    }
}
