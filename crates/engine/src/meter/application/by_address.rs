//! What a collected flow is taken for by its addresses, where its ports tell nothing: a service that has networks of its own.

use std::sync::{Mutex, PoisonError};

/// Knows whose an address is.
pub trait Addresses: core::fmt::Debug + Send {
    /// The application that is served from an IPv4 address, 0 when none is known. nDPI 4.2 knows none of IPv6.
    fn application(&mut self, address: [u8; 4]) -> u16;
}

/// Answers that are kept: a look into nDPI's tree of networks takes 100 to 350 ns.
const KEPT: usize = 1 << 13;

/// Applications by address; one for all threads, as a table takes megabytes.
#[derive(Debug)]
pub struct ByAddress(Mutex<Asked>);

#[derive(Debug)]
struct Asked {
    table: Box<dyn Addresses>,
    /// By the address's hash, the address and its application; 0.0.0.0 is nobody's.
    kept: Box<[([u8; 4], u16)]>,
}

impl ByAddress {
    /// By this table.
    pub fn new(table: Box<dyn Addresses>) -> ByAddress {
        ByAddress(Mutex::new(Asked { table, kept: vec![([0; 4], 0); KEPT].into() }))
    }

    /// Of a flow between two addresses; the first one is asked first, as nDPI does.
    pub fn application(&self, addresses: [[u8; 4]; 2]) -> u16 {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match asked.application(addresses[0]) {
            0 => asked.application(addresses[1]),
            known => known,
        }
    }
}

impl Asked {
    fn application(&mut self, address: [u8; 4]) -> u16 {
        // Multiplied by 2^32 over the golden ratio, so that neighbours lie apart.
        let place = u32::from_be_bytes(address).wrapping_mul(0x9e37_79b1) as usize % KEPT;
        let Some(kept) = self.kept.get_mut(place) else { return 0 };
        if kept.0 != address {
            *kept = (address, self.table.application(address));
        }
        kept.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Knows 192.0.2.0/24 as 7 and 198.51.100.0/24 as 8, and counts.
    #[derive(Debug)]
    struct Fake(Arc<AtomicU32>);

    impl Addresses for Fake {
        fn application(&mut self, address: [u8; 4]) -> u16 {
            self.0.fetch_add(1, Ordering::Relaxed);
            match address {
                [192, 0, 2, _] => 7,
                [198, 51, 100, _] => 8,
                _ => 0,
            }
        }
    }

    #[test]
    fn either_end_tells_and_is_asked_for_once() {
        let asked = Arc::new(AtomicU32::new(0));
        let known = ByAddress::new(Box::new(Fake(Arc::clone(&asked))));
        let (own, seven, eight) = ([10, 0, 0, 1], [192, 0, 2, 9], [198, 51, 100, 9]);
        for _ in 0..3 {
            let told = [[own, seven], [seven, own], [seven, eight], [eight, seven], [own, own]];
            assert_eq!(told.map(|ends| known.application(ends)), [7, 7, 7, 8, 0]);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        // More addresses than are kept: the answers are the same.
        for n in 0..4 * KEPT as u32 {
            let [.., a, b] = n.to_be_bytes();
            assert_eq!(known.application([own, [198, 51, a, b]]), if a == 100 { 8 } else { 0 });
        }
        assert_eq!(known.application([[0; 4]; 2]), 0);
    }
}
