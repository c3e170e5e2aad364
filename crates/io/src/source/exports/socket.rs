//! What the collector's sockets ask of Linux that std has no words for. The only `unsafe` of this folder.
#![allow(unsafe_code, reason = "system calls: sockets made with options, recvmmsg, recvmsg, getsockopt")]

use core::mem::{size_of, zeroed};
use core::ptr;
use core::time::Duration;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use flowsonde_wire::Nanos;

use super::BATCH;
use super::arrival::plain;
use crate::sink::socket::{Address, set_option};
use crate::source::filter::Instruction;

/// A socket bound to `address`; an unspecified IPv6 address takes IPv4 too. `prepare` is called before it is bound.
pub(super) fn bound(
    kind: libc::c_int,
    protocol: libc::c_int,
    address: SocketAddr,
    prepare: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
) -> io::Result<OwnedFd> {
    let socket = unbound(kind, protocol, address)?;
    prepare(socket.as_fd())?;
    let (address, length) = Address::of(address);
    // SAFETY: `address` holds `length` bytes of a socket address, which are copied.
    if unsafe { libc::bind(socket.as_raw_fd(), ptr::from_ref(&address).cast(), length) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

/// A socket of the family of `address`.
pub(super) fn unbound(kind: libc::c_int, protocol: libc::c_int, address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no memory is involved.
    let number = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened above and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    if address.is_ipv6() {
        let only = libc::c_int::from(!address.ip().is_unspecified());
        set_option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, only)?;
    }
    Ok(socket)
}

/// Begins to take connections, or associations.
pub(super) fn listen(socket: BorrowedFd<'_>, backlog: libc::c_int) -> io::Result<()> {
    // SAFETY: no memory is involved.
    if unsafe { libc::listen(socket.as_raw_fd(), backlog) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks for a receive buffer of `bytes`, beyond the system's limit when privileged; tells how many there are.
pub(super) fn receive_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<usize> {
    // The kernel doubles what it is asked for, for its own bookkeeping, and tells the double.
    let asked = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX / 2).min(libc::c_int::MAX / 2);
    if set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, asked).is_err() {
        set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, asked)?;
    }
    let mut given = [0_u32; 1];
    option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &mut given)?;
    Ok(given[0] as usize / 2)
}

/// Makes a receiving call return after `time` without anything.
pub(super) fn receive_timeout(socket: BorrowedFd<'_>, time: Duration) -> io::Result<()> {
    let time = libc::timeval { tv_sec: time.as_secs() as _, tv_usec: time.subsec_micros() as _ };
    set(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &time)
}

/// Datagrams the kernel dropped at this socket, in 32 bits that wrap: no room, or a wrong checksum. Linux 4.12.
///
/// SO_RXQ_OVFL tells the same counter, but with a datagram that came after the loss, so that what was lost last is told
/// late or never.
pub(super) fn drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    const SO_MEMINFO: libc::c_int = 55;
    const SK_MEMINFO_DROPS: usize = 8;
    let mut values = [0_u32; 9];
    let filled = option(socket, libc::SOL_SOCKET, SO_MEMINFO, &mut values)?;
    if filled > SK_MEMINFO_DROPS { Ok(values[SK_MEMINFO_DROPS]) } else { Err(io::ErrorKind::Unsupported.into()) }
}

/// Has the kernel ask `program` which socket of a group gets a datagram.
pub(super) fn spread(socket: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let mut filter: Vec<libc::sock_filter> =
        program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jump_true, jf: i.jump_false, k: i.k }).collect();
    let len = libc::c_ushort::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    // The kernel copies the program; `filter` outlives the call.
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, &program)
}

/// Sets an option whose value is a plain struct of C.
pub(super) fn set<T: Copy>(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `value`, which outlives the call; the kernel only reads it.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, ptr::from_ref(value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads an option that is made of 32-bit integers; tells how many there are.
fn option(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, values: &mut [u32]) -> io::Result<usize> {
    let mut length = size_of_val(values) as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `values`, and every bit pattern is a u32.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, values.as_mut_ptr().cast(), &raw mut length) };
    if result == 0 { Ok(length as usize / size_of::<u32>()) } else { Err(io::Error::last_os_error()) }
}

