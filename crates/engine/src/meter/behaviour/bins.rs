//! How long payloads are and how far apart, as histograms of six classes; and the window that they are taken over.
//!
//! The window is the first [`WINDOW`] packets of a record that are past the TCP handshake. An empty packet takes part in
//! it, and is in no class. Of the handshake are packets with SYN, and the first empty ACK of the end that sent the SYN, if
//! no payload came between. A flow that was met in its middle has none. What is of the handshake has counters of its own:
//! the histograms are blind to a SYN scan.
//!
//! A gap is the time since the payload before, whichever end sent that; it is counted with the end that sent the later
//! one. Time that runs backwards is a gap of 0.

use flowsonde_wire::Nanos;
use flowsonde_wire::transport::tcp::flag;

use super::entropy::Entropy;
use crate::decode::packet::{Packet, protocol};

/// Packets that count.
pub const WINDOW: u16 = 256;
/// Classes of a histogram.
pub const CLASSES: usize = 6;

/// Packets a class; the last number stands for itself and all above.
pub type Histogram = [u8; CLASSES];

/// Bytes up to which a payload is in a class.
const LENGTHS: [u32; CLASSES - 1] = [64, 128, 256, 512, 1024];
/// Microseconds up to which a gap is.
const GAPS: [u64; CLASSES - 1] = [1_000, 5_000, 10_000, 50_000, 100_000];

/// Both histograms by direction, the handshake, and the entropy where it is wanted: all that most packets touch, in one line
/// of the cache.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub struct Bins {
    /// When the payload before came, if there was one.
    last: Nanos,
    lengths: [Histogram; 2],
    gaps: [Histogram; 2],
    /// Packets of the window so far.
    seen: u16,
    /// What was seen of the handshake, see [`Handshake`].
    state: u8,
    /// Handshakes as far as they came.
    pub handshake: Handshake,
    /// Of the payload.
    pub entropy: Entropy,
}

/// A SYN was seen, and nothing yet that ends the handshake.
const OPEN: u8 = 1;
/// The key's second end sent it.
const BY_SECOND: u8 = 2;
/// There was a payload before.
const FOLLOWS: u8 = 4;

/// Packets of the handshake; each number stands for itself and, if the highest, all above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// SYN without ACK.
    pub syns: u8,
    /// SYN with ACK.
    pub syn_acks: u8,
    /// The ACK that completes it.
    pub acks: u8,
    /// Resets before it was complete.
    pub resets: u8,
}

impl Bins {
    /// Takes a packet; true when it is of the window.
    #[inline]
    pub fn take(&mut self, packet: &Packet<'_>) -> bool {
        if packet.protocol == protocol::TCP && self.is_handshake(packet) || self.seen == WINDOW {
            return false;
        }
        self.seen += 1;
        if packet.payload_len > 0 {
            self.count(packet);
        }
        true
    }

    #[inline]
    fn is_handshake(&mut self, packet: &Packet<'_>) -> bool {
        let flags = packet.tcp.flags;
        if flags & flag::SYN != 0 {
            let answer = flags & flag::ACK != 0;
            let opener = packet.direction & 1 ^ u8::from(answer);
            self.state = self.state & FOLLOWS | OPEN | if opener == 1 { BY_SECOND } else { 0 };
            bump(if answer { &mut self.handshake.syn_acks } else { &mut self.handshake.syns });
            return true;
        }
        if self.state & OPEN == 0 {
            return false;
        }
        if flags & flag::RST != 0 {
            self.state &= FOLLOWS;
            bump(&mut self.handshake.resets);
            return false;
        }
        let opener = u8::from(self.state & BY_SECOND != 0);
        let completes =
            packet.payload_len == 0 && packet.direction & 1 == opener && flags & (flag::ACK | flag::FIN) == flag::ACK;
        // A payload that carries the ACK completes it too, and is counted as any. A SYN's later fragment carries none.
        let late = packet.payload_len > 0 && packet.direction & 1 == opener && flags & flag::ACK != 0;
        if completes || late {
            bump(&mut self.handshake.acks);
        }
        if completes || packet.payload_len > 0 {
            self.state &= FOLLOWS;
        }
        completes
    }

