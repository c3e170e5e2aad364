//! From captured packets to the messages in them: UDP payloads, put together from fragments where need be, and TCP
//! streams of messages.
//!
//! Left out: tunnels (only the outermost IP header is looked behind), checksums.

use std::net::{IpAddr, SocketAddr};

use flowsonde_wire::export::{Datagram, Transport};
use flowsonde_wire::net::{ipv4, ipv6};
use flowsonde_wire::transport::tcp;
use flowsonde_wire::{Cursor, Frame, Nanos, link};

use super::fragments::{Fragment, Fragments, Id};
use super::segments::{Segment, Segments};
use super::{BATCH, Counters, NOTHING, Take};

/// Which packets of a capture are exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Whatever is UDP, and TCP streams that begin like messages (`-3 any`).
    Any,
    /// Those to one of these destination ports.
    Only(Vec<u16>),
}

impl Ports {
    fn have(&self, port: u16) -> bool {
        match self {
            Ports::Any => true,
            Ports::Only(ports) => ports.contains(&port),
        }
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What is known of captured packets, over all captures of a run.
pub(super) struct Packets {
    ports: Ports,
    fragments: Fragments,
    segments: Segments,
    pub(super) counters: Counters,
}

/// What an IP packet carries.
#[derive(Clone, Copy)]
struct Carried<'a> {
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    /// Offset, more, identification.
    fragment: Option<(u16, bool, u32)>,
    /// As far as it was captured.
    bytes: &'a [u8],
    /// As long as it was.
    length: usize,
}

impl Packets {
    pub(super) fn new(ports: Ports) -> Self {
        Packets {
            segments: Segments::new(ports != Ports::Any),
            ports,
            fragments: Fragments::default(),
            counters: Counters::default(),
        }
    }

    /// Hands on the messages of these packets; tells how many there were.
    pub(super) fn frames(&mut self, frames: &[Frame<'_>], take: &mut dyn Take) -> usize {
        let before = self.counters.datagrams;
        let mut batch = Batch { places: [NOTHING; BATCH], filled: 0 };
        for frame in frames {
            match carried(frame) {
                Some(packet) => self.packet(frame.time, packet, &mut batch, take),
                None => self.counters.other += 1,
            }
        }
        batch.flush(take, &mut self.counters);
        (self.counters.datagrams - before) as usize
    }

    fn packet<'a>(&mut self, time: Nanos, packet: Carried<'a>, batch: &mut Batch<'a>, take: &mut dyn Take) {
        match (packet.protocol, packet.fragment) {
            (UDP, None) => match udp(time, &packet) {
                Some((datagram, whole)) if self.ports.have(datagram.to) => {
                    self.counters.short += u64::from(!whole);
                    batch.push(datagram, take, &mut self.counters);
                }
                _ => self.counters.other += 1,
            },
            (UDP, Some((offset, more, id))) => {
                let id = Id { from: packet.from, to: packet.to, id };
                // One that was not captured whole leaves its datagram without an end.
                if packet.bytes.len() == packet.length {
                    let fragment = Fragment { id, offset: usize::from(offset), more, bytes: packet.bytes };
                    if let Some(bytes) = self.fragments.take(&fragment, time) {
                        self.reassembled(time, packet, &bytes, batch, take);
                    }
                }
                self.count_given_up();
            }
            (TCP, None) => {
                let Some(segment) = segment(time, &packet).filter(|segment| self.ports.have(segment.to.port())) else {
                    self.counters.other += 1;
                    return;
                };
                batch.flush(take, &mut self.counters);
                self.segments.take(&segment, take, &mut self.counters);
            }
            _ => self.counters.other += 1,
        }
    }

    fn reassembled<'a>(
        &mut self,
        time: Nanos,
        packet: Carried<'a>,
        bytes: &[u8],
        batch: &mut Batch<'a>,
        take: &mut dyn Take,
    ) {
        let whole = Carried { fragment: None, bytes, length: bytes.len(), ..packet };
        match udp(time, &whole) {
            Some((datagram, complete)) if self.ports.have(datagram.to) => {
                self.counters.reassembled += 1;
                self.counters.short += u64::from(!complete);
                batch.flush(take, &mut self.counters);
                let mut alone = Batch { places: [NOTHING; BATCH], filled: 0 };
                alone.push(datagram, take, &mut self.counters);
                alone.flush(take, &mut self.counters);
            }
            _ => self.counters.other += 1,
        }
    }

    /// Datagrams that never came whole are lost, but for those that are known to be none of ours.
    fn count_given_up(&mut self) {
        for port in self.fragments.given_up() {
            if port.is_none_or(|port| self.ports.have(port)) {
                self.counters.fragments += 1;
            } else {
                self.counters.other += 1;
            }
        }
    }

