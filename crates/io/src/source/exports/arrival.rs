//! When a message arrived and from whom.

use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use flowsonde_wire::Nanos;

/// The time now.
pub(super) fn now() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanos::new(since.as_secs(), u64::from(since.subsec_nanos()))
}

/// An IPv4 address that an IPv6 socket wrapped (`::ffff:192.0.2.1`, RFC 4291 section 2.5.5.2) as what it is.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(IpAddr::V4(v4), v6.port()),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_unwrapped() {
        let of = |text: &str| plain(text.parse().unwrap()).to_string();
        assert_eq!(of("[::ffff:192.0.2.1]:2055"), "192.0.2.1:2055");
        assert_eq!(of("[2001:db8::1]:2055"), "[2001:db8::1]:2055");
        assert_eq!(of("192.0.2.1:1"), "192.0.2.1:1");
    }
}
