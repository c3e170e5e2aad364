//! Address translation and firewall events.

use super::elements;

elements! { Group::Nat;
    /// Source IPv4 after translation
    POST_NAT_SRC_IPV4_ADDR: Ipv4, Iana(225), ipfix "postNATSourceIPv4Address";
    /// Destination IPv4 after translation
    POST_NAT_DST_IPV4_ADDR: Ipv4, Iana(226), ipfix "postNATDestinationIPv4Address";
    /// Source port after translation
    POST_NAPT_SRC_TRANSPORT_PORT: U16, Iana(227), ipfix "postNAPTSourceTransportPort",
        aliases &["POST_NAT_SRC_TRANSPORT_PORT"];
    /// Destination port after translation
    POST_NAPT_DST_TRANSPORT_PORT: U16, Iana(228), ipfix "postNAPTDestinationTransportPort",
        aliases &["POST_NAT_DST_TRANSPORT_PORT"];
    /// 1 private realm, 2 public realm
    NAT_ORIGINATING_ADDRESS_REALM: U8, Iana(229), ipfix "natOriginatingAddressRealm";
    /// NAT event code
    NAT_EVENT: U8, Iana(230), ipfix "natEvent";
    /// 0 ignore 1 created 2 deleted 3 denied 4 alert 5 update
    FIREWALL_EVENT: U8, Iana(233), ipfix "firewallEvent";
    /// First port of a NAT port block
    PORT_RANGE_START: U16, Iana(361), ipfix "portRangeStart";
    /// Last port of a NAT port block
    PORT_RANGE_END: U16, Iana(362), ipfix "portRangeEnd";
    /// 0 unknown 1 pass 2 drop, further marker values
    FLOW_VERDICT: U16, Ntop(522);
    /// Key tying AAA records to NAT records
    AAA_NAT_KEY: Text(24), Ntop(553);
}
