//! ICMP (RFC 792) and ICMPv6 (RFC 4443, RFC 4861): which types are two halves of one exchange.

/// The type that asks, for a type that answers; other types are their own.
#[inline]
pub fn request_of(version: u8, kind: u8) -> u8 {
    match (version, kind) {
        (4, 0) => 8,     // echo
        (4, 14) => 13,   // timestamp
        (4, 16) => 15,   // information
        (4, 18) => 17,   // address mask
        (4, 9) => 10,    // router solicitation
        (6, 129) => 128, // echo
        (6, 134) => 133, // router solicitation
        (6, 136) => 135, // neighbour solicitation
        (6, 140) => 139, // node information
        (_, other) => other,
    }
}

/// The type that answers, for a type that asks; other types are their own.
#[inline]
pub fn reply_of(version: u8, kind: u8) -> u8 {
    match (version, kind) {
        (4, 8) => 0,
        (4, 10) => 9,
        (4, 13 | 15 | 17) | (6, 128 | 133 | 135 | 139) => kind + 1,
        (_, other) => other,
    }
}

/// True when this type answers another.
#[inline]
pub fn is_reply(version: u8, kind: u8) -> bool {
    request_of(version, kind) != kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_join_their_requests() {
        assert_eq!(request_of(4, 0), request_of(4, 8));
        assert_eq!(request_of(6, 129), 128);
        for version in [4, 6] {
            for kind in 0..=255 {
                let request = request_of(version, kind);
                assert!(kind == request || reply_of(version, request) == kind, "{version} {kind}");
                assert!(reply_of(version, kind) == kind || request_of(version, reply_of(version, kind)) == kind);
            }
        }
        assert!(is_reply(6, 136) && !is_reply(6, 135) && !is_reply(4, 3));
    }
}
