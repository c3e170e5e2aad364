//! Bursts: three payloads or more of one direction, each less than a second after the one before. What CESNET's ipfixprobe
//! (plugin bstats) calls one; here they are counted, not listed.

use flowsonde_wire::Nanos;

use crate::decode::packet::Packet;

/// So near to the one before is still the same burst.
const NEAR: u64 = 1_000_000_000;
/// Packets that make one.
const LEAST: u32 = 3;

/// By direction.
pub type Bursts = [Burst; 2];

/// Bursts of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Burst {
    last: Nanos,
    /// Payloads near to each other so far, a burst yet or not.
    run: u32,
    run_bytes: u32,
    /// How many bursts.
    pub count: u32,
    /// Packets in them.
    pub packets: u32,
    /// Bytes of payload in them.
    pub bytes: u64,
}

impl Burst {
    /// Takes a packet of this direction.
    #[inline]
    pub fn take(&mut self, packet: &Packet<'_>) {
        if packet.payload_len == 0 {
            return;
        }
        if self.run == 0 || packet.time.since(self.last) >= NEAR {
            (self.run, self.run_bytes) = (0, 0);
        }
        self.last = packet.time;
        self.run = self.run.saturating_add(1);
        if self.run < LEAST {
            self.run_bytes = self.run_bytes.saturating_add(packet.payload_len);
        } else if self.run == LEAST {
            self.count += 1;
            self.packets = self.packets.saturating_add(LEAST);
            self.bytes += u64::from(self.run_bytes) + u64::from(packet.payload_len);
        } else {
            self.packets = self.packets.saturating_add(1);
            self.bytes += u64::from(packet.payload_len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::packet::decode;
    use crate::decode::packet::tests::{ipv4, raw};
    use crate::meter::key::KeyParts;

    #[test]
    fn two_are_none_and_a_second_ends_one() {
        let bytes = ipv4(1, 2, 17, 0, &[0; 8]);
        let packet = decode(&raw(&bytes), &KeyParts::default()).expect("valid").without_bytes();
        let mut burst = Burst::default();
        // Two; then, a second later, four and an empty one; then two again.
        for (millis, payload_len) in
            [(0, 9), (999, 9), (1999, 1), (2000, 2), (2001, 3), (2900, 0), (3000, 4), (4000, 9), (4001, 9)]
        {
            burst.take(&Packet { time: Nanos(millis * 1_000_000), payload_len, ..packet });
        }
        assert_eq!((burst.count, burst.packets, burst.bytes), (1, 4, 10));
    }
}
