//! IPv6 extension headers: the chain ends within the packet.
#![no_main]

use flowsonde_wire::net::ipv6::{Header, chain};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (next, bytes) = input;
    let _ = Header::read(bytes);
    let found = chain(next, bytes);
    assert!(found.len <= bytes.len() && found.len % 8 == 0);
    assert!(found.fragment.is_none_or(|fragment| fragment.offset % 8 == 0));
});
