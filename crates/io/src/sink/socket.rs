//! The socket calls of Linux that std does not offer. The only `unsafe` of the sinks.
#![allow(unsafe_code, reason = "system calls: sendmmsg with UDP_SEGMENT, poll, socket options, non-blocking connect")]

use core::mem::{size_of, zeroed};
use core::num::NonZeroU16;
use core::ptr;
use core::time::Duration;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Most bursts of one [`send_bursts`].
pub(super) const BURSTS: usize = 32;

/// Bytes for one datagram, or for several of `segment` bytes each but the last (UDP_SEGMENT, udp(7)).
pub(super) struct Burst<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) segment: Option<NonZeroU16>,
}

/// A control message as cmsg(3) lays it out: its size is CMSG_SPACE(2), its value where CMSG_DATA is.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    segment: u16,
}

/// Sends bursts over a connected socket, as many as the kernel takes at once; [`BURSTS`] at most. Tells how many went
/// out whole; an error is the first burst's.
pub(super) fn send_bursts(socket: BorrowedFd<'_>, bursts: &[Burst<'_>]) -> io::Result<usize> {
    // SAFETY: all three are plain C structs of integers and pointers, for which zero is a value.
    let (mut headers, mut vectors, mut controls): ([libc::mmsghdr; BURSTS], [libc::iovec; BURSTS], [Control; BURSTS]) =
        unsafe { zeroed() };
    let mut count = 0;
    for (((burst, header), vector), control) in bursts.iter().zip(&mut headers).zip(&mut vectors).zip(&mut controls) {
        vector.iov_base = burst.bytes.as_ptr().cast_mut().cast();
        vector.iov_len = burst.bytes.len();
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        if let Some(segment) = burst.segment {
            control.header.cmsg_len = (size_of::<libc::cmsghdr>() + size_of::<u16>()) as _;
            control.header.cmsg_level = libc::SOL_UDP;
            control.header.cmsg_type = libc::UDP_SEGMENT;
            control.segment = segment.get();
            header.msg_hdr.msg_control = ptr::from_mut(control).cast();
            header.msg_hdr.msg_controllen = size_of::<Control>() as _;
        }
        count += 1;
    }
    // SAFETY: `count` headers are filled in; the vectors, controls and bytes they point at outlive the call, which only
    // reads them. msg_name is null: the socket is connected.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_NOSIGNAL as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Waits until the socket can be written to, or has an error to tell. False when the time is up.
pub(super) fn wait_writable(socket: BorrowedFd<'_>, time: Duration) -> bool {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    let millis = libc::c_int::try_from(time.as_micros().div_ceil(1000)).unwrap_or(libc::c_int::MAX);
    // SAFETY: one pollfd, as said.
    unsafe { libc::poll(&mut poll, 1, millis) > 0 }
}

/// Asks for a send buffer of `bytes`: beyond the system's limit when privileged, else up to it.
pub(super) fn enlarge_send_buffer(socket: BorrowedFd<'_>, bytes: usize) {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    if set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes).is_err() {
        let _best_effort = set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, bytes);
    }
}

/// The path MTU known for a connected socket.
pub(super) fn path_mtu(socket: BorrowedFd<'_>, remote: SocketAddr) -> Option<usize> {
    let (level, name) = match remote {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
    };
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` is an int and `length` says so.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, ptr::from_mut(&mut value).cast(), &mut length) };
    if result == 0 { usize::try_from(value).ok() } else { None }
}

pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` is an int and `length` says so; the call copies it.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, ptr::from_ref(&value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A TCP socket that is not waited for: the connection is made when it can be written to and has no error to tell.
pub(super) fn dial(remote: SocketAddr, local: Option<SocketAddr>) -> io::Result<TcpStream> {
    let family = if remote.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no memory is involved.
    let number = unsafe { libc::socket(family, kind, 0) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened above and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    if let Some(local) = local {
        set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
        let (address, length) = Address::of(local);
        // SAFETY: `address` holds `length` bytes of a socket address, which are copied.
        if unsafe { libc::bind(number, ptr::from_ref(&address).cast(), length) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    let (address, length) = Address::of(remote);
    // SAFETY: as for bind.
    if unsafe { libc::connect(number, ptr::from_ref(&address).cast(), length) } != 0 {
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINPROGRESS) {
            return Err(error);
        }
    }
    Ok(TcpStream::from(socket))
}

/// Makes the kernel end a connection whose peer is silent: unanswered probes when idle, unanswered data when not.
pub(crate) fn watch_peer(socket: BorrowedFd<'_>, silence: Duration) {
    let seconds = libc::c_int::try_from(silence.as_secs()).unwrap_or(libc::c_int::MAX).max(4);
    for (level, name, value) in [
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, seconds / 4),
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, seconds / 4),
        (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, seconds.saturating_mul(1000)),
    ] {
        let _best_effort = set_option(socket, level, name, value);
    }
}

/// A socket address as the kernel takes it.
#[repr(C)]
pub(crate) union Address {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl Address {
    pub(crate) fn of(address: SocketAddr) -> (Address, libc::socklen_t) {
        match address {
            SocketAddr::V4(address) => {
                let v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as _,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
                    sin_zero: [0; 8],
                };
                (Address { v4 }, size_of::<libc::sockaddr_in>() as _)
            }
            SocketAddr::V6(address) => {
                let v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as _,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                    sin6_scope_id: address.scope_id(),
                };
                (Address { v6 }, size_of::<libc::sockaddr_in6>() as _)
            }
        }
    }
}
