//! A template cache that was written by nobody: read or refused, and what is read is written as it was read.
#![no_main]

use flowsonde_engine::decode::saved;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(exporters) = saved::read(text) else { return };
    let written = saved::write(&exporters);
    let again = saved::read(&written).expect("what was written is sound");
    assert_eq!(saved::write(&again), written);
});