    #[inline]
    fn count(&mut self, packet: &Packet<'_>) {
        let from = usize::from(packet.direction & 1);
        let class = LENGTHS.iter().filter(|&&limit| packet.payload_len > limit).count();
        bump(&mut self.lengths[from][class]);
        if self.state & FOLLOWS != 0 {
            let micros = packet.time.since(self.last) / 1000;
            let class = GAPS.iter().filter(|&&limit| micros > limit).count();
            bump(&mut self.gaps[from][class]);
        }
        self.last = packet.time;
        self.state |= FOLLOWS;
    }

    /// Reads it, so that it is in the cache.
    #[inline]
    pub fn touch(&self) -> u64 {
        self.last.0
    }

    /// What the record that follows begins with: the connection goes on, and may still be in its handshake.
    pub fn next(&self) -> Bins {
        Bins { state: self.state & !FOLLOWS, ..Bins::default() }
    }

    /// Payload lengths of one direction.
    pub fn lengths_of(&self, direction: usize) -> Histogram {
        self.lengths[direction & 1]
    }

    /// Gaps that one direction ended.
    pub fn gaps_of(&self, direction: usize) -> Histogram {
        self.gaps[direction & 1]
    }

    /// Payload lengths of both.
    pub fn lengths(&self) -> Histogram {
        sum(self.lengths)
    }

    /// All gaps.
    pub fn gaps(&self) -> Histogram {
        sum(self.gaps)
    }
}

#[inline(always)]
fn bump(counter: &mut u8) {
    *counter = counter.saturating_add(1);
}

/// Exact, but for what is over the highest number: a class that is full in one direction leaves none for the other.
fn sum([a, b]: [Histogram; 2]) -> Histogram {
    core::array::from_fn(|class| a[class].saturating_add(b[class]))
}

