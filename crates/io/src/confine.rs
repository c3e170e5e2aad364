//! What this process can still do once it is set up: Landlock for files and TCP ports, seccomp for system calls.
//!
//! Linux only; elsewhere nothing is done. Both hold for the calling thread and those it starts, for good, so they are to be
//! asked for before any thread is. What the kernel lacks is left out and told: Landlock is of Linux 5.13, for TCP ports
//! 6.7, for signals and abstract sockets 6.12.

use std::path::PathBuf;

/// What has to go on.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Files, and directories with all beneath them, that are read.
    pub read: Vec<PathBuf>,
    /// The same that are written and, in directories, made and removed. What is not there cannot be allowed.
    pub write: Vec<PathBuf>,
    /// TCP port that may be bound.
    pub bind: Option<u16>,
    /// TCP ports that may be connected to.
    pub connect: Vec<u16>,
}

/// Takes everything else from this thread and those it starts; tells what it could not.
#[cfg(not(target_os = "linux"))]
pub fn confine(_needs: &Needs) -> Vec<String> {
    vec!["this system has neither Landlock nor seccomp".to_owned()]
}

#[cfg(target_os = "linux")]
pub use linux::confine;

#[cfg(target_os = "linux")]
mod linux;
