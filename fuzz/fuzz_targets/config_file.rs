//! A configuration file, read, applied and checked.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use flowsonde_app::flags::read;
use libfuzzer_sys::fuzz_target;

/// In memory where there is such a place.
static FILE: LazyLock<String> = LazyLock::new(|| {
    let folder = if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
    format!("{}/flowsonde-fuzz-{}.conf", folder.display(), std::process::id())
});

fuzz_target!(|bytes: &[u8]| {
    fs::write(&*FILE, bytes).expect("a place to write");
    if let Err(stop) = read([FILE.as_str()]) {
        assert!(!stop.to_string().is_empty());
    }
});
