//! A pcapng file, block by block. Every block takes at least its own frame, and packets lie within theirs.
#![no_main]

use flowsonde_wire::capture::pcapng::{Block, Section};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut section, mut at) = (Section::new(), 0);
    while let Some(rest) = bytes.get(at..) {
        let Ok((block, used)) = section.block(rest) else { return };
        assert!(used >= 12 && used % 4 == 0);
        if let Block::Packet(frame) = block {
            assert!(frame.bytes.len() + 16 <= used && used <= rest.len());
        }
        at += used;
    }
});
