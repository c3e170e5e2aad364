//! A file that is written anew as a whole, again and again.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Puts text in place of what a file held. A reader sees the old one or the new one whole: it is written beside and then
/// renamed, so the directory must allow new files. What is no file, a pipe or `/dev/stderr`, is written to.
pub fn file(path: &Path, text: &str) -> io::Result<()> {
    // The file itself, not a link to it: renaming would replace the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
        return OpenOptions::new().write(true).open(&path)?.write_all(text.as_bytes());
    }
    let beside = beside(&path)?;
    // One may be left from a run that was killed; it is not written through, as it may be a link.
    let _ = fs::remove_file(&beside);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// A name in the same directory that no reader looks for.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(hidden))
}
