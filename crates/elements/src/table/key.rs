//! What tells one flow from another: addresses, ports, protocol, VLAN, ToS, MACs.

use super::elements;

elements! { Group::Key;
    /// Layer-4 protocol number
    PROTOCOL: U8, Iana(4), ipfix "protocolIdentifier";
    /// ToS byte seen source to destination
    SRC_TOS: U8, Iana(5), ipfix "ipClassOfService";
    /// Source transport port
    L4_SRC_PORT: U16, Iana(7), ipfix "sourceTransportPort";
    /// Source IPv4 address
    IPV4_SRC_ADDR: Ipv4, Iana(8), ipfix "sourceIPv4Address";
    /// Destination transport port
    L4_DST_PORT: U16, Iana(11), ipfix "destinationTransportPort";
    /// Destination IPv4 address
    IPV4_DST_ADDR: Ipv4, Iana(12), ipfix "destinationIPv4Address";
    /// Source IPv6 address
    IPV6_SRC_ADDR: Ipv6, Iana(27), ipfix "sourceIPv6Address";
    /// Destination IPv6 address
    IPV6_DST_ADDR: Ipv6, Iana(28), ipfix "destinationIPv6Address";
    /// IPv6 flow label
    IPV6_FLOW_LABEL: U32, Iana(31), ipfix "flowLabelIPv6";
    /// ICMP type and code packed as type*256+code
    ICMP_TYPE: U16, Iana(32), ipfix "icmpTypeCodeIPv4";
    /// IGMP message type
    MUL_IGMP_TYPE: U8, Iana(33), ipfix "igmpType";
    // Not ipClassOfService (5), as some documentation has it.
    /// ToS byte seen destination to source
    DST_TOS: U8, Iana(55), ipfix "postIpClassOfService";
    /// Source MAC on ingress
    IN_SRC_MAC: Mac, Iana(56), ipfix "sourceMacAddress";
    /// Destination MAC on egress
    OUT_DST_MAC: Mac, Iana(57), ipfix "postDestinationMacAddress";
    /// VLAN id of the source side, the inner tag with QinQ
    SRC_VLAN: U16, Iana(58), ipfix "vlanId";
    /// VLAN id of the destination side, the inner tag with QinQ
    DST_VLAN: U16, Iana(59), ipfix "postVlanId";
    /// 4 or 6
    IP_PROTOCOL_VERSION: U8, Iana(60), ipfix "ipVersion";
    /// 0 receive, 1 transmit
    DIRECTION: U8, Iana(61), ipfix "flowDirection";
    /// Bitmap of the IPv6 extension headers present
    IPV6_OPTION_HEADERS: U32, Iana(64), ipfix "ipv6ExtensionHeaders", deprecated true;
    /// Destination MAC on ingress
    IN_DST_MAC: Mac, Iana(80), ipfix "destinationMacAddress";
    /// Source MAC on egress
    OUT_SRC_MAC: Mac, Iana(81), ipfix "postSourceMacAddress";
    /// ICMP type
    ICMP_IPV4_TYPE: U8, Iana(176), ipfix "icmpTypeIPv4";
    /// ICMP code
    ICMP_IPV4_CODE: U8, Iana(177), ipfix "icmpCodeIPv4";
    /// TCP source port
    TCP_SRC_PORT: U16, Iana(182), ipfix "tcpSourcePort";
    /// TCP destination port
    TCP_DST_PORT: U16, Iana(183), ipfix "tcpDestinationPort";
    /// 1 initiator, 2 reverse initiator
    BIFLOW_DIRECTION: U8, Iana(239), ipfix "biflowDirection", aliases &["biflow_direction"];
    /// Outer QinQ tag, source side
    DOT1Q_SRC_VLAN: U16, Iana(243), ipfix "dot1qVlanId";
    /// Outer QinQ tag, destination side
    DOT1Q_DST_VLAN: U16, Iana(254), ipfix "postDot1qVlanId";
    // Older Wireshark calls it ICMP_FLAGS.
    /// OR of the ICMP types met
    CUMULATIVE_ICMP_TYPE: U32, Ntop(98);
    /// OSI source service access point
    IN_SRC_OSI_SAP: FixedText(37), Ntop(349);
    /// OSI destination service access point
    OUT_DST_OSI_SAP: FixedText(37), Ntop(350);
}