    /// No more packets come; tells how many messages that made whole.
    pub(super) fn finish(&mut self, take: &mut dyn Take) -> usize {
        self.fragments.finish();
        self.count_given_up();
        self.segments.finish(take, &mut self.counters)
    }
}

/// Messages on their way.
struct Batch<'a> {
    places: [Datagram<'a>; BATCH],
    filled: usize,
}

impl<'a> Batch<'a> {
    fn push(&mut self, datagram: Datagram<'a>, take: &mut dyn Take, counters: &mut Counters) {
        if let Some(place) = self.places.get_mut(self.filled) {
            *place = datagram;
        }
        self.filled += 1;
        if self.filled == BATCH {
            self.flush(take, counters);
        }
    }

    fn flush(&mut self, take: &mut dyn Take, counters: &mut Counters) {
        let batch = self.places.get(..self.filled).unwrap_or(&self.places);
        if !batch.is_empty() {
            counters.datagrams += batch.len() as u64;
            counters.bytes += batch.iter().map(|datagram| datagram.bytes.len() as u64).sum::<u64>();
            take.datagrams(batch);
        }
        self.filled = 0;
    }
}

/// What the IP packet in a frame carries.
fn carried<'a>(frame: &Frame<'a>) -> Option<Carried<'a>> {
    let l3 = link::walk(frame.link, frame.bytes).ok()?.l3;
    let ip = frame.bytes.get(l3..)?;
    let on_wire = (frame.wire_len as usize).max(frame.bytes.len()).saturating_sub(l3);
    match ip.first()? >> 4 {
        4 => v4(ip, on_wire),
        6 => v6(ip, on_wire),
        _ => None,
    }
}

fn v4(ip: &[u8], on_wire: usize) -> Option<Carried<'_>> {
    let h = ipv4::Header::read(ip).ok()??;
    let header = usize::from(h.header_len);
    // A length of zero is what segmentation offload leaves.
    let length = if h.total_len == 0 { on_wire } else { usize::from(h.total_len) };
    let (bytes, length) = payload(ip, header, length)?;
    let fragment = (h.fragment & 0x3fff != 0).then(|| (h.fragment_offset(), h.more_fragments(), u32::from(h.id)));
    Some(Carried { from: h.src.into(), to: h.dst.into(), protocol: h.protocol, fragment, bytes, length })
}

fn v6(ip: &[u8], on_wire: usize) -> Option<Carried<'_>> {
    let h = ipv6::Header::read(ip).ok()??;
    let chain = ipv6::chain(h.next, ip.get(ipv6::HEADER_LEN..)?);
    let length = match usize::from(h.payload_len) {
        0 => on_wire,
        length => ipv6::HEADER_LEN + length,
    };
    let (bytes, length) = payload(ip, ipv6::HEADER_LEN + chain.len, length)?;
    let fragment = chain.fragment.filter(|f| f.offset != 0 || f.more).map(|f| (f.offset, f.more, f.id));
    Some(Carried { from: h.src.into(), to: h.dst.into(), protocol: chain.protocol, fragment, bytes, length })
}

/// What lies between a header and the end of the packet, as captured, and how long it was.
fn payload(ip: &[u8], header: usize, length: usize) -> Option<(&[u8], usize)> {
    let bytes = ip.get(header..length.min(ip.len()))?;
    Some((bytes, length.checked_sub(header)?))
}

/// ```text
/// 0 source port | 2 destination port | 4 length, header included | 6 checksum            RFC 768
/// ```
///
/// The payload of a datagram, and whether all of it is there.
fn udp<'a>(time: Nanos, packet: &Carried<'a>) -> Option<(Datagram<'a>, bool)> {
    let mut c = Cursor::new(packet.bytes);
    let from = SocketAddr::new(packet.from, c.u16("UDP source port").ok()?);
    let to = c.u16("UDP destination port").ok()?;
    let length = match c.u16("UDP length").ok()? {
        // Longer than it can tell, or left to the network card.
        0 => packet.length.checked_sub(8)?,
        length => usize::from(length).checked_sub(8)?,
    };
    c.skip(2, "UDP checksum").ok()?;
    let rest = c.rest();
    let bytes = rest.get(..length).unwrap_or(rest);
    Some((Datagram { time, transport: Transport::Udp, from, to, local: Some(packet.to), bytes }, bytes.len() == length))
}

fn segment<'a>(time: Nanos, packet: &Carried<'a>) -> Option<Segment<'a>> {
    let header = tcp::Header::read(packet.bytes)?;
    let mut c = Cursor::new(packet.bytes);
    let from = SocketAddr::new(packet.from, c.u16("source port").ok()?);
    let to = SocketAddr::new(packet.to, c.u16("destination port").ok()?);
    let bytes = packet.bytes.get(usize::from(header.header_len)..)?;
    Some(Segment { time, from, to, header, bytes })
}
