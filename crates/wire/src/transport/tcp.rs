//! TCP, RFC 9293; window scale RFC 7323.
//!
//! ```text
//!  |          source port          |       destination port        |
//!  |                        sequence number                        |
//!  |                    acknowledgment number                      |
//!  | off |  rsv  |     flags       |            window             |
//!  |           checksum            |         urgent pointer        |
//!  |                    options (offset > 5)                       |
//! ```

use crate::Cursor;

/// Flag bits as in the header's byte 13.
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment number counts.
    pub const ACK: u8 = 0x10;
}

/// The fixed part of the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Length of the header with its options, bytes.
    pub header_len: u8,
    /// Flags of byte 13 ([`flag`]).
    pub flags: u8,
    /// Window as on the wire, not scaled.
    pub window: u16,
}

impl Header {
    /// Reads what follows the ports at the start of `bytes`; `None` when cut off or when the data offset cannot be.
    #[inline]
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let h = bytes.first_chunk::<20>()?;
        let header_len = (h[12] >> 4) * 4;
        (header_len >= 20).then_some(Header {
            seq: u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
            ack: u32::from_be_bytes([h[8], h[9], h[10], h[11]]),
            header_len,
            flags: h[13],
            window: u16::from_be_bytes([h[14], h[15]]),
        })
    }
}

/// What a SYN announces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynOptions {
    /// Maximum segment size, 0 when not announced.
    pub mss: u16,
    /// Window scale shift, `None` when not announced.
    pub scale: Option<u8>,
}

impl SynOptions {
    /// Reads the options of the header at the start of `bytes`, stopping at the first that is broken.
    pub fn read(bytes: &[u8], header_len: u8) -> SynOptions {
        let mut found = SynOptions::default();
        let options = bytes.get(20..usize::from(header_len).min(bytes.len())).unwrap_or(&[]);
        let mut c = Cursor::new(options);
        while let Ok(kind) = c.u8("TCP option") {
            match kind {
                0 => break,
                1 => continue,
                _ => {}
            }
            let Ok(len) = c.u8("TCP option length") else { break };
            let Some(body) = usize::from(len).checked_sub(2) else { break };
            let Ok(value) = c.take(body, "TCP option value") else { break };
            match (kind, value) {
                (2, &[high, low]) => found.mss = u16::from_be_bytes([high, low]),
                // RFC 7323 section 2.3: a shift above 14 is used as 14.
                (3, &[shift]) => found.scale = Some(shift.min(14)),
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: [u8; 32] = [
        0x9c, 0x40, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x80, 0x02, 0xfa, 0xf0, 0, 0, 0, 0, 2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3,
        3, 7,
    ];

    #[test]
    fn reads_header_and_options() {
        let h = Header::read(&SYN).expect("valid");
        assert_eq!((h.seq, h.ack, h.header_len, h.flags, h.window), (0x0102_0304, 0, 32, flag::SYN, 0xfaf0));
        assert_eq!(SynOptions::read(&SYN, h.header_len), SynOptions { mss: 1460, scale: Some(7) });
    }

    #[test]
    fn broken_options_end_the_walk() {
        let mut bytes = SYN;
        bytes[21] = 0;
        assert_eq!(SynOptions::read(&bytes, 32), SynOptions::default());
        bytes[21] = 200;
        assert_eq!(SynOptions::read(&bytes, 32), SynOptions::default());
        for cut in 0..32 {
            SynOptions::read(&SYN[..cut], 32);
            assert_eq!(Header::read(&SYN[..cut]).is_some(), cut >= 20);
        }
    }
}
