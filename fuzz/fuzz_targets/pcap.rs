//! A pcap file: header and records. Every record lies behind the one before and within the file.
#![no_main]

use flowsonde_wire::Cursor;
use flowsonde_wire::capture::pcap::{Fault, Header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut cursor = Cursor::new(bytes);
    let Ok(header) = Header::parse(&mut cursor) else { return };
    assert_eq!(cursor.position(), Header::LEN);
    loop {
        let before = cursor.position();
        match header.record(&mut cursor) {
            Ok(frame) => {
                assert!(cursor.position() >= before + 16 + frame.bytes.len());
                assert!(frame.wire_len as usize >= frame.bytes.len());
            }
            Err(fault) => {
                assert_eq!(cursor.position(), before);
                assert!(matches!(fault, Fault::Short(_) | Fault::TooLong(_)));
                return;
            }
        }
    }
});
