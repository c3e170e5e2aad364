//! NetFlow-Lite and PSAMP: records of NetFlow v9 or IPFIX that hold the first bytes of a sampled packet and no addresses of
//! their own. Each becomes a record like one of sFlow.
//!
//! ```text
//! section    315 dataLinkFrameSection, 104 layer2packetSectionData: from the link header on (RFC 5477, section 8.5)
//!            313 ipHeaderPacketSection: from the IP header on | 314 ipPayloadPacketSection: what follows that header
//! begins at  409 sectionOffset, 102 layer2packetSectionOffset     bytes in it  410 sectionExportedOctets, 103 its size
//! packet     312 dataLinkFrameSize | 224 ipTotalLength | 10, 14 interfaces | 1 octets | 2 packets
//! rate       the record's own, or that of its selector (302) or sampler (48), as for any record
//! ```
//!
//! Cisco's Catalyst 4948E sends 104 in a field of fixed length, with zeros behind what was captured. A section that
//! begins inside of the link header cannot be read, nor can frames that are not Ethernet (408 dataLinkFrameType).

use flowsonde_wire::LinkType;

use super::layout::{Field, Layout, Record, Spans};
use super::records::{About, Receive, Version};
use super::sampled::{Head, Rows, Sampled};
use super::session::Session;
use super::templates::Layouts;

const FRAME: [u16; 2] = [315, 104];
const IP_HEADER: u16 = 313;
const IP_PAYLOAD: u16 = 314;
/// Length of an Ethernet header: a section that begins here begins with the packet.
const ETHERNET: u64 = 14;

/// True for layouts of records that are read here.
pub fn is_sampled(layout: &Layout) -> bool {
    let has = |id| layout.find(id).is_some();
    !layout.is_options()
        && (FRAME.into_iter().any(has) || has(IP_HEADER) || has(IP_PAYLOAD))
        && ![8, 12, 27, 28].into_iter().any(has)
}

/// Reads records of sampled packets.
#[derive(Debug)]
pub struct Decoder {
    rows: Rows,
    /// IP header and payload that came apart.
    joined: Vec<u8>,
}

/// Where a layout has what is read of it.
struct Places<'a> {
    frame: Option<&'a Field>,
    header: Option<&'a Field>,
    payload: Option<&'a Field>,
    offset: Option<&'a Field>,
    captured: Option<&'a Field>,
    kind: Option<&'a Field>,
    length: Option<&'a Field>,
    octets: Option<&'a Field>,
    packets: Option<&'a Field>,
    interfaces: [Option<&'a Field>; 2],
}

impl<'a> Places<'a> {
    fn of(layout: &'a Layout) -> Self {
        let first = |ids: &[u16]| ids.iter().find_map(|&id| layout.find(id));
        Places {
            frame: first(&FRAME),
            header: layout.find(IP_HEADER),
            payload: layout.find(IP_PAYLOAD),
            offset: first(&[409, 102]),
            captured: first(&[410, 103]),
            kind: layout.find(408),
            length: first(&[312, 224]),
            octets: layout.find(1),
            packets: layout.find(2),
            interfaces: [first(&[10, 252]), first(&[14, 253])],
        }
    }
}

impl Decoder {
    /// Ready for a first set.
    pub fn new(layouts: &mut Layouts) -> Decoder {
        Decoder { rows: Rows::new(layouts), joined: Vec::new() }
    }

    /// Reads the records of a set.
    pub fn read(&mut self, session: &mut Session, about: &About, layout: &Layout, bytes: &[u8], out: &mut dyn Receive) {
        let places = Places::of(layout);
        let mut spans = Spans::default();
        let mut rest = bytes;
        while let Some((record, after)) = layout.split(rest, &mut spans) {
            rest = after;
            session.counters.samples += 1;
            let told = |field: Option<&Field>| field.map_or(0, |field| record.number(field, &spans));
            let index = |field| u32::try_from(told(field)).unwrap_or(0);
            let mut sampled = Sampled {
                interfaces: places.interfaces.map(index),
                packets: told(places.packets).max(1),
                rate: session.samplers.told_of(layout, &record, &spans).rate,
                ..Sampled::default()
            };
            let length = told(places.length);
            let Some(head) = head(&places, &record, &spans, length, &mut self.joined) else {
                session.counters.samples_other += 1;
                continue;
            };
            match self.rows.decode(&head) {
                Ok(packet) => {
                    sampled.fill(&packet);
                    let own = u64::from(packet.l3) + u64::from(packet.ip_len);
                    let octets = [told(places.octets), length];
                    sampled.octets = octets.into_iter().find(|octets| *octets > 0).unwrap_or(own);
                    self.rows.push(&sampled);
                }
                Err(_) => session.counters.samples_other += 1,
            }
        }
        let about = About { version: Version::Lite, ..*about };
        session.counters.flows += self.rows.hand_on(&about, &session.samplers, out);
    }
}

