//! A number for every exporter and pair of interfaces: what a collected flow's key has of them.
//!
//! The table is bounded, as exporters fill it. When it is full all is forgotten, and numbers go on: flows under way get no
//! more records and end by their timeout, and no two are ever taken for one, before 2^32 numbers are used up.

use core::hash::{BuildHasher, Hasher};
use std::collections::HashMap;

use flowsonde_wire::export::Transport;

/// Most of them at a time.
const MOST: usize = 1 << 18;

/// Where a flow was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The exporter, as IPv6.
    pub exporter: [u8; 16],
    /// The port it sends from.
    pub port: u16,
    /// How it sends.
    pub transport: Transport,
    /// The interfaces, the lower first: the other direction has them the other way round.
    pub interfaces: [u32; 2],
}

/// See the module.
#[derive(Debug)]
pub struct Paths {
    numbers: HashMap<Path, u32, Seed>,
    last: Option<(Path, u32)>,
    next: u32,
    /// How often all was forgotten.
    pub forgotten: u64,
    most: usize,
}

impl Paths {
    /// None yet. `random` is a number nobody outside knows.
    pub fn new(random: u64) -> Paths {
        Paths { numbers: HashMap::with_hasher(Seed(random)), last: None, next: 1, forgotten: 0, most: MOST }
    }

    /// The number of a path. 0 is none's.
    #[inline]
    pub fn number(&mut self, path: &Path) -> u32 {
        match &self.last {
            Some((last, number)) if last == path => *number,
            _ => self.look_up(path),
        }
    }

    fn look_up(&mut self, path: &Path) -> u32 {
        let number = match self.numbers.get(path) {
            Some(number) => *number,
            None => self.add(path),
        };
        self.last = Some((*path, number));
        number
    }

    #[cold]
    fn add(&mut self, path: &Path) -> u32 {
        if self.numbers.len() >= self.most {
            self.numbers.clear();
            self.forgotten += 1;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1).max(1);
        self.numbers.insert(*path, number);
        number
    }
}

/// A hasher that exporters cannot aim at, and faster than the standard library's.
#[derive(Clone, Copy, Debug)]
struct Seed(u64);

impl BuildHasher for Seed {
    type Hasher = Fold;

    fn build_hasher(&self) -> Fold {
        Fold { state: self.0, seed: self.0 | 1 }
    }
}

/// Folded multiplication, as of [`Key::hash`](crate::meter::key::Key::hash).
struct Fold {
    state: u64,
    seed: u64,
}

impl Hasher for Fold {
    #[inline]
    fn write_u64(&mut self, n: u64) {
        let product = u128::from(self.state ^ n) * u128::from(self.seed.rotate_left(23) ^ 0x9e37_79b9_7f4a_7c15);
        self.state = (product >> 64) as u64 ^ product as u64;
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u32(&mut self, n: u32) {
        self.write_u64(n.into());
    }

    #[inline]
    fn write_u16(&mut self, n: u16) {
        self.write_u64(n.into());
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(exporter: u8, port: u16, interfaces: [u32; 2]) -> Path {
        Path { exporter: [exporter; 16], port, transport: Transport::Udp, interfaces }
    }

    #[test]
    fn a_path_has_one_number_and_no_two_have_the_same() {
        let mut paths = Paths::new(7);
        let all: Vec<Path> =
            (0..1000u16).map(|n| path((n % 5) as u8, n % 3, [u32::from(n / 15), u32::from(n % 2)])).collect();
        let first: Vec<u32> = all.iter().map(|path| paths.number(path)).collect();
        let again: Vec<u32> = all.iter().map(|path| paths.number(path)).collect();
        assert_eq!(first, again);
        let mut by_path: HashMap<Path, u32> = HashMap::new();
        let mut by_number: HashMap<u32, Path> = HashMap::new();
        for (path, number) in all.iter().zip(first) {
            assert_eq!(*by_path.entry(*path).or_insert(number), number);
            assert_eq!(*by_number.entry(number).or_insert(*path), *path);
            assert_ne!(number, 0);
        }
    }

    #[test]
    fn the_table_is_bounded_and_numbers_are_not_used_again() {
        let mut paths = Paths { most: 4, ..Paths::new(7) };
        let numbers: Vec<u32> = (0..10).map(|n| paths.number(&path(1, n, [0, 0]))).collect();
        assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
        assert_eq!(paths.forgotten, 2);
        assert!(paths.numbers.len() <= 4);
        assert_eq!(paths.number(&path(1, 0, [0, 0])), 11);
    }
}
