//! GTP version 0 (mobile core signalling).

use super::elements;

elements! { Group::Gtpv0;
    /// GTPv0: type code of the request message
    GTPV0_REQ_MSG_TYPE: U8, Ntop(321);
    /// GTPv0: type code of the response message
    GTPV0_RSP_MSG_TYPE: U8, Ntop(322);
    /// GTPv0: tunnel identifier
    GTPV0_TID: U64, Ntop(323);
    /// GTPv0: IPv4 address given to the subscriber
    GTPV0_END_USER_IP: Ipv4, Ntop(324);
    /// GTPv0: subscriber phone number (MSISDN)
    GTPV0_END_USER_MSISDN: FixedText(16), Ntop(325);
    /// GTPv0: access point name
    GTPV0_APN_NAME: FixedText(64), Ntop(326);
    /// GTPv0: routing-area country code
    GTPV0_RAI_MCC: U16, Ntop(327);
    /// GTPv0: routing-area network code
    GTPV0_RAI_MNC: U16, Ntop(328);
    /// GTPv0: routing-area CELL location area code
    GTPV0_RAI_CELL_LAC: U16, Ntop(329);
    /// GTPv0: routing-area CELL routing area code
    GTPV0_RAI_CELL_RAC: U16, Ntop(330);
    /// GTPv0: cause value found in the response
    GTPV0_RESPONSE_CAUSE: U8, Ntop(331);
}
