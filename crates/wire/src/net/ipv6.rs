//! IPv6 and its extension headers, RFC 8200.
//!
//! ```text
//!  |version| traffic class |             flow label                |
//!  |         payload length        |  next header  |   hop limit   |
//!  |                    source address (16)                        |
//!  |                  destination address (16)                     |
//! ```

use crate::{Cursor, Short};

/// The fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Traffic class: DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Length of all after the fixed header, bytes; 0 in a jumbogram.
    pub payload_len: u16,
    /// What follows.
    pub next: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub src: [u8; 16],
    /// Destination address.
    pub dst: [u8; 16],
}

/// Length of the fixed header.
pub const HEADER_LEN: usize = 40;

impl Header {
    /// Reads the header at the start of `bytes`; `None` when the version is not 6.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Option<Header>, Short> {
        let mut c = Cursor::new(bytes);
        let first = c.u32("IPv6 header")?;
        let payload_len = c.u16("IPv6 payload length")?;
        let [next, hop_limit] = c.array("IPv6 next header")?;
        let src = c.array("IPv6 source")?;
        let dst = c.array("IPv6 destination")?;
        if first >> 28 != 6 {
            return Ok(None);
        }
        Ok(Some(Header {
            traffic_class: (first >> 20) as u8,
            flow_label: first & 0x000f_ffff,
            payload_len,
            next,
            hop_limit,
            src,
            dst,
        }))
    }
}

/// The fragment header, RFC 8200 section 4.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Offset of this fragment's payload in the datagram, bytes.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
    /// Identification.
    pub id: u32,
}

/// Where the chain of extension headers ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Protocol of what follows the chain.
    pub protocol: u8,
    /// Bytes of extension headers.
    pub len: usize,
    /// The fragment header, if there was one.
    pub fragment: Option<Fragment>,
    /// Which headers were seen, as `ipv6ExtensionHeaders` (IANA element 64) numbers them.
    pub seen: u32,
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// Headers walked before giving up; real packets have one to four.
const MAX_HEADERS: usize = 16;

/// Walks the extension headers that start at `bytes`, of which the first is of type `next`. Stops in front of a
/// transport protocol, AH, ESP, or anything unknown, and behind the header of a later fragment. A chain cut off by the
/// capture ends at the header that is not there.
#[inline]
pub fn chain(next: u8, bytes: &[u8]) -> Chain {
    let mut chain = Chain { protocol: next, len: 0, fragment: None, seen: 0 };
    let mut c = Cursor::new(bytes);
    for _ in 0..MAX_HEADERS {
        let bit = match chain.protocol {
            HOP_BY_HOP => 1 << 4,
            DESTINATION => 1 << 3,
            ROUTING => 1 << 1,
            FRAGMENT => 1 << 2,
            _ => return chain,
        };
        let Ok([next, units]) = c.array::<2>("IPv6 extension header") else { return chain };
        if chain.protocol == FRAGMENT {
            let (Ok(offset), Ok(id)) = (c.u16("IPv6 fragment offset"), c.u32("IPv6 fragment id")) else { return chain };
            chain.fragment = Some(Fragment { offset: offset & 0xfff8, more: offset & 1 != 0, id });
        } else if c.skip(usize::from(units) * 8 + 6, "IPv6 extension header").is_err() {
            return chain;
        }
        chain.seen |= bit;
        chain.protocol = next;
        chain.len = c.position();
        if chain.fragment.is_some_and(|f| f.offset > 0) {
            return chain;
        }
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_fixed_header() {
        let mut bytes = [0u8; 40];
        bytes[..8].copy_from_slice(&[0x6b, 0x81, 0x23, 0x45, 0, 8, 58, 255]);
        bytes[23] = 1;
        bytes[39] = 2;
        let h = Header::read(&bytes).expect("whole").expect("valid");
        assert_eq!((h.traffic_class, h.flow_label, h.payload_len, h.next, h.hop_limit), (0xb8, 0x12345, 8, 58, 255));
        assert_eq!((h.src[15], h.dst[15]), (1, 2));
        for cut in 0..40 {
            assert!(Header::read(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn walks_to_the_transport() {
        let bytes = [60, 0, 1, 4, 0, 0, 0, 0, 6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa];
        let chain = chain(0, &bytes);
        assert_eq!((chain.protocol, chain.len, chain.seen), (6, 24, 0b11000));
    }

    #[test]
    fn stops_behind_a_later_fragment() {
        let later = [17, 0, 0x05, 0xa8, 0, 0, 0, 7, 0xff];
        let chain = chain(44, &later);
        assert_eq!(chain.fragment, Some(Fragment { offset: 0x5a8, more: false, id: 7 }));
        assert_eq!((chain.protocol, chain.len), (17, 8));
    }

    #[test]
    fn a_cut_chain_ends_where_it_was_cut() {
        assert_eq!(chain(0, &[6, 0, 1]).protocol, 0);
        assert_eq!(chain(0, &[0; 8 * 40]).len, 8 * 16);
    }
}
