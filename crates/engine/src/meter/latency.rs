//! Network and application latency, measured at the probe.
//!
//! ```text
//! client        probe        server
//!   | --- SYN ---> | ----------> |   \  server: half of SYN to SYN-ACK
//!   | <----------- | <- SYN-ACK  |   /  \  client: half of SYN-ACK to ACK
//!   | --- ACK ---> | ----------> |      /
//!   | - request -> | ----------> |   \  application: last byte of the request
//!   | <----------- | <- answer - |   /               to first byte of the answer
//! ```
//!
//! Retransmissions. A SYN sent again starts the server's clock anew, and a SYN-ACK sent again the client's: the earlier
//! one was lost. A request sent again starts the application's clock anew only while the server has not acknowledged it:
//! once it has, the server has it and its thinking time runs from the first copy, so a copy sent because the
//! acknowledgment was lost changes nothing. An answer counts once, by its first copy.
//!
//! Without TCP only the application's is known: from the client's last packet to the server's first after it.

use flowsonde_wire::Nanos;
use flowsonde_wire::transport::tcp::flag;

use crate::decode::packet::{Packet, protocol};

/// What is measured, and what it takes. Times are of the packets; results in microseconds, 0 when not known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    syn: Nanos,
    syn_ack: Nanos,
    request: Nanos,
    request_end: u32,
    server_ack: u32,
    client_rtt: u32,
    server_rtt: u32,
    application: u32,
    known: u8,
}

const REQUEST: u8 = 1;
const SERVER_ACK: u8 = 2;
const ANSWERED: u8 = 4;

impl Latency {
    /// Takes a packet; `from_client` tells who sent it.
    #[inline]
    pub fn take(&mut self, packet: &Packet<'_>, from_client: bool) {
        if packet.protocol == protocol::TCP {
            self.handshake(packet, from_client);
            if !from_client && packet.tcp.flags & flag::ACK != 0 {
                self.server_ack = packet.tcp.ack;
                self.known |= SERVER_ACK;
            }
        }
        if self.known & ANSWERED == 0 && packet.payload_len > 0 {
            self.exchange(packet, from_client);
        }
    }

    #[inline]
    fn handshake(&mut self, packet: &Packet<'_>, from_client: bool) {
        let flags = packet.tcp.flags & (flag::SYN | flag::ACK | flag::RST);
        match (from_client, flags) {
            (true, flag::SYN) if self.server_rtt == 0 => self.syn = packet.time,
            (false, f) if f == flag::SYN | flag::ACK && self.client_rtt == 0 => {
                if self.server_rtt == 0 && self.syn != Nanos(0) {
                    self.server_rtt = micros(packet.time, self.syn);
                }
                self.syn_ack = packet.time;
            }
            (true, flag::ACK) if self.client_rtt == 0 && self.syn_ack != Nanos(0) => {
                self.client_rtt = micros(packet.time, self.syn_ack);
            }
            _ => {}
        }
    }

    #[inline]
    fn exchange(&mut self, packet: &Packet<'_>, from_client: bool) {
        if !from_client {
            if self.known & REQUEST != 0 {
                self.application = micros(packet.time, self.request);
                self.known |= ANSWERED;
            }
            return;
        }
        let end = packet.tcp.seq.wrapping_add(packet.payload_len);
        let is_tcp = packet.protocol == protocol::TCP;
        let again = is_tcp && self.known & REQUEST != 0 && (end.wrapping_sub(self.request_end) as i32) <= 0;
        let has_it = self.known & SERVER_ACK != 0 && (end.wrapping_sub(self.server_ack) as i32) <= 0;
        // One byte that the server has already is no request but the keep-alive of one yet to come (RFC 1122, section
        // 4.2.3.6).
        if has_it && (again || is_tcp && packet.payload_len == 1) {
            return;
        }
        if !again {
            self.request_end = end;
        }
        self.request = packet.time;
        self.known |= REQUEST;
    }

    /// Round trip between probe and client, microseconds.
    pub fn client_round_trip(&self) -> u32 {
        self.client_rtt
    }

    /// Round trip between probe and server, microseconds.
    pub fn server_round_trip(&self) -> u32 {
        self.server_rtt
    }

    /// From request to answer, microseconds.
    pub fn application(&self) -> u32 {
        self.application
    }
}

