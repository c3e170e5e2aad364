//! From a key's hash to the place of its flow: open addressing, linear probing, eight bytes a slot.
//!
//! ```text
//! slot = hash(32) | place + 1 (32)      0 = empty
//! ```
//!
//! Removal shifts the followers back, so there are no tombstones and long runs do not degrade. Filled to a half at most,
//! then doubled: looking for what is not there, as every new flow does, reads 2.5 slots on average, where at three
//! quarters it would be 8.5.

/// Places by hash.
#[derive(Debug)]
pub struct Index {
    slots: Vec<u64>,
    mask: usize,
    len: usize,
}

impl Index {
    /// For about `flows` flows before it first grows.
    pub fn with_room_for(flows: usize) -> Index {
        let size = (flows * 2).next_power_of_two().clamp(1 << 10, 1 << 31);
        Index { slots: vec![0; size], mask: size - 1, len: 0 }
    }

    /// The slot where a hash begins to be looked for, read so that it is in the cache when needed.
    #[inline]
    pub fn touch(&self, hash: u32) -> u64 {
        self.slots[hash as usize & self.mask]
    }

    /// The place under `hash` that `is` accepts.
    #[inline]
    pub fn find(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = hash as usize & self.mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let place = (slot as u32).wrapping_sub(1);
            if (slot >> 32) as u32 == hash && is(place) {
                return Some(place);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Adds a place that is not in yet.
    #[inline]
    pub fn insert(&mut self, hash: u32, place: u32) {
        if self.len >= self.slots.len() / 2 {
            self.grow();
        }
        self.len += 1;
        self.put(u64::from(hash) << 32 | u64::from(place + 1));
    }

    #[inline]
    fn put(&mut self, slot: u64) {
        let mut at = (slot >> 32) as usize & self.mask;
        while self.slots[at] != 0 {
            at = (at + 1) & self.mask;
        }
        self.slots[at] = slot;
    }

    #[cold]
    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        let old = core::mem::replace(&mut self.slots, vec![0; size]);
        self.mask = size - 1;
        for slot in old.into_iter().filter(|&slot| slot != 0) {
            self.put(slot);
        }
    }

    /// Removes the entry of `place`.
    #[inline]
    pub fn remove(&mut self, hash: u32, place: u32) {
        let sought = u64::from(hash) << 32 | u64::from(place + 1);
        let mut hole = hash as usize & self.mask;
        while self.slots[hole] != sought {
            if self.slots[hole] == 0 {
                return;
            }
            hole = (hole + 1) & self.mask;
        }
        self.len -= 1;
        // Every follower of the run that may stand in the hole moves back into it.
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask;
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            let home = (slot >> 32) as usize & self.mask;
            if at.wrapping_sub(home) & self.mask >= at.wrapping_sub(hole) & self.mask {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = 0;
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.slots.fill(0);
        self.len = 0;
    }

    /// Bytes taken.
    pub fn bytes(&self) -> usize {
        self.slots.len() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn agrees_with_a_map_under_insertions_and_removals() {
        let mut index = Index::with_room_for(16);
        let mut model: HashMap<u32, u32> = HashMap::new();
        let mut state = 1u64;
        for step in 0..200_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = (state >> 40) as u32 % 5000;
            // Few distinct hashes, so that runs are long and hashes collide.
            let hash = place.wrapping_mul(0x9e37_79b9) & 0xffff_0fff;
            if let std::collections::hash_map::Entry::Vacant(vacant) = model.entry(place) {
                index.insert(hash, place);
                vacant.insert(step);
            } else {
                index.remove(hash, place);
                model.remove(&place);
            }
            assert_eq!(index.find(hash, |p| p == place).is_some(), model.contains_key(&place));
        }
        assert_eq!(index.len, model.len());
        for &place in model.keys() {
            let hash = place.wrapping_mul(0x9e37_79b9) & 0xffff_0fff;
            assert_eq!(index.find(hash, |p| p == place), Some(place));
        }
    }
}
