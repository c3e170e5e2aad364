//! The first packets of a record that carry payload, one by one: length, time, TCP flags, direction.
//!
//! These are the packets that CESNET's ipfixprobe tells of (plugin pstats). A SYN that carries data is one of them.

use flowsonde_wire::Nanos;

use crate::decode::packet::Packet;

/// Packets that are kept.
pub const MOST: usize = 30;
/// Milliseconds that a packet's time may be off the first's, before or behind: more than eight years.
const FURTHEST: i64 = (1 << 38) - 1;

/// Of one flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Series {
    first: Nanos,
    count: u8,
    packets: [Item; MOST],
}

/// A packet: milliseconds since the first (less than 0 where time ran backwards), length, flags and direction in 39, 16, 8
/// and 1 bits, the direction in the lowest.
#[derive(Clone, Copy, Debug, Default)]
struct Item(i64);

/// A packet as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When, cut to whole milliseconds.
    pub time: Nanos,
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
        if self.count == 0 {
            self.first = packet.time;
        }
        if let Some(item) = self.packets.get_mut(usize::from(self.count)) {
            let millis = packet.time.millis() as i64 - self.first.millis() as i64;
            let length = i64::from(packet.payload_len.min(u32::from(u16::MAX)));
            *item = Item(
                millis.clamp(-FURTHEST, FURTHEST) << 25
                    | length << 9
                    | i64::from(packet.tcp.flags) << 1
                    | i64::from(packet.direction & 1),
            );
            self.count += 1;
        }
    }

    /// Reads it, so that it is in the cache.
    #[inline]
    pub fn touch(&self) -> u64 {
        self.packets.iter().step_by(8).fold(self.first.0, |read, item| read ^ item.0 as u64)
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
        Some(Sent {
            time: Nanos(self.first.millis().saturating_add_signed(bits >> 25).saturating_mul(1_000_000)),
            length: (bits >> 9) as u16,
            flags: (bits >> 1) as u8,
            direction: (bits & 1) as usize,
        })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Sent> {
        (0..self.len()).filter_map(|i| self.at(i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::packet::decode;
    use crate::decode::packet::tests::{ipv4, raw};
    use crate::meter::key::KeyParts;
    use flowsonde_wire::transport::tcp;

    #[test]
    fn what_goes_in_comes_out() {
        let bytes = ipv4(1, 2, 6, 0, &[0; 20]);
        let packet = decode(&raw(&bytes), &KeyParts::default()).expect("valid").without_bytes();
        let mut series = Series::default();
        let mut take = |at: u64, direction, flags, payload_len| {
            let tcp = tcp::Header { flags, ..tcp::Header::default() };
            series.take(&Packet { time: Nanos(at), direction, tcp, payload_len, ..packet });
        };
        take(5_000_999_900, 1, 0xff, 70_000);
        take(5_000_999_900, 0, 0x10, 0);
        // Time runs backwards, as it does where captures were merged; and the first is not on a whole millisecond.
        take(4_000_000_000, 0, 0x18, 1);
        (0..40).for_each(|_| take(5_002_000_000, 0, 0, 9));
        let sent = |time, length, flags, direction| Some(Sent { time: Nanos(time), length, flags, direction });
        assert_eq!(series.at(0), sent(5_000_000_000, 65_535, 0xff, 1));
        assert_eq!(series.at(1), sent(4_000_000_000, 1, 0x18, 0));
        assert_eq!(series.at(29), sent(5_002_000_000, 9, 0, 0));
        assert_eq!((series.at(30), series.iter().count()), (None, 30));
    }
}
