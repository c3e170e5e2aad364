//! sFlow version 5: samples of packets become records of one packet each, counters of interfaces are handed on.
//!
//! A sample's own rate stands in its record (element 34), so it is scaled like any record. Bytes are the frame's length on
//! the wire as the agent tells it, in which what was stripped counts already ("sFlow Version 5", section 5, sampled_header);
//! of samples without a frame the length of the IP packet. What a packet's own headers tell comes first, decoded as the
//! probe decodes; agents that send no headers but fields of them are read as well.
//!
//! Left out: what travels inside tunnels, NAT, labels, users, URLs, and counters other than those of interfaces.

pub mod sources;

pub use flowsonde_wire::export::sflow5::Header;
use flowsonde_wire::export::sflow5::counters::Counters;
use flowsonde_wire::export::sflow5::flow::{Ethernet, Gateway, Ip, RawHeader, Router, Switch};
use flowsonde_wire::export::sflow5::{Block, Blocks, CounterSample, Discarded, FlowSample, Format};
use flowsonde_wire::{Cursor, Short};

use super::records::{About, InterfaceCounters, Receive};
use super::sampled::{Addresses, Head, Rows, Sampled};
use super::session::{self, Session};
use super::templates::Layouts;
use sources::{Kind, Told};

/// Reads samples.
#[derive(Debug)]
pub struct Decoder {
    rows: Rows,
}

impl Decoder {
    /// Ready for a first datagram.
    pub fn new(layouts: &mut Layouts) -> Decoder {
        Decoder { rows: Rows::new(layouts) }
    }

    /// Reads a datagram of `session`. A sample that cannot be read costs itself; what follows one that is cut off cannot be
    /// found.
    pub fn read(&mut self, datagram: &[u8], about: &About, session: &mut Session, out: &mut dyn Receive) {
        let mut c = Cursor::new(datagram);
        let Ok(header) = Header::read(&mut c) else { return };
        session.sources.epoch(session.sequence.epochs);
        for sample in Blocks::new(c, header.samples) {
            let Ok(sample) = sample else {
                session.counters.malformed += 1;
                break;
            };
            let read = match sample.format {
                Format::FLOW => FlowSample::read(sample.body, false).map(|sample| self.flow(&sample, session)),
                Format::EXPANDED_FLOW => FlowSample::read(sample.body, true).map(|sample| self.flow(&sample, session)),
                Format::COUNTERS => {
                    CounterSample::read(sample.body, false).map(|sample| counters(&sample, about, session, out))
                }
                Format::EXPANDED_COUNTERS => {
                    CounterSample::read(sample.body, true).map(|sample| counters(&sample, about, session, out))
                }
                Format::DISCARDED => Discarded::read(sample.body).map(|sample| self.discarded(&sample, session)),
                _ => {
                    session.counters.samples_unknown += 1;
                    continue;
                }
            };
            session.counters.samples_malformed += u64::from(!read.unwrap_or(false));
        }
        session.counters.flows += self.rows.hand_on(about, &session.samplers, out);
    }

    /// False when a record of it cannot be read; the others count.
    #[inline]
    fn flow(&mut self, sample: &FlowSample<'_>, session: &mut Session) -> bool {
        let told = session.sources.arrived(Kind::Flow, sample.source, sample.sequence, sample.drops);
        count(&mut session.counters, told);
        let mut sampled = Sampled {
            interfaces: [sample.input.index(), sample.output.index()],
            status: sample.output.discarded().map_or(0, status),
            rate: sample.rate,
            packets: 1,
            ..Sampled::default()
        };
        self.packet(&mut sampled, sample.records, &mut session.counters)
    }

    fn discarded(&mut self, sample: &Discarded<'_>, session: &mut Session) -> bool {
        let told = session.sources.arrived(Kind::Discard, sample.source, sample.sequence, sample.drops);
        count(&mut session.counters, told);
        let mut sampled = Sampled {
            interfaces: [sample.input, sample.output],
            status: status(sample.reason),
            rate: 1,
            packets: 1,
            ..Sampled::default()
        };
        self.packet(&mut sampled, sample.records, &mut session.counters)
    }

    #[inline]
    fn packet(&mut self, sampled: &mut Sampled, records: Blocks<'_>, counters: &mut session::Counters) -> bool {
        let mut whole = true;
        let mut heads = Heads::default();
        for record in records {
            whole &= record.and_then(|record| heads.take(record, sampled)).is_ok();
        }
        if heads.read(&self.rows, sampled) {
            self.rows.push(sampled);
        } else {
            counters.samples_other += 1;
        }
        whole
    }
}

/// The headers of a packet, as they are or by their fields.
#[derive(Default)]
struct Heads<'a> {
    raw: Option<RawHeader<'a>>,
    ethernet: Option<Ethernet>,
    ipv4: Option<Ip<4>>,
    ipv6: Option<Ip<16>>,
}

