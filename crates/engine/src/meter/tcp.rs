//! TCP quality: what was sent again, what came out of order, and the windows.
//!
//! A segment whose sequence number lies before the highest one seen was sent again or overtaken. It was overtaken (out of
//! order) when it fills a gap soon after the gap opened: within the connection's round trip, or 3 ms when the handshake
//! was not seen, and not in answer to duplicate ACKs. Everything else was sent again. That is the rule Wireshark's
//! `tcp.analysis` uses, so that figures compare; the border between the two is one of time, so compare their sum too.
//!
//! Not counted: keep-alives (RFC 9293, section 3.8.4: one byte or none, just before the next expected), zero-window
//! probes (one byte at the edge of a closed window), resets. Sequence numbers wrap (RFC 1982 arithmetic); each direction
//! stands for itself, so captures of one side work.

use flowsonde_wire::transport::tcp::{SynOptions, flag};

use crate::decode::Packet;

/// Gaps remembered of a direction.
const HOLES: usize = 3;
/// Overtaken, not sent again, when a gap is filled this soon and no round trip is known.
const DEFAULT_REORDER_NANOS: u64 = 3_000_000;
/// A retransmission this soon after duplicate ACKs is a fast one.
const FAST_NANOS: u64 = 20_000_000;

/// Retransmissions and order, by direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quality {
    sides: [Side; 2],
    /// When the SYN was seen, low 32 bits of the microsecond; then the round trip of the handshake.
    syn_at: u32,
    round_trip: u32,
}

/// What one end sent.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    /// Sequence number expected next.
    next: u32,
    /// When `next` last moved, low 32 bits of the microsecond.
    next_at: u32,
    /// Highest acknowledgment sent, and when.
    ack: u32,
    ack_at: u32,
    window: u16,
    /// Acknowledgments sent again without data.
    duplicates: u8,
    /// Whether `next`, `ack` are known.
    known: u8,
    holes: [(u32, u32); HOLES],
    retransmitted: u32,
    retransmitted_bytes: u32,
    out_of_order: u32,
}

const SEQ: u8 = 1;
const ACK: u8 = 2;

/// `a` lies before `b` in sequence space.
#[inline]
fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

impl Quality {
    /// Takes a TCP segment.
    #[inline]
    pub fn take(&mut self, packet: &Packet<'_>) {
        let tcp = &packet.tcp;
        if tcp.header_len == 0 {
            return;
        }
        let now = packet.time.micros() as u32;
        let from = usize::from(packet.direction & 1);
        self.round_trip(tcp.flags, now);
        let reorder = if self.round_trip > 0 { u64::from(self.round_trip) * 1000 } else { DEFAULT_REORDER_NANOS };
        let (sent, other) = match &mut self.sides {
            [a, b] if from == 0 => (a, b),
            [a, b] => (b, a),
        };
        let len = packet.payload_len + u32::from(tcp.flags & flag::SYN != 0) + u32::from(tcp.flags & flag::FIN != 0);
        if tcp.flags & flag::RST == 0 {
            sent.segment(other, tcp.seq, len, packet.payload_len, tcp.flags, now, reorder);
        }
        if tcp.flags & flag::ACK != 0 {
            sent.acknowledge(tcp.ack, len == 0, tcp.window, now);
        }
        sent.window = tcp.window;
    }

    fn round_trip(&mut self, flags: u8, now: u32) {
        if flags & flag::SYN != 0 {
            if flags & flag::ACK == 0 {
                self.syn_at = now.max(1);
            }
        } else if self.syn_at != 0 && self.round_trip == 0 && flags & flag::ACK != 0 {
            self.round_trip = now.wrapping_sub(self.syn_at).max(1);
        }
    }

    /// Segments the sender of `direction` sent again.
    pub fn retransmitted(&self, direction: usize) -> u32 {
        self.sides[direction & 1].retransmitted
    }

    /// Payload bytes of those.
    pub fn retransmitted_bytes(&self, direction: usize) -> u32 {
        self.sides[direction & 1].retransmitted_bytes
    }

    /// Segments of the sender of `direction` that were overtaken.
    pub fn out_of_order(&self, direction: usize) -> u32 {
        self.sides[direction & 1].out_of_order
    }

    /// Starts to count anew; what is known of the connection stays.
    pub fn reset_counters(&mut self) {
        for side in &mut self.sides {
            (side.retransmitted, side.retransmitted_bytes, side.out_of_order) = (0, 0, 0);
        }
    }
}