/// The first bytes of a record's packet. `None` when they begin where they cannot be read.
fn head<'a>(
    places: &Places<'_>,
    record: &Record<'a>,
    spans: &Spans,
    length: u64,
    joined: &'a mut Vec<u8>,
) -> Option<Head<'a>> {
    let told = |field: Option<&Field>| field.map_or(0, |field| record.number(field, spans));
    let section = |field| {
        let bytes = record.value(field, spans);
        let captured = usize::try_from(told(places.captured)).unwrap_or(0);
        bytes.get(..captured).filter(|captured| !captured.is_empty()).unwrap_or(bytes)
    };
    let (offset, length) = (told(places.offset), u32::try_from(length).unwrap_or(u32::MAX));
    if let Some(field) = places.frame {
        let link = match (offset, told(places.kind)) {
            // 0 is not told.
            (0, 0 | 1) => LinkType::ETHERNET,
            (ETHERNET, 0 | 1) => LinkType::RAW,
            _ => return None,
        };
        return Some(Head { link, length: length.saturating_sub(offset as u32), bytes: section(field) });
    }
    let header = places.header?;
    if offset > 0 {
        return None;
    }
    let Some(payload) = places.payload else {
        return Some(Head { link: LinkType::RAW, length, bytes: section(header) });
    };
    joined.clear();
    joined.extend_from_slice(record.value(header, spans));
    joined.extend_from_slice(record.value(payload, spans));
    Some(Head { link: LinkType::RAW, length, bytes: joined })
}

#[cfg(test)]
mod tests {
    use flowsonde_wire::Nanos;
    use flowsonde_wire::export::{Datagram, Transport};

    use super::super::collector::{Collector, Config};
    use super::super::sampled::tests::Kept;

    /// UDP from 192.0.2.9 port 53 to 192.0.2.8 port 5353, 72 bytes.
    const PACKET: [u8; 28] =
        [0x45, 0, 0, 72, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 9, 192, 0, 2, 8, 0, 53, 0x14, 0xe9, 0, 52, 0, 0];

