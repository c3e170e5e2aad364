//! Link headers of every link type: the network layer begins within the frame.
#![no_main]

use flowsonde_wire::{LinkType, link};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (kind, bytes) = input;
    if let Ok(found) = link::walk(LinkType(kind), bytes) {
        assert!(found.l3 <= bytes.len());
        assert!(found.mpls <= found.l3 && usize::from(found.labels) * 4 <= found.l3);
        assert!(found.vlan_inner < 4096 && found.vlan_outer < 4096);
    }
});
