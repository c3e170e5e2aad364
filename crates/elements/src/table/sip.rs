//! SIP.

use super::elements;
use crate::element::Unit::Milliseconds;

elements! { Group::Sip;
    /// Call-ID of the SIP dialog
    SIP_CALL_ID: Text(96), Ntop(130);
    /// SIP address of the caller
    SIP_CALLING_PARTY: Text(96), Ntop(131);
    /// SIP address of the callee
    SIP_CALLED_PARTY: Text(96), Ntop(132);
    /// Codecs offered in the SDP
    SIP_RTP_CODECS: FixedText(512), Ntop(133);
    /// Epoch second of the INVITE
    SIP_INVITE_TIME: Seconds, Ntop(134);
    /// Epoch second of the Trying answer
    SIP_TRYING_TIME: Seconds, Ntop(135);
    /// Epoch second of the Ringing answer
    SIP_RINGING_TIME: Seconds, Ntop(136);
    // Old Wireshark: SIP_OK_TIME.
    /// Epoch second of the answer that accepted the INVITE
    SIP_INVITE_OK_TIME: Seconds, Ntop(137);
    // Old Wireshark: SIP_BYE_TIME.
    /// Epoch second of the answer that refused the INVITE
    SIP_INVITE_FAILURE_TIME: Seconds, Ntop(138);
    // Old Wireshark: SIP_RTP_SRC_IP.
    /// Epoch second of the BYE
    SIP_BYE_TIME: Seconds, Ntop(139);
    // Old Wireshark: SIP_RTP_SRC_PORT.
    /// Epoch second of the answer to the BYE
    SIP_BYE_OK_TIME: Seconds, Ntop(140);
    // Old Wireshark: SIP_RTP_DST_IP.
    /// Epoch second of the CANCEL
    SIP_CANCEL_TIME: Seconds, Ntop(141);
    // Old Wireshark: SIP_RTP_DST_PORT.
    /// Epoch second of the answer to the CANCEL
    SIP_CANCEL_OK_TIME: Seconds, Ntop(142);
    /// IPv4 address of the caller's media stream
    SIP_RTP_IPV4_SRC_ADDR: Ipv4, Ntop(143);
    /// Port of the caller's media stream
    SIP_RTP_L4_SRC_PORT: U16, Ntop(144);
    /// IPv4 address of the callee's media stream
    SIP_RTP_IPV4_DST_ADDR: Ipv4, Ntop(145);
    /// Port of the callee's media stream
    SIP_RTP_L4_DST_PORT: U16, Ntop(146);
    /// Status code of the last SIP answer that failed
    SIP_RESPONSE_CODE: U32, Ntop(147);
    /// Cause given in the Reason header
    SIP_REASON_CAUSE: U32, Ntop(148);
    /// User agent of the caller side
    SIP_UAC: Text(96), Ntop(316);
    /// User agent of the callee side
    SIP_UAS: Text(96), Ntop(317);
    /// Addresses found in SDP c= lines
    SIP_C_IP: FixedText(128), Ntop(362);
    /// State the call has reached, as text
    SIP_CALL_STATE: Text(12), Ntop(363);
    /// Slowest answer to REGISTER, ms
    SIP_REGISTER_MAX_RRD: U32, Ntop(528), unit Milliseconds;
    /// REGISTER answers that were accepted
    SIP_REGISTER_NUM_OK: U8, Ntop(529);
    /// REGISTER answers that were not accepted
    SIP_REGISTER_NUM_OTHER: U8, Ntop(530);
}
