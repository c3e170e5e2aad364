//! Addresses of tests. A port that was let go, and is to be dead or bound again, must not be another test's meanwhile:
//! so each has an address of 127.0.0.0/8 to itself. TCP cannot connect to itself there either, as it comes from
//! 127.0.0.1.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};

/// An address that nobody else uses, with port 0. Other systems than Linux have 127.0.0.1 only.
pub(super) fn own_address() -> SocketAddr {
    static NUMBER: AtomicU8 = AtomicU8::new(1);
    let ip = if cfg!(target_os = "linux") {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        Ipv4Addr::new(127, high | 128, low, NUMBER.fetch_add(1, Ordering::Relaxed))
    } else {
        Ipv4Addr::LOCALHOST
    };
    SocketAddr::new(IpAddr::V4(ip), 0)
}

/// Where nobody listens, and a test may begin to. The kernel gives no such port to those who ask for any, as other tests
/// do, for all addresses at once too.
pub(super) fn unheard() -> SocketAddr {
    SocketAddr::new(own_address().ip(), 20_001)
}
