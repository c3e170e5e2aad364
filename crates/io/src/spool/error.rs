//! What can go wrong with a spool.

use std::io;
use std::path::Path;

/// Why something could not be done.
#[derive(Debug)]
pub enum Error {
    /// The spool cannot be opened; the text names the path and what would be right.
    Unusable(String),
    /// An entry that cannot be taken, whatever the disk's state: why.
    Entry(&'static str),
    /// The system refused: what was being done. The spool can be used on.
    System(&'static str, io::Error),
}

impl Error {
    /// The disk is full, or a limit of this user or process is reached: may pass by itself.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Error::System(_, error) if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }

    pub(super) fn unusable(path: &Path, why: impl core::fmt::Display, right: &str) -> Error {
        Error::Unusable(format!("spool {}: {why}; {right}", path.display()))
    }

    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |error| Error::System(what, error)
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Error::Unusable(text) => f.write_str(text),
            Error::Entry(why) => write!(f, "spool: an entry that cannot be taken: {why}"),
            Error::System(what, error) => write!(f, "spool: {what}: {error}"),
        }
    }
}

impl core::error::Error for Error {}
