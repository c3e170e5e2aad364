//! NetFlow version 5, as Cisco documents it: a header, then up to 30 records of fixed form. Big-endian.
//!
//! ```text
//! header  0 version = 5 | 2 count | 4 sysUptime ms | 8 seconds | 12 nanoseconds | 16 flow sequence
//!        20 engine type | 21 engine id | 22 sampling mode (2 bits), interval (14 bits)
//! record  0 source | 4 destination | 8 next hop | 12 input | 14 output | 16 packets | 20 octets | 24 first ms
//!        28 last ms | 32 source port | 34 destination port | 36 pad | 37 TCP flags | 38 protocol | 39 ToS
//!        40 source AS | 42 destination AS | 44 source mask | 45 destination mask | 46 pad
//! ```

use crate::cursor::{Cursor, Short};

/// The version number.
pub const VERSION: u16 = 5;
/// Length of the header.
pub const HEADER: usize = 24;
/// Length of a record.
pub const RECORD: usize = 48;
/// Most records in a message.
pub const MAX_RECORDS: u16 = 30;

/// The header of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Records in the message.
    pub count: u16,
    /// Milliseconds since the exporter started.
    pub uptime_ms: u32,
    /// Time of export, seconds since 1970.
    pub seconds: u32,
    /// Rest of the time of export.
    pub nanos: u32,
    /// Flow records sent before this message.
    pub sequence: u32,
    /// Engine type.
    pub engine_type: u8,
    /// Engine id.
    pub engine_id: u8,
    /// How packets were sampled.
    pub sampling: Sampling,
}

/// Sampling mode and interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampling {
    /// 0 not told, 1 one packet in every interval, 2 random; two bits.
    pub mode: u8,
    /// One packet in this many; 14 bits.
    pub interval: u16,
}

impl Sampling {
    /// Largest interval 14 bits can tell.
    pub const MAX_INTERVAL: u16 = 0x3fff;
}

impl Header {
    /// Reads a header, version included but not checked.
    pub fn read(c: &mut Cursor<'_>) -> Result<Header, Short> {
        c.skip(2, "NetFlow v5 version")?;
        let count = c.u16("NetFlow v5 count")?;
        let uptime_ms = c.u32("NetFlow v5 uptime")?;
        let seconds = c.u32("NetFlow v5 seconds")?;
        let nanos = c.u32("NetFlow v5 nanoseconds")?;
        let sequence = c.u32("NetFlow v5 sequence")?;
        let engine_type = c.u8("NetFlow v5 engine type")?;
        let engine_id = c.u8("NetFlow v5 engine id")?;
        let sampling = c.u16("NetFlow v5 sampling")?;
        let sampling = Sampling { mode: (sampling >> 14) as u8, interval: sampling & Sampling::MAX_INTERVAL };
        Ok(Header { count, uptime_ms, seconds, nanos, sequence, engine_type, engine_id, sampling })
    }

    /// As sent.
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let sampling = u16::from(self.sampling.mode & 3) << 14 | self.sampling.interval.min(Sampling::MAX_INTERVAL);
        bytes[0..2].copy_from_slice(&VERSION.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.count.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.uptime_ms.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.seconds.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.nanos.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[20] = self.engine_type;
        bytes[21] = self.engine_id;
        bytes[22..24].copy_from_slice(&sampling.to_be_bytes());
        bytes
    }
}

/// One flow record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the module's figure names them")]
pub struct Record {
    pub source: [u8; 4],
    pub destination: [u8; 4],
    pub next_hop: [u8; 4],
    pub input: u16,
    pub output: u16,
    pub packets: u32,
    pub octets: u32,
    pub first_ms: u32,
    pub last_ms: u32,
    pub source_port: u16,
    pub destination_port: u16,
    pub tcp_flags: u8,
    pub protocol: u8,
    pub tos: u8,
    pub source_as: u16,
    pub destination_as: u16,
    pub source_mask: u8,
    pub destination_mask: u8,
}

