//! The directory of a spool: who may use it, and what lies in it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Error;

/// A directory that no other process uses as a spool while this lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// For fdatasync of the names in it.
    directory: File,
    lock: File,
}

/// What lies in it.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Numbers of segments, in order.
    pub segments: Vec<u64>,
    /// Names of files that are none of the spool's.
    pub foreign: Vec<String>,
}

const LOCK: &str = "lock";
const STATE: &str = "state";
const SUFFIX: &str = ".segment";

impl Folder {
    /// Makes it where it is missing, and locks it.
    pub fn open(path: &Path) -> Result<Folder, Error> {
        let right = "name a directory that this user may write to, or one to be made in such a directory";
        let wrong = |error| Error::unusable(path, error, right);
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(wrong(error)),
            _ => {}
        }
        let directory = File::open(path).map_err(wrong)?;
        let mode = directory.metadata().map_err(wrong)?.mode();
        if mode & 0o022 != 0 {
            let why = format!("others may write to it (mode {:o})", mode & 0o7777);
            return Err(Error::unusable(path, why, "its mode has to be 700"));
        }
        let lock = open(&path.join(LOCK)).map_err(wrong)?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { path: path.to_owned(), directory, lock }),
            Err(TryLockError::WouldBlock) => {
                let right = "each needs a directory of its own";
                Err(Error::unusable(path, "another process uses it", right))
            }
            Err(TryLockError::Error(error)) => Err(wrong(error)),
        }
    }

    /// Where the state is.
    pub fn state(&self) -> PathBuf {
        self.path.join(STATE)
    }

    /// Where a segment is: its number in 20 digits, so that names are in order.
    pub fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:020}{SUFFIX}"))
    }

    /// Looks through it.
    pub fn contents(&self) -> io::Result<Contents> {
        let mut contents = Contents::default();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            match (name.to_str(), name.to_str().and_then(number)) {
                (Some(LOCK | STATE), _) => {}
                (_, Some(number)) if entry.file_type()?.is_file() => contents.segments.push(number),
                _ => contents.foreign.push(name.to_string_lossy().into_owned()),
            }
        }
        contents.segments.sort_unstable();
        contents.foreign.sort_unstable();
        Ok(contents)
    }

    /// Brings the names in it to disk.
    pub fn sync(&self) -> io::Result<()> {
        self.directory.sync_all()
    }
}

impl Drop for Folder {
    /// The lock goes with the last who has the file open: a child being forked at this moment would keep it for a while.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

/// The number in a segment's name.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let all = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| all)
}

/// Opens a file for reading and writing, or makes it for this user alone.
pub(super) fn open(path: &Path) -> io::Result<File> {
    options().create(true).truncate(false).open(path)
}

/// Makes a file that is not there.
pub(super) fn create(path: &Path) -> io::Result<File> {
    options().create_new(true).open(path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_told_by_their_names() {
        assert_eq!(number("00000000000000000042.segment"), Some(42));
        assert_eq!(number("18446744073709551615.segment"), Some(u64::MAX));
        for other in ["18446744073709551616.segment", "42.segment", "+0000000000000000042.segment", "state", ".segment"]
        {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
