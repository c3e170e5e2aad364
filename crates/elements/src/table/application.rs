//! The application, as DPI or the exporter sees it.
//!
//! The sources give no type for L7_SERVICE, L7_OS_HINT: theirs is a guess.

use super::elements;

elements! { Group::Application;
    /// Cisco-style application tag
    APPLICATION_ID: U32 => FixedOctets(4), Iana(95), ipfix "applicationId", aliases &["application_id"];
    // ntopng's header has 35632.427 (57899), its alias for the PaloAlto App-Id.
    /// Application name text
    APPLICATION_NAME: FixedText(16), Iana(96), ipfix "applicationName";
    /// Well-known port that reveals the protocol, 0 when none
    FLOW_PROTO_PORT: U16, Ntop(105);
    /// nDPI protocol number ("master.app" as text in JSON and TLV)
    L7_PROTO: L7Protocol, Ntop(118);
    /// nDPI protocol name
    L7_PROTO_NAME: Text(16), Ntop(119);
    /// BitTorrent info hash
    BITTORRENT_HASH: Text(40), Ntop(189);
    /// nDPI category name
    L7_PROTO_CATEGORY: Text(16), Ntop(501);
    /// How safe nDPI holds the protocol: Safe, Acceptable, Fun, Unsafe, Potentially Dangerous, Tracker/Ads, Dangerous
    L7_PROTO_BREED: Text(24), Unverified;
    // 4 bytes long in the guide of 2022.
    /// Bitmap of the nDPI risks raised
    L7_PROTO_RISK: U64, Ntop(509);
    /// Text list of the nDPI risks raised
    L7_PROTO_RISK_NAME: Text(64), Ntop(510);
    // ntopng's header has 531, which is SRC_TO_DST_IAT_MIN here.
    /// Total risk score
    L7_RISK_SCORE: U16, Ntop(527);
    /// Free text about the flow such as host, query or SNI
    L7_INFO: Text(24), Ntop(539);
    /// Protocol error code (DNS, HTTP, SNMP)
    L7_ERROR_CODE: U32, Ntop(554);
    /// Details of the risks, JSON text
    L7_RISK_INFO: Text(48), Ntop(555);
    /// How nDPI reached its verdict (confidence enum)
    L7_CONFIDENCE: U8, Ntop(560);
    /// Media kind, 0 unknown 1 audio 2 video and so on
    FLOW_CONTENT_TYPE: U8, Ntop(574);
    /// Layer-7 service label
    L7_SERVICE: Text(32), Ntop(582);
    /// Like L7_INFO but only the registrable domain
    L7_DOMAIN_INFO: Text(24), Ntop(591);
    /// Layer-4 protocol as text
    PROTOCOL_MAP: FixedText(16), Ntop(1028);
    /// Service name of the source port
    L4_SRC_PORT_MAP: FixedText(16), Ntop(1031);
    /// Service name of the destination port
    L4_DST_PORT_MAP: FixedText(16), Ntop(1035);
    /// Transport port judged to be the server one
    L4_SRV_PORT: U16, Ntop(1036);
    /// Service name of the server port
    L4_SRV_PORT_MAP: FixedText(16), Ntop(1037);
    /// OS hint from nDPI (10.8)
    L7_OS_HINT: Text(16), Unverified;
}
