use core::net::IpAddr;

use flowsonde_wire::Nanos;
use flowsonde_wire::export::{Datagram, Transport};

use super::super::collector::{Collector, Config};
use super::super::records::Version;
use super::super::sampled::tests::Kept;
use super::*;

pub(crate) fn about() -> About {
    About {
        exporter: [192, 0, 2, 1].into(),
        port: 6343,
        transport: Transport::Udp,
        version: Version::Sflow5,
        domain: 0,
        engine: (0, 0),
        export: Nanos(1),
        uptime_ms: Some(1),
        init: None,
        arrival: Nanos(1),
        shift: 0,
    }
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// A sample or record with its format and length.
fn block(format: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = words(&[format, body.len() as u32]);
    bytes.extend(body);
    bytes
}

/// A sample of a packet, compact.
fn flow(sequence: u32, rate: u32, drops: u32, interfaces: [u32; 2], records: &[Vec<u8>]) -> Vec<u8> {
    let mut body = words(&[sequence, 7, rate, 1000, drops, interfaces[0], interfaces[1], records.len() as u32]);
    body.extend(records.concat());
    block(1, &body)
}

fn datagram(sequence: u32, samples: &[Vec<u8>]) -> Vec<u8> {
    let header = Header {
        agent: [198, 51, 100, 1].into(),
        sub_agent: 3,
        sequence,
        uptime_ms: 9000,
        samples: samples.len() as u32,
    };
    let mut bytes = Vec::new();
    header.write(&mut bytes);
    bytes.extend(samples.concat());
    bytes
}

/// A raw header record; `bytes` are padded.
fn raw(protocol: u32, frame_length: u32, stripped: u32, bytes: &[u8]) -> Vec<u8> {
    let mut body = words(&[protocol, frame_length, stripped, bytes.len() as u32]);
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
    block(1, &body)
}

/// TCP over IPv4 from 192.0.2.9 port 443 to 192.0.2.8 port 50000, flags SYN and ACK, ToS 0x20, TTL 60.
fn ipv4() -> Vec<u8> {
    let mut packet = vec![0x45, 0x20, 5, 220, 0, 1, 0x40, 0, 60, 6, 0, 0, 192, 0, 2, 9, 192, 0, 2, 8];
    packet.extend([1, 187, 0xc3, 0x50, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x12, 1, 0, 0, 0, 0, 0]);
    packet
}

/// ICMPv6 neighbour solicitation from ::9 to ::8.
fn ipv6() -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 24, 58, 255];
    packet.extend(9u128.to_be_bytes());
    packet.extend(8u128.to_be_bytes());
    packet.extend([135, 0, 0, 0]);
    packet
}

fn tagged(vlan: u16, kind: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0];
    frame.extend(vlan.to_be_bytes());
    frame.extend(kind.to_be_bytes());
    frame.extend(packet);
    frame
}

fn send(collector: &mut Collector, bytes: &[u8]) -> Kept {
    let mut kept = Kept::default();
    let message = Datagram {
        time: Nanos::new(1_700_000_000, 0),
        transport: Transport::Udp,
        from: ([203, 0, 113, 5], 40000).into(),
        to: 6343,
        local: None,
        bytes,
    };
    collector.message(&message, &mut kept).expect("sFlow");
    kept
}

fn counters(collector: &Collector) -> session::Counters {
    collector.sessions().next().expect("a session").counters
}

#[test]
fn a_sample_becomes_a_record_with_all_it_tells() {
    let router = block(1002, &words(&[1, 0xc000_02fe, 24, 16]));
    let gateway = block(1003, &words(&[1, 0xc000_02fd, 64500, 64501, 64502, 1, 2, 2, 64510, 64511, 0, 100]));
    let switch = block(1001, &words(&[0, u32::MAX, 20, 0]));
    let unknown = block(0x0012_3456, &[1; 8]);
    let records = [switch, raw(1, 1522, 4, &tagged(10, 0x0800, &ipv4())), gateway, unknown, router];
    let mut collector = Collector::new(Config::default());
    let kept = send(&mut collector, &datagram(1, &[flow(1, 512, 0, [17, 0x8000_0003], &records)]));
    assert_eq!(kept.rows.len(), 1);
    for (id, number) in [
        (8, 0xc000_0209),
        (12, 0xc000_0208),
        (15, 0xc000_02fe),
        (9, 24),
        (13, 16),
        (32, 0),
        (10, 17),
        (14, 0),
        (2, 1),
        (1, 1522),
        (7, 443),
        (11, 50000),
        (4, 6),
        (60, 4),
        (5, 0x20),
        (6, 0x12),
        (52, 60),
        (89, 0),
        (58, 10),
        (59, 20),
        (56, 0x0200_0000_0002),
        (80, 0x0200_0000_0001),
        (16, 64501),
        (17, 64511),
        (34, 512),
    ] {
        assert_eq!(kept.get(0, id), Some(number), "element {id}");
    }
    assert_eq!(kept.rates, [512]);
    let about = kept.about[0];
    assert_eq!((about.exporter, about.domain), (IpAddr::from([198, 51, 100, 1]), 3));
    assert_eq!(about.export, about.arrival);
    let counters = counters(&collector);
    assert_eq!((counters.samples, counters.flows, counters.samples_malformed, counters.malformed), (1, 1, 0, 0));
}

