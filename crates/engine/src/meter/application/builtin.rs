//! Applications without a library: by what a few protocols begin with, else by well-known ports. What a build without
//! libndpi has in its place, and far less: no subprotocols, no risks.
//!
//! Numbers, names, categories and breeds are nDPI's (4.2), so that who reads them need not know who found them out.

use core::num::NonZeroU32;

use flowsonde_wire::{Frame, LinkType, Nanos};

use super::{Detector, Ticket, Verdict};
use crate::decode::packet::{Packet, decode, protocol};
use crate::fill::Names;
use crate::meter::key::KeyParts;

/// A protocol that is known here.
#[derive(Debug)]
struct Row {
    number: u16,
    name: &'static str,
    category: u16,
    breed: u8,
    tcp: &'static [u16],
    udp: &'static [u16],
    /// Whether a payload is of this protocol.
    begins: Option<fn(&Packet<'_>, &[u8]) -> bool>,
}

const CATEGORIES: [&str; 8] = ["Unspecified", "Web", "Email", "Network", "System", "Database", "RemoteAccess", "Other"];
const WEB: u16 = 1;
const EMAIL: u16 = 2;
const NETWORK: u16 = 3;
const SYSTEM: u16 = 4;
const DATABASE: u16 = 5;
const REMOTE: u16 = 6;
const OTHER: u16 = 7;

const BREEDS: [&str; 8] =
    ["Safe", "Acceptable", "Fun", "Unsafe", "Potentially Dangerous", "Dangerous", "Tracker/Ads", "Unrated"];
const SAFE: u8 = 0;
const ACCEPTABLE: u8 = 1;
const UNSAFE: u8 = 3;
const UNRATED: u8 = 7;

/// nDPI's confidence: by port, and by what was in the packet.
const BY_PORT: u8 = 1;
const BY_PACKET: u8 = 4;

const fn row(
    number: u16,
    name: &'static str,
    category: u16,
    breed: u8,
    tcp: &'static [u16],
    udp: &'static [u16],
) -> Row {
    Row { number, name, category, breed, tcp, udp, begins: None }
}

const fn known_by(row: Row, begins: fn(&Packet<'_>, &[u8]) -> bool) -> Row {
    Row { begins: Some(begins), ..row }
}

/// Every protocol.
static ROWS: [Row; 47] = [
    row(1, "FTP_CONTROL", OTHER, UNSAFE, &[21], &[]),
    row(2, "POP3", EMAIL, UNSAFE, &[110], &[]),
    row(3, "SMTP", EMAIL, ACCEPTABLE, &[25, 587], &[]),
    row(4, "IMAP", EMAIL, UNSAFE, &[143], &[]),
    known_by(row(5, "DNS", NETWORK, ACCEPTABLE, &[53], &[53]), is_dns),
    row(6, "IPP", SYSTEM, ACCEPTABLE, &[631], &[631]),
    known_by(row(7, "HTTP", WEB, ACCEPTABLE, &[80, 8080], &[]), is_http),
    row(8, "MDNS", NETWORK, ACCEPTABLE, &[], &[5353]),
    row(9, "NTP", SYSTEM, ACCEPTABLE, &[], &[123]),
    row(10, "NetBIOS", SYSTEM, ACCEPTABLE, &[139], &[137, 138]),
    row(11, "NFS", OTHER, ACCEPTABLE, &[2049], &[2049]),
    row(12, "SSDP", SYSTEM, ACCEPTABLE, &[], &[1900]),
    row(13, "BGP", NETWORK, ACCEPTABLE, &[179], &[]),
    row(14, "SNMP", NETWORK, ACCEPTABLE, &[], &[161, 162]),
    row(17, "Syslog", SYSTEM, ACCEPTABLE, &[514], &[514]),
    row(18, "DHCP", NETWORK, ACCEPTABLE, &[], &[67, 68]),
    row(19, "PostgreSQL", DATABASE, ACCEPTABLE, &[5432], &[]),
    row(20, "MySQL", DATABASE, ACCEPTABLE, &[3306], &[]),
    row(23, "POPS", EMAIL, SAFE, &[995], &[]),
    row(29, "SMTPS", EMAIL, SAFE, &[465], &[]),
    row(41, "SMBv23", SYSTEM, ACCEPTABLE, &[445], &[]),
    row(50, "RTSP", OTHER, ACCEPTABLE, &[554], &[]),
    row(51, "IMAPS", EMAIL, SAFE, &[993], &[]),
    row(77, "Telnet", REMOTE, UNSAFE, &[23], &[]),
    row(78, "STUN", NETWORK, ACCEPTABLE, &[], &[3478]),
    row(88, "RDP", REMOTE, ACCEPTABLE, &[3389], &[3389]),
    row(89, "VNC", REMOTE, ACCEPTABLE, &[5900, 5901], &[]),
    known_by(row(91, "TLS", WEB, SAFE, &[443, 8443], &[]), is_tls),
    known_by(row(92, "SSH", REMOTE, ACCEPTABLE, &[22], &[]), is_ssh),
    row(96, "TFTP", OTHER, ACCEPTABLE, &[], &[69]),
    known_by(row(100, "SIP", OTHER, ACCEPTABLE, &[5060, 5061], &[5060, 5061]), is_sip),
    row(103, "DHCPV6", NETWORK, ACCEPTABLE, &[], &[546, 547]),
    row(111, "Kerberos", NETWORK, ACCEPTABLE, &[88], &[88]),
    row(112, "LDAP", SYSTEM, ACCEPTABLE, &[389], &[389]),
    row(114, "MsSQL-TDS", DATABASE, ACCEPTABLE, &[1433, 1434], &[]),
    row(128, "NetFlow", NETWORK, ACCEPTABLE, &[], &[2055]),
    row(129, "sFlow", NETWORK, ACCEPTABLE, &[], &[6343]),
    row(146, "Radius", NETWORK, ACCEPTABLE, &[], &[1812, 1813]),
    row(152, "GTP", NETWORK, ACCEPTABLE, &[], &[2152, 2123]),
    row(182, "Redis", DATABASE, ACCEPTABLE, &[6379], &[]),
    row(188, "QUIC", WEB, ACCEPTABLE, &[], &[443]),
    row(80, "GRE", NETWORK, ACCEPTABLE, &[], &[]),
    row(81, "ICMP", NETWORK, ACCEPTABLE, &[], &[]),
    row(82, "IGMP", NETWORK, ACCEPTABLE, &[], &[]),
    row(84, "SCTP", NETWORK, ACCEPTABLE, &[], &[]),
    row(85, "OSPF", NETWORK, ACCEPTABLE, &[], &[]),
    row(102, "ICMPV6", NETWORK, ACCEPTABLE, &[], &[]),
];

/// Applications of IP protocols without ports.
const WITHOUT_PORTS: [(u8, u16); 6] = [(1, 81), (2, 82), (47, 80), (58, 102), (protocol::SCTP, 84), (89, 85)];

/// A query or response about one name (RFC 1035, section 4.1): a sound header, on port 53 or a few like it.
fn is_dns(packet: &Packet<'_>, payload: &[u8]) -> bool {
    let on_port = |port: u16| packet.src_port == port || packet.dst_port == port;
    let header = if packet.protocol == protocol::TCP { payload.get(2..) } else { Some(payload) };
    let Some(&[_, _, flags, _, 0, questions, ..]) = header.and_then(|h| h.first_chunk::<12>()) else { return false };
    on_port(53) && flags & 0x78 == 0 && questions <= 1
}

/// A method or a status line (RFC 9112, section 2.1).
fn is_http(packet: &Packet<'_>, payload: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"PATCH ", b"HTTP/1."];
    packet.protocol == protocol::TCP && METHODS.iter().any(|method| payload.starts_with(method))
}

/// A record of a handshake (RFC 8446, section 5.1).
fn is_tls(packet: &Packet<'_>, payload: &[u8]) -> bool {
    packet.protocol == protocol::TCP && matches!(payload.first_chunk::<6>(), Some(&[22, 3, 0..=4, _, _, 1 | 2]))
}

/// An identification string (RFC 4253, section 4.2).
fn is_ssh(packet: &Packet<'_>, payload: &[u8]) -> bool {
    packet.protocol == protocol::TCP && payload.starts_with(b"SSH-")
}

/// A request or status line (RFC 3261, section 7).
fn is_sip(_: &Packet<'_>, payload: &[u8]) -> bool {
    const LINES: [&[u8]; 7] =
        [b"SIP/2.0 ", b"INVITE sip", b"REGISTER sip", b"OPTIONS sip", b"BYE sip", b"ACK sip", b"SUBSCRIBE sip"];
    LINES.iter().any(|line| payload.starts_with(line))
}

/// What numbers are called.
pub fn names() -> Names {
    let mut protocols = vec![String::new(); ROWS.iter().map(|row| usize::from(row.number)).max().unwrap_or(0) + 1];
    for (number, name) in ROWS.iter().map(|row| (row.number, row.name)).chain([(0, "Unknown")]) {
        if let Some(place) = protocols.get_mut(usize::from(number)) {
            *place = name.to_owned();
        }
    }
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Names { protocols, categories: texts(&CATEGORIES), breeds: texts(&BREEDS), risks: Vec::new() }
}

/// The detector.
#[derive(Debug, Default)]
pub struct Builtin {
    /// Of flows under way, the verdict by ports.
    flows: Vec<Verdict<'static>>,
    free: Vec<u32>,
}

/// Flows looked at at a time at most.
const FLOWS: usize = 1 << 18;

impl Builtin {
    /// One that has seen nothing.
    pub fn new() -> Builtin {
        Builtin::default()
    }

    fn end(&mut self, ticket: Ticket) {
        self.free.push(ticket.0.get() - 1);
    }
}

impl Detector for Builtin {
    fn begin(&mut self) -> Option<Ticket> {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.flows.len() < FLOWS => {
                self.flows.push(Verdict::default());
                self.flows.len() as u32 - 1
            }
            None => return None,
        };
        *self.flows.get_mut(place as usize)? = Verdict::default();
        NonZeroU32::new(place + 1).map(Ticket)
    }

    fn packet(&mut self, ticket: Ticket, ip: &[u8], time: Nanos, last: bool) -> Option<Verdict<'_>> {
        let frame = Frame { time, link: LinkType::RAW, wire_len: ip.len() as u32, interface: 0, bytes: ip };
        let kept = self.flows.get_mut(ticket.0.get() as usize - 1)?;
        let mut seen = None;
        if let Ok(packet) = decode(&frame, &KeyParts::default()) {
            *kept = by_port(&packet);
            seen = by_payload(&packet).or_else(|| without_ports(&packet));
        }
        let verdict = seen.or_else(|| last.then_some(*kept))?;
        self.end(ticket);
        Some(verdict)
    }

