//! Live capture on Linux: `AF_PACKET` with a TPACKET_V3 ring, packet(7), one ring a worker.
//!
//! ```text
//! block   version:4 private:4 status:4 packets:4 first:4 length:4 sequence:8 times:16  packet...
//! packet  next:4 seconds:4 nanos:4 captured:4 wire:4 status:4 mac:2 net:2 hash:4 tci:4 tpid:2 pad:10
//!         family:2 protocol:2 interface:4 hardware:2 direction:1 length:1 address:8     (sockaddr_ll)
//!         ...free... frame, from offset mac on
//! ```
//!
//! The fields are in host order, but for `protocol`. The kernel takes the outer VLAN tag out of a frame and tells it
//! apart; here it is written back, by moving the two addresses in front of it into the free space before the frame,
//! which PACKET_RESERVE makes sure of. Interfaces without a link-layer header of their own that can be told, and `any`,
//! are captured without it, and a Linux cooked header is written into that space.
//!
//! A loopback device shows each packet twice, sent and received; the sent one is left out, as in libpcap.

use std::io;
use std::time::Duration;

use flowsonde_wire::capture::Order;
use flowsonde_wire::{Cursor, Frame, LinkType, Nanos, Short};

use super::filter::{Filter, Filters};
use super::kernel::{self, Layout, PacketSocket, Ring};
use super::live::{Direction, LiveOptions};
use super::{BATCH, Counters, Error, NOTHING, Poll, Source, spread};

/// One worker's share of an interface's packets.
pub struct AfPacket {
    interface: String,
    /// Its number; 0 for all.
    index: u32,
    /// It was down when last heard of.
    down: bool,
    warning: Option<String>,
    ring: Ring,
    reading: Reading,
    /// Run here when the kernel's view of a packet is not the one the expression means.
    filters: Option<Filters>,
    /// Of the block being read: where its next packet is, and how many are left. `None` before its header is read.
    place: Option<(usize, u32)>,
    handed_on: u64,
    filtered: u64,
    kernel_drops: u64,
}

/// How frames are to be read, the same for the whole capture.
#[derive(Clone, Copy)]
struct Reading {
    link: LinkType,
    direction: Direction,
}

/// False when this system has no such sockets, or none with rings of version 3.
pub fn supported() -> bool {
    const MISSING: [i32; 5] =
        [libc::EAFNOSUPPORT, libc::EPROTONOSUPPORT, libc::ENOPROTOOPT, libc::EINVAL, libc::ENOSYS];
    // Not being allowed to is no reason to try libpcap, which would not be either.
    !PacketSocket::open(false)
        .err()
        .and_then(|error| error.raw_os_error())
        .is_some_and(|number| MISSING.contains(&number))
}

impl AfPacket {
    /// Starts to capture from `interface`, or from all for `any`: one source for each of the workers.
    pub fn open(interface: &str, options: &LiveOptions) -> Result<Vec<AfPacket>, Error> {
        let failed = |what: &str, error: io::Error| Error(explain(interface, what, &error));
        let any = interface == "any";
        let index = match kernel::interface_index(interface) {
            _ if any => 0,
            Some(index) => index,
            None => return Err(Error(format!("-i {interface}: no such interface"))),
        };
        let link = if any {
            LinkType::LINUX_SLL
        } else {
            let probe = PacketSocket::open(false).map_err(|error| failed("opened", error))?;
            link_type(probe.hardware(interface).map_err(|error| failed("looked at", error))?)
        };
        let cooked = link == LinkType::LINUX_SLL;

        let snaplen = options.snaplen.max(1);
        let (in_kernel, here) = match options.filter.as_deref() {
            None => (Filter::all(), None),
            Some(expression) if cooked || sees_tag(expression) => {
                let mut filters = Filters::new(expression);
                filters.prepare(link)?;
                (Filter::all(), Some(filters))
            }
            Some(expression) => (Filter::compile(expression, link)?, None),
        };
        let in_kernel = in_kernel.with_snaplen(snaplen);

        let reading = Reading { link, direction: options.direction };
        let mut group = None;
        let mut workers = Vec::new();
        for _ in 0..options.workers.max(1) {
            let socket = PacketSocket::open(cooked).map_err(|error| failed("opened", error))?;
            // Nothing is taken until all workers are there: a socket that is bound but not yet in the group would see
            // every packet, those of the others too.
            socket.attach(Filter::none().program()).map_err(|error| failed("filtered", error))?;
            if options.direction == Direction::Received {
                // Where the kernel is too old for it, they are left out below.
                let _ = socket.ignore_outgoing();
            }
            let ring = ring(socket, options, cooked).map_err(|error| failed("given a ring", error))?;
            let socket = ring.socket();
            socket.bind(index).map_err(|error| failed("captured from", error))?;
            if options.promiscuous && !any {
                socket.promiscuous(index).map_err(|error| failed("made promiscuous", error))?;
            }
            if options.workers > 1 {
                group = Some(join(socket, group).map_err(|error| failed("shared among workers", error))?);
            }
            workers.push(AfPacket {
                interface: interface.to_owned(),
                index,
                down: false,
                warning: None,
                ring,
                reading,
                filters: here.clone(),
                place: None,
                handed_on: 0,
                filtered: 0,
                kernel_drops: 0,
            });
        }
        for worker in &workers {
            worker.ring.socket().attach(in_kernel.program()).map_err(|error| failed("filtered", error))?;
        }
        Ok(workers)
    }

