//! Frames between a relay and a collector, as the other side could send them.
#![no_main]

use flowsonde_io::relay::Inlet;
use flowsonde_wire::relay::{Frame, Unread};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Frames of up to 255 bytes, each behind its length.
    let mut inlet = Inlet::new([0; 16], 0, 0);
    let mut rest = bytes;
    while let Some((&length, behind)) = rest.split_first() {
        let (frame, behind) = behind.split_at(behind.len().min(length.into()));
        rest = behind;
        let read = Frame::read(frame);
        let taken = inlet.taken;
        match read {
            Ok(Frame::Batch(batch) | Frame::Templates(batch)) => {
                assert!(batch.datagrams().count() <= batch.count as usize);
                if let Some(part) = inlet.batch(&batch) {
                    assert!(part.known < batch.count);
                }
            }
            Ok(Frame::Gap { reason, first, count }) => inlet.gap(reason, first, count),
            Ok(Frame::Books(books)) => assert!(books.exporters().count() <= frame.len() / 60),
            Ok(_) | Err(Unread::Short(_) | Unread::Version(_) | Unread::Kind(_) | Unread::Length(_)) => {}
        }
        assert!(inlet.taken >= taken);
        if let Ok(frame) = read {
            let mut written = Vec::new();
            frame.write(&mut written);
            assert_eq!(Frame::read(&written), Ok(frame));
        }
    }
});