/// At least 1, so that 0 stays "not known".
fn micros(later: Nanos, earlier: Nanos) -> u32 {
    u32::try_from(later.since(earlier) / 1000).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_wire::transport::tcp;

    fn take(l: &mut Latency, from_client: bool, at_us: u64, (seq, ack, len): (u32, u32, u32), flags: u8) {
        let bytes = crate::decode::packet::tests::ipv4(1, 2, 6, 0, &[0; 20]);
        let frame = crate::decode::packet::tests::raw(&bytes);
        let packet = crate::decode::packet::decode(&frame, &crate::meter::key::KeyParts::default()).expect("valid");
        let tcp = tcp::Header { seq, ack, header_len: 20, flags, window: 9 };
        let packet = Packet { time: Nanos(at_us * 1000), payload_len: len, tcp, ..packet.without_bytes() };
        l.take(&packet, from_client);
    }

    fn connected() -> Latency {
        let mut l = Latency::default();
        take(&mut l, true, 1_000_000, (99, 0, 0), flag::SYN);
        take(&mut l, false, 1_020_000, (499, 100, 0), flag::SYN | flag::ACK);
        take(&mut l, true, 1_022_000, (100, 500, 0), flag::ACK);
        l
    }

    #[test]
    fn handshake_and_thinking_time() {
        let mut l = connected();
        take(&mut l, true, 1_030_000, (100, 500, 40), flag::ACK);
        take(&mut l, false, 1_050_000, (500, 140, 0), flag::ACK);
        take(&mut l, false, 1_180_000, (500, 140, 900), flag::ACK);
        take(&mut l, false, 1_190_000, (1400, 140, 900), flag::ACK);
        assert_eq!((l.server_round_trip(), l.client_round_trip(), l.application()), (20_000, 2_000, 150_000));
    }

    #[test]
    fn a_lost_request_counts_from_its_copy() {
        let mut l = connected();
        take(&mut l, true, 1_030_000, (100, 500, 40), flag::ACK);
        take(&mut l, true, 1_330_000, (100, 500, 40), flag::ACK);
        take(&mut l, false, 1_480_000, (500, 140, 900), flag::ACK);
        assert_eq!(l.application(), 150_000);
    }

    #[test]
    fn a_copy_of_what_the_server_has_changes_nothing() {
        let mut l = connected();
        take(&mut l, true, 1_030_000, (100, 500, 40), flag::ACK);
        take(&mut l, false, 1_050_000, (500, 140, 0), flag::ACK);
        take(&mut l, true, 1_330_000, (100, 500, 40), flag::ACK);
        take(&mut l, false, 1_530_000, (500, 140, 900), flag::ACK);
        assert_eq!(l.application(), 500_000);
    }

    #[test]
    fn the_byte_of_a_keep_alive_is_no_request() {
        let mut l = connected();
        take(&mut l, true, 4_000_000, (99, 500, 1), flag::ACK);
        take(&mut l, false, 7_000_000, (500, 100, 20), flag::ACK);
        assert_eq!(l.application(), 0);
        take(&mut l, true, 8_000_000, (100, 520, 40), flag::ACK);
        take(&mut l, false, 8_050_000, (520, 140, 900), flag::ACK);
        assert_eq!(l.application(), 50_000);
    }

    #[test]
    fn a_request_in_two_segments_counts_from_the_second() {
        let mut l = connected();
        take(&mut l, true, 1_030_000, (100, 500, 40), flag::ACK);
        take(&mut l, true, 1_040_000, (140, 500, 40), flag::ACK);
        take(&mut l, false, 1_140_000, (500, 180, 9), flag::ACK);
        assert_eq!(l.application(), 100_000);
    }

    #[test]
    fn a_syn_sent_again_starts_anew() {
        let mut l = Latency::default();
        take(&mut l, true, 1_000_000, (99, 0, 0), flag::SYN);
        take(&mut l, true, 2_000_000, (99, 0, 0), flag::SYN);
        take(&mut l, false, 2_020_000, (499, 100, 0), flag::SYN | flag::ACK);
        take(&mut l, false, 3_020_000, (499, 100, 0), flag::SYN | flag::ACK);
        take(&mut l, true, 3_022_000, (100, 500, 0), flag::ACK);
        assert_eq!((l.server_round_trip(), l.client_round_trip()), (20_000, 2_000));
    }
}
