//! Inter-arrival times of one direction: smallest, largest, mean and deviation, in one pass (Welford 1962).

/// By direction.
pub type Gaps = [Gap; 2];

/// Gaps between the packets of one direction. Gaps are in microseconds; time that runs backwards is a gap of 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gap {
    /// Smallest.
    pub min: u32,
    /// Largest.
    pub max: u32,
    /// How many.
    pub count: u32,
    mean: f64,
    squares: f64,
}

impl Gap {
    /// Adds a gap.
    #[inline]
    pub fn add(&mut self, micros: u64) {
        let gap = u32::try_from(micros).unwrap_or(u32::MAX);
        self.min = if self.count == 0 { gap } else { self.min.min(gap) };
        self.max = self.max.max(gap);
        self.count = self.count.saturating_add(1);
        let step = f64::from(gap) - self.mean;
        self.mean += step / f64::from(self.count);
        self.squares += step * (f64::from(gap) - self.mean);
    }

    /// Mean gap in microseconds.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Population standard deviation in microseconds.
    pub fn deviation(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.squares / f64::from(self.count)).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_textbook() {
        let mut gap = Gap::default();
        for g in [2000, 4000, 4000, 4000, 5000, 5000, 7000, 9000] {
            gap.add(g);
        }
        assert_eq!((gap.min, gap.max, gap.mean(), gap.deviation()), (2000, 9000, 5000.0, 2000.0));
        assert_eq!(Gap::default().deviation(), 0.0);
    }
}