impl<'a> Heads<'a> {
    /// Takes a record: a header to be read last, or something of the packet's way. Others are passed over.
    #[inline]
    fn take(&mut self, record: Block<'a>, sampled: &mut Sampled) -> Result<(), Short> {
        let c = &mut Cursor::new(record.body);
        match record.format {
            Format::RAW_HEADER => self.raw = Some(RawHeader::read(c)?),
            Format::ETHERNET => self.ethernet = Some(Ethernet::read(c)?),
            Format::IPV4 => self.ipv4 = Some(Ip::read(c)?),
            Format::IPV6 => self.ipv6 = Some(Ip::read(c)?),
            Format::SWITCH => {
                let switch = Switch::read(c)?;
                sampled.vlans = [vlan(switch.source_vlan), vlan(switch.destination_vlan)];
            }
            Format::ROUTER => {
                let router = Router::read(c)?;
                sampled.next_hop = router.next_hop.or(sampled.next_hop);
                sampled.masks = [byte(router.source_mask), byte(router.destination_mask)];
            }
            Format::GATEWAY => {
                let gateway = Gateway::read(c)?;
                // The router's next hop is nearer than BGP's.
                sampled.next_hop = sampled.next_hop.or(gateway.next_hop);
                sampled.systems = [gateway.source_as(), gateway.destination_as()];
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads them. False when there is no IP packet in them.
    #[inline]
    fn read(&self, rows: &Rows, sampled: &mut Sampled) -> bool {
        if let Some(raw) = &self.raw
            && let Some(link) = raw.link()
        {
            let length = raw.frame_length.saturating_sub(raw.stripped);
            if let Ok(packet) = rows.decode(&Head { link, length, bytes: raw.bytes }) {
                sampled.fill(&packet);
                sampled.octets = raw.frame_length.into();
                return true;
            }
        }
        self.fields(sampled)
    }

    fn fields(&self, sampled: &mut Sampled) -> bool {
        let ip_length = match (self.ipv4, self.ipv6) {
            (Some(ip), _) => {
                sampled.addresses = Addresses::V4([ip.source, ip.destination]);
                transport(&ip, sampled)
            }
            (None, Some(ip)) => {
                sampled.addresses = Addresses::V6([ip.source, ip.destination]);
                transport(&ip, sampled)
            }
            (None, None) => return false,
        };
        if let Some(ethernet) = &self.ethernet {
            sampled.macs = [ethernet.source, ethernet.destination];
        }
        let frame = self.ethernet.map(|ethernet| ethernet.length).or(self.raw.map(|raw| raw.frame_length));
        sampled.octets = frame.filter(|length| *length > 0).unwrap_or(ip_length).into();
        true
    }
}

/// Takes over what is the same in both versions of IP, and tells the packet's length.
fn transport<const N: usize>(ip: &Ip<N>, sampled: &mut Sampled) -> u32 {
    sampled.protocol = byte(ip.protocol);
    sampled.ports = [port(ip.source_port), port(ip.destination_port)];
    sampled.tcp_flags = byte(ip.tcp_flags);
    sampled.tos = byte(ip.tos);
    ip.length
}

/// Hands counters of an interface on. False when some of them cannot be read.
fn counters(sample: &CounterSample<'_>, about: &About, session: &mut Session, out: &mut dyn Receive) -> bool {
    session.counters.counter_samples += 1;
    let (mut interface, mut name, mut whole) = (None, &[][..], true);
    for group in sample.records {
        match group.and_then(Counters::read) {
            Ok(Counters::Interface(counters)) => interface = Some(counters),
            Ok(Counters::Name(text)) => name = text,
            Ok(_) => {}
            Err(_) => whole = false,
        }
    }
    if let Some(interface) = interface {
        out.counters(&InterfaceCounters { samples: sample.sequence, source: sample.source, name, interface }, about);
    }
    whole
}

#[inline]
fn count(counters: &mut session::Counters, told: Told) {
    counters.samples += 1;
    counters.sample_drops += told.drops;
    counters.samples_lost = (counters.samples_lost + told.lost).saturating_sub(told.late.into());
}

/// 0 and what is none, as agents send for untagged ports, is no VLAN.
fn vlan(id: u32) -> u16 {
    u16::try_from(id).ok().filter(|id| *id < 4096).unwrap_or(0)
}

fn byte(number: u32) -> u8 {
    number.try_into().unwrap_or(0)
}

fn port(number: u32) -> u16 {
    number.try_into().unwrap_or(0)
}

/// The forwarding status (RFC 7270, section 4.12) nearest to a reason of discarding: codes of ICMP's destination unreachable
/// below 256, sFlow's own above.
#[cold]
fn status(reason: u32) -> u8 {
    match reason {
        // Dropped: forwarding table has no way.
        0 | 1 | 6 | 7 | 11 | 12 | 269 | 281 => 131,
        // No neighbour to send it to.
        279 => 132,
        // Too large, and not to be fragmented.
        4 | 262 => 133,
        // An access list says no.
        9 | 10 | 13 => 129,
        258 => 130,
        // TTL.
        257 => 137,
        // RED, policer.
        260 => 139,
        261 => 138,
        // Reverse path forwarding.
        280 | 302 => 140,
        // Dropped, unknown.
        _ => 128,
    }
}

#[cfg(test)]
pub(crate) mod tests;
