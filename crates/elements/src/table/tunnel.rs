//! Tunnel identifiers and the other layer of a tunnelled flow.

use super::elements;

elements! { Group::Tunnel;
    // Older Wireshark calls it TUNNEL_ID.
    /// Upstream tunnel id such as GTP TEID or VXLAN VNI, 0 when none
    UPSTREAM_TUNNEL_ID: U32, Ntop(106);
    /// Outer-envelope protocol number kept after decapsulation (inner/outer reading unverified)
    UNTUNNELED_PROTOCOL: U8, Ntop(113);
    /// Source IPv4 of the other tunnel layer (see UNTUNNELED_PROTOCOL)
    UNTUNNELED_IPV4_SRC_ADDR: Ipv4, Ntop(114);
    /// Source port of the other tunnel layer
    UNTUNNELED_L4_SRC_PORT: U16, Ntop(115);
    /// Destination IPv4 of the other tunnel layer
    UNTUNNELED_IPV4_DST_ADDR: Ipv4, Ntop(116);
    /// Destination port of the other tunnel layer
    UNTUNNELED_L4_DST_PORT: U16, Ntop(117);
    // Older Wireshark calls it DUMP_PATH.
    /// Downstream tunnel id such as GTP TEID or VXLAN VNI, 0 when none
    DOWNSTREAM_TUNNEL_ID: U32, Ntop(120);
    /// Source IPv6 of the other tunnel layer
    UNTUNNELED_IPV6_SRC_ADDR: Ipv6, Ntop(396);
    /// Destination IPv6 of the other tunnel layer
    UNTUNNELED_IPV6_DST_ADDR: Ipv6, Ntop(397);
    /// Upstream session id such as L2TP, 0 when none
    UPSTREAM_SESSION_ID: U16, Ntop(446);
    /// Downstream session id such as L2TP, 0 when none
    DOWNSTREAM_SESSION_ID: U16, Ntop(447);
}