    /// How its frames are to be read.
    pub fn link(&self) -> LinkType {
        self.reading.link
    }

    /// Waits for packets. An interface that goes down is waited for: the socket stays bound to it, and the kernel goes on
    /// when it comes up. One that is removed does not come back; another of its name is not the same.
    fn wait(&mut self) -> Result<(), Error> {
        match self.ring.wait(Duration::from_millis(100)) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {
                if !core::mem::replace(&mut self.down, true) {
                    self.warning = Some(format!("-i {}: is down; waiting for it to come up", self.interface));
                }
            }
            Err(error) => return Err(Error(explain(&self.interface, "captured from any longer", &error))),
        }
        if self.down && self.index != 0 && !kernel::interface_exists(self.index) {
            return Err(Error(format!("-i {}: was removed; start again when it is back", self.interface)));
        }
        Ok(())
    }
}

impl Source for AfPacket {
    fn poll(&mut self, consume: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        if !self.ring.ready() {
            self.wait()?;
        }
        if !self.ring.ready() {
            return Ok(Poll::Idle);
        }
        if core::mem::take(&mut self.down) {
            self.warning = Some(format!("-i {}: is up again", self.interface));
        }
        let Some(block) = self.ring.block() else { return Ok(Poll::Idle) };
        let mut packets = [Packet::default(); BATCH];
        let (found, place) = self.reading.packets(block, self.place, &mut packets);
        let block = &*block;

        let mut frames = [NOTHING; BATCH];
        let mut len = 0;
        for packet in packets.iter().take(found) {
            let frame = packet.frame(block, self.reading.link);
            if let Some(filters) = &mut self.filters
                && !filters.matches(&frame)?
            {
                self.filtered += 1;
            } else if let Some(free) = frames.get_mut(len) {
                *free = frame;
                len += 1;
            }
        }
        if let Some(frames @ [_, ..]) = frames.get(..len) {
            consume(frames);
        }
        self.handed_on += len as u64;
        self.place = place;
        if place.is_none() {
            self.ring.release();
        }
        Ok(Poll::Frames(len))
    }

    fn counters(&mut self) -> Counters {
        self.kernel_drops += u64::from(self.ring.socket().drops().unwrap_or(0));
        Counters {
            seen: self.handed_on + self.filtered + self.kernel_drops,
            kernel_drops: self.kernel_drops,
            filtered: self.filtered,
            cut: 0,
        }
    }

    fn warning(&mut self) -> Option<String> {
        self.warning.take()
    }
}

/// A ring, of fewer blocks if the memory for all cannot be had.
fn ring(socket: PacketSocket, options: &LiveOptions, cooked: bool) -> io::Result<Ring> {
    let mut layout = Layout {
        blocks: options.blocks.max(2),
        block_size: options.block_size,
        retire: options.retire,
        reserve: if cooked { COOKED + VLAN } else { VLAN } as u32,
    };
    loop {
        match socket.ring(layout) {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && layout.blocks > 4 => layout.blocks /= 2,
            Err(error) => return Err(error),
            Ok(()) => return socket.map(layout),
        }
    }
}

