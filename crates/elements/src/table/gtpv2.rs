//! GTP version 2 (mobile core signalling).
//!
//! The sources give no type for GTPV2_C2S_TEID, GTPV2_S2C_TEID: theirs is a guess.

use super::elements;

elements! { Group::Gtpv2;
    /// GTPv2: type code of the request message
    GTPV2_REQ_MSG_TYPE: U8, Ntop(270);
    /// GTPv2: type code of the response message
    GTPV2_RSP_MSG_TYPE: U8, Ntop(271);
    /// GTPv2: client-to-server S1U GTPU TEID
    GTPV2_C2S_S1U_GTPU_TEID: U32, Ntop(272);
    /// GTPv2: client-to-server S1U GTPU IP
    GTPV2_C2S_S1U_GTPU_IP: Ipv4, Ntop(273);
    /// GTPv2: server-to-client S1U GTPU TEID
    GTPV2_S2C_S1U_GTPU_TEID: U32, Ntop(274);
    /// GTPv2: server-to-client S1U GTPU IP
    GTPV2_S2C_S1U_GTPU_IP: Ipv4, Ntop(275);
    /// GTPv2: subscriber IMSI
    GTPV2_END_USER_IMSI: FixedText(16), Ntop(276);
    /// GTPv2: subscriber phone number (MSISDN)
    GTPV2_END_USER_MSISDN: FixedText(16), Ntop(277);
    /// GTPv2: access point name
    GTPV2_APN_NAME: FixedText(64), Ntop(278);
    /// GTPv2: user-location country code
    GTPV2_ULI_MCC: U16, Ntop(279);
    /// GTPv2: user-location network code
    GTPV2_ULI_MNC: U16, Ntop(280);
    /// GTPv2: user-location CELL tracking area code
    GTPV2_ULI_CELL_TAC: U16, Ntop(281);
    /// GTPv2: user-location cell id
    GTPV2_ULI_CELL_ID: U32, Ntop(282);
    /// GTPv2: radio access technology code
    GTPV2_RAT_TYPE: U8, Ntop(283);
    /// GTPv2: PDN address of the subscriber
    GTPV2_PDN_IP: Ipv4, Ntop(284);
    /// GTPv2: subscriber device IMEI
    GTPV2_END_USER_IMEI: FixedText(16), Ntop(285);
    /// GTPv2: cause value found in the response
    GTPV2_RESPONSE_CAUSE: U8, Ntop(333);
    /// GTPv2: S5 S8 GTPC TEID
    GTPV2_S5_S8_GTPC_TEID: FixedText(17), Ntop(435);
    /// GTPv2: client-to-server S5 S8 GTPU TEID
    GTPV2_C2S_S5_S8_GTPU_TEID: U32, Ntop(439);
    /// GTPv2: server-to-client S5 S8 GTPU TEID
    GTPV2_S2C_S5_S8_GTPU_TEID: U32, Ntop(440);
    /// GTPv2: client-to-server S5 S8 GTPU IP
    GTPV2_C2S_S5_S8_GTPU_IP: Ipv4, Ntop(441);
    /// GTPv2: server-to-client S5 S8 GTPU IP
    GTPV2_S2C_S5_S8_GTPU_IP: Ipv4, Ntop(442);
    /// GTPv2: client-to-server S5 S8 GTPC IP
    GTPV2_C2S_S5_S8_GTPC_IP: Ipv4, Ntop(454);
    /// GTPv2: server-to-client S5 S8 GTPC IP
    GTPV2_S2C_S5_S8_GTPC_IP: Ipv4, Ntop(455);
    /// GTPv2: client-to-server S5 S8 SGW GTPU TEID
    GTPV2_C2S_S5_S8_SGW_GTPU_TEID: U32, Ntop(456);
    /// GTPv2: server-to-client S5 S8 SGW GTPU TEID
    GTPV2_S2C_S5_S8_SGW_GTPU_TEID: U32, Ntop(457);
    /// GTPv2: client-to-server S5 S8 SGW GTPU IP
    GTPV2_C2S_S5_S8_SGW_GTPU_IP: Ipv4, Ntop(458);
    /// GTPv2: server-to-client S5 S8 SGW GTPU IP
    GTPV2_S2C_S5_S8_SGW_GTPU_IP: Ipv4, Ntop(459);
    /// Client-to-server TEID (10.4)
    GTPV2_C2S_TEID: U32, Unverified;
    /// Server-to-client TEID (10.4)
    GTPV2_S2C_TEID: U32, Unverified;
}