#[test]
fn families_are_apart_and_expanded_samples_read() {
    let v6 = [raw(12, 64, 0, &ipv6())];
    let mut body = words(&[5, 0, 0x0100_0000, 100, 9, 0, 0, 0x0200_0000, 0, 0xffff_ffff, 1]);
    body.extend(v6.concat());
    let samples = [block(3, &body), flow(1, 10, 0, [1, 0x3fff_ffff], &[raw(11, 1500, 0, &ipv4())]), block(3, &body)];
    let mut collector = Collector::new(Config::default());
    let kept = send(&mut collector, &datagram(1, &samples));
    let v6: Vec<_> = (0..3).map(|n| kept.get(n, 60)).collect();
    assert_eq!(v6, [Some(4), Some(6), Some(6)]);
    assert_eq!((kept.get(1, 27), kept.get(1, 28), kept.get(1, 139)), (Some(9), Some(8), Some(135 << 8)));
    assert_eq!((kept.get(1, 10), kept.get(1, 14), kept.get(1, 1)), (Some(0x0200_0000), Some(0), Some(64)));
    assert_eq!((kept.get(0, 10), kept.get(0, 14), kept.rates), (Some(1), Some(0), vec![10, 100, 100]));
}

#[test]
fn fields_serve_where_there_is_no_header() {
    let ethernet = block(2, &words(&[90, 0x0200_0000, 0x0002_0000, 0x0200_0000, 0x0001_0000, 0x0800]));
    let ip = block(3, &words(&[72, 17, 0xc000_0209, 0xc000_0208, 53, 5353, 0, 8]));
    let ip6 = block(4, &words(&[60, 6, 0, 0, 0, 9, 0, 0, 0, 8, 80, 50000, 2, 4]));
    let arp = raw(1, 64, 4, &tagged(10, 0x0806, &[0; 28]));
    let samples = [
        flow(1, 10, 0, [1, 2], &[ethernet.clone(), ip.clone()]),
        flow(2, 10, 0, [1, 2], &[ip]),
        flow(3, 10, 0, [1, 2], &[ip6]),
        flow(4, 10, 0, [1, 2], &[arp]),
        flow(5, 10, 0, [1, 2], &[ethernet]),
        flow(6, 10, 0, [1, 2], &[raw(15, 90, 0, &[0; 60])]),
    ];
    let mut collector = Collector::new(Config::default());
    let kept = send(&mut collector, &datagram(1, &samples));
    let lengths: Vec<_> = (0..3).map(|n| kept.get(n, 1)).collect();
    assert_eq!(lengths, [Some(90), Some(72), Some(60)]);
    assert_eq!((kept.get(0, 56), kept.get(0, 80)), (Some(0x0200_0000_0002), Some(0x0200_0000_0001)));
    assert_eq!(
        (kept.get(0, 8), kept.get(0, 7), kept.get(0, 11), kept.get(0, 5)),
        (Some(0xc000_0209), Some(53), Some(5353), Some(8))
    );
    assert_eq!((kept.get(2, 28), kept.get(2, 6), kept.get(2, 4)), (Some(8), Some(2), Some(6)));
    let counters = counters(&collector);
    assert_eq!((counters.samples, counters.flows, counters.samples_other), (6, 3, 3));
}