impl Side {
    #[allow(clippy::too_many_arguments, reason = "one segment, taken apart by its only caller")]
    #[inline]
    fn segment(&mut self, other: &Side, seq: u32, len: u32, payload: u32, flags: u8, now: u32, reorder: u64) {
        let end = seq.wrapping_add(len);
        if self.known & SEQ == 0 {
            self.known |= SEQ;
            (self.next, self.next_at) = (end, now);
            return;
        }
        // Without data it only shows how far its sender is: further than we saw means that something is missing.
        if len == 0 && !before(self.next, seq) {
            return;
        }
        let control = flags & (flag::SYN | flag::FIN) != 0;
        if !control && payload <= 1 && seq == self.next.wrapping_sub(1) {
            return; // keep-alive
        }
        if !control && payload == 1 && seq == self.next && other.window == 0 && other.known & ACK != 0 {
            return; // zero-window probe
        }
        // What a probe of a closed window sent one byte of: the data itself is new. Seen from one side, nothing else tells
        // that it was a probe.
        if payload > 1 && seq == self.next.wrapping_sub(1) && before(self.next, end) {
            (self.next, self.next_at) = (end, now);
            return;
        }
        if !before(seq, self.next) {
            if seq != self.next {
                self.open(self.next, seq);
            }
            (self.next, self.next_at) = (end, now);
            return;
        }
        let since = u64::from(now.wrapping_sub(self.next_at)) * 1000;
        let since_ack = u64::from(now.wrapping_sub(other.ack_at)) * 1000;
        let asked_for = other.duplicates >= 2 && other.ack == seq && since_ack < FAST_NANOS;
        let fills = self.close(seq, end);
        if fills && !asked_for && since < reorder && end != self.next {
            self.out_of_order += 1;
        } else {
            self.retransmitted += 1;
            self.retransmitted_bytes = self.retransmitted_bytes.saturating_add(payload);
        }
        if before(self.next, end) {
            (self.next, self.next_at) = (end, now);
        }
    }

    #[inline]
    fn acknowledge(&mut self, ack: u32, bare: bool, window: u16, now: u32) {
        if self.known & ACK != 0 && ack == self.ack {
            if bare && window == self.window {
                self.duplicates = self.duplicates.saturating_add(1);
                self.ack_at = now;
            }
            return;
        }
        self.known |= ACK;
        (self.ack, self.ack_at, self.duplicates) = (ack, now, 0);
    }

    /// Notes a gap; the oldest is forgotten when there are too many.
    #[cold]
    fn open(&mut self, from: u32, to: u32) {
        let slot = self.holes.iter().position(|(a, b)| a == b).unwrap_or_else(|| {
            self.holes.rotate_left(1);
            HOLES - 1
        });
        self.holes[slot] = (from, to);
    }

    /// Takes a range out of the gaps; true when any of it lay in one.
    #[cold]
    fn close(&mut self, from: u32, to: u32) -> bool {
        for i in 0..HOLES {
            let (a, b) = self.holes[i];
            if a == b || !before(from, b) || !before(a, to) {
                continue;
            }
            let (left, right) = (before(a, from), before(to, b));
            self.holes[i] = match (left, right) {
                (false, false) => (0, 0),
                (true, false) => (a, from),
                (false, true) => (to, b),
                (true, true) => (a, from),
            };
            if left && right {
                self.open(to, b);
            }
            return true;
        }
        false
    }
}

/// Windows as on the wire, and what the SYNs announced, by direction of the sender.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Smallest window.
    pub min: [u16; 2],
    /// Largest window.
    pub max: [u16; 2],
    /// Maximum segment size announced, 0 when none was.
    pub mss: [u16; 2],
    /// Window scale announced, 0 when none was.
    pub scale: [u8; 2],
}

impl Default for Windows {
    fn default() -> Self {
        Windows { min: [u16::MAX; 2], max: [0; 2], mss: [0; 2], scale: [0; 2] }
    }
}

impl Windows {
    /// Takes a TCP segment.
    #[inline]
    pub fn take(&mut self, packet: &Packet<'_>) {
        let tcp = &packet.tcp;
        if tcp.header_len == 0 {
            return;
        }
        let from = usize::from(packet.direction & 1);
        self.min[from] = self.min[from].min(tcp.window);
        self.max[from] = self.max[from].max(tcp.window);
        if tcp.flags & flag::SYN != 0 {
            let options = SynOptions::read(packet.transport(), tcp.header_len);
            self.mss[from] = options.mss;
            self.scale[from] = options.scale.unwrap_or(0);
        }
    }

