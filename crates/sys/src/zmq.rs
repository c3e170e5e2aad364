//! libzmq (ZeroMQ, <https://rfc.zeromq.org/spec/23/>): what a publisher of messages, its subscribers in tests, and CURVE
//! need of it.
//!
//! A [`Socket`] belongs to one thread at a time. Its [`Context`] has the threads that do the work, and lives until its
//! last socket is closed and what that [lingers](Set::Linger) for is over.

mod ffi;
mod key;
mod lent;
mod monitor;
mod socket;
#[cfg(test)]
mod tests;
mod zap;

pub use key::{PublicKey, SecretKey, keypair};
pub use lent::{Buffer, Pool, Returned};
pub use monitor::{Event, Monitor};
pub use socket::{Context, Kind, Set, Socket};
pub use zap::Gate;

/// Why a call failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(i32);

impl Error {
    /// The error's number: the system's errno, or one of libzmq's own, beyond 156,384,712.
    pub fn number(self) -> i32 {
        self.0
    }

    /// The kind that the standard library knows an errno by. A full queue, or nothing to receive, is `WouldBlock`.
    pub fn kind(self) -> std::io::ErrorKind {
        std::io::Error::from_raw_os_error(self.0).kind()
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&ffi::text_of(self.0))
    }
}

impl core::fmt::Debug for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{self} ({})", self.0)
    }
}

impl core::error::Error for Error {}

/// Whether the library was built with a capability: "curve", "ipc".
pub fn has(capability: &core::ffi::CStr) -> bool {
    ffi::has(capability)
}
