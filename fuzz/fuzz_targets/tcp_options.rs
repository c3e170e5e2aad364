//! A TCP header and the options of a SYN.
#![no_main]

use flowsonde_wire::transport::tcp::{Header, SynOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (any_length, bytes) = input;
    let options = SynOptions::read(bytes, any_length);
    assert!(options.scale.is_none_or(|shift| shift <= 14));
    if let Some(header) = Header::read(bytes) {
        assert!((20..=60).contains(&header.header_len));
        SynOptions::read(bytes, header.header_len);
    }
});