/// The local port of a socket.
pub(super) fn port(socket: BorrowedFd<'_>) -> io::Result<u16> {
    let mut name = Name::default();
    let mut length = size_of::<Name>() as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `name`, which is bytes.
    let result = unsafe { libc::getsockname(socket.as_raw_fd(), ptr::from_mut(&mut name).cast(), &raw mut length) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    name.address().map(|address| address.port()).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Room for a sockaddr_in or sockaddr_in6.
#[derive(Clone, Copy, Default)]
#[repr(C, align(8))]
struct Name([u8; 32]);

impl Name {
    /// ```text
    /// sockaddr_in    family:2 (host order) | 2 port | 4 address
    /// sockaddr_in6   family:2 (host order) | 2 port | 4 flow info | 8 address | 24 scope:4 (host order)
    /// ```
    fn address(&self) -> Option<SocketAddr> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        let port = u16::from_be_bytes([head[2], head[3]]);
        match libc::c_int::from(u16::from_ne_bytes([head[0], head[1]])) {
            libc::AF_INET => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(*rest.first_chunk::<4>()?)), port)),
            libc::AF_INET6 => {
                let rest = rest.get(4..)?;
                let address = Ipv6Addr::from(*rest.first_chunk::<16>()?);
                let scope = u32::from_ne_bytes(*rest.get(16..)?.first_chunk::<4>()?);
                Some(SocketAddr::V6(SocketAddrV6::new(address, port, 0, scope)))
            }
            _ => None,
        }
    }
}

/// Room for the control messages that are asked for.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 128]);

impl Control {
    /// Calls `each` with level, type and value of every control message in the first `length` bytes, cmsg(3):
    ///
    /// ```text
    /// 0 length, header included | 8 level | 12 type | 16 value, padded to 8          (64-bit host, host order)
    /// ```
    fn each(&self, length: usize, mut each: impl FnMut(libc::c_int, libc::c_int, &[u8])) {
        const HEADER: usize = size_of::<libc::cmsghdr>();
        let mut rest = self.0.get(..length).unwrap_or(&self.0);
        while let Some((head, _)) = rest.split_at_checked(HEADER) {
            let (Some(size), Some(kind)) = (head.first_chunk::<{ size_of::<usize>() }>(), head.last_chunk::<8>())
            else {
                return;
            };
            let size = usize::from_ne_bytes(*size);
            let [l0, l1, l2, l3, t0, t1, t2, t3] = *kind;
            let Some(value) = rest.get(HEADER..size) else { return };
            each(libc::c_int::from_ne_bytes([l0, l1, l2, l3]), libc::c_int::from_ne_bytes([t0, t1, t2, t3]), value);
            let Some(next) = rest.get(size.next_multiple_of(size_of::<usize>())..) else { return };
            rest = next;
        }
    }
}

/// Bytes of the longest datagram there is.
const LONGEST: usize = 65_536;

/// From one datagram's room to the next one's. Each has room for the longest there is, and the memory behind the usual
/// 1,500 bytes is never touched, so it stays address space. The 2 KiB more are for the cache: rooms 64 KiB apart would
/// all fall into the same few sets of it.
const STRIDE: usize = LONGEST + 2_048;

/// What arrived in one room.
#[derive(Clone, Copy, Default)]
struct Meta {
    length: usize,
    time: Option<Nanos>,
    segment: usize,
    cut: bool,
    local: Option<IpAddr>,
}

/// Datagrams received in one call.
pub(super) struct Batch {
    bytes: Vec<u8>,
    names: [Name; BATCH],
    metas: [Meta; BATCH],
    /// At most this many are received in a call.
    room: usize,
    /// What SO_RXQ_OVFL told last.
    pub(super) overflow: Option<u32>,
}

/// One datagram, or with UDP_GRO several of `segment` bytes each but the last.
pub(super) struct Arrived<'a> {
    /// The kernel's time of arrival, when it told one.
    pub(super) time: Option<Nanos>,
    pub(super) from: SocketAddr,
    /// The address it came to, where the kernel was asked for it.
    pub(super) local: Option<IpAddr>,
    pub(super) bytes: &'a [u8],
    pub(super) segment: usize,
    /// It was longer than its room.
    pub(super) cut: bool,
}

impl Batch {
    /// For `room` datagrams a call, [`BATCH`] at most.
    pub(super) fn new(room: usize) -> Self {
        let room = room.clamp(1, BATCH);
        Batch {
            bytes: vec![0; room * STRIDE],
            names: [Name::default(); BATCH],
            metas: [Meta::default(); BATCH],
            room,
            overflow: None,
        }
    }

