//! The table of fragments under a flood of them: every packet comes out once, at once or when it is given up.
#![no_main]

use flowsonde_engine::decode::fragment::Fragments;
use flowsonde_engine::decode::packet::decode;
use flowsonde_engine::meter::key::KeyParts;
use flowsonde_wire::{Frame, LinkType, Nanos};
use libfuzzer_sys::fuzz_target;

/// Time passed, addresses, identification, offset and flags, protocol, payload length.
type Piece = (u16, u8, u8, u16, u8, u8);

fuzz_target!(|pieces: Vec<Piece>| {
    let mut table = Fragments::default();
    let (mut taken, mut ready, mut behind, mut now) = (0, Vec::new(), Vec::new(), 0);
    for (pause, ends, id, fragment, protocol, length) in pieces {
        now += u64::from(pause) * 10_000_000;
        let six = ends & 0x80 != 0;
        let mut bytes = Vec::new();
        let (from, to) = (ends & 3, ends >> 2 & 3);
        if six {
            bytes.extend([0x60, 0, 0, 0, 0, length.saturating_add(8), 44, 64]);
            bytes.extend([[0; 15].as_slice(), &[from], &[0; 15], &[to]].concat());
            bytes.extend([protocol, 0]);
            bytes.extend(fragment.to_be_bytes());
            bytes.extend([0, 0, 0, id]);
        } else {
            bytes.extend([0x45, 0, 0, 20 + length.min(200), 0, id]);
            bytes.extend(fragment.to_be_bytes());
            bytes.extend([64, protocol, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
        }
        bytes.extend((0..length).map(|i| i ^ id));
        let wire_len = bytes.len() as u32;
        let frame = Frame { time: Nanos(now), link: LinkType::RAW, wire_len, interface: 0, bytes: &bytes };
        if let Ok(packet) = decode(&frame, &KeyParts::default()) {
            taken += 1;
            let mut packet = packet;
            if table.take(&mut packet, &mut behind) {
                ready.push(packet.without_bytes());
            }
            ready.append(&mut behind);
            assert_eq!(ready.len() + table.parked(), taken);
        }
    }
    table.flush(&mut ready);
    assert_eq!((ready.len(), table.parked()), (taken, 0));
});
