//! What a flow is taken for by its ports alone: all there is of flows that were collected.

use flowsonde_wire::Nanos;

use super::Detector;
use crate::decode::applications::Id;
use crate::decode::packet::protocol;

/// A port no service waits on.
const CLIENT: u16 = 65_535;

/// Applications by port, and by IP protocol where there are none.
#[derive(Clone, Debug)]
pub struct ByPort {
    tcp: Vec<u16>,
    udp: Vec<u16>,
    protocols: Vec<u16>,
}

impl ByPort {
    /// Asks a detector, port by port, what it takes an empty packet for.
    pub fn ask(detector: &mut dyn Detector) -> ByPort {
        let mut ports = |protocol| (0..=u16::MAX).map(|port| guess(detector, protocol, port)).collect();
        let (tcp, udp) = (ports(protocol::TCP), ports(protocol::UDP));
        let protocols = (0..=u8::MAX).map(|protocol| match protocol {
            protocol::TCP | protocol::UDP => 0,
            other => guess(detector, other, 0),
        });
        ByPort { tcp, udp, protocols: protocols.collect() }
    }

    /// Of a flow between two ports; the lower one is asked first.
    #[inline]
    pub fn application(&self, protocol: u8, ports: [u16; 2]) -> u16 {
        let of = |list: &[u16], i: u16| list.get(usize::from(i)).copied().unwrap_or(0);
        let list = match protocol {
            protocol::TCP => &self.tcp,
            protocol::UDP => &self.udp,
            other => return of(&self.protocols, other.into()),
        };
        match of(list, ports[0].min(ports[1])) {
            0 => of(list, ports[0].max(ports[1])),
            known => known,
        }
    }

    /// Of an exporter's application id (element 95, RFC 6759, section 4): an engine and a selector. Known are the engines
    /// that say an IP protocol (1) or a port (3); others number as they like.
    pub fn of_id(&self, Id { engine, selector }: Id, protocol: u8) -> Option<u16> {
        let found = match engine {
            1 => self.application(u8::try_from(selector).ok()?, [0; 2]),
            3 => {
                let ports = [u16::try_from(selector).ok()?; 2];
                // Wireless controllers tell no protocol.
                let protocols = if protocol == 0 { [protocol::TCP, protocol::UDP] } else { [protocol; 2] };
                let found = protocols.map(|protocol| self.application(protocol, ports));
                if found[0] == 0 { found[1] } else { found[0] }
            }
            _ => 0,
        };
        (found != 0).then_some(found)
    }
}

/// What the first packet to a port, with nothing in it, is taken for.
fn guess(detector: &mut dyn Detector, protocol: u8, port: u16) -> u16 {
    let transport = if protocol == protocol::TCP { 20 } else { 8 };
    let mut packet = [0; 40];
    // From 192.0.2.1 to 198.51.100.1, which are nobody's (RFC 5737).
    packet[..20].copy_from_slice(&[
        0x45,
        0,
        0,
        20 + transport as u8,
        0,
        0,
        0,
        0,
        64,
        protocol,
        0,
        0,
        192,
        0,
        2,
        1,
        198,
        51,
        100,
        1,
    ]);
    packet[20..22].copy_from_slice(&CLIENT.to_be_bytes());
    packet[22..24].copy_from_slice(&port.to_be_bytes());
    match protocol {
        protocol::TCP => packet[32] = 0x50,
        _ => packet[25] = 8,
    }
    let Some(ticket) = detector.begin() else { return 0 };
    let verdict = detector.packet(ticket, packet.get(..20 + transport).unwrap_or(&[]), Nanos(0), true);
    verdict.map_or(0, |verdict| if verdict.app == 0 { verdict.master } else { verdict.app })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::application::Builtin;

    #[test]
    fn ports_tell_the_lower_one_first() {
        let known = ByPort::ask(&mut Builtin::new());
        assert_eq!(known.application(6, [50_000, 443]), 91);
        assert_eq!(known.application(17, [443, 50_000]), 188);
        assert_eq!(known.application(6, [8080, 22]), 92);
        assert_eq!(known.application(6, [50_000, 8080]), 7);
        assert_eq!(known.application(6, [50_000, 50_001]), 0);
        assert_eq!(known.application(1, [0, 0]), 81);
    }

    #[test]
    fn an_exporters_id_tells_a_port_or_a_protocol() {
        let known = ByPort::ask(&mut Builtin::new());
        let of_id = |id: &[u8], protocol| known.of_id(Id::read(id)?, protocol);
        assert_eq!(of_id(&[3, 0, 0, 80], 6), Some(7));
        assert_eq!(of_id(&[3, 0, 80], 6), Some(7));
        // SNMP's is of UDP only; of a record without a protocol either will do.
        assert_eq!([of_id(&[3, 0, 80], 0), of_id(&[3, 0, 161], 0), of_id(&[3, 0, 161], 6)], [Some(7), Some(14), None]);
        assert_eq!(of_id(&[1, 0, 0, 1], 1), Some(81));
        assert_eq!(of_id(&[13, 0, 0, 80], 6), None);
        assert_eq!(of_id(&[3, 0xff, 0xff, 0xff], 6), None);
    }
}
