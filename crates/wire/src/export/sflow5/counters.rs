//! Counters an sFlow agent sends now and then, in groups.
//!
//! ```text
//! interface (1)     ifIndex | ifType | ifSpeed(8) | direction | status
//!                   in: octets(8) | unicast | multicast | broadcast | discards | errors | unknown protocols
//!                   out: octets(8) | unicast | multicast | broadcast | discards | errors | promiscuous
//! Ethernet (2)      thirteen counters of dot3Stats (RFC 3635)
//! VLAN (5)          id | octets(8) | unicast | multicast | broadcast | discards
//! processor (1001)  load of 5 s | 1 min | 5 min, hundredths of a percent | memory(8) | free memory(8)
//! port name (1005)  text
//! ```
//!
//! A counter the agent does not have is all ones. Other groups are kept by their format and bytes.

use super::{Block, opaque};
use crate::cursor::{Cursor, Short};

/// A group of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counters<'a> {
    /// Of any interface.
    Interface(Interface),
    /// Of Ethernet.
    Ethernet(Ethernet),
    /// Of a VLAN.
    Vlan(Vlan),
    /// Of the device.
    Processor(Processor),
    /// Name of the port.
    Name(&'a [u8]),
    /// A format this build does not read.
    Other(Block<'a>),
}

impl<'a> Counters<'a> {
    /// Reads a group; it is an error when its length is less than its format needs.
    pub fn read(block: Block<'a>) -> Result<Counters<'a>, Short> {
        let mut c = Cursor::new(block.body);
        Ok(match block.format.0 {
            1 => Counters::Interface(Interface::read(&mut c)?),
            2 => Counters::Ethernet(Ethernet::read(&mut c)?),
            5 => Counters::Vlan(Vlan::read(&mut c)?),
            1001 => Counters::Processor(Processor::read(&mut c)?),
            1005 => Counters::Name(opaque(&mut c, "sFlow port name")?),
            _ => Counters::Other(block),
        })
    }
}

/// Counters of an interface (RFC 2863).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// ifIndex.
    pub index: u32,
    /// ifType: 6 is Ethernet.
    pub kind: u32,
    /// Bits a second.
    pub speed: u64,
    /// 0 unknown, 1 full duplex, 2 half duplex, 3 in only, 4 out only.
    pub direction: u32,
    /// Bit 0: it should be up. Bit 1: it is.
    pub status: u32,
    /// What came in.
    pub input: Traffic,
    /// Packets that came in of a protocol nobody takes.
    pub unknown_protocols: u32,
    /// What went out.
    pub output: Traffic,
    /// 1 when it takes packets for others.
    pub promiscuous: u32,
}

/// One direction of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the module's figure names them")]
pub struct Traffic {
    pub octets: u64,
    pub unicast: u32,
    pub multicast: u32,
    pub broadcast: u32,
    pub discards: u32,
    pub errors: u32,
}

impl Traffic {
    fn read(c: &mut Cursor<'_>) -> Result<Self, Short> {
        let what = "sFlow interface counters";
        Ok(Traffic {
            octets: c.u64(what)?,
            unicast: c.u32(what)?,
            multicast: c.u32(what)?,
            broadcast: c.u32(what)?,
            discards: c.u32(what)?,
            errors: c.u32(what)?,
        })
    }

    /// Packets of all kinds; those the agent does not count are left out.
    pub fn packets(&self) -> u64 {
        let counted = |packets: u32| if packets == u32::MAX { 0 } else { u64::from(packets) };
        counted(self.unicast) + counted(self.multicast) + counted(self.broadcast)
    }
}

impl Interface {
    fn read(c: &mut Cursor<'_>) -> Result<Self, Short> {
        let what = "sFlow interface counters";
        Ok(Interface {
            index: c.u32(what)?,
            kind: c.u32(what)?,
            speed: c.u64(what)?,
            direction: c.u32(what)?,
            status: c.u32(what)?,
            input: Traffic::read(c)?,
            unknown_protocols: c.u32(what)?,
            output: Traffic::read(c)?,
            promiscuous: c.u32(what)?,
        })
    }

    /// True when the interface should be up.
    pub fn is_admin_up(&self) -> bool {
        self.status & 1 != 0
    }

    /// True when it is up.
    pub fn is_up(&self) -> bool {
        self.status & 2 != 0
    }
}

/// Counters of Ethernet: alignment errors, FCS errors, frames after one collision and after several, SQE test errors,
/// deferred frames, late collisions, excessive collisions, internal errors on sending, carrier sense errors, frames too
/// long, internal errors on receiving, symbol errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ethernet(pub [u32; 13]);

impl Ethernet {
    fn read(c: &mut Cursor<'_>) -> Result<Self, Short> {
        let mut counters = [0; 13];
        for counter in &mut counters {
            *counter = c.u32("sFlow Ethernet counters")?;
        }
        Ok(Ethernet(counters))
    }
}

/// Counters of a VLAN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the module's figure names them")]
pub struct Vlan {
    pub id: u32,
    pub octets: u64,
    pub unicast: u32,
    pub multicast: u32,
    pub broadcast: u32,
    pub discards: u32,
}

impl Vlan {
    fn read(c: &mut Cursor<'_>) -> Result<Self, Short> {
        let what = "sFlow VLAN counters";
        Ok(Vlan {
            id: c.u32(what)?,
            octets: c.u64(what)?,
            unicast: c.u32(what)?,
            multicast: c.u32(what)?,
            broadcast: c.u32(what)?,
            discards: c.u32(what)?,
        })
    }
}

/// How busy a device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// Load over 5 s, 1 min and 5 min, in hundredths of a percent.
    pub load: [u32; 3],
    /// Memory, bytes.
    pub memory: u64,
    /// Memory free, bytes.
    pub free: u64,
}

