//! One frame, decoded under every choice of key. Reversed ends give the same key.
#![no_main]

use flowsonde_engine::decode::packet::decode;
use flowsonde_engine::meter::key::Parts;
use flowsonde_wire::{Frame, LinkType, Nanos};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, u32, u8, &[u8])| {
    let (link, longer, choice, bytes) = input;
    let on = |bit: u8| choice >> bit & 1 == 0;
    let parts = Parts {
        vlan_outer: on(0),
        vlan_inner: on(1),
        protocol: on(2),
        addresses: on(3),
        ports: on(4),
        tos: on(5),
        ..Parts::default()
    };
    let wire_len = (bytes.len() as u32).saturating_add(longer);
    let frame = Frame { time: Nanos(1), link: LinkType(link), wire_len, interface: 0, bytes };
    if let Ok(packet) = decode(&frame, &parts.into()) {
        assert!(packet.direction < 2 && matches!(packet.key.version(), 4 | 6));
        assert_eq!(packet.version(), packet.key.version());
        assert!(packet.ip_len >= 20 && packet.payload_len < packet.ip_len);
        assert!(packet.tcp.header_len == 0 || packet.tcp.header_len >= 20);
        let _ = packet.transport();
        // A longer capture of the same frame changes nothing in the flow it is of.
        let again = decode(&frame, &flowsonde_engine::meter::key::KeyParts::default()).expect("it was decoded before");
        assert_eq!(again.ip_len, packet.ip_len);
    }
});
