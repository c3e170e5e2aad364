//! Hostile input at large: every capture of a corpus, cut off everywhere and damaged a thousand times.
//!
//! `hostile FOLDER` takes what is up to 256 KiB under `FOLDER/packets` and `FOLDER/malformed`.

#[path = "../tests/attack/mod.rs"]
mod attack;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const LARGEST: u64 = 256 << 10;
const MUTATIONS: u64 = 1000;
const THREADS: usize = 2;

fn main() -> ExitCode {
    let Some(corpus) = std::env::args().nth(1) else {
        eprintln!("hostile: give the folder of the corpus");
        return ExitCode::FAILURE;
    };
    let mut files = Vec::new();
    for part in ["packets", "malformed"] {
        let folder = Path::new(&corpus).join(part);
        if !folder.is_dir() {
            eprintln!("hostile: {} is not a folder", folder.display());
            return ExitCode::FAILURE;
        }
        collect(&folder, &mut files);
    }
    files.sort();
    // Panics are reported with what led to them.
    std::panic::set_hook(Box::new(|_| {}));
    let next = AtomicUsize::new(0);
    let total = Mutex::new(attack::Outcome::default());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut path = attack::path::Path::default();
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Ok(bytes) = fs::read(file) else { continue };
                    let outcome = attack::attack(&file.display().to_string(), &bytes, MUTATIONS, &mut path);
                    if let Ok(mut total) = total.lock() {
                        total.passed += outcome.passed;
                        total.failed.extend(outcome.failed);
                    }
                }
            });
        }
    });
    let Ok(total) = total.into_inner() else { return ExitCode::FAILURE };
    for failure in total.failed.iter().take(50) {
        println!("{failure}");
    }
    println!("{} passed, {} failed, of {} files", total.passed, total.failed.len(), files.len());
    if total.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => collect(&path, files),
            Ok(metadata) if metadata.len() <= LARGEST => files.push(path),
            _ => {}
        }
    }
}