impl Processor {
    fn read(c: &mut Cursor<'_>) -> Result<Self, Short> {
        let what = "sFlow processor";
        Ok(Processor { load: [c.u32(what)?, c.u32(what)?, c.u32(what)?], memory: c.u64(what)?, free: c.u64(what)? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::words;
    use super::*;

    fn read(format: u32, body: &[u8]) -> Counters<'_> {
        for cut in 0..body.len() {
            let block = Block { format: Format(format), body: &body[..cut] };
            assert!(Counters::read(block).is_err(), "format {format} cut at {cut}");
        }
        Counters::read(Block { format: Format(format), body }).expect("whole")
    }

    #[test]
    fn interfaces() {
        let numbers: Vec<u32> = (1..=22).collect();
        let body = words(&numbers);
        let interface = Interface::read(&mut Cursor::new(&body)).expect("whole");
        assert_eq!(read(1, &body), Counters::Interface(interface));
        assert_eq!((interface.index, interface.kind, interface.speed), (1, 2, 3 << 32 | 4));
        assert_eq!((interface.direction, interface.is_admin_up(), interface.is_up()), (5, false, true));
        assert_eq!((interface.input.octets, interface.input.packets(), interface.input.errors), (7 << 32 | 8, 30, 13));
        assert_eq!((interface.unknown_protocols, interface.output.octets), (14, 15 << 32 | 16));
        assert_eq!((interface.output.packets(), interface.output.errors, interface.promiscuous), (54, 21, 22));
        let some = Traffic { unicast: 5, multicast: u32::MAX, broadcast: u32::MAX, ..Traffic::default() };
        assert_eq!(some.packets(), 5);
    }

    #[test]
    fn others() {
        let thirteen: Vec<u32> = (1..=13).collect();
        let body = words(&thirteen);
        assert!(matches!(read(2, &body), Counters::Ethernet(Ethernet([1, .., 13]))));
        let vlan = words(&[7, 0, 1, 2, 3, 4, 5]);
        assert!(matches!(read(5, &vlan), Counters::Vlan(Vlan { id: 7, octets: 1, discards: 5, .. })));
        let processor = words(&[100, 200, 300, 1, 0, 0, 9]);
        let expected = Processor { load: [100, 200, 300], memory: 1 << 32, free: 9 };
        assert_eq!(read(1001, &processor), Counters::Processor(expected));
        let name = words(&[4, 0x6574_6830]);
        assert_eq!(read(1005, &name), Counters::Name(b"eth0"));
        let other = Block { format: Format(2003), body: &[1] };
        assert_eq!(Counters::read(other), Ok(Counters::Other(other)));
    }
}