impl Record {
    /// Reads a record.
    pub fn read(c: &mut Cursor<'_>) -> Result<Record, Short> {
        let mut r = Cursor::new(c.take(RECORD, "NetFlow v5 record")?);
        let what = "NetFlow v5 record";
        let (source, destination, next_hop) = (r.array(what)?, r.array(what)?, r.array(what)?);
        let (input, output) = (r.u16(what)?, r.u16(what)?);
        let (packets, octets) = (r.u32(what)?, r.u32(what)?);
        let (first_ms, last_ms) = (r.u32(what)?, r.u32(what)?);
        let (source_port, destination_port) = (r.u16(what)?, r.u16(what)?);
        r.skip(1, what)?;
        let (tcp_flags, protocol, tos) = (r.u8(what)?, r.u8(what)?, r.u8(what)?);
        let (source_as, destination_as) = (r.u16(what)?, r.u16(what)?);
        let (source_mask, destination_mask) = (r.u8(what)?, r.u8(what)?);
        Ok(Record {
            source,
            destination,
            next_hop,
            input,
            output,
            packets,
            octets,
            first_ms,
            last_ms,
            source_port,
            destination_port,
            tcp_flags,
            protocol,
            tos,
            source_as,
            destination_as,
            source_mask,
            destination_mask,
        })
    }

    /// As sent.
    #[inline]
    pub fn to_bytes(&self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[0..4].copy_from_slice(&self.source);
        bytes[4..8].copy_from_slice(&self.destination);
        bytes[8..12].copy_from_slice(&self.next_hop);
        bytes[12..14].copy_from_slice(&self.input.to_be_bytes());
        bytes[14..16].copy_from_slice(&self.output.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.packets.to_be_bytes());
        bytes[20..24].copy_from_slice(&self.octets.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.first_ms.to_be_bytes());
        bytes[28..32].copy_from_slice(&self.last_ms.to_be_bytes());
        bytes[32..34].copy_from_slice(&self.source_port.to_be_bytes());
        bytes[34..36].copy_from_slice(&self.destination_port.to_be_bytes());
        bytes[37] = self.tcp_flags;
        bytes[38] = self.protocol;
        bytes[39] = self.tos;
        bytes[40..42].copy_from_slice(&self.source_as.to_be_bytes());
        bytes[42..44].copy_from_slice(&self.destination_as.to_be_bytes());
        bytes[44] = self.source_mask;
        bytes[45] = self.destination_mask;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_truncations_err() {
        let header = Header {
            count: 30,
            uptime_ms: 0x0102_0304,
            seconds: 0x0506_0708,
            nanos: 0x090a_0b0c,
            sequence: 0x0d0e_0f10,
            engine_type: 0x11,
            engine_id: 0x12,
            sampling: Sampling { mode: 1, interval: 1000 },
        };
        let bytes = header.to_bytes();
        assert_eq!(bytes[..4], [0, 5, 0, 30]);
        assert_eq!(bytes[22..], [0x43, 0xe8]);
        assert_eq!(Header::read(&mut Cursor::new(&bytes)), Ok(header));
        for cut in 0..HEADER {
            assert!(Header::read(&mut Cursor::new(&bytes[..cut])).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_record_reads_back_and_truncations_err() {
        let mut bytes: [u8; RECORD] = core::array::from_fn(|i| i as u8 + 1);
        for pad in [36, 46, 47] {
            bytes[pad] = 0;
        }
        let record = Record::read(&mut Cursor::new(&bytes)).expect("whole");
        assert_eq!((record.packets, record.destination_port), (0x1112_1314, 0x2324));
        assert_eq!((record.protocol, record.destination_mask), (39, 46));
        assert_eq!(record.to_bytes(), bytes);
        for cut in 0..RECORD {
            assert!(Record::read(&mut Cursor::new(&bytes[..cut])).is_err(), "cut at {cut}");
        }
    }
}
