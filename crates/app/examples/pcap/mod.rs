//! A capture in memory: pcap of the Intel byte order, Ethernet.

use flowsonde_wire::{Frame, LinkType, Nanos};

/// The frames of a pcap.
pub fn frames(capture: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let mut rest = capture.get(24..).unwrap_or(&[]);
    core::iter::from_fn(move || {
        let (header, behind) = rest.split_first_chunk::<16>()?;
        let word = |i: usize| u32::from_le_bytes(header[4 * i..4 * i + 4].try_into().expect("four bytes"));
        let (bytes, after) = behind.split_at_checked(word(2) as usize)?;
        rest = after;
        let time = Nanos::new(u64::from(word(0)), u64::from(word(1)) * 1000);
        Some(Frame { time, link: LinkType::ETHERNET, wire_len: word(3), interface: 0, bytes })
    })
}