    /// Starts anew; what the SYNs announced stays.
    pub fn reset_counters(&mut self) {
        (self.min, self.max) = ([u16::MAX; 2], [0; 2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_wire::{Nanos, transport::tcp};

    /// A segment at `at` milliseconds; direction 0 sends.
    struct Seg(u64, u32, u32, u8);

    fn packet(direction: u8, at_us: u64, seq: u32, ack: u32, len: u32, flags: u8, window: u16) -> Packet<'static> {
        let bytes = crate::decode::packet::tests::ipv4(1, 2, 6, 0, &[0; 20]);
        let frame = crate::decode::packet::tests::raw(&bytes);
        let packet = crate::decode::packet::decode(&frame, &crate::meter::key::KeyParts::default()).expect("valid");
        Packet {
            time: Nanos(at_us * 1000),
            direction,
            payload_len: len,
            tcp: tcp::Header { seq, ack, header_len: 20, flags, window },
            ..packet.without_bytes()
        }
    }

    /// (retransmitted, out of order) of direction 0 after these segments.
    fn run(segments: &[Seg]) -> (u32, u32) {
        let mut q = Quality::default();
        for &Seg(at, seq, len, flags) in segments {
            q.take(&packet(0, at * 1000, seq, 0, len, flags, 1000));
        }
        (q.retransmitted(0), q.out_of_order(0))
    }

    #[test]
    fn new_data_is_neither() {
        assert_eq!(run(&[Seg(0, 99, 0, flag::SYN), Seg(1, 100, 50, 0), Seg(2, 150, 50, 0)]), (0, 0));
    }

    #[test]
    fn sent_again_and_overtaken() {
        assert_eq!(run(&[Seg(0, 100, 50, 0), Seg(300, 100, 50, 0)]), (1, 0));
        assert_eq!(run(&[Seg(0, 100, 50, 0), Seg(1, 200, 50, 0), Seg(2, 150, 50, 0)]), (0, 1));
        // The same gap filled late was lost and sent again.
        assert_eq!(run(&[Seg(0, 100, 50, 0), Seg(1, 200, 50, 0), Seg(200, 150, 50, 0)]), (1, 0));
        // Filled a second time at once: sent again.
        assert_eq!(run(&[Seg(0, 100, 50, 0), Seg(1, 200, 50, 0), Seg(2, 150, 50, 0), Seg(2, 150, 50, 0)]), (1, 1));
    }

    #[test]
    fn a_repeated_syn_is_sent_again() {
        assert_eq!(run(&[Seg(0, 99, 0, flag::SYN), Seg(1000, 99, 0, flag::SYN)]), (1, 0));
    }

    #[test]
    fn keep_alives_are_neither() {
        assert_eq!(
            run(&[Seg(0, 100, 50, 0), Seg(9000, 149, 1, 0), Seg(19000, 149, 1, 0), Seg(20000, 150, 5, 0)]),
            (0, 0)
        );
        assert_eq!(run(&[Seg(0, 100, 50, 0), Seg(9000, 149, 0, flag::ACK)]), (0, 0));
    }

    #[test]
    fn zero_window_probes_are_neither() {
        let mut q = Quality::default();
        q.take(&packet(0, 0, 100, 1, 50, flag::ACK, 1000));
        q.take(&packet(1, 1000, 1, 150, 0, flag::ACK, 0));
        for i in 0..4 {
            q.take(&packet(0, 2000 + i * 1000, 150, 1, 1, flag::ACK, 1000));
        }
        q.take(&packet(1, 9000, 1, 150, 0, flag::ACK, 500));
        q.take(&packet(0, 9500, 150, 1, 50, flag::ACK, 1000));
        assert_eq!((q.retransmitted(0), q.out_of_order(0)), (0, 0));
    }

    #[test]
    fn zero_window_probes_seen_from_one_side_are_neither() {
        assert_eq!(
            run(&[
                Seg(0, 100, 50, 0),
                Seg(900, 150, 1, 0),
                Seg(1900, 150, 1, 0),
                Seg(2900, 150, 50, 0),
                Seg(2901, 200, 9, 0)
            ]),
            (0, 0)
        );
    }

    #[test]
    fn sequence_numbers_wrap() {
        let start = u32::MAX - 49;
        assert_eq!(run(&[Seg(0, start, 50, 0), Seg(1, 0, 50, 0), Seg(2, 50, 50, 0)]), (0, 0));
        assert_eq!(run(&[Seg(0, start, 50, 0), Seg(1, 50, 50, 0), Seg(2, 0, 50, 0), Seg(400, start, 50, 0)]), (1, 1));
    }

    #[test]
    fn an_answer_to_duplicate_acks_was_sent_again() {
        let mut q = Quality::default();
        q.take(&packet(0, 0, 100, 1, 50, flag::ACK, 1000));
        q.take(&packet(0, 100, 200, 1, 50, flag::ACK, 1000));
        for i in 0..3 {
            q.take(&packet(1, 200 + i, 1, 150, 0, flag::ACK, 1000));
        }
        q.take(&packet(0, 400, 150, 1, 50, flag::ACK, 1000));
        assert_eq!((q.retransmitted(0), q.out_of_order(0)), (1, 0));
    }

    #[test]
    fn a_bare_acknowledgment_shows_what_is_missing() {
        // The FIN at 150 was overtaken by the ACK behind it; its end is where the ACK stands, which is told as sent again.
        assert_eq!(run(&[Seg(0, 100, 50, 0), Seg(1, 151, 0, flag::ACK), Seg(1, 150, 0, flag::FIN)]), (1, 0));
    }

    #[test]
    fn many_gaps_stay_within_their_slots() {
        let mut segments = vec![Seg(0, 0, 10, 0)];
        segments.extend((1..50).map(|i| Seg(0, i * 100, 10, 0)));
        segments.extend((1..50).map(|i| Seg(1, i * 100 - 50, 10, 0)));
        let (again, overtaken) = run(&segments);
        assert_eq!(again + overtaken, 49);
    }
}
