//! The words of a command line, one a line.
#![no_main]

use flowsonde_app::flags::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // No word may be the name of a file that there is.
    if text.lines().any(|word| !word.starts_with('-') && std::path::Path::new(word).exists()) {
        return;
    }
    if let Err(stop) = read(text.lines()) {
        assert!(!stop.to_string().is_empty());
    }
});
