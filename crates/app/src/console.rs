//! The terminal: lines on stderr that do not run into the progress line, and text on stdout.
//!
//! Nothing here fails: a reader that went away (`flowsonde --help | head`) is no reason to stop. Whatever else keeps text
//! from stdout, a full disk, is told at the end by [`unprinted`].

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The progress line that is on the terminal, if any; it is taken away for other lines and put back after.
static PROGRESS: Mutex<String> = Mutex::new(String::new());

/// Why text could not be printed, first of all.
static UNPRINTED: Mutex<Option<String>> = Mutex::new(None);

/// To the first column, and nothing after it.
const ERASE: &str = "\r\x1b[K";

/// Writes a line to stderr.
pub fn line(text: &str) {
    let progress = progress_line();
    // In one write, so that lines of several processes do not mix.
    let whole = if progress.is_empty() { format!("{text}\n") } else { format!("{ERASE}{text}\n{progress}") };
    let _ = io::stderr().write_all(whole.as_bytes());
}

/// Shows a progress line on stderr, in place of the one before it; an empty one takes it away.
pub fn progress(text: &str) {
    let mut progress = progress_line();
    if *progress != text {
        let _ = io::stderr().write_all(format!("{ERASE}{text}").as_bytes());
        text.clone_into(&mut progress);
    }
}

/// Writes text to stdout, as it is.
pub fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            UNPRINTED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
        }
        _ => {}
    }
}

/// Why [`print()`] could not print all, if its reader had not just gone away.
pub fn unprinted() -> Option<String> {
    UNPRINTED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn progress_line() -> MutexGuard<'static, String> {
    // A thread that panicked while it held the line leaves it good enough.
    PROGRESS.lock().unwrap_or_else(PoisonError::into_inner)
}
