//! Who is the client of a flow.
//!
//! In this order:
//! 1. a SYN without ACK: its sender is the client, whatever came before; a SYN-ACK: its receiver is;
//! 2. an ICMP answer (echo reply, advertisement): its receiver is;
//! 3. exactly one end uses a service port: the other end is;
//! 4. both ports are, or neither is: the sender of the first packet is.
//!
//! What a handshake told is kept when the active timeout cuts the flow into several records.

use flowsonde_wire::transport::{icmp, tcp::flag};

use crate::decode::packet::{Packet, protocol};

/// Registered ports (above 1023) that servers wait on and that no host picks for its own connections by default.
/// Sorted.
const SERVICES: &[u16] = &[
    1080, 1194, 1433, 1434, 1521, 1645, 1646, 1701, 1719, 1720, 1723, 1812, 1813, 1883, 1900, 2049, 2055, 2123, 2152,
    2181, 2375, 2376, 2379, 2404, 3128, 3260, 3268, 3269, 3306, 3389, 3478, 3479, 3702, 3784, 3868, 4369, 4500, 4739,
    4789, 5004, 5060, 5061, 5222, 5223, 5269, 5349, 5353, 5355, 5432, 5555, 5556, 5671, 5672, 5683, 5684, 5900, 5901,
    5938, 5985, 5986, 6081, 6343, 6379, 6443, 6514, 6653, 6667, 6697, 7547, 8000, 8008, 8080, 8081, 8086, 8088, 8123,
    8200, 8333, 8443, 8472, 8500, 8554, 8805, 8883, 8888, 9000, 9042, 9090, 9092, 9100, 9200, 9300, 9418, 9995, 9996,
    9999, 10050, 10051, 11211, 11434, 15672, 19132, 20000, 25565, 27015, 27017, 34980, 44818, 47808, 50051, 51820,
];

/// True for a port that servers wait on.
#[inline]
pub fn is_service(port: u16) -> bool {
    port != 0 && (port < 1024 || SERVICES.binary_search(&port).is_ok())
}

/// What a packet tells about who is client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Direction whose sender is the client.
    pub direction: u8,
    /// A handshake said so.
    pub sure: bool,
}

/// What a handshake packet tells; `None` for every other.
#[inline]
pub fn by_handshake(packet: &Packet<'_>) -> Option<Client> {
    let flags = packet.tcp.flags;
    if flags & (flag::SYN | flag::RST | flag::FIN) != flag::SYN {
        return None;
    }
    let answer = u8::from(flags & flag::ACK != 0);
    Some(Client { direction: packet.direction ^ answer, sure: true })
}

/// Who is client by the first packet of a flow.
#[inline]
pub fn by_first(packet: &Packet<'_>) -> Client {
    if let Some(client) = by_handshake(packet) {
        return client;
    }
    let from_server = match packet.protocol {
        protocol::ICMP | protocol::ICMPV6 => icmp::is_reply(packet.key.version(), (packet.icmp >> 8) as u8),
        _ => is_service(packet.src_port) && !is_service(packet.dst_port),
    };
    Client { direction: packet.direction ^ u8::from(from_server), sure: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::packet::decode;
    use crate::decode::packet::tests::{ipv4, raw};
    use crate::meter::key::KeyParts;

    /// The client's last address byte, when the first packet goes from 192.0.2.1 to 192.0.2.2.
    fn client(protocol: u8, src: u16, dst: u16, flags: u8) -> u8 {
        let mut transport = [&src.to_be_bytes()[..], &dst.to_be_bytes()].concat();
        transport.extend_from_slice(&[0; 8]);
        transport.extend_from_slice(&[0x50, flags, 0, 0, 0, 0, 0, 0]);
        let bytes = ipv4(1, 2, protocol, 0, &transport);
        let packet = decode(&raw(&bytes), &KeyParts::default()).expect("valid");
        if by_first(&packet).direction == packet.direction { 1 } else { 2 }
    }

    #[test]
    fn services_are_sorted() {
        assert!(SERVICES.windows(2).all(|w| w[0] < w[1]) && SERVICES[0] > 1023);
    }

    #[test]
    fn a_handshake_beats_every_port() {
        assert_eq!(client(6, 80, 50000, flag::SYN), 1);
        assert_eq!(client(6, 50000, 80, flag::SYN | flag::ACK), 2);
        assert_eq!(client(6, 443, 80, flag::SYN | flag::ACK), 2);
    }

    #[test]
    fn without_one_the_service_port_tells() {
        assert_eq!(client(6, 443, 50000, flag::ACK), 2);
        assert_eq!(client(6, 50000, 443, flag::ACK), 1);
        assert_eq!(client(17, 53, 40000, 0), 2);
        assert_eq!(client(17, 8080, 60000, 0), 2);
    }

    #[test]
    fn two_services_or_none_leave_it_to_the_first_packet() {
        assert_eq!(client(17, 123, 123, 0), 1);
        assert_eq!(client(17, 53, 80, 0), 1);
        assert_eq!(client(6, 50000, 50001, flag::ACK), 1);
    }

    #[test]
    fn an_icmp_answer_came_from_the_server() {
        for (kind, expected) in [(8, 1), (0, 2), (3, 1)] {
            let bytes = ipv4(1, 2, 1, 0, &[kind, 0, 0, 0, 0, 0, 0, 0]);
            let packet = decode(&raw(&bytes), &KeyParts::default()).expect("valid");
            let client = if by_first(&packet).direction == packet.direction { 1 } else { 2 };
            assert_eq!(client, expected, "type {kind}");
        }
    }
}
