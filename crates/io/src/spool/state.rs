//! Two numbers that outlive the process: a page of a file, mapped, so that storing one costs no system call.
//!
//! ```text
//! state  0 magic "FSSTATE1" | 8 mark | 16 released | 24 zeros to 4096      numbers of 8 bytes, little-endian
//! ```
//!
//! What is stored in a shared mapping is in the kernel's page cache at once, so a process that is killed loses none of it;
//! `fdatasync` on the file brings it to disk.
#![allow(unsafe_code, reason = "mmap: the numbers are stored for every batch, and a write(2) for each would cost more")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Error;
use super::folder;

const MAGIC: [u8; 8] = *b"FSSTATE1";
/// Length of the file.
const LENGTH: usize = 4096;
/// Places of the numbers, in eights of bytes.
const MARK: usize = 1;
const RELEASED: usize = 2;

/// The numbers, one of which only ever grows: what is released.
#[derive(Debug)]
pub(super) struct State {
    file: File,
    page: NonNull<[AtomicU64; LENGTH / 8]>,
}

// SAFETY: the mapping belongs to this value alone and is of atomics; nothing of it is bound to a thread.
unsafe impl Send for State {}

impl State {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<State, Error> {
        let right = "name another directory, or remove the file to have everything in the spool sent again";
        let file = folder::open(path).map_err(|error| Error::unusable(path, error, right))?;
        let mut bytes = [0; LENGTH];
        let length = file.metadata().map_err(|error| Error::unusable(path, error, right))?.len();
        if length == 0 {
            // Written, not only lengthened: a hole that cannot be filled later, as the disk is full, would kill the process.
            bytes[..8].copy_from_slice(&MAGIC);
            file.write_all_at(&bytes, 0)
                .map_err(|error| Error::unusable(path, error, "a file of 4 KiB has to be written there"))?;
        } else if length != LENGTH as u64 || file.read_exact_at(&mut bytes, 0).is_err() || !bytes.starts_with(&MAGIC) {
            return Err(Error::unusable(path, "not the state of a spool", right));
        }
        let page =
            map(&file).map_err(|error| Error::unusable(path, error, "it has to be on a disk that can be mapped"))?;
        Ok(State { file, page })
    }

    #[inline]
    fn number(&self, place: usize) -> &AtomicU64 {
        // SAFETY: mapped until drop, as long as the file, which has been written; 8-byte aligned as a page; nobody else of
        // this process has it, and atomics may be changed by others. `place` is one of the constants above.
        unsafe { &self.page.as_ref()[place] }
    }

    pub fn mark(&self) -> u64 {
        u64::from_le(self.number(MARK).load(Ordering::Relaxed))
    }

    #[inline]
    pub fn set_mark(&self, mark: u64) {
        self.number(MARK).store(mark.to_le(), Ordering::Relaxed);
    }

    pub fn released(&self) -> u64 {
        u64::from_le(self.number(RELEASED).load(Ordering::Relaxed))
    }

    pub fn release(&self, upto: u64) {
        self.number(RELEASED).store(upto.to_le(), Ordering::Relaxed);
    }

    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn map(file: &File) -> io::Result<NonNull<[AtomicU64; LENGTH / 8]>> {
    let (access, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new mapping of an open file at an address of the kernel's choice touches no memory of ours.
    let page = unsafe { libc::mmap(ptr::null_mut(), LENGTH, access, shared, file.as_raw_fd(), 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(page.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))
}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: the mapping made above, given back once; no reference into it outlives `self`.
        unsafe { libc::munmap(self.page.as_ptr().cast(), LENGTH) };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use super::*;

    /// No file of this process may become longer; writing more is an error, not a signal.
    pub fn limit_file_length(bytes: u64) {
        // SAFETY: ignoring a signal runs no code of ours; the limit is plain data. The hard limit stays, so that it can be
        // raised again.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            let mut limit: libc::rlimit = std::mem::zeroed();
            assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit), 0);
            limit.rlim_cur = bytes;
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
        }
    }

    #[test]
    fn the_file_is_as_the_figure_says() {
        let path = std::env::temp_dir().join(format!("flowsonde-spool-state-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let state = State::open(&path).unwrap();
        assert_eq!((state.mark(), state.released()), (0, 0));
        state.set_mark(0x0102_0304_0506_0708);
        state.release(0x1112);
        // While it is mapped: nothing has to be closed for it to be there.
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes[..8], *b"FSSTATE1");
        assert_eq!(bytes[8..24], [8, 7, 6, 5, 4, 3, 2, 1, 0x12, 0x11, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[24..], [0; 4096 - 24]);
        drop(state);
        let state = State::open(&path).unwrap();
        assert_eq!((state.mark(), state.released()), (0x0102_0304_0506_0708, 0x1112));
        for wrong in [&bytes[1..], &bytes[..4095], &[0; 4096], &[1]] {
            fs::write(&path, wrong).unwrap();
            assert!(State::open(&path).is_err());
        }
        fs::remove_file(&path).unwrap();
    }
}