    /// Receives what is there; when `wait` is set and nothing is, waits for the first datagram as long as the socket's
    /// timeout says.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>, wait: bool) -> io::Result<usize> {
        // SAFETY: both are plain C structs of integers and pointers, for which zero is a value.
        let (mut headers, mut vectors): ([libc::mmsghdr; BATCH], [libc::iovec; BATCH]) = unsafe { zeroed() };
        let mut controls = [Control([0; 128]); BATCH];
        let rooms = self.bytes.chunks_exact_mut(STRIDE).zip(&mut self.names);
        for ((header, vector), (control, (room, name))) in
            headers.iter_mut().zip(&mut vectors).zip(controls.iter_mut().zip(rooms))
        {
            vector.iov_base = room.as_mut_ptr().cast();
            vector.iov_len = LONGEST;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = size_of::<Name>() as _;
            header.msg_hdr.msg_control = ptr::from_mut(control).cast();
            header.msg_hdr.msg_controllen = size_of::<Control>() as _;
        }
        let flags = if wait { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
        // SAFETY: `room` headers are filled in; what they point at is borrowed for the call, of the lengths they say, and
        // is all bytes.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                self.room as libc::c_uint,
                flags as _,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for ((header, control), meta) in headers.iter().zip(&controls).zip(&mut self.metas).take(count) {
            let length = header.msg_len as usize;
            *meta = Meta {
                length: length.min(LONGEST),
                time: None,
                segment: length,
                cut: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                local: None,
            };
            control.each(header.msg_hdr.msg_controllen, |level, kind, value| match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => meta.time = timespec(value),
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    self.overflow = value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)).or(self.overflow);
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) | (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    meta.local = local(value).or(meta.local);
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let segment = value.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                    meta.segment = usize::try_from(segment).ok().filter(|&size| size > 0).unwrap_or(length);
                }
                _ => {}
            });
        }
        Ok(count)
    }

    /// The datagrams of the last call, of which there were `count`.
    pub(super) fn arrived(&self, count: usize) -> impl Iterator<Item = Arrived<'_>> {
        let rooms = self.bytes.chunks_exact(STRIDE).zip(&self.names).zip(&self.metas);
        rooms.take(count).filter_map(|((room, name), meta)| {
            Some(Arrived {
                time: meta.time,
                from: plain(name.address()?),
                local: meta.local,
                bytes: room.get(..meta.length)?,
                segment: meta.segment,
                cut: meta.cut,
            })
        })
    }
}

/// Has the kernel tell to which address each datagram came.
pub(super) fn tell_destinations(socket: BorrowedFd<'_>) {
    // A socket of the other family refuses one of them.
    let _of_ipv4 = set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1);
    let _of_ipv6 = set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1);
}

/// ```text
/// in_pktinfo     0 interface:4 (host order) | 4 local address | 8 address of the header
/// in6_pktinfo    0 address of the header, mapped where it is IPv4 | 16 interface:4 (host order)
/// ```
fn local(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        12 => value.last_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        _ => value.first_chunk::<16>().map(|octets| IpAddr::from(*octets).to_canonical()),
    }
}

/// ```text
/// timespec       0 seconds | 8 nanoseconds                     (64-bit host, host order)
/// ```
fn timespec(value: &[u8]) -> Option<Nanos> {
    const WORD: usize = size_of::<libc::c_long>();
    let seconds = libc::c_long::from_ne_bytes(*value.first_chunk::<WORD>()?);
    let nanos = libc::c_long::from_ne_bytes(*value.get(WORD..)?.first_chunk::<WORD>()?);
    Some(Nanos::new(u64::try_from(seconds).ok()?, u64::try_from(nanos).ok()?))
}

/// What one call of [`receive`] came to.
pub(super) struct Part {
    pub(super) length: usize,
    pub(super) from: Option<SocketAddr>,
    /// MSG_EOR, MSG_NOTIFICATION and others.
    pub(super) flags: libc::c_int,
    /// The value of the control message of the level and type asked for: its first bytes.
    pub(super) control: Option<[u8; 28]>,
}

/// Receives one message, or a part of it, without waiting; of its control messages the one of this level and type.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    into: &mut [u8],
    (level, kind): (libc::c_int, libc::c_int),
) -> io::Result<Part> {
    let (mut name, mut control) = (Name::default(), Control([0; 128]));
    let mut vector = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: a plain C struct of integers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = (&raw mut name).cast();
    header.msg_namelen = size_of::<Name>() as _;
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = size_of::<Control>() as _;
    // SAFETY: what the header points at outlives the call, is of the lengths it says, and is all bytes.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let mut found = None;
    control.each(header.msg_controllen, |l, k, value| {
        if (l, k) == (level, kind) {
            found = value.first_chunk::<28>().copied();
        }
    });
    Ok(Part {
        length: length.min(into.len()),
        from: name.address().map(plain),
        flags: header.msg_flags,
        control: found,
    })
}
