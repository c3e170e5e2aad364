//! Packets around a payload: Ethernet, IPv4 or IPv6, UDP, with right lengths and checksums.

use std::net::{IpAddr, SocketAddr};

use super::flow::{Flow, TCP, UDP};

/// Length of an Ethernet header.
pub const ETHERNET: usize = 14;
const IPV4: usize = 20;
const UDP_HEADER: u16 = 8;
const TTL: u8 = 64;
/// Addresses an administrator gave (the second bit), so nobody's.
const SOURCE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const DESTINATION_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 2];

/// Appends the frame of a UDP datagram; the two addresses are of one family. False, and nothing appended, when IP cannot
/// carry as much.
pub fn udp(source: SocketAddr, destination: SocketAddr, id: u16, payload: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(length) = u16::try_from(payload.len()).ok().and_then(|n| n.checked_add(UDP_HEADER)) else { return false };
    let pseudo = match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let Some(total) = length.checked_add(IPV4 as u16) else { return false };
            ethernet([0x08, 0x00], out);
            out.extend_from_slice(&ipv4(from.octets(), to.octets(), total, 0, UDP, id));
            sum(&from.octets()) + sum(&to.octets())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            ethernet([0x86, 0xdd], out);
            let [high, low] = length.to_be_bytes();
            out.extend_from_slice(&[0x60, 0, 0, 0, high, low, UDP, TTL]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
            sum(&from.octets()) + sum(&to.octets())
        }
        _ => return false,
    };
    let mut header = [0; UDP_HEADER as usize];
    header[0..2].copy_from_slice(&source.port().to_be_bytes());
    header[2..4].copy_from_slice(&destination.port().to_be_bytes());
    header[4..6].copy_from_slice(&length.to_be_bytes());
    // An odd payload is summed as if a zero followed it, as RFC 768 has it.
    let checksum = fold(pseudo + u64::from(UDP) + u64::from(length) + sum(&header) + sum(payload));
    // Zero would say that there is none.
    let checksum = if checksum == 0 { 0xffff } else { checksum };
    header[6..8].copy_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
    true
}

/// The first bytes of a flow's packet of `wire` bytes, Ethernet header included, check sequence not: what a switch
/// samples. Its payload is zeros, so the checksums are right though most of it is not there.
pub fn sampled<const N: usize>(flow: &Flow, wire: u16) -> [u8; N] {
    let mut bytes = Vec::with_capacity(N);
    ethernet([0x08, 0x00], &mut bytes);
    let total = wire.saturating_sub(ETHERNET as u16);
    bytes.extend_from_slice(&ipv4(flow.source, flow.destination, total, flow.tos, flow.protocol, flow.key as u16));
    let length = total.saturating_sub(IPV4 as u16);
    let mut header = [0; 20];
    header[0..2].copy_from_slice(&flow.source_port.to_be_bytes());
    header[2..4].copy_from_slice(&flow.destination_port.to_be_bytes());
    let (size, at) = if flow.protocol == TCP {
        header[4..8].copy_from_slice(&(flow.draw as u32).to_be_bytes());
        header[8..12].copy_from_slice(&((flow.draw >> 32) as u32).to_be_bytes());
        // Five words of header; ACK; a window.
        header[12..16].copy_from_slice(&[0x50, 0x10, 0x20, 0x00]);
        (20, 16)
    } else {
        header[4..6].copy_from_slice(&length.to_be_bytes());
        (usize::from(UDP_HEADER), 6)
    };
    let pseudo = sum(&flow.source) + sum(&flow.destination) + u64::from(flow.protocol) + u64::from(length);
    let checksum = fold(pseudo + sum(&header));
    header[at..at + 2].copy_from_slice(&checksum.max(1).to_be_bytes());
    bytes.extend_from_slice(header.get(..size).unwrap_or(&header));
    bytes.resize(N, 0);
    let mut sample = [0; N];
    sample.copy_from_slice(&bytes);
    sample
}

