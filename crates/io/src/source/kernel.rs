//! Everything the packet sources ask of the kernel that Rust has no safe words for. The only `unsafe` of the sources.
//!
//! What is inside a ring's blocks is read elsewhere, as bytes, through a cursor.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Waits until `fd` has something to read, is at its end, or has an error to tell. False when the time is over or a
/// signal came.
pub fn readable(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `poll` is one valid pollfd for the whole call, and the descriptor is borrowed, so open.
    match unsafe { libc::poll(&raw mut poll, 1, millis) } {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
        ready => Ok(ready > 0),
    }
}

/// Waits until one of the descriptors of `set` is ready for what it asks, or has an error to tell; each is told in
/// `revents`. None is when the time is over or a signal came.
pub fn ready(set: &mut [libc::pollfd], timeout: Duration) -> io::Result<()> {
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer and the length are those of `set`, of which only `revents` is written. A descriptor that is not
    // open is told as such.
    match unsafe { libc::poll(set.as_mut_ptr(), set.len() as libc::nfds_t, millis) } {
        -1 => {
            set.iter_mut().for_each(|one| one.revents = 0);
            match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
                error => Err(error),
            }
        }
        _ => Ok(()),
    }
}

/// The number of the interface called `name`, in this network namespace.
pub fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: `name` is a string ended by a zero that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => None,
        index => Some(index),
    }
}

/// The first IPv4 address of the interface called `name`, or without a name of any, that is not a loopback one.
pub fn ipv4_address(name: Option<&str>) -> Option<Ipv4Addr> {
    let mut list = std::ptr::null_mut();
    // SAFETY: the call writes one pointer, for which there is room.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return None;
    }
    let mut found = None;
    let mut at = list;
    // SAFETY: `at` is null or an entry of the list, which is not changed, and freed after the loop.
    while let Some(entry) = unsafe { at.as_ref() } {
        at = entry.ifa_next;
        // SAFETY: every entry has a name that ends in a zero, and lives as long as the list.
        let this = unsafe { CStr::from_ptr(entry.ifa_name) };
        // SAFETY: null, or an address of the list, of which every family has the beginning of a `sockaddr`.
        let Some(address) = (unsafe { entry.ifa_addr.as_ref() }) else { continue };
        let wanted = name.is_none_or(|name| name.as_bytes() == this.to_bytes());
        if !wanted || i32::from(address.sa_family) != libc::AF_INET {
            continue;
        }
        // SAFETY: an address of this family is a `sockaddr_in`; it is read wherever it may lie.
        let address = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned() };
        let address = Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes());
        if !address.is_loopback() {
            found = Some(address);
            break;
        }
    }
    // SAFETY: the list is getifaddrs' own, freed once, and nothing points into it any more.
    unsafe { libc::freeifaddrs(list) };
    found
}

/// Whether there is an interface of this number, in this network namespace.
#[cfg(target_os = "linux")]
pub fn interface_exists(index: u32) -> bool {
    let mut name: [libc::c_char; libc::IFNAMSIZ] = [0; libc::IFNAMSIZ];
    // SAFETY: `name` has the length that if_indextoname(3) may write.
    unsafe { !libc::if_indextoname(index, name.as_mut_ptr()).is_null() }
}

