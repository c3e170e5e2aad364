//! The first packets of a record that carry payload, one by one: length, time, TCP flags, direction.
//!
//! These are the packets that CESNET's ipfixprobe tells of (plugin pstats). A SYN that carries data is one of them.

use crate::decode::packet::Packet;

/// Packets that are kept.
pub const MOST: usize = 30;

/// Of one flow: all but the times, which take more than the rest and are seldom asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Series {
    packets: [Item; MOST],
    count: u8,
}

/// A packet: length, flags and direction in 16, 8 and 1 bits, the direction in the lowest.
#[derive(Clone, Copy, Debug, Default)]
struct Item(u32);

/// A packet as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of payload, at most 65,535.
    pub length: u16,
    /// TCP flags.
    pub flags: u8,
    /// By which end of the key.
    pub direction: usize,
}

impl Series {
    /// Takes a packet.
    #[inline]
    pub fn take(&mut self, packet: &Packet<'_>) {
        if packet.payload_len == 0 {
            return;
        }
        if let Some(item) = self.packets.get_mut(usize::from(self.count)) {
            let length = packet.payload_len.min(u32::from(u16::MAX));
            *item = Item(length << 9 | u32::from(packet.tcp.flags) << 1 | u32::from(packet.direction & 1));
            self.count += 1;
        }
    }

    /// Reads it, so that it is in the cache.
    #[inline]
    pub fn touch(&self) -> u64 {
        // Both ends: it may be in three lines.
        u64::from(self.packets[0].0 ^ self.packets[MOST / 2].0) ^ u64::from(self.count)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One of them.
    pub fn at(&self, i: usize) -> Option<Sent> {
        let &Item(bits) = self.packets.get(i).filter(|_| i < self.len())?;
        Some(Sent { length: (bits >> 9) as u16, flags: (bits >> 1) as u8, direction: (bits & 1) as usize })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Sent> {
        (0..self.len()).filter_map(|i| self.at(i))
    }
}

/// When the packets of a [`Series`] came, in whole milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    millis: [u64; MOST],
    count: u8,
}

impl Times {
    /// Takes a packet.
    #[inline]
    pub fn take(&mut self, packet: &Packet<'_>) {
        if packet.payload_len > 0
            && let Some(millis) = self.millis.get_mut(usize::from(self.count))
        {
            *millis = packet.time.millis();
            self.count += 1;
        }
    }

    /// Of each packet that is kept.
    pub fn millis(&self) -> &[u64] {
        self.millis.get(..usize::from(self.count)).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::packet::decode;
    use crate::decode::packet::tests::{ipv4, raw};
    use crate::meter::key::KeyParts;
    use flowsonde_wire::Nanos;
    use flowsonde_wire::transport::tcp;

    #[test]
    fn what_goes_in_comes_out() {
        let bytes = ipv4(1, 2, 6, 0, &[0; 20]);
        let packet = decode(&raw(&bytes), &KeyParts::default()).expect("valid").without_bytes();
        let (mut series, mut times) = (Series::default(), Times::default());
        let mut take = |at: u64, direction, flags, payload_len| {
            let tcp = tcp::Header { flags, ..tcp::Header::default() };
            let packet = Packet { time: Nanos(at), direction, tcp, payload_len, ..packet };
            series.take(&packet);
            times.take(&packet);
        };
        take(5_000_999_900, 1, 0xff, 70_000);
        take(5_000_999_900, 0, 0x10, 0);
        // Time runs backwards, as it does where captures were merged; and the first is not on a whole millisecond.
        take(4_000_000_000, 0, 0x18, 1);
        (0..40).for_each(|_| take(5_002_000_000, 0, 0, 9));
        let sent = |length, flags, direction| Some(Sent { length, flags, direction });
        assert_eq!(series.at(0), sent(65_535, 0xff, 1));
        assert_eq!(series.at(1), sent(1, 0x18, 0));
        assert_eq!(series.at(29), sent(9, 0, 0));
        assert_eq!((series.at(30), series.iter().count()), (None, 30));
        assert_eq!((&times.millis()[..3], times.millis().len()), (&[5_000, 4_000, 5_002][..], 30));
    }
}