fn ethernet(kind: [u8; 2], out: &mut Vec<u8>) {
    out.extend_from_slice(&DESTINATION_MAC);
    out.extend_from_slice(&SOURCE_MAC);
    out.extend_from_slice(&kind);
}

/// An IPv4 header (RFC 791), not to be fragmented where that fits.
fn ipv4(from: [u8; 4], to: [u8; 4], total: u16, tos: u8, protocol: u8, id: u16) -> [u8; IPV4] {
    let mut header = [0; IPV4];
    header[0] = 0x45;
    header[1] = tos;
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header[4..6].copy_from_slice(&id.to_be_bytes());
    header[8] = TTL;
    header[9] = protocol;
    header[12..16].copy_from_slice(&from);
    header[16..20].copy_from_slice(&to);
    let checksum = fold(sum(&header));
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

/// Sum of big-endian 16-bit words, the last one filled up with a zero.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let words: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    words + rest.first().map_or(0, |byte| u64::from(*byte) << 8)
}

/// The internet checksum of a sum (RFC 1071).
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowsonde_engine::decode::packet::decode;
    use flowsonde_engine::meter::key::KeyParts;
    use flowsonde_wire::{Frame, LinkType, Nanos};

    /// Sums to all ones with its checksum in it.
    fn holds(parts: &[&[u8]], more: u64) -> bool {
        fold(parts.iter().map(|part| sum(part)).sum::<u64>() + more) == 0
    }

    fn frame(bytes: &[u8], wire: u32) -> Frame<'_> {
        Frame { time: Nanos(0), link: LinkType::ETHERNET, wire_len: wire, interface: 0, bytes }
    }

    #[test]
    fn the_probes_own_decoder_reads_them() {
        for (from, to, ip) in [("198.18.0.1:9000", "127.0.0.1:2055", 20), ("[2001:db8::1]:9000", "[::1]:2055", 40)] {
            for payload in [&b""[..], b"x", b"abcd", &[0xff; 1401]] {
                let mut bytes = Vec::new();
                assert!(udp(from.parse().unwrap(), to.parse().unwrap(), 7, payload, &mut bytes));
                let read = frame(&bytes, bytes.len() as u32);
                let packet = decode(&read, &KeyParts::default()).unwrap();
                assert_eq!((packet.src_port, packet.dst_port), (9000, 2055));
                assert_eq!((packet.payload_len as usize, &packet.transport()[8..]), (payload.len(), payload));
                let addresses = if ip == 20 { &bytes[26..34] } else { &bytes[22..54] };
                assert!(ip == 40 || holds(&[&bytes[14..34]], 0));
                assert!(holds(&[addresses, packet.transport()], 17 + payload.len() as u64 + 8));
            }
        }
        let mut bytes = Vec::new();
        let (v4, v6) = ("127.0.0.1:1".parse().unwrap(), "[::1]:1".parse().unwrap());
        assert!(!udp(v4, v6, 0, b"", &mut bytes) && !udp(v4, v4, 0, &[0; 65_508], &mut bytes) && bytes.is_empty());
        assert!(udp(v4, v4, 0, &[0; 65_507], &mut bytes));
    }

    #[test]
    fn samples_are_the_beginning_of_right_packets() {
        for number in 0..1000 {
            let flow = Flow::new(1, number);
            let sample: [u8; 128] = sampled(&flow, 1000);
            let mut whole = sample.to_vec();
            whole.resize(1000, 0);
            let read = frame(&whole, 1000);
            let packet = decode(&read, &KeyParts::default()).unwrap();
            assert_eq!((packet.src_port, packet.dst_port), (flow.source_port, flow.destination_port));
            assert_eq!((packet.ip_len, packet.tos), (986, flow.tos));
            assert!(holds(&[&whole[14..34]], 0));
            assert!(holds(&[&whole[26..34], &whole[34..]], u64::from(flow.protocol) + 966));
        }
    }
}