/// Joins the interface's group, or founds it.
fn join(socket: &PacketSocket, group: Option<u16>) -> io::Result<u16> {
    let kind = libc::PACKET_FANOUT_CBPF;
    if let Some(id) = group {
        return socket.fanout(id, kind).map(|()| id);
    }
    // The kernel picks a number nobody has; a group is of one interface, so the process id alone would not do.
    let id = if socket.fanout(0, kind | libc::PACKET_FANOUT_FLAG_UNIQUEID).is_ok() {
        socket.fanout_id()?
    } else {
        let id = std::process::id() as u16;
        socket.fanout(id, kind)?;
        id
    };
    socket.spread(&spread::program())?;
    Ok(id)
}

/// How frames of an interface of this kind (`ARPHRD_`) start. Cooked where it cannot be told: PPP comes with and
/// without its header, tunnels with what is in the addresses of their driver.
fn link_type(hardware: u16) -> LinkType {
    const RAWIP: u16 = 519;
    match hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => LinkType::ETHERNET,
        libc::ARPHRD_NONE | RAWIP => LinkType::RAW,
        _ => LinkType::LINUX_SLL,
    }
}

/// True when an expression may be about the VLAN tag, or bytes counted from the start of the frame: the kernel would
/// run it on a frame without the tag.
fn sees_tag(expression: &str) -> bool {
    ["vlan", "ether", "link", "0x8100", "0x88a8"].iter().any(|word| expression.contains(word))
}

fn explain(interface: &str, what: &str, error: &io::Error) -> String {
    let remedy = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "; run as root, or give the program the right to: setcap cap_net_raw,cap_net_admin=ep"
        }
        Some(libc::ENETDOWN) => "; bring it up: ip link set INTERFACE up",
        Some(libc::ENOMEM) => "; ask for a smaller ring",
        _ => "",
    };
    format!("-i {interface}: cannot be {what}: {error}{remedy}")
}

const ORDER: Order = if cfg!(target_endian = "big") { Order::Big } else { Order::Little };

/// Length of a VLAN tag, and of a Linux cooked header.
const VLAN: usize = 4;
const COOKED: usize = 16;

/// One packet found in a block.
#[derive(Clone, Copy, Default)]
struct Packet {
    time: Nanos,
    wire_len: u32,
    interface: u32,
    start: usize,
    len: usize,
}

impl Packet {
    fn frame<'a>(&self, block: &'a [u8], link: LinkType) -> Frame<'a> {
        let rest = block.get(self.start..).unwrap_or(&[]);
        let bytes = rest.get(..self.len).unwrap_or(rest);
        Frame { time: self.time, link, wire_len: self.wire_len, interface: self.interface, bytes }
    }
}

/// What the kernel says of a packet.
struct Head {
    next: usize,
    time: Nanos,
    captured: u32,
    wire: u32,
    /// Where the frame starts, from the start of this head.
    mac: usize,
    tag: Option<[u8; VLAN]>,
    protocol: [u8; 2],
    interface: u32,
    hardware: u16,
    direction: u8,
    address_len: u8,
    address: [u8; 8],
}

impl Head {
    #[inline]
    fn parse(bytes: &[u8]) -> Result<Head, Short> {
        let mut cursor = Cursor::new(bytes);
        let [next, seconds, nanos, captured] = ORDER.words(cursor.array("packet head")?);
        let wire = ORDER.u32(&mut cursor, "packet length")?;
        let status = ORDER.u32(&mut cursor, "packet status")?;
        let mac = ORDER.u16(&mut cursor, "frame offset")?;
        cursor.skip(6, "network offset and hash")?;
        let tci = ORDER.u32(&mut cursor, "VLAN tag")? as u16;
        let tpid = ORDER.u16(&mut cursor, "VLAN protocol")?;
        cursor.skip(10, "padding")?;
        cursor.skip(2, "address family")?;
        let protocol = cursor.array("protocol")?;
        let interface = ORDER.u32(&mut cursor, "interface")?;
        let hardware = ORDER.u16(&mut cursor, "hardware type")?;
        let direction = cursor.u8("direction")?;
        let address_len = cursor.u8("address length")?;
        let address = cursor.array("address")?;
        let tagged = status & libc::TP_STATUS_VLAN_VALID != 0 || tci != 0;
        let tpid = if status & libc::TP_STATUS_VLAN_TPID_VALID != 0 { tpid } else { 0x8100 };
        let tag = tagged.then(|| {
            let ([a, b], [c, d]) = (tpid.to_be_bytes(), tci.to_be_bytes());
            [a, b, c, d]
        });
        Ok(Head {
            next: next as usize,
            time: Nanos::new(seconds.into(), nanos.into()),
            captured,
            wire,
            mac: usize::from(mac),
            tag,
            protocol,
            interface,
            hardware,
            direction,
            address_len,
            address,
        })
    }
}

