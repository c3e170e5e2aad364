//! A thread is confined, not the process of all tests.
#![allow(unsafe_code, reason = "calls that the standard library does not make")]

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;

use super::*;

/// The error number of a call that is made without a library.
fn call(number: libc::c_long, arguments: [libc::c_long; 3]) -> Option<i32> {
    // SAFETY: the calls below take plain numbers, and null where they would want memory.
    let result = unsafe { libc::syscall(number, arguments[0], arguments[1], arguments[2]) };
    (result < 0).then(|| io::Error::last_os_error().raw_os_error().unwrap())
}

/// Runs it where only `needs` are left, and tells what was lacking.
fn confined(needs: Needs, run: impl FnOnce(&[String]) + Send + 'static) {
    thread::spawn(move || run(&confine(&needs))).join().unwrap();
}

fn number(result: io::Result<impl Sized>) -> Option<i32> {
    result.err().map(|error| error.raw_os_error().unwrap())
}

#[test]
fn files_elsewhere_are_closed() {
    let base = std::env::temp_dir().join(format!("flowsonde-confine-{}", std::process::id()));
    let (read, write, other) = (base.join("read"), base.join("write"), base.join("other"));
    for directory in [&read, &write, &other] {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("a"), "a").unwrap();
    }
    let gone = base.clone();
    confined(
        Needs { read: vec![read.clone()], write: vec![write.clone(), base.join("none")], ..Needs::default() },
        move |lacks| {
            if lacks.iter().any(|lack| lack.contains("Landlock")) {
                return eprintln!("skipped: {lacks:?}");
            }
            assert_eq!(lacks, [] as [String; 0]);
            assert_eq!(fs::read(read.join("a")).unwrap(), b"a");
            assert_eq!(number(fs::write(read.join("a"), "b")), Some(libc::EACCES));
            assert_eq!(number(fs::remove_file(read.join("a"))), Some(libc::EACCES));
            fs::write(write.join("b"), "b").unwrap();
            fs::rename(write.join("b"), write.join("a")).unwrap();
            fs::create_dir(write.join("c")).unwrap();
            fs::write(write.join("c/d"), "d").unwrap();
            assert_eq!(fs::read_dir(&write).unwrap().count(), 2);
            assert_eq!(number(std::os::unix::fs::symlink("/etc", write.join("e"))), Some(libc::EPERM));
            assert_eq!(number(fs::read(other.join("a"))), Some(libc::EACCES));
            assert_eq!(number(fs::write(other.join("b"), "b")), Some(libc::EACCES));
            assert_eq!(number(fs::read("/etc/passwd")), Some(libc::EACCES));
        },
    );
    fs::remove_dir_all(gone).unwrap();
}

#[test]
fn tcp_ports_elsewhere_are_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, there) = (listener.local_addr().unwrap().port(), peer.local_addr().unwrap().port());
    drop(listener);
    confined(Needs { bind: Some(port), connect: vec![there], ..Needs::default() }, move |lacks| {
        if lacks.iter().any(|lack| lack.contains("Landlock")) {
            return eprintln!("skipped: {lacks:?}");
        }
        let one = TcpListener::bind(("127.0.0.1", port)).unwrap();
        TcpStream::connect(("127.0.0.1", there)).unwrap();
        assert_eq!(number(TcpListener::bind("127.0.0.1:0")), Some(libc::EACCES));
        assert_eq!(number(TcpStream::connect(one.local_addr().unwrap())), Some(libc::EACCES));
        UdpSocket::bind("127.0.0.1:0").unwrap();
    });
}

#[test]
fn calls_without_need_are_refused() {
    confined(Needs::default(), |lacks| {
        assert!(!lacks.iter().any(|lack| lack.contains("seccomp")), "{lacks:?}");
        let status = fs::read_to_string("/proc/thread-self/status");
        assert!(status.is_err() || status.unwrap().contains("NoNewPrivs:\t1"));
        // Threads start, and theirs too are confined.
        let refused = thread::spawn(|| call(libc::SYS_ptrace, [0; 3])).join().unwrap();
        assert_eq!(refused, Some(libc::EPERM));
        assert_eq!(number(Command::new("/bin/true").spawn()), Some(libc::EPERM));
        let signal = libc::c_long::from(libc::SIGCHLD);
        assert_eq!(call(libc::SYS_clone, [signal, 0, 0]), Some(libc::EPERM));
        // Without the filter a null path is EFAULT.
        assert_eq!(call(libc::SYS_execve, [0; 3]), Some(libc::EPERM));
        let family = |family, kind| call(libc::SYS_socket, [libc::c_long::from(family), libc::c_long::from(kind), 0]);
        assert_eq!(family(libc::AF_PACKET, libc::SOCK_RAW), Some(libc::EPERM));
        assert_eq!(family(libc::AF_INET, libc::SOCK_RAW), Some(libc::EPERM));
        assert_eq!(family(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC), None);
        // Of no bytes; libsodium locks its keys.
        assert_eq!(call(libc::SYS_mlock, [0; 3]), None);
        let code = libc::c_long::from(libc::PROT_EXEC | libc::PROT_READ);
        assert_eq!(call(libc::SYS_mprotect, [0, 4096, code]), Some(libc::EPERM));
        assert_eq!(call(libc::SYS_mmap, [0, 4096, 7]), Some(libc::EPERM));
        let again = libc::c_long::from(libc::PR_SET_DUMPABLE);
        assert_eq!(call(libc::SYS_prctl, [again, 1, 0]), Some(libc::EPERM));
        assert_eq!(call(libc::SYS_prctl, [libc::c_long::from(libc::PR_GET_DUMPABLE), 0, 0]), Some(libc::EPERM));
        assert_eq!(call(libc::SYS_tgkill, [1, 1, 0]), Some(libc::EPERM));
    });
}

#[test]
fn memory_is_hidden() {
    confined(Needs::default(), |_| {});
    // SAFETY: takes plain numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_GET_DUMPABLE) }, 0);
}
