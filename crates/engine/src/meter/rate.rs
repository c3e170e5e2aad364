//! Throughput by second: the busiest and the quietest second in which a direction sent anything.

/// By direction.
pub type Rate = [Second; 2];

/// Bytes of the current second, and the extremes of the ones before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    now: u32,
    bytes: u32,
    max: u32,
    min: u32,
}

impl Second {
    /// Adds a packet of `bytes` sent in `second` (of the epoch).
    #[inline]
    pub fn add(&mut self, second: u64, bytes: u32) {
        let second = second as u32;
        if second != self.now {
            (self.max, self.min) = self.extremes();
            self.now = second;
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Most and least bytes of a second, the current one included.
    fn extremes(&self) -> (u32, u32) {
        if self.bytes == 0 {
            return (self.max, self.min);
        }
        (self.max.max(self.bytes), if self.min == 0 { self.bytes } else { self.min.min(self.bytes) })
    }

    /// Bits of the busiest second.
    pub fn max_bits(&self) -> u64 {
        u64::from(self.extremes().0) * 8
    }

    /// Bits of the quietest second.
    pub fn min_bits(&self) -> u64 {
        u64::from(self.extremes().1) * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_kept_apart() {
        let mut s = Second::default();
        for (second, bytes) in [(100, 500), (100, 500), (101, 40), (105, 300)] {
            s.add(second, bytes);
        }
        assert_eq!((s.max_bits(), s.min_bits()), (8000, 320));
    }
}