/// One byte that tells most histograms apart: FNV-1a of 32 bits over the classes, its four bytes xored. 0 when nothing was
/// counted.
pub fn hash(histogram: &Histogram) -> u8 {
    if *histogram == Histogram::default() {
        return 0;
    }
    let step = |hash: u32, &count: &u8| (hash ^ u32::from(count)).wrapping_mul(0x0100_0193);
    let [a, b, c, d] = histogram.iter().fold(0x811c_9dc5, step).to_be_bytes();
    a ^ b ^ c ^ d
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::packet::decode;
    use crate::decode::packet::tests::{ipv4, raw};
    use crate::meter::key::KeyParts;
    use flowsonde_wire::transport::tcp;

    /// A packet's time in microseconds, its direction, TCP flags and payload length.
    fn fed(kind: u8, packets: &[(u64, u8, u8, u32)]) -> (Bins, Vec<bool>) {
        let bytes = ipv4(1, 2, kind, 0, &[0; 20]);
        let packet = decode(&raw(&bytes), &KeyParts::default()).expect("valid").without_bytes();
        let mut bins = Bins::default();
        let taken = packets.iter().map(|&(at, direction, flags, payload_len)| {
            let tcp = tcp::Header { flags, ..tcp::Header::default() };
            bins.take(&Packet { time: Nanos(at * 1000), direction, tcp, payload_len, ..packet })
        });
        let taken = taken.collect();
        (bins, taken)
    }

    const SYN: u8 = flag::SYN;
    const ACK: u8 = flag::ACK;

    #[test]
    fn the_example_of_the_announcement() {
        let (bins, _) = fed(17, &[(0, 0, 0, 100), (1, 1, 0, 400), (2, 0, 0, 256), (3, 1, 0, 1064), (4, 0, 0, 1400)]);
        assert_eq!(bins.lengths(), [0, 1, 1, 1, 0, 2]);
        assert_eq!((bins.lengths_of(0), bins.lengths_of(1)), ([0, 1, 1, 0, 0, 1], [0, 0, 0, 1, 0, 1]));
        assert_eq!(bins.gaps(), [4, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn upper_edges_belong_to_their_class() {
        for (class, (length, gap)) in LENGTHS.into_iter().zip(GAPS).enumerate() {
            let (bins, _) = fed(17, &[(0, 0, 0, length), (gap, 0, 0, length + 1), (2 * gap + 1, 1, 0, length)]);
            let mut expected = [0; CLASSES];
            (expected[class], expected[class + 1]) = (2, 1);
            assert_eq!(bins.lengths(), expected);
            (expected[class], expected[class + 1]) = (1, 1);
            assert_eq!(bins.gaps(), expected);
            assert_eq!(bins.gaps_of(1)[class + 1], 1);
        }
    }

    #[test]
    fn empty_packets_have_no_class_and_end_no_gap() {
        let packets = [(0, 0, ACK, 10), (2_000, 1, ACK, 0), (4_000, 1, ACK, 10), (1_000, 1, ACK, 10)];
        let (bins, taken) = fed(6, &packets);
        assert_eq!((bins.lengths(), bins.gaps()), ([3, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]));
        assert_eq!(taken, [true; 4]);
    }

    #[test]
    fn the_handshake_is_outside_the_window() {
        let open = [(0, 1, SYN, 0), (1, 0, SYN | ACK, 0), (2, 1, ACK, 0), (3, 1, ACK, 5), (4, 1, ACK, 0)];
        let (bins, taken) = fed(6, &open);
        assert_eq!(taken, [false, false, false, true, true]);
        assert_eq!(bins.handshake, Handshake { syns: 1, syn_acks: 1, acks: 1, resets: 0 });
        // The ACK with a request in it; and a flow met in its middle.
        let (bins, taken) = fed(6, &[(0, 1, SYN, 0), (1, 0, SYN | ACK, 0), (2, 1, ACK, 5), (3, 1, ACK, 0)]);
        assert_eq!((taken, bins.handshake.acks), (vec![false, false, true, true], 1));
        // The rest of a fragmented SYN has no flags.
        assert_eq!(fed(6, &[(0, 1, SYN, 0), (1, 1, 0, 16)]).0.handshake.acks, 0);
        let (bins, taken) = fed(6, &[(2, 1, ACK, 0), (3, 0, ACK, 5)]);
        assert_eq!((taken, bins.handshake), (vec![true, true], Handshake::default()));
    }

    #[test]
    fn a_scan_is_seen_by_its_handshakes() {
        let (bins, taken) = fed(6, &[(0, 0, SYN, 0), (1, 1, flag::RST | ACK, 0), (2, 0, SYN, 0), (3, 1, flag::RST, 0)]);
        assert_eq!(bins.handshake, Handshake { syns: 2, syn_acks: 0, acks: 0, resets: 2 });
        assert_eq!(taken, [false, true, false, true]);
    }

    #[test]
    fn the_window_ends_and_classes_are_full_at_255() {
        let packets: Vec<_> = (0..300).map(|at| (at, (at / 100 % 2) as u8, ACK, 1)).collect();
        let (bins, taken) = fed(6, &packets);
        assert_eq!(taken.iter().filter(|&&taken| taken).count(), 256);
        assert_eq!((bins.lengths()[0], bins.gaps()[0]), (255, 255));
        assert_eq!((bins.lengths_of(0)[0], bins.lengths_of(1)[0]), (156, 100));
    }

    #[test]
    fn hashes_are_fnv_folded() {
        assert_eq!(hash(&[0; 6]), 0);
        // 0x4c15cec6, as Python has it.
        assert_eq!(hash(&[0, 1, 1, 1, 0, 2]), 81);
    }
}
