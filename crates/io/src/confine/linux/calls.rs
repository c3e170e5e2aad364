//! The system calls that are left: everything else fails with EPERM, as if it were forbidden to the user.

use std::collections::BTreeMap;
use std::error::Error;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Is, SeccompCondition as Condition,
    SeccompFilter, SeccompRule as Rule, apply_filter,
};

/// Leaves this thread, and those it starts, the calls of [`rules`].
pub(super) fn filter() -> Result<(), Box<dyn Error>> {
    let build = |rules, otherwise, matched| -> Result<BpfProgram, Box<dyn Error>> {
        Ok(SeccompFilter::new(rules, otherwise, matched, std::env::consts::ARCH.try_into()?)?.try_into()?)
    };
    // glibc starts threads by clone3, whose flags a filter cannot see, and by clone where there is none.
    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let absent = build(absent, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    let rest = build(rules()?, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?;
    // The other way round the second could not be set.
    apply_filter(&absent)?;
    apply_filter(&rest)?;
    Ok(())
}

/// Calls with any arguments.
const CALLS: &[libc::c_long] = &[
    // Files and directories.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fcntl,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_msync,
    // libsodium keeps keys from being swapped out.
    libc::SYS_mlock,
    libc::SYS_munlock,
    // Sockets; which, is a rule of its own.
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
    // Time, chance, signals, threads; who we are.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Older forms of the same, which aarch64 never had.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_chmod,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[];

/// What may be called; a call with rules goes through when one of them is met.
fn rules() -> Built<BTreeMap<i64, Vec<Rule>>> {
    // Flags are the low half of a register wherever they are an int; the kernel does not look at the high half.
    let with = |argument, mask: i64, value: i64| {
        Condition::new(argument, Width::Dword, Is::MaskedEq(mask as u64), value as u64)
    };
    let is = |argument, value: i64| Condition::new(argument, Width::Dword, Is::Eq, value as u64);
    let mut rules: BTreeMap<i64, Vec<Rule>> = CALLS.iter().chain(OLDER).map(|call| (*call, Vec::new())).collect();

    // Threads, no processes.
    let thread = i64::from(libc::CLONE_THREAD);
    rules.insert(libc::SYS_clone, vec![Rule::new(vec![with(0, thread, thread)?])?]);

    // The internet, and what name resolution asks: caches of names (AF_UNIX), the kernel about addresses (netlink).
    let kind = |kind: i32| with(1, 0xf, i64::from(kind));
    let mut sockets = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX] {
        for one in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            sockets.push(Rule::new(vec![is(0, i64::from(family))?, kind(one)?])?);
        }
    }
    sockets.push(Rule::new(vec![is(0, i64::from(libc::AF_NETLINK))?, is(2, i64::from(libc::NETLINK_ROUTE))?])?);
    rules.insert(libc::SYS_socket, sockets);
    rules.insert(libc::SYS_socketpair, vec![Rule::new(vec![is(0, i64::from(libc::AF_UNIX))?])?]);

    // Memory that is code: of libraries, which glibc loads to resolve names, never what was written.
    let (write, code) = (i64::from(libc::PROT_WRITE), i64::from(libc::PROT_EXEC));
    let apart = [0, write, code].map(|access| with(2, write | code, access));
    rules.insert(libc::SYS_mmap, any(apart)?);
    rules.insert(libc::SYS_mprotect, vec![Rule::new(vec![with(2, code, 0)?])?]);

    // Whether there is a terminal, how much a socket has; names and numbers of interfaces, as of fe80::1%eth0.
    let requests = [
        libc::SIOCGIFINDEX as i64,
        libc::SIOCGIFNAME as i64,
        libc::TCGETS as i64,
        libc::FIONREAD as i64,
        libc::FIONBIO as i64,
    ];
    rules.insert(libc::SYS_ioctl, any(requests.map(|request| is(1, request)))?);

    // Names of threads and of memory.
    let named = [i64::from(libc::PR_SET_NAME), i64::from(libc::PR_SET_VMA)];
    rules.insert(libc::SYS_prctl, any(named.map(|what| is(0, what)))?);

    // libzmq's threads set the policy that they have already, and end the process where they cannot.
    let policies = [libc::SCHED_OTHER, libc::SCHED_BATCH, libc::SCHED_IDLE, libc::SCHED_FIFO, libc::SCHED_RR];
    rules.insert(libc::SYS_sched_setscheduler, any(policies.map(i64::from).map(|policy| is(1, policy)))?);

    // Limits are read, not set; abort() is of this process.
    rules.insert(libc::SYS_prlimit64, vec![Rule::new(vec![Condition::new(2, Width::Qword, Is::Eq, 0)?])?]);
    rules.insert(libc::SYS_tgkill, vec![Rule::new(vec![is(0, i64::from(std::process::id()))?])?]);
    Ok(rules)
}

type Built<T> = Result<T, seccompiler::BackendError>;

/// Rules of one condition each.
fn any<const N: usize>(conditions: [Built<Condition>; N]) -> Built<Vec<Rule>> {
    conditions.into_iter().map(|condition| Rule::new(vec![condition?])).collect()
}
