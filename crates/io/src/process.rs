//! The process itself: background, privileges, CPUs. Linux and other Unixes.
#![allow(unsafe_code, reason = "the standard library has no calls for these")]

use std::ffi::CString;
use std::io;
use std::time::Duration;

/// Goes to the background: a new session, no terminal, standard streams on `/dev/null`. The working directory stays.
/// To be called before any thread is started.
pub fn daemon() -> io::Result<()> {
    // SAFETY: takes two flags; there is one thread, so that the child of its fork has all of the program.
    #[allow(deprecated, reason = "deprecated on macOS only, where launchd is meant to be used")]
    let result = unsafe { libc::daemon(1, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether the program was started so that SIGHUP does nothing, as nohup does.
pub fn ignores_hangup() -> bool {
    // SAFETY: with no new action the call only writes the present one, which is plain data, for which all zero is a value.
    let (result, action) = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        (libc::sigaction(libc::SIGHUP, std::ptr::null(), &raw mut action), action)
    };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// A user of this system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    uid: libc::uid_t,
    gid: libc::gid_t,
}

impl User {
    /// Finds a user by name.
    pub fn named(name: &str) -> Option<User> {
        let c_name = CString::new(name).ok()?;
        // SAFETY: a valid C string goes in; the result is null or points to static storage, read before the next call, and
        // only from the one thread that sets the program up.
        let entry = unsafe { libc::getpwnam(c_name.as_ptr()).as_ref() }?;
        Some(User { name: name.to_owned(), uid: entry.pw_uid, gid: entry.pw_gid })
    }

    /// Becomes this user for good.
    pub fn become_now(&self) -> io::Result<()> {
        // SAFETY: plain numbers go in; the null pointer is not read, as the count is 0. Groups go first, while it is allowed.
        let done = unsafe {
            libc::setgroups(0, std::ptr::null()) == 0 && libc::setgid(self.gid) == 0 && libc::setuid(self.uid) == 0
        };
        if done { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Whether files in `directory` can be made by this user, as its permission bits say.
    pub fn can_write(&self, directory: &std::path::Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Ok(meta) = std::fs::metadata(directory) else { return false };
        let bits = match (meta.uid() == self.uid, meta.gid() == self.gid) {
            (true, _) => meta.mode() >> 6,
            (false, true) => meta.mode() >> 3,
            (false, false) => meta.mode(),
        };
        bits & 3 == 3
    }
}

/// True when running as root.
pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Keeps debuggers and core files from this process's memory.
#[cfg(target_os = "linux")]
pub fn hide_memory() -> io::Result<()> {
    // SAFETY: plain numbers go in.
    let result = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Nothing that this thread runs, or those it starts, gets more privileges than they have.
#[cfg(target_os = "linux")]
pub fn refuse_privileges() -> io::Result<()> {
    // SAFETY: plain numbers go in.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps the calling thread on one CPU.
#[cfg(target_os = "linux")]
pub fn pin(cpu: u16) -> io::Result<()> {
    // SAFETY: a set of bits is plain data, for which all zero is a value; `CPU_SET` checks the range; the size is its own.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(usize::from(cpu), &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps the calling thread on one CPU.
#[cfg(not(target_os = "linux"))]
pub fn pin(_cpu: u16) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// User and system time of this process so far, all threads.
pub fn cpu_time() -> Duration {
    // SAFETY: a struct of integers, for which zero is a value; the call fills it in and cannot fail for this process.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let time = |t: libc::timeval| {
        Duration::from_secs(u64::try_from(t.tv_sec).unwrap_or(0))
            + Duration::from_micros(u64::try_from(t.tv_usec).unwrap_or(0))
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Raises the number of files this process may have open as far as the system lets it without privileges, and tells it.
pub fn raise_open_files() -> u64 {
    // SAFETY: a struct of two integers goes in and out.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 256, rlim_max: 256 };
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && limit.rlim_cur < limit.rlim_max {
            let most = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &most) == 0 {
                limit = most;
            }
        }
        // The type is not 64 bits wide everywhere.
        #[allow(clippy::unnecessary_cast, reason = "see above")]
        let files = limit.rlim_cur as u64;
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_goes_on() {
        let before = cpu_time();
        let mut sum = 0_u64;
        while cpu_time() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_time() > before);
    }

    #[test]
    fn open_files_only_rise() {
        let files = raise_open_files();
        assert!(files > 0);
        assert_eq!(raise_open_files(), files);
    }
}
