//! Datagrams of a capture that came in IP fragments, put together: exports longer than the MTU are common.
//!
//! Bounded in datagrams, bytes and time. Fragments may come in any order and more than once; those that overlap without
//! being the same again make the datagram void (RFC 5722, and what RFC 1858 warns of).

use std::collections::VecDeque;
use std::net::IpAddr;

use flowsonde_wire::Nanos;

/// Datagrams under way at once, 64 KiB each at most; beyond it the oldest is given up.
const MAX_DATAGRAMS: usize = 256;
/// Fragments of one datagram: the longest, over the smallest MTU of IPv4 links in use.
const MAX_FRAGMENTS: usize = 160;
/// How long a datagram is waited for, in packet time.
const LIFETIME: u64 = 30_000_000_000;
/// What the length of an IP packet can tell.
const LONGEST: usize = 65_535;

/// Whose datagram a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    pub(super) id: u32,
}

/// One fragment of a UDP datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) id: Id,
    /// Where it lies in the datagram.
    pub(super) offset: usize,
    /// Others lie behind it.
    pub(super) more: bool,
    pub(super) bytes: &'a [u8],
}

#[derive(Debug)]
struct Assembly {
    id: Id,
    since: Nanos,
    bytes: Vec<u8>,
    ranges: Vec<(usize, usize)>,
    end: Option<usize>,
}

/// Datagrams under way.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    /// The oldest first.
    under_way: VecDeque<Assembly>,
    given_up: Vec<Option<u16>>,
}

impl Fragments {
    /// Takes a fragment; gives the datagram, UDP header and all, that it made whole.
    pub(super) fn take(&mut self, fragment: &Fragment<'_>, time: Nanos) -> Option<Vec<u8>> {
        while self.under_way.front().is_some_and(|oldest| time.since(oldest.since) > LIFETIME) {
            self.give_up(0);
        }
        let (from, to) = (fragment.offset, fragment.offset + fragment.bytes.len());
        if to > LONGEST || from == to {
            return None;
        }
        let at = match self.under_way.iter().rposition(|assembly| assembly.id == fragment.id) {
            Some(at) => at,
            None => {
                if self.under_way.len() >= MAX_DATAGRAMS {
                    self.give_up(0);
                }
                let (bytes, ranges) = (Vec::new(), Vec::new());
                self.under_way.push_back(Assembly { id: fragment.id, since: time, bytes, ranges, end: None });
                self.under_way.len() - 1
            }
        };
        let assembly = self.under_way.get_mut(at)?;
        if assembly.ranges.contains(&(from, to)) {
            return None;
        }
        let overlaps = assembly.ranges.iter().any(|&(a, b)| from < b && a < to);
        if overlaps || assembly.ranges.len() >= MAX_FRAGMENTS {
            self.give_up(at);
            return None;
        }
        if assembly.bytes.len() < to {
            assembly.bytes.resize(to, 0);
        }
        assembly.bytes.get_mut(from..to)?.copy_from_slice(fragment.bytes);
        assembly.ranges.push((from, to));
        if !fragment.more {
            assembly.end = Some(to);
        }
        let seen: usize = assembly.ranges.iter().map(|(from, to)| to - from).sum();
        if assembly.end == Some(seen) && assembly.bytes.len() == seen {
            return self.under_way.remove(at).map(|whole| whole.bytes);
        }
        None
    }

    fn give_up(&mut self, at: usize) {
        if let Some(assembly) = self.under_way.remove(at) {
            let first = assembly.ranges.iter().any(|&(from, to)| from == 0 && to >= 4);
            let port = match assembly.bytes.get(2..4) {
                Some(&[high, low]) if first => Some(u16::from_be_bytes([high, low])),
                _ => None,
            };
            self.given_up.push(port);
        }
    }

    /// The destination ports, where known, of the datagrams that were given up since this was last asked.
    pub(super) fn given_up(&mut self) -> Vec<Option<u16>> {
        core::mem::take(&mut self.given_up)
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) {
        while !self.under_way.is_empty() {
            self.give_up(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u32) -> Id {
        Id { from: IpAddr::from([192, 0, 2, 1]), to: IpAddr::from([192, 0, 2, 2]), id }
    }

    fn whole() -> Vec<u8> {
        (0..100).map(|n| if n == 2 || n == 3 { 8 } else { n }).collect()
    }

    fn part(number: u32, from: usize, to: usize, bytes: &[u8]) -> Fragment<'_> {
        Fragment { id: id(number), offset: from, more: to < bytes.len(), bytes: &bytes[from..to] }
    }

    #[test]
    fn any_order_and_twice() {
        let bytes = whole();
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let mut fragments = Fragments::default();
            let pieces = [(0, 40), (40, 80), (80, 100)];
            for (n, at) in order.into_iter().enumerate() {
                let (from, to) = pieces[at];
                let done = fragments.take(&part(1, from, to, &bytes), Nanos(n as u64));
                assert_eq!(done.is_some(), n == 2);
                if n == 2 {
                    assert_eq!(done.as_ref(), Some(&bytes));
                } else {
                    assert_eq!(fragments.take(&part(1, from, to, &bytes), Nanos(n as u64)), None);
                }
            }
            fragments.finish();
            assert!(fragments.given_up().is_empty());
        }
    }

    #[test]
    fn what_overlaps_or_is_late_or_too_much_is_given_up() {
        let bytes = whole();
        let mut fragments = Fragments::default();
        fragments.take(&part(1, 0, 40, &bytes), Nanos(0));
        fragments.take(&part(1, 32, 80, &bytes), Nanos(0));
        assert_eq!(fragments.given_up(), [Some(0x0808)]);
        fragments.take(&part(2, 40, 80, &bytes), Nanos(0));
        fragments.take(&part(3, 0, 40, &bytes), Nanos(LIFETIME + 1));
        assert_eq!(fragments.given_up(), [None]);
        for number in 10..10 + 2 * MAX_DATAGRAMS as u32 {
            fragments.take(&part(number, 0, 40, &bytes), Nanos(LIFETIME + 1));
        }
        assert_eq!(fragments.under_way.len(), MAX_DATAGRAMS);
        let beyond = Fragment { id: id(9), offset: 65_528, more: false, bytes: &[0; 8] };
        assert_eq!(fragments.take(&beyond, Nanos(LIFETIME + 1)), None);
        fragments.finish();
        assert_eq!(fragments.given_up().len(), 2 * MAX_DATAGRAMS + 1);
    }
}