impl Reading {
    /// Finds the next packets of a block, and puts back what the kernel took off. Says how many were found, and where
    /// to go on, if not all was read.
    fn packets(
        self,
        block: &mut [u8],
        place: Option<(usize, u32)>,
        found: &mut [Packet; BATCH],
    ) -> (usize, Option<(usize, u32)>) {
        let Some((mut at, mut left)) = place.or_else(|| start(block)) else { return (0, None) };
        let mut len = 0;
        while left > 0
            && let Some(free) = found.get_mut(len)
        {
            let Ok(head) = Head::parse(block.get(at..).unwrap_or(&[])) else { return (len, None) };
            if self.wants(&head)
                && let Some(packet) = self.restore(block, at, &head)
            {
                *free = packet;
                len += 1;
            }
            left -= 1;
            // The last packet of a block has no next one.
            at += head.next;
        }
        (len, (left > 0).then_some((at, left)))
    }

    #[inline]
    fn wants(self, head: &Head) -> bool {
        if head.direction == libc::PACKET_OUTGOING {
            self.direction != Direction::Received && head.hardware != libc::ARPHRD_LOOPBACK
        } else {
            self.direction != Direction::Sent
        }
    }

    /// Writes the header or tag the kernel took off before the frame whose head is at `at`.
    #[inline]
    fn restore(self, block: &mut [u8], at: usize, head: &Head) -> Option<Packet> {
        let mac = at.checked_add(head.mac)?;
        let added = if self.link == LinkType::LINUX_SLL {
            let header = cooked(head);
            let added = COOKED + if head.tag.is_some() { VLAN } else { 0 };
            block.get_mut(mac.checked_sub(added)?..mac)?.copy_from_slice(header.get(..added)?);
            added
        } else if let Some(tag) = head.tag
            && self.link == LinkType::ETHERNET
            && head.captured >= 12
        {
            let start = mac.checked_sub(VLAN)?;
            let moved = block.get_mut(start..mac + 12)?;
            moved.copy_within(VLAN.., 0);
            moved.get_mut(12..)?.copy_from_slice(&tag);
            VLAN
        } else {
            0
        };
        Some(Packet {
            time: head.time,
            wire_len: head.wire.saturating_add(added as u32),
            interface: head.interface,
            start: mac - added,
            len: head.captured as usize + added,
        })
    }
}

/// Where the first packet of a block is, and how many there are.
fn start(block: &[u8]) -> Option<(usize, u32)> {
    let mut cursor = Cursor::new(block);
    cursor.skip(12, "block head").ok()?;
    let packets = ORDER.u32(&mut cursor, "packets").ok()?;
    let first = ORDER.u32(&mut cursor, "first packet").ok()?;
    Some((first as usize, packets))
}

