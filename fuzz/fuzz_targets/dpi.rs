//! A few packets of one flow, shown to libndpi through its shim, lengths and all: no byte is read that was not shown.
#![no_main]

use std::cell::RefCell;

use flowsonde_sys::ndpi::{Detector, Settings, Verdict};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static DETECTOR: RefCell<Detector> = RefCell::new(Detector::new(&Settings::default()).expect("libndpi"));
}

// Each packet has its length before it, two bytes, big-endian.
fuzz_target!(|bytes: &[u8]| {
    DETECTOR.with_borrow_mut(|detector| {
        let (mut flow, mut verdict) = (detector.begin().expect("memory"), Verdict::default());
        let (mut rest, mut at, mut stands) = (bytes, 1_700_000_000_000, false);
        while let Some((&[high, low], behind)) = rest.split_first_chunk::<2>() {
            let len = usize::from(u16::from_be_bytes([high, low])).min(behind.len());
            let (packet, behind) = behind.split_at(len);
            // Memory of its own, so that a byte too many is seen.
            let packet = packet.to_vec().into_boxed_slice();
            stands = detector.packet(&mut flow, &packet, at, false, &mut verdict);
            if stands {
                break;
            }
            (rest, at) = (behind, at + 1);
        }
        if !stands {
            detector.give_up(&mut flow, &mut verdict);
        }
        assert!(verdict.host().len() < 80);
        detector.end(flow);
    });
});