    fn frame() -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend(PACKET);
        frame
    }

    fn halves(numbers: &[u16]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    fn set(id: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = halves(&[id, 4 + body.len() as u16]);
        bytes.extend(body);
        bytes
    }

    fn template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
        let mut body = halves(&[id, fields.len() as u16]);
        for &(id, length) in fields {
            body.extend(halves(&[id, length]));
        }
        body
    }

    fn v9(sequence: u8, sets: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![0, 9, 0, 1, 0, 0, 0, 1, 0x65, 0, 0, 0, 0, 0, 0, sequence, 0, 0, 0, 7];
        bytes.extend(sets.concat());
        bytes
    }

    fn ipfix(sequence: u8, sets: &[Vec<u8>]) -> Vec<u8> {
        let sets = sets.concat();
        let mut bytes = halves(&[10, 16 + sets.len() as u16]);
        bytes.extend([0x65, 0, 0, 0, 0, 0, 0, sequence, 0, 0, 0, 7]);
        bytes.extend(sets);
        bytes
    }

    fn send(collector: &mut Collector, bytes: &[u8]) -> Kept {
        let mut kept = Kept::default();
        let message = Datagram {
            time: Nanos::new(1_700_000_000, 0),
            transport: Transport::Udp,
            from: ([203, 0, 113, 5], 40000).into(),
            to: 2055,
            local: None,
            bytes,
        };
        collector.message(&message, &mut kept).expect("NetFlow");
        kept
    }

    #[test]
    fn netflow_lite_of_a_switch() {
        let mut collector = Collector::new(Config::default());
        // Sampler 1 takes one packet in 32.
        let mut options = halves(&[257, 4, 12, 1, 4, 48, 1, 49, 1, 50, 4]);
        options.extend([0, 0]);
        let mut data = vec![0, 0, 0, 0, 1, 2, 0, 0, 0, 32];
        data.extend([0, 0]);
        send(&mut collector, &v9(0, &[set(1, &options), set(257, &data)]));
        let fields = [(48, 1), (10, 4), (102, 2), (103, 2), (312, 2), (104, 64)];
        let mut record = vec![1, 0, 0, 0, 17, 0, 0, 0, 42, 0, 90];
        record.extend(frame());
        record.resize(11 + 64, 0);
        let mut other = record.clone();
        other[11 + 12..11 + 14].copy_from_slice(&[8, 6]);
        let body = [record, other].concat();
        let kept = send(&mut collector, &v9(1, &[set(0, &template(256, &fields)), set(256, &body)]));
        assert_eq!((kept.rows.len(), &kept.rates[..]), (1, &[32][..]));
        for (id, number) in [
            (8, 0xc000_0209),
            (12, 0xc000_0208),
            (7, 53),
            (11, 5353),
            (4, 17),
            (10, 17),
            (1, 90),
            (2, 1),
            (34, 32),
            (56, 0x0200_0000_0002),
        ] {
            assert_eq!(kept.get(0, id), Some(number), "element {id}");
        }
        assert_eq!(kept.about[0].version, super::Version::Lite);
        let counters = collector.sessions().next().expect("a session").counters;
        assert_eq!((counters.samples, counters.samples_other, counters.flows), (2, 1, 1));
    }

    #[test]
    fn sections_of_ipfix_may_vary_in_length() {
        let mut collector = Collector::new(Config::default());
        let fields = [(305, 4), (306, 4), (315, 65535)];
        let mut record = vec![0, 0, 0, 1, 0, 0, 0, 99, 42];
        record.extend(frame());
        let message = ipfix(0, &[set(2, &template(256, &fields)), set(256, &record)]);
        let kept = send(&mut collector, &message);
        // No length is told: the packet's own and its link header's.
        assert_eq!((kept.get(0, 1), kept.get(0, 8), &kept.rates[..]), (Some(86), Some(0xc000_0209), &[100][..]));
        // Data that is not IP is data to the sequence.
        record[9 + 12] = 0x88;
        send(&mut collector, &ipfix(1, &[set(256, &record)]));
        send(&mut collector, &ipfix(2, &[set(256, &record)]));
        let session = collector.sessions().next().expect("a session");
        assert_eq!((session.sequence.lost, session.sequence.late, session.counters.samples_other), (0, 0, 2));
        for cut in 0..message.len() {
            let mut kept = Kept::default();
            let bytes = &message[..cut];
            let from = ([203, 0, 113, 6], 1).into();
            let message = Datagram { time: Nanos(1), transport: Transport::Udp, from, to: 1, local: None, bytes };
            let _ = Collector::new(Config::default()).message(&message, &mut kept);
            assert!(kept.rows.is_empty(), "cut at {cut}");
        }
    }

    #[test]
    fn ip_headers_and_payloads_come_apart() {
        let mut collector = Collector::new(Config::default());
        let templates =
            [template(256, &[(313, 28)]), template(257, &[(313, 20), (314, 8)]), template(258, &[(314, 28)])].concat();
        let data = [set(256, &PACKET), set(257, &PACKET), set(258, &PACKET)].concat();
        let kept = send(&mut collector, &ipfix(0, &[set(2, &templates), data]));
        let ports: Vec<_> = (0..2).map(|n| (kept.get(n, 7), kept.get(n, 11), kept.get(n, 1))).collect();
        assert_eq!(ports, [(Some(53), Some(5353), Some(72)); 2]);
        assert_eq!((kept.rows.len(), collector.sessions().next().expect("one").counters.samples_other), (2, 1));
    }

    #[test]
    fn offsets_are_kept() {
        let mut collector = Collector::new(Config::default());
        let fields = [(409, 2), (410, 2), (315, 40)];
        let sections: Vec<u8> = [(0u16, frame()), (14, PACKET.to_vec()), (2, frame())]
            .into_iter()
            .flat_map(|(offset, section)| {
                let mut record = halves(&[offset, section.len() as u16]);
                record.extend(section);
                record.resize(44, 0);
                record
            })
            .collect();
        let kept = send(&mut collector, &ipfix(0, &[set(2, &template(256, &fields)), set(256, &sections)]));
        let read: Vec<_> = (0..kept.rows.len()).map(|n| (kept.get(n, 8), kept.get(n, 56))).collect();
        assert_eq!(read, [(Some(0xc000_0209), Some(0x0200_0000_0002)), (Some(0xc000_0209), Some(0))]);
    }

    #[test]
    fn records_with_addresses_are_flows() {
        let mut collector = Collector::new(Config::default());
        let mut record = vec![192, 0, 2, 1];
        record.extend(PACKET);
        let kept = send(&mut collector, &ipfix(0, &[set(2, &template(256, &[(8, 4), (313, 28)])), set(256, &record)]));
        assert_eq!((kept.rows[0].len(), kept.get(0, 8)), (2, Some(0xc000_0201)));
    }
}
