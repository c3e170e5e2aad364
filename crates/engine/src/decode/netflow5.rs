//! NetFlow versions 1, 5 and 7: records of a fixed form, read as if a template told it.
//!
//! ```text
//! v1 header  0 version = 1 | 2 count | 4 sysUptime ms | 8 seconds | 12 nanoseconds                          16 bytes
//!    record  0 source | 4 destination | 8 next hop | 12 input | 14 output | 16 packets | 20 octets | 24 first ms
//!           28 last ms | 32 source port | 34 destination port | 36 pad | 38 protocol | 39 ToS | 40 TCP flags | 41 pad
//!                                                                                                           48 bytes
//! v5         see `flowsonde_wire::export::netflow5`
//! v7 header  0 version = 7 | 2 count | 4 sysUptime ms | 8 seconds | 12 nanoseconds | 16 flow sequence | 20 reserved
//!    record  as v5 up to 46 | 36 flags: which fields are valid | 46 flags | 48 router that was short-cut    52 bytes
//! ```
//!
//! The router that was short-cut has no element and is left out. A count that says more than the message holds is a broken message; its whole records count.

use flowsonde_wire::export::ipfix::Specifier;
use flowsonde_wire::export::netflow5::{self, Header};
use flowsonde_wire::{Cursor, Nanos, Short};

use super::records::Version;

/// What a header of one of these tells.
#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    /// Which of them.
    pub version: Version,
    /// Records it says there are.
    pub count: u16,
    /// The exporter's uptime in milliseconds.
    pub uptime_ms: u32,
    /// Time of export.
    pub export: Nanos,
    /// Flows before this message; v1 does not tell.
    pub sequence: Option<u32>,
    /// Engine type and id; v5 only.
    pub engine: (u8, u8),
    /// One packet in so many was sampled; 0 is not told. v5 only.
    pub sampling: u16,
}

impl Fixed {
    /// Reads the header of a message of version 1, 5 or 7.
    pub fn read(c: &mut Cursor<'_>, version: Version) -> Result<Fixed, Short> {
        if version == Version::V5 {
            let header = Header::read(c)?;
            return Ok(Fixed {
                version,
                count: header.count,
                uptime_ms: header.uptime_ms,
                export: Nanos::new(header.seconds.into(), header.nanos.into()),
                sequence: Some(header.sequence),
                engine: (header.engine_type, header.engine_id),
                sampling: header.sampling.interval,
            });
        }
        c.skip(2, "NetFlow version")?;
        let count = c.u16("NetFlow count")?;
        let uptime_ms = c.u32("NetFlow uptime")?;
        let export = Nanos::new(c.u32("NetFlow seconds")?.into(), c.u32("NetFlow nanoseconds")?.into());
        let mut sequence = None;
        if version == Version::V7 {
            sequence = Some(c.u32("NetFlow v7 sequence")?);
            c.skip(4, "NetFlow v7 header")?;
        }
        Ok(Fixed { version, count, uptime_ms, export, sequence, engine: (0, 0), sampling: 0 })
    }
}

/// Bytes nothing stands in, or nothing of use.
const PAD: u16 = 210;

/// The fields of a record, as a template of NetFlow v9 would tell them. 210 is paddingOctets (RFC 5655).
pub fn fields(version: Version) -> &'static [Specifier] {
    match version {
        Version::V1 => &V1,
        Version::V7 => &V7,
        _ => &V5,
    }
}

const fn field(id: u16, length: u16) -> Specifier {
    Specifier { pen: 0, id, length }
}

/// What v1, v5 and v7 begin with: addresses to ports.
macro_rules! record {
    ($($more:expr),*) => {
        [
            field(8, 4),
            field(12, 4),
            field(15, 4),
            field(10, 2),
            field(14, 2),
            field(2, 4),
            field(1, 4),
            field(22, 4),
            field(21, 4),
            field(7, 2),
            field(11, 2),
            $($more),*
        ]
    };
}

static V1: [Specifier; 16] = record!(field(PAD, 2), field(4, 1), field(5, 1), field(6, 1), field(PAD, 7));

static V5: [Specifier; 20] = record!(
    field(PAD, 1),
    field(6, 1),
    field(4, 1),
    field(5, 1),
    field(16, 2),
    field(17, 2),
    field(9, 1),
    field(13, 1),
    field(PAD, 2)
);

static V7: [Specifier; 21] = record!(
    field(PAD, 1),
    field(6, 1),
    field(4, 1),
    field(5, 1),
    field(16, 2),
    field(17, 2),
    field(9, 1),
    field(13, 1),
    field(PAD, 2),
    field(PAD, 4)
);

/// Bytes of a header.
pub const fn header_length(version: Version) -> usize {
    match version {
        Version::V1 => 16,
        _ => netflow5::HEADER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_long_as_the_formats_say() {
        let length = |version| fields(version).iter().map(|field| usize::from(field.length)).sum::<usize>();
        assert_eq!([length(Version::V1), length(Version::V5), length(Version::V7)], [48, netflow5::RECORD, 52]);
    }

    #[test]
    fn headers_read_and_truncations_err() {
        let bytes: Vec<u8> = (0..24).collect();
        for version in [Version::V1, Version::V5, Version::V7] {
            let mut c = Cursor::new(&bytes);
            let header = Fixed::read(&mut c, version).expect("whole");
            assert_eq!(c.position(), header_length(version));
            assert_eq!((header.count, header.uptime_ms), (0x0203, 0x0405_0607));
            assert_eq!(header.export, Nanos::new(0x0809_0a0b, 0x0c0d_0e0f));
            assert_eq!(header.sequence, (version != Version::V1).then_some(0x1011_1213));
            for cut in 0..header_length(version) {
                assert!(Fixed::read(&mut Cursor::new(&bytes[..cut]), version).is_err());
            }
        }
    }
}
