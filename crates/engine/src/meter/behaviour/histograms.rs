//! Histograms of all payload lengths and gaps by direction, with classes that double: those of CESNET's ipfixprobe (plugin
//! phists).
//!
//! ```text
//! 0-15  16-31  32-63  64-127  128-255  256-511  512-1023  1024-      bytes, or milliseconds
//! ```
//!
//! A gap is the time since the payload before of the same direction, both times cut to milliseconds.

use crate::decode::packet::Packet;

/// Classes of a histogram.
pub const CLASSES: usize = 8;

/// Of one flow, by direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Histograms {
    /// Milliseconds of the payload before, if there was one.
    last: [Option<u64>; 2],
    /// Packets by payload length.
    pub lengths: [[u32; CLASSES]; 2],
    /// Packets by gap.
    pub gaps: [[u32; CLASSES]; 2],
}

impl Histograms {
    /// Takes a packet.
    #[inline]
    pub fn take(&mut self, packet: &Packet<'_>) {
        if packet.payload_len == 0 {
            return;
        }
        let from = usize::from(packet.direction & 1);
        bump(&mut self.lengths[from], packet.payload_len.into());
        let now = packet.time.millis();
        if let Some(before) = self.last[from].replace(now) {
            bump(&mut self.gaps[from], now.saturating_sub(before));
        }
    }
}

#[inline]
fn bump(histogram: &mut [u32; CLASSES], value: u64) {
    let class = (value.max(8).ilog2() as usize - 3).min(CLASSES - 1);
    histogram[class] = histogram[class].saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_double() {
        let mut histogram = [0; CLASSES];
        for value in [0, 1, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 1023, 1024, u64::MAX] {
            bump(&mut histogram, value);
        }
        assert_eq!(histogram, [3, 2, 2, 2, 2, 2, 2, 2]);
    }
}
