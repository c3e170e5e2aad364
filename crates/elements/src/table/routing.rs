//! How the packets were forwarded: interfaces, masks, next hops, AS numbers, VRFs.

use super::elements;
use crate::element::Unit::Bits;

elements! { Group::Routing;
    /// Prefix length of the source network
    IPV4_SRC_MASK: U8, Iana(9), ipfix "sourceIPv4PrefixLength", unit Bits;
    /// Ingress interface index
    INPUT_SNMP: U32, Iana(10), ipfix "ingressInterface";
    /// Prefix length of the destination network
    IPV4_DST_MASK: U8, Iana(13), ipfix "destinationIPv4PrefixLength", unit Bits;
    /// Egress interface index
    OUTPUT_SNMP: U32, Iana(14), ipfix "egressInterface";
    /// Next-hop router IPv4 address
    IPV4_NEXT_HOP: Ipv4, Iana(15), ipfix "ipNextHopIPv4Address";
    /// AS number of the source
    SRC_AS: U32, Iana(16), ipfix "bgpSourceAsNumber";
    /// AS number of the destination
    DST_AS: U32, Iana(17), ipfix "bgpDestinationAsNumber";
    /// BGP next hop IPv4 address
    IPV4_BGP_NEXT_HOP: Ipv4, Iana(18), ipfix "bgpNextHopIPv4Address";
    /// BGP next hop IPv4 address (now IPV4_BGP_NEXT_HOP)
    BGP_IPV4_NEXT_HOP: Ipv4, Iana(18), ipfix "bgpNextHopIPv4Address", renamed &IPV4_BGP_NEXT_HOP;
    /// IPv6 source prefix length
    IPV6_SRC_MASK: U8, Iana(29), ipfix "sourceIPv6PrefixLength", unit Bits;
    /// IPv6 destination prefix length
    IPV6_DST_MASK: U8, Iana(30), ipfix "destinationIPv6PrefixLength", unit Bits;
    /// Next-hop router IPv6 address
    IPV6_NEXT_HOP: Ipv6, Iana(62), ipfix "ipNextHopIPv6Address";
    /// BGP next hop IPv6 address (name misspelt in ntopng)
    BPG_IPV6_NEXT_HOP: Ipv6, Iana(63), ipfix "bgpNextHopIPv6Address",
        aliases &["BGP_IPV6_NEXT_HOP", "IPV6_BGP_NEXT_HOP"];
    // nProbe's guide swaps the IPFIX names of 128 and 129.
    /// Next adjacent AS on the BGP path
    BGP_NEXT_ADJACENT_ASN: U32, Iana(128), ipfix "bgpNextAdjacentAsNumber";
    /// Previous adjacent AS on the BGP path
    BGP_PREV_ADJACENT_ASN: U32, Iana(129), ipfix "bgpPrevAdjacentAsNumber";
    /// VRF of the ingress side
    INGRESS_VRFID: U32, Iana(234), ipfix "ingressVRFID";
    /// VRF of the egress side
    EGRESS_VRFID: U32, Iana(235), ipfix "egressVRFID";
}
