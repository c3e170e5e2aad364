//! Writes that fail, in a process of its own: a file may not become longer than a limit, as a disk that is full.

use std::process::Command;

use super::*;
use crate::spool::state::tests::limit_file_length;

const DIRECTORY: &str = "FLOWSONDE_SPOOL_FULL";

/// Runs in a process of its own; without the variable it does nothing.
#[test]
fn meets_the_limit() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let scratch = Scratch(dir.into());
    let settings = Settings { max_bytes: 1 << 20, segment_bytes: 1 << 16, ..scratch.settings() };
    let (mut spool, _) = Spool::open(settings.clone()).unwrap();
    // The state has its 4096 bytes; a segment may have 4, and a half, entries.
    limit_file_length(16 + 4500);
    push(&mut spool, 4);
    for _ in 0..3 {
        let error = spool.push(40, 10, 0, &[&body(40, 968)]).unwrap_err();
        assert!(error.is_full(), "{error}");
        // What had been written of it is cut off again.
        assert_eq!(fs::metadata(scratch.segment(0)).unwrap().len(), 16 + 4000);
        assert_eq!((spool.next_number(), spool.bytes()), (40, 16 + 4000));
    }
    assert_eq!(read(&mut spool), tens(0..4));
    // A shorter one has room.
    spool.push(40, 10, 0, &[&body(40, 400)]).unwrap();
    spool.sync(Instant::now()).unwrap();
    let mut buffer = Vec::new();
    assert_eq!(spool.next(&mut buffer).unwrap(), Some(Entry { first: 40, count: 10, tag: 0 }));
    assert_eq!(buffer, body(40, 400));
    // So it has when something is released.
    spool.release(50).unwrap();
    assert_eq!(scratch.segments().len(), 1);
    limit_file_length(1 << 20);
    push(&mut spool, 30);
    spool.rewind();
    assert_eq!(read(&mut spool), tens(5..35));
    // A segment that cannot be begun leaves no file behind.
    spool.release(350).unwrap();
    assert!(scratch.segments().is_empty());
    limit_file_length(8);
    for _ in 0..3 {
        assert!(spool.push(350, 10, 0, &[&body(350, 968)]).unwrap_err().is_full());
        assert!(scratch.segments().is_empty());
        assert_eq!(spool.bytes(), 0);
    }
    limit_file_length(1 << 20);
    push(&mut spool, 3);
    assert_eq!(read(&mut spool), tens(35..38));
    drop(spool);
    let (_, recovered) = Spool::open(settings).unwrap();
    assert_eq!((recovered.held, recovered.cut), (held(3), 0));
    println!("met the limit");
}

#[test]
fn a_full_disk_costs_the_entry_alone() {
    let scratch = Scratch::new("full");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "spool::tests::disk_full::meets_the_limit"])
        .env(DIRECTORY, &scratch.0)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("met the limit"), "{text}");
}
