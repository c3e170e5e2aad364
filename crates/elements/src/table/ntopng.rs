//! Labels of ntopng's own.
//!
//! Their numbers overlap nProbe's, so they are read and written by name only and no number ever leads to them.
//!
//! The sources give these no types: they are guesses.

use super::elements;

elements! { Group::NtopngOnly;
    /// Risks of the flow
    FLOW_RISK: U64, Clash(508);
    /// Category of the application, as text
    L7_CATEGORY: Text(16), Clash(509);
    /// SNI the client asked for
    TLS_REQUESTED_SNI: Text(48), Clash(511);
    /// Names in the server's certificate
    TLS_SERVER_NAMES: Text(64), Clash(512);
    /// Protocols negotiated with ALPN
    TLS_ALPN: Text(16), Clash(513);
    /// Issuer of the server's certificate
    TLS_CERT_ISSUER_DN: Text(128), Clash(514);
    /// Subject of the server's certificate
    TLS_CERT_SUBJECT_DN: Text(128), Clash(515);
    /// Whether the source is local
    SRC_ADDR_LOCAL: Bool, Clash(516);
    /// Whether the source is on a block list
    SRC_ADDR_BLACKLISTED: Bool, Clash(517);
    /// Services the source offers
    SRC_ADDR_SERVICES: U32, Clash(518);
    /// Whether the destination is local
    DST_ADDR_LOCAL: Bool, Clash(519);
    /// Whether the destination is on a block list
    DST_ADDR_BLACKLISTED: Bool, Clash(520);
    /// Services the destination offers
    DST_ADDR_SERVICES: U32, Clash(521);
    /// Name of the source host
    SRC_NAME: Text(48), Clash(522);
    /// Name of the destination host
    DST_NAME: Text(48), Clash(523);
    /// Community ID of the flow
    COMMUNITY_ID: Text(32), Clash(524);
    /// HASSH fingerprint of the SSH client
    HASSHC_HASH: Text(32), Clash(525);
    /// AS number of the source
    SRC_ASN: U32, Clash(525);
    /// AS number of the destination
    DST_ASN: U32, Clash(526);
    /// HASSH fingerprint of the SSH server
    HASSHS_HASH: Text(32), Clash(526);
    /// Address of the probe
    PROBE_IP: Ipv4, Clash(527);
    /// Layer-4 protocol as text
    L4_PROTO_NAME: Text(16), Clash(528);
    /// Category of the application
    L7_CATEGORY_ID: U16, Clash(529);
    /// Name of the ntopng instance
    NTOPNG_INSTANCE_NAME: Text(32), Clash(530);
    /// Time of the flow
    FLOW_TIME: Seconds, Clash(532);
    /// Traffic profile
    PROFILE: Text(32), Clash(533);
    /// Status of the flow
    STATUS: U8, Clash(534);
    /// Major state of the connection
    MAJOR_CONNECTION_STATE: U8, Clash(535);
    /// Minor state of the connection
    MINOR_CONNECTION_STATE: U8, Clash(536);
}