/// A Linux cooked header, LINKTYPE_LINUX_SLL, and behind it the VLAN tag if there is one.
///
/// ```text
/// direction:2 hardware:2 address length:2 address:8 protocol:2 [tci:2 protocol:2]
/// ```
fn cooked(head: &Head) -> [u8; COOKED + VLAN] {
    let mut out = [0; COOKED + VLAN];
    let [tpid_high, tpid_low, tci_high, tci_low] = head.tag.unwrap_or_default();
    let [high, low] = head.protocol;
    let [hardware_high, hardware_low] = head.hardware.to_be_bytes();
    let tail = match head.tag {
        None => [high, low, 0, 0, 0, 0],
        Some(_) => [tpid_high, tpid_low, tci_high, tci_low, high, low],
    };
    let start = [0, head.direction, hardware_high, hardware_low, 0, head.address_len];
    for (to, from) in out.iter_mut().zip(start.into_iter().chain(head.address).chain(tail)) {
        *to = from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of one packet, as the kernel lays it out.
    fn block(status: u32, tci: u16, direction: u8, hardware: u16, mac: u16, frame: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for word in [1, 0, 1, 1, 48, 0_u32] {
            out.extend(word.to_ne_bytes());
        }
        out.resize(48, 0);
        for word in [0, 7, 8, frame.len() as u32, frame.len() as u32 + 100, status] {
            out.extend(word.to_ne_bytes());
        }
        out.extend(mac.to_ne_bytes());
        out.extend(mac.to_ne_bytes());
        out.extend([0; 4]);
        out.extend(u32::from(tci).to_ne_bytes());
        out.extend(0x88a8_u16.to_ne_bytes());
        out.extend([0; 10]);
        out.extend(17_u16.to_ne_bytes());
        out.extend([0x08, 0x00]);
        out.extend(3_u32.to_ne_bytes());
        out.extend(hardware.to_ne_bytes());
        out.extend([direction, 6, 1, 2, 3, 4, 5, 6, 0, 0]);
        out.resize(48 + usize::from(mac), 0);
        out.extend(frame);
        out
    }

    fn read(mut block: Vec<u8>, link: LinkType, direction: Direction) -> Option<(Vec<u8>, u32)> {
        let mut found = [Packet::default(); BATCH];
        let (len, place) = Reading { link, direction }.packets(&mut block, None, &mut found);
        assert_eq!(place, None);
        found.iter().take(len).next().map(|packet| {
            let frame = packet.frame(&block, link);
            assert_eq!((frame.time, frame.interface), (Nanos::new(7, 8), 3));
            (frame.bytes.to_vec(), frame.wire_len)
        })
    }

    const FRAME: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0, 0x45, 0];
    const VALID: u32 = libc::TP_STATUS_USER | libc::TP_STATUS_VLAN_VALID;

    #[test]
    fn a_tag_is_put_back() {
        let with = |tag: [u8; 4]| [&FRAME[..12], &tag, &FRAME[12..]].concat();
        let plain = block(1, 0, 0, 1, 86, FRAME);
        assert_eq!(read(plain, LinkType::ETHERNET, Direction::Both), Some((FRAME.to_vec(), 116)));
        let tagged = block(VALID, 0x2064, 0, 1, 86, FRAME);
        let expected = (with([0x81, 0, 0x20, 0x64]), 120);
        assert_eq!(read(tagged, LinkType::ETHERNET, Direction::Both), Some(expected));
        let service = block(VALID | libc::TP_STATUS_VLAN_TPID_VALID, 5, 0, 1, 72, FRAME);
        let expected = (with([0x88, 0xa8, 0, 5]), 120);
        assert_eq!(read(service, LinkType::ETHERNET, Direction::Both), Some(expected));
    }

    #[test]
    fn a_cooked_header_is_written() {
        let address = [1, 2, 3, 4, 5, 6, 0, 0];
        let cooked = block(1, 0, 4, 1, 96, &[0x45, 0]);
        let expected = [&[0, 4, 0, 1, 0, 6][..], &address, &[8, 0, 0x45, 0]].concat();
        assert_eq!(read(cooked, LinkType::LINUX_SLL, Direction::Both), Some((expected, 118)));
        let tagged = block(VALID, 5, 0, 1, 96, &[0x45, 0]);
        let expected = [&[0, 0, 0, 1, 0, 6][..], &address, &[0x81, 0, 0, 5, 8, 0, 0x45, 0]].concat();
        assert_eq!(read(tagged, LinkType::LINUX_SLL, Direction::Both), Some((expected, 122)));
    }

    #[test]
    fn directions() {
        let seen = |direction, hardware, wanted| {
            read(block(1, 0, direction, hardware, 86, FRAME), LinkType::ETHERNET, wanted).is_some()
        };
        let (ether, loopback) = (libc::ARPHRD_ETHER, libc::ARPHRD_LOOPBACK);
        assert!(seen(libc::PACKET_OUTGOING, ether, Direction::Both));
        assert!(!seen(libc::PACKET_OUTGOING, ether, Direction::Received));
        assert!(seen(libc::PACKET_OUTGOING, ether, Direction::Sent));
        assert!(seen(libc::PACKET_HOST, ether, Direction::Received));
        assert!(!seen(libc::PACKET_HOST, ether, Direction::Sent));
        assert!(seen(libc::PACKET_HOST, loopback, Direction::Both));
        assert!(!seen(libc::PACKET_OUTGOING, loopback, Direction::Both));
    }

    #[test]
    fn a_block_cut_anywhere_is_read_as_far_as_it_goes() {
        let whole = block(VALID, 5, 0, 1, 86, FRAME);
        for end in 0..whole.len() {
            let mut found = [Packet::default(); BATCH];
            let mut cut = whole[..end].to_vec();
            let reading = Reading { link: LinkType::ETHERNET, direction: Direction::Both };
            let (len, _) = reading.packets(&mut cut, None, &mut found);
            for packet in found.iter().take(len) {
                packet.frame(&cut, LinkType::ETHERNET);
            }
        }
    }
}
