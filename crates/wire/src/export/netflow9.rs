//! NetFlow version 9 (RFC 3954): a header, then flow sets of templates, options templates and data. Big-endian.
//!
//! ```text
//! header            0 version = 9 | 2 count | 4 sysUptime ms | 8 seconds | 12 sequence | 16 source id
//! flow set          0 id | 2 length, these 4 bytes included | records, padding to 4 bytes
//! template          0 id | 2 fields | (0 element | 2 length)*                                              in set 0
//! options template  0 id | 2 scope bytes | 4 option bytes | (0 scope | 2 length)* (0 element | 2 length)*  in set 1
//! ```

use crate::cursor::{Cursor, Short};

/// The version number.
pub const VERSION: u16 = 9;
/// Length of the header.
pub const HEADER: usize = 20;
/// Id of the flow set that holds templates.
pub const TEMPLATE_SET: u16 = 0;
/// Id of the flow set that holds options templates.
pub const OPTIONS_SET: u16 = 1;
/// The scope that is the exporter as a whole (RFC 3954, section 6.1).
pub const SCOPE_SYSTEM: u16 = 1;
/// The scope that is an interface.
pub const SCOPE_INTERFACE: u16 = 2;
/// The scope that is a line card.
pub const SCOPE_LINE_CARD: u16 = 3;
/// The scope that is a cache of flows.
pub const SCOPE_CACHE: u16 = 4;
/// The scope that is a template.
pub const SCOPE_TEMPLATE: u16 = 5;

/// The header of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Records in the message: templates, options templates and data.
    pub count: u16,
    /// Milliseconds since the exporter started.
    pub uptime_ms: u32,
    /// Time of export, seconds since 1970.
    pub seconds: u32,
    /// Messages sent before this one.
    pub sequence: u32,
    /// Which of the exporter's sources.
    pub source_id: u32,
}

impl Header {
    /// Reads a header, version included but not checked.
    pub fn read(c: &mut Cursor<'_>) -> Result<Header, Short> {
        c.skip(2, "NetFlow v9 version")?;
        Ok(Header {
            count: c.u16("NetFlow v9 count")?,
            uptime_ms: c.u32("NetFlow v9 uptime")?,
            seconds: c.u32("NetFlow v9 seconds")?,
            sequence: c.u32("NetFlow v9 sequence")?,
            source_id: c.u32("NetFlow v9 source id")?,
        })
    }

    /// As sent.
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..2].copy_from_slice(&VERSION.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.count.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.uptime_ms.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.seconds.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.source_id.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_truncations_err() {
        let header = Header { count: 2, uptime_ms: 3, seconds: 0x0405_0607, sequence: 8, source_id: 0x090a_0b0c };
        let bytes = header.to_bytes();
        assert_eq!(bytes, [0, 9, 0, 2, 0, 0, 0, 3, 4, 5, 6, 7, 0, 0, 0, 8, 9, 10, 11, 12]);
        assert_eq!(Header::read(&mut Cursor::new(&bytes)), Ok(header));
        for cut in 0..HEADER {
            assert!(Header::read(&mut Cursor::new(&bytes[..cut])).is_err(), "cut at {cut}");
        }
    }
}
