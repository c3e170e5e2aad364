//! IPv4, RFC 791.
//!
//! ```text
//!  0                   1                   2                   3
//!  |version|  IHL  |      ToS      |          total length         |
//!  |         identification        |flags|     fragment offset     |
//!  |      TTL      |    protocol   |            checksum           |
//!  |                         source address                        |
//!  |                      destination address                      |
//!  |                       options (IHL > 5)                       |
//! ```
//!
//! The checksum is not verified: an offloading network card leaves it empty on every packet its host sends.

use crate::{Cursor, Short};

/// The fixed part of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the header with its options, bytes. 20 to 60.
    pub header_len: u8,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Length of header and payload as the header claims, bytes; 0 with segmentation offload.
    pub total_len: u16,
    /// Identification.
    pub id: u16,
    /// Flags and fragment offset as on the wire.
    pub fragment: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Source address.
    pub src: [u8; 4],
    /// Destination address.
    pub dst: [u8; 4],
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` when the version or the header length cannot be.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Option<Header>, Short> {
        let h = Cursor::new(bytes).array::<20>("IPv4 header")?;
        let header_len = (h[0] & 0x0f) * 4;
        if h[0] >> 4 != 4 || header_len < 20 {
            return Ok(None);
        }
        Ok(Some(Header {
            header_len,
            tos: h[1],
            total_len: u16::from_be_bytes([h[2], h[3]]),
            id: u16::from_be_bytes([h[4], h[5]]),
            fragment: u16::from_be_bytes([h[6], h[7]]),
            ttl: h[8],
            protocol: h[9],
            src: [h[12], h[13], h[14], h[15]],
            dst: [h[16], h[17], h[18], h[19]],
        }))
    }

    /// Offset of this fragment's payload in the datagram, bytes.
    #[inline]
    pub fn fragment_offset(&self) -> u16 {
        (self.fragment & 0x1fff) << 3
    }

    /// More fragments follow.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.fragment & 0x2000 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: [u8; 20] =
        [0x45, 0x10, 0x00, 0x54, 0xbe, 0xef, 0x20, 0xb9, 0x40, 0x11, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2];

    #[test]
    fn reads_every_field() {
        let h = Header::read(&UDP).expect("whole").expect("valid");
        assert_eq!((h.header_len, h.tos, h.total_len, h.id, h.ttl, h.protocol), (20, 0x10, 84, 0xbeef, 64, 17));
        assert_eq!((h.src, h.dst), ([192, 0, 2, 1], [198, 51, 100, 2]));
        assert_eq!((h.fragment_offset(), h.more_fragments()), (0xb9 * 8, true));
    }

    #[test]
    fn refuses_short_and_impossible_headers() {
        for cut in 0..20 {
            assert!(Header::read(&UDP[..cut]).is_err());
        }
        let mut bad = UDP;
        bad[0] = 0x44;
        assert_eq!(Header::read(&bad), Ok(None));
        bad[0] = 0x65;
        assert_eq!(Header::read(&bad), Ok(None));
    }
}