#[cfg(target_os = "linux")]
pub use linux::{Layout, PacketSocket, Ring};

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::mem;
    use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
    use std::ptr::{self, NonNull};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::super::filter::Instruction;

    /// How a ring is laid out.
    #[derive(Clone, Copy, Debug)]
    pub struct Layout {
        /// Blocks of the ring.
        pub blocks: u32,
        /// Bytes of a block: a power of two, at least a page.
        pub block_size: u32,
        /// When a block that is not full is handed on.
        pub retire: Duration,
        /// Bytes kept free before each packet.
        pub reserve: u32,
    }

    /// An `AF_PACKET` socket, packet(7).
    pub struct PacketSocket(OwnedFd);

    impl PacketSocket {
        /// A socket for version 3 rings that is not bound and so sees nothing. A cooked one takes the link-layer header
        /// off.
        pub fn open(cooked: bool) -> io::Result<Self> {
            let kind = if cooked { libc::SOCK_DGRAM } else { libc::SOCK_RAW };
            // SAFETY: no memory is passed.
            let fd = unsafe { libc::socket(libc::AF_PACKET, kind | libc::SOCK_CLOEXEC, 0) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the descriptor is new and nobody else's.
            let socket = PacketSocket(unsafe { OwnedFd::from_raw_fd(fd) });
            socket.set(libc::SOL_PACKET, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as libc::c_int))?;
            Ok(socket)
        }

        /// The `ARPHRD_` number of the interface called `name`.
        pub fn hardware(&self, name: &str) -> io::Result<u16> {
            // SAFETY: all bytes zero is a valid ifreq.
            let mut request: libc::ifreq = unsafe { mem::zeroed() };
            // The last byte stays zero, so the name is ended.
            for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
                *to = from as libc::c_char;
            }
            // SAFETY: SIOCGIFHWADDR reads the name and writes the address of the one ifreq it is given.
            if unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SIOCGIFHWADDR, &raw mut request) } < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the call went well, so this is the member of the union that was written.
            Ok(unsafe { request.ifr_ifru.ifru_hwaddr.sa_family })
        }

        /// Starts to receive: all protocols of one interface, or of all for index 0.
        pub fn bind(&self, index: u32) -> io::Result<()> {
            // SAFETY: all bytes zero is a valid sockaddr_ll.
            let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
            address.sll_family = libc::AF_PACKET as libc::c_ushort;
            address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
            address.sll_ifindex = index.cast_signed();
            // SAFETY: the address and its length are those of one sockaddr_ll that outlives the call.
            done(unsafe {
                libc::bind(
                    self.0.as_raw_fd(),
                    (&raw const address).cast(),
                    size_of::<libc::sockaddr_ll>() as libc::socklen_t,
                )
            })?;
            // An interface that is down is told this way, and not by bind.
            self.error()
        }

        /// The error the socket was left with, which is then forgotten.
        pub fn error(&self) -> io::Result<()> {
            let mut error: libc::c_int = 0;
            self.get(libc::SOL_SOCKET, libc::SO_ERROR, &mut error)?;
            if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
        }

        /// Makes the interface take all frames, for as long as the socket lives.
        pub fn promiscuous(&self, index: u32) -> io::Result<()> {
            let request = libc::packet_mreq {
                mr_ifindex: index.cast_signed(),
                mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
                mr_alen: 0,
                mr_address: [0; 8],
            };
            self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
        }

        /// Does without the frames this host sends. Linux 4.20.
        pub fn ignore_outgoing(&self) -> io::Result<()> {
            self.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1_i32)
        }

        /// Has the kernel run `program` on each packet, in the place of the one before.
        pub fn attach(&self, program: &[Instruction]) -> io::Result<()> {
            self.give(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
        }

        /// Has the kernel ask `program` which socket of the fanout group takes a packet.
        pub fn spread(&self, program: &[Instruction]) -> io::Result<()> {
            const PACKET_FANOUT_DATA: libc::c_int = 22;
            self.give(libc::SOL_PACKET, PACKET_FANOUT_DATA, program)
        }

        fn give(&self, level: libc::c_int, option: libc::c_int, program: &[Instruction]) -> io::Result<()> {
            let mut filter: Vec<libc::sock_filter> = program
                .iter()
                .map(|i| libc::sock_filter { code: i.code, jt: i.jump_true, jf: i.jump_false, k: i.k })
                .collect();
            let Ok(len) = libc::c_ushort::try_from(filter.len()) else {
                return Err(io::Error::from_raw_os_error(libc::E2BIG));
            };
            // The kernel copies the program; `filter` outlives the call.
            self.set(level, option, &libc::sock_fprog { len, filter: filter.as_mut_ptr() })
        }

        /// Joins the fanout group `id`.
        pub fn fanout(&self, id: u16, flags: u32) -> io::Result<()> {
            self.set(libc::SOL_PACKET, libc::PACKET_FANOUT, &(u32::from(id) | flags << 16))
        }

        /// The fanout group it is in.
        pub fn fanout_id(&self) -> io::Result<u16> {
            let mut value: u32 = 0;
            self.get(libc::SOL_PACKET, libc::PACKET_FANOUT, &mut value)?;
            Ok(value as u16)
        }

        /// Packets dropped for want of room, since it was last asked.
        pub fn drops(&self) -> io::Result<u32> {
            let mut stats = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
            self.get(libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut stats)?;
            Ok(stats.tp_drops)
        }

        fn set<T>(&self, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
            // SAFETY: the pointer and the length are those of `value`, which outlives the call; the kernel only reads it.
            done(unsafe {
                libc::setsockopt(
                    self.0.as_raw_fd(),
                    level,
                    option,
                    ptr::from_ref(value).cast(),
                    size_of::<T>() as libc::socklen_t,
                )
            })
        }

        /// Reads an option into `value`, which must be of integers only, so that whatever is written is valid.
        fn get<T: Copy>(&self, level: libc::c_int, option: libc::c_int, value: &mut T) -> io::Result<()> {
            let mut len = size_of::<T>() as libc::socklen_t;
            // SAFETY: the pointer and the length are those of `value`; the kernel writes no more than `len` bytes, and
            // all callers (in this file) pass integers or structs of integers.
            done(unsafe {
                libc::getsockopt(self.0.as_raw_fd(), level, option, ptr::from_mut(value).cast(), &raw mut len)
            })
        }

        /// Has the kernel make a ring for what it receives.
        pub fn ring(&self, layout: Layout) -> io::Result<()> {
            let frame_size = 2_048;
            let request = libc::tpacket_req3 {
                tp_block_size: layout.block_size,
                tp_block_nr: layout.blocks,
                // Of no meaning in version 3, but checked.
                tp_frame_size: frame_size,
                tp_frame_nr: layout.block_size / frame_size * layout.blocks,
                tp_retire_blk_tov: u32::try_from(layout.retire.as_millis()).unwrap_or(u32::MAX),
                tp_sizeof_priv: 0,
                tp_feature_req_word: 0,
            };
            self.set(libc::SOL_PACKET, libc::PACKET_RESERVE, &layout.reserve)?;
            self.set(libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
        }

        /// Maps the ring that was made with the same `layout`.
        pub fn map(self, layout: Layout) -> io::Result<Ring> {
            let (block_size, blocks) = (layout.block_size as usize, layout.blocks as usize);
            let length = block_size * blocks;
            // SAFETY: a new mapping at an address of the kernel's choice touches nobody's memory.
            let map = unsafe {
                libc::mmap(
                    ptr::null_mut(),
                    length,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED,
                    self.0.as_raw_fd(),
                    0,
                )
            };
            match NonNull::new(map.cast::<u8>()) {
                Some(map) if map.as_ptr().cast::<libc::c_void>() != libc::MAP_FAILED => {
                    Ok(Ring { socket: self, map, block_size, blocks, at: 0 })
                }
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    fn done(result: libc::c_int) -> io::Result<()> {
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// A version 3 receive ring. The kernel fills one block after the other; a filled one is this program's until it is
    /// released.
    pub struct Ring {
        socket: PacketSocket,
        map: NonNull<u8>,
        block_size: usize,
        blocks: usize,
        /// The block that is filled next, or is this program's already.
        at: usize,
    }

    // SAFETY: the mapping belongs to the ring alone and may be used by whichever thread owns it.
    unsafe impl Send for Ring {}

    /// Where a block has its status word: behind version and private offset, `struct tpacket_block_desc`.
    const STATUS: usize = 8;

    impl Ring {
        /// The socket that fills it.
        pub fn socket(&self) -> &PacketSocket {
            &self.socket
        }

        /// True when a filled block is there.
        pub fn ready(&self) -> bool {
            self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
        }

        /// The filled block that is next.
        pub fn block(&mut self) -> Option<&mut [u8]> {
            if !self.ready() {
                return None;
            }
            // SAFETY: the block is inside the mapping, as `at < blocks`. Its status says it is ours (read with Acquire,
            // so after the kernel's last write), and the kernel leaves it alone until `release`, which needs the
            // exclusive borrow of the ring that the slice holds.
            Some(unsafe {
                std::slice::from_raw_parts_mut(self.map.as_ptr().add(self.at * self.block_size), self.block_size)
            })
        }

        /// Gives the block back to be filled again, and goes on to the next.
        pub fn release(&mut self) {
            self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.at = (self.at + 1) % self.blocks;
        }

        /// Waits for a filled block, or an error of the socket, which is returned.
        pub fn wait(&self, timeout: Duration) -> io::Result<()> {
            if super::readable(self.socket.0.as_fd(), timeout)? && !self.ready() {
                self.socket.error()?;
            }
            Ok(())
        }

        fn status(&self) -> &AtomicU32 {
            // SAFETY: the word is inside the mapping and aligned (blocks are whole pages), shared with the kernel, and
            // accessed here as an atomic only while no slice of the block is borrowed from `self`.
            unsafe { AtomicU32::from_ptr(self.map.as_ptr().add(self.at * self.block_size + STATUS).cast()) }
        }
    }

    impl Drop for Ring {
        fn drop(&mut self) {
            // SAFETY: this is the mapping `ring` made, and no slice of it outlives the ring.
            unsafe { libc::munmap(self.map.as_ptr().cast(), self.block_size * self.blocks) };
        }
    }
}