    fn give_up(&mut self, ticket: Ticket) -> Verdict<'_> {
        let verdict = self.flows.get(ticket.0.get() as usize - 1).copied().unwrap_or_default();
        self.end(ticket);
        verdict
    }
}

fn by_payload(packet: &Packet<'_>) -> Option<Verdict<'static>> {
    let header = match packet.protocol {
        protocol::TCP => packet.transport().get(12).map_or(20, |byte| usize::from(byte >> 4) * 4),
        protocol::UDP => 8,
        _ => return None,
    };
    let payload = packet.transport().get(header..).filter(|payload| !payload.is_empty())?;
    ROWS.iter().find(|row| row.begins.is_some_and(|begins| begins(packet, payload))).map(|row| verdict(row, BY_PACKET))
}

fn without_ports(packet: &Packet<'_>) -> Option<Verdict<'static>> {
    let (_, number) = WITHOUT_PORTS.iter().find(|(protocol, _)| *protocol == packet.protocol)?;
    ROWS.iter().find(|row| row.number == *number).map(|row| verdict(row, BY_PACKET))
}

/// The lower port is asked first.
fn by_port(packet: &Packet<'_>) -> Verdict<'static> {
    let (low, high) = (packet.src_port.min(packet.dst_port), packet.src_port.max(packet.dst_port));
    let ports = |row: &&Row, port: u16| match packet.protocol {
        protocol::TCP => row.tcp.contains(&port),
        protocol::UDP => row.udp.contains(&port),
        _ => false,
    };
    let found = [low, high].into_iter().find_map(|port| ROWS.iter().find(|row| ports(row, port)));
    found.map_or(Verdict { breed: UNRATED, ..Verdict::default() }, |row| verdict(row, BY_PORT))
}

fn verdict(row: &Row, confidence: u8) -> Verdict<'static> {
    Verdict { app: row.number, category: row.category, breed: row.breed, confidence, ..Verdict::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::packet::tests::ipv4;

    fn told(protocol: u8, ports: [u16; 2], payload: &[u8]) -> (u16, u8) {
        let mut transport = ports.map(u16::to_be_bytes).concat();
        transport.resize(if protocol == protocol::TCP { 20 } else { 8 }, 0);
        if protocol == protocol::TCP {
            transport[12] = 0x50;
        }
        let packet = ipv4(1, 2, protocol, 0, &[&transport[..], payload].concat());
        let mut detector = Builtin::new();
        let ticket = detector.begin().expect("room");
        let first = detector.packet(ticket, &packet, Nanos(1), false).map(|v| (v.app, v.confidence));
        first.unwrap_or_else(|| {
            let verdict = detector.give_up(ticket);
            (verdict.app, verdict.confidence)
        })
    }

    #[test]
    fn what_is_in_a_packet_counts_more_than_its_ports() {
        assert_eq!(told(6, [50_000, 9999], b"GET / HTTP/1.1\r\n"), (7, BY_PACKET));
        assert_eq!(told(6, [50_000, 80], &[22, 3, 1, 2, 0, 1, 0, 1]), (91, BY_PACKET));
        assert_eq!(told(6, [22, 50_000], b"SSH-2.0-x"), (92, BY_PACKET));
        assert_eq!(told(17, [50_000, 5070], b"INVITE sip:a@b SIP/2.0"), (100, BY_PACKET));
        assert_eq!(told(17, [50_000, 53], &[1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]), (5, BY_PACKET));
        assert_eq!(told(1, [0x0800, 0], b""), (81, BY_PACKET));
    }

    #[test]
    fn ports_decide_in_the_end() {
        assert_eq!(told(6, [50_000, 25], b"220"), (3, BY_PORT));
        assert_eq!(told(17, [123, 123], b""), (9, BY_PORT));
        assert_eq!(told(17, [50_000, 50_001], b"x"), (0, 0));
    }

    #[test]
    fn numbers_and_names_are_one_each() {
        let names = names();
        for row in &ROWS {
            assert_eq!(names.protocols.get(usize::from(row.number)).map(String::as_str), Some(row.name));
            assert_eq!(ROWS.iter().filter(|other| other.number == row.number).count(), 1, "{}", row.name);
        }
    }
}