#[test]
fn discarded_packets_say_why() {
    let mut body = words(&[3, 0, 7, 256, 1, 2, 258, 1]);
    body.extend(raw(1, 1522, 4, &tagged(10, 0x0800, &ipv4())));
    let samples = [block(5, &body), flow(1, 100, 0, [1, 0x4000_0101], &[raw(11, 1500, 0, &ipv4())])];
    let mut collector = Collector::new(Config::default());
    let kept = send(&mut collector, &datagram(1, &samples));
    assert_eq!((kept.get(0, 89), kept.get(0, 14), kept.rates[0]), (Some(130), Some(2), 1));
    assert_eq!((kept.get(1, 89), kept.get(1, 14), kept.rates[1]), (Some(137), Some(0), 100));
}

#[test]
fn counters_of_interfaces_are_handed_on() {
    let numbers: Vec<u32> = (1..=22).collect();
    let mut groups = block(1, &words(&numbers));
    groups.extend(block(1005, &words(&[4, 0x6574_6830])));
    groups.extend(block(2, &words(&[0; 13])));
    let (mut compact, mut expanded) = (words(&[41, 7, 3]), words(&[42, 0, 7, 3]));
    compact.extend(&groups);
    expanded.extend(&groups);
    let short = words(&[43, 0, 7, 1, 1, 4, 1]);
    let mut collector = Collector::new(Config::default());
    let kept = send(&mut collector, &datagram(1, &[block(2, &compact), block(4, &expanded), block(4, &short)]));
    assert_eq!(kept.counters, [(41, 1, "eth0".to_owned(), 30), (42, 1, "eth0".to_owned(), 30)]);
    let counters = counters(&collector);
    assert_eq!((counters.counter_samples, counters.samples, counters.samples_malformed), (3, 0, 1));
}

#[test]
fn what_is_broken_costs_itself() {
    let good = || flow(1, 10, 0, [1, 2], &[raw(11, 1500, 0, &ipv4())]);
    // A raw header that says it is longer than its record; a sample shorter than its header; a format nobody knows.
    let long = flow(2, 10, 0, [1, 2], &[block(1, &words(&[11, 1500, 0, 64, 0]))]);
    let short = block(1, &words(&[3, 7]));
    let unknown = block(0x0012_3001, &[0; 12]);
    // One broken record beside a good one.
    let half = flow(4, 10, 0, [1, 2], &[block(1001, &[0; 4]), raw(11, 1500, 0, &ipv4())]);
    let mut collector = Collector::new(Config::default());
    let kept = send(&mut collector, &datagram(1, &[good(), long, short, unknown, half, good()]));
    assert_eq!(kept.rows.len(), 3);
    let counted = counters(&collector);
    assert_eq!((counted.samples, counted.samples_other, counted.flows), (4, 1, 3));
    assert_eq!((counted.samples_malformed, counted.samples_unknown, counted.malformed), (3, 1, 0));
    // More samples told than there are.
    let mut more = datagram(2, &[good(), good()]);
    more[27] = 3;
    assert_eq!(send(&mut collector, &more).rows.len(), 2);
    assert_eq!(counters(&collector).malformed, 1);
}

#[test]
fn every_truncation_reads_what_is_whole_and_counts_the_rest() {
    let samples = [
        flow(1, 10, 0, [1, 2], &[raw(1, 1522, 4, &tagged(10, 0x0800, &ipv4()))]),
        flow(2, 10, 0, [1, 2], &[raw(12, 1500, 0, &ipv6())]),
    ];
    let whole = datagram(1, &samples);
    for cut in 28..whole.len() {
        let mut collector = Collector::new(Config::default());
        let kept = send(&mut collector, &whole[..cut]);
        let expected = usize::from(cut >= 28 + samples[0].len());
        assert_eq!((kept.rows.len(), counters(&collector).malformed), (expected, 1), "cut at {cut}");
    }
}

#[test]
fn gaps_and_drops_of_sources_are_the_sessions() {
    let sample = |sequence, drops| flow(sequence, 10, drops, [1, 2], &[raw(11, 1500, 0, &ipv4())]);
    let mut collector = Collector::new(Config::default());
    send(&mut collector, &datagram(1, &[sample(10, 5), sample(11, 7)]));
    send(&mut collector, &datagram(2, &[sample(15, 10), sample(13, 9)]));
    let counted = counters(&collector);
    assert_eq!((counted.samples_lost, counted.sample_drops, counted.samples), (2, 5, 4));
    // The agent starts anew.
    send(&mut collector, &datagram(9000, &[sample(16, 10)]));
    send(&mut collector, &datagram(1, &[sample(1, 0), sample(2, 1)]));
    let counted = counters(&collector);
    assert_eq!((counted.samples_lost, counted.sample_drops), (2, 6));
}
