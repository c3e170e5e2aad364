//! Hostile input: every capture of ours, cut off everywhere and damaged a thousand times, through the whole path.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that panics has failed")]

mod attack;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use attack::path::Path;

fn captures() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/captures");
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "pcap" || e == "pcapng"))
        .collect();
    found.sort();
    found
}

#[test]
fn nothing_done_to_a_capture_does_harm() {
    let (captures, next) = (captures(), AtomicUsize::new(0));
    assert!(captures.len() >= 30, "the captures are gone");
    let failed = std::thread::scope(|scope| {
        let worker = || {
            let mut failed = Vec::new();
            let mut path = Path::default();
            while let Some(file) = captures.get(next.fetch_add(1, Ordering::Relaxed)) {
                let bytes = fs::read(file).unwrap();
                let outcome = attack::attack(&file.display().to_string(), &bytes, 1000, &mut path);
                assert!(outcome.passed + outcome.failed.len() as u64 > 1000, "{} is no capture", file.display());
                failed.extend(outcome.failed);
            }
            failed
        };
        let threads = [scope.spawn(worker), scope.spawn(worker)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(failed.is_empty(), "{} attacks did harm:\n{}", failed.len(), failed.join("\n"));
}
