//! Landlock, by its three system calls (`linux/landlock.h`): files, TCP ports, signals to others and abstract sockets.
#![allow(unsafe_code, reason = "no library has these calls")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::Needs;

// Bits of what can be done to files. The first 13 are of version 1 of Landlock, REFER of 2, TRUNCATE of 3, IOCTL_DEV of 5.
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const TRUNCATE: u64 = 1 << 14;

// Bits of what can be done to TCP ports, of version 4.
const BIND: u64 = 1;
const CONNECT: u64 = 1 << 1;

/// What a file, in place of a directory, has.
const OF_FILES: u64 = READ_FILE | WRITE_FILE | TRUNCATE;

const RULE_PATH: libc::c_int = 1;
const RULE_PORT: libc::c_int = 2;

/// What is closed unless a rule opens it: `landlock_ruleset_attr`. Kernels that know less of it want zeros there.
#[repr(C)]
struct Closed {
    files: u64,
    ports: u64,
    scopes: u64,
}

/// `landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Path {
    allowed: u64,
    file: i32,
}

/// `landlock_net_port_attr`.
#[repr(C)]
struct Port {
    allowed: u64,
    port: u64,
}

/// Closes all but what is needed, for this thread and those it starts, and gives the version of Landlock that did so. The
/// thread must have given up new privileges.
pub(super) fn close(needs: &Needs) -> io::Result<u32> {
    let version = version()?;
    let (files, ports) = (bits(version), if version >= 4 { BIND | CONNECT } else { 0 });
    let rules = rules(&Closed { files, ports, scopes: if version >= 6 { 3 } else { 0 } })?;
    let read = READ_FILE | READ_DIR;
    let write = read | WRITE_FILE | TRUNCATE | MAKE_REG | MAKE_DIR | REMOVE_FILE | REMOVE_DIR;
    for (paths, allowed) in [(&needs.read, read), (&needs.write, write)] {
        for path in paths {
            // What is not there, or not for us, stays closed.
            let Ok(file) = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path) else { continue };
            let allowed = allowed & files & if is_directory(&file) { u64::MAX } else { OF_FILES };
            add(&rules, RULE_PATH, &Path { allowed, file: file.as_raw_fd() })?;
        }
    }
    if ports != 0 {
        for (port, allowed) in
            needs.bind.iter().map(|port| (port, BIND)).chain(needs.connect.iter().map(|port| (port, CONNECT)))
        {
            add(&rules, RULE_PORT, &Port { allowed, port: u64::from(*port) })?;
        }
    }
    // SAFETY: takes a file descriptor, which is ours, and flags.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) };
    if result == 0 { Ok(version) } else { Err(io::Error::last_os_error()) }
}

/// All that can be done to files.
fn bits(version: u32) -> u64 {
    let count = match version {
        0 | 1 => 13,
        2 => 14,
        3 | 4 => 15,
        _ => 16,
    };
    (1 << count) - 1
}

fn is_directory(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.is_dir())
}

fn version() -> io::Result<u32> {
    // SAFETY: with this flag nothing is read and a number is given.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Closed>(), 0_usize, 1) };
    u32::try_from(version).map_err(|_| io::Error::last_os_error())
}

fn rules(closed: &Closed) -> io::Result<OwnedFd> {
    // SAFETY: the structure and its size, which is only read.
    let file = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const *closed, size_of::<Closed>(), 0) };
    match i32::try_from(file) {
        // SAFETY: a file descriptor that is new and nobody else's.
        Ok(file) if file >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(file) }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn add<T>(rules: &OwnedFd, kind: libc::c_int, rule: &T) -> io::Result<()> {
    // SAFETY: a file descriptor that is ours, and the structure that the kind names, which is only read.
    let result =
        unsafe { libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), kind, std::ptr::from_ref(rule), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
