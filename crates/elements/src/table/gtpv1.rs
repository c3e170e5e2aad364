//! GTP version 1 (mobile core signalling).
//!
//! The sources give no type for GTPV1_C2S_TEID, GTPV1_GSN_ADDRESS_IPV4_A, GTPV1_GSN_ADDRESS_IPV4_B, GTPV1_S2C_TEID:
//! theirs is a guess.

use super::elements;

elements! { Group::Gtpv1;
    /// GTPv1: type code of the request message
    GTPV1_REQ_MSG_TYPE: U8, Ntop(220);
    /// GTPv1: type code of the response message
    GTPV1_RSP_MSG_TYPE: U8, Ntop(221);
    /// GTPv1: client-to-server TEID DATA
    GTPV1_C2S_TEID_DATA: U32, Ntop(222);
    /// GTPv1: client-to-server TEID CTRL
    GTPV1_C2S_TEID_CTRL: U32, Ntop(223);
    /// GTPv1: server-to-client TEID DATA
    GTPV1_S2C_TEID_DATA: U32, Ntop(224);
    /// GTPv1: server-to-client TEID CTRL
    GTPV1_S2C_TEID_CTRL: U32, Ntop(225);
    /// GTPv1: IPv4 address given to the subscriber
    GTPV1_END_USER_IPV4: Ipv4, Ntop(226);
    /// GTPv1: subscriber IMSI
    GTPV1_END_USER_IMSI: FixedText(16), Ntop(227);
    /// GTPv1: subscriber phone number (MSISDN)
    GTPV1_END_USER_MSISDN: FixedText(16), Ntop(228);
    /// GTPv1: subscriber device IMEI
    GTPV1_END_USER_IMEI: FixedText(16), Ntop(229);
    /// GTPv1: access point name
    GTPV1_APN_NAME: FixedText(64), Ntop(230);
    /// GTPv1: routing-area country code
    GTPV1_RAI_MCC: U16, Ntop(231);
    /// GTPv1: routing-area network code
    GTPV1_RAI_MNC: U16, Ntop(232);
    /// GTPv1: user-location CELL location area code
    GTPV1_ULI_CELL_LAC: U16, Ntop(233);
    /// GTPv1: user-location cell id
    GTPV1_ULI_CELL_CI: U16, Ntop(234);
    /// GTPv1: user-location service area code
    GTPV1_ULI_SAC: U16, Ntop(235);
    /// GTPv1: radio access technology code
    GTPV1_RAT_TYPE: U8, Ntop(236);
    /// GTPv1: cause value found in the response
    GTPV1_RESPONSE_CAUSE: U8, Ntop(332);
    /// GTPv1: routing-area location area code
    GTPV1_RAI_LAC: U16, Ntop(342);
    /// GTPv1: routing-area routing area code
    GTPV1_RAI_RAC: U8, Ntop(343);
    /// GTPv1: user-location country code
    GTPV1_ULI_MCC: U16, Ntop(344);
    /// GTPv1: user-location network code
    GTPV1_ULI_MNC: U16, Ntop(345);
    /// Client-to-server TEID (10.4)
    GTPV1_C2S_TEID: U32, Unverified;
    /// First GSN IPv4 address (10.6)
    GTPV1_GSN_ADDRESS_IPV4_A: Ipv4, Unverified;
    /// Second GSN IPv4 address (10.6)
    GTPV1_GSN_ADDRESS_IPV4_B: Ipv4, Unverified;
    /// Server-to-client TEID (10.4)
    GTPV1_S2C_TEID: U32, Unverified;
}
