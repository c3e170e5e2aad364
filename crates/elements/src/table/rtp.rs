//! RTP and the quality of voice.

use super::elements;
use crate::element::Unit::{Milliseconds, Packets};

elements! { Group::Rtp;
    // Old Wireshark: RTP_FIRST_SSRC.
    /// First RTP sequence number
    RTP_FIRST_SEQ: U32, Ntop(150);
    /// First RTP timestamp
    RTP_FIRST_TS: U32, Ntop(151);
    // Old Wireshark: RTP_LAST_SSRC.
    /// Last RTP sequence number
    RTP_LAST_SEQ: U32, Ntop(152);
    /// Last RTP timestamp
    RTP_LAST_TS: U32, Ntop(153);
    /// Jitter source to destination in ms times 1000
    RTP_IN_JITTER: U32, Ntop(154);
    /// Jitter destination to source in ms times 1000
    RTP_OUT_JITTER: U32, Ntop(155);
    /// Share of lost packets source to destination
    RTP_IN_PKT_LOST: U32, Ntop(156);
    /// Share of lost packets destination to source
    RTP_OUT_PKT_LOST: U32, Ntop(157);
    /// RTP payload type destination to source
    RTP_OUT_PAYLOAD_TYPE: U8, Ntop(158);
    /// Largest packet gap in ms times 100, source to destination
    RTP_IN_MAX_DELTA: U32, Ntop(159);
    /// Largest packet gap in ms times 100, destination to source
    RTP_OUT_MAX_DELTA: U32, Ntop(160);
    /// RTP payload type source to destination
    RTP_IN_PAYLOAD_TYPE: U8, Ntop(161);
    /// Call-id of the SIP dialog that set up this stream
    RTP_SIP_CALL_ID: Text(64), Ntop(348);
    /// Estimated MOS times 100 source to destination
    RTP_IN_MOS: U32, Ntop(370);
    /// Estimated R factor times 100 source to destination
    RTP_IN_R_FACTOR: U32, Ntop(371);
    /// Round trip, ms
    RTP_RTT: U32, Ntop(380), unit Milliseconds;
    /// Transit value times 100 source to destination
    RTP_IN_TRANSIT: U32, Ntop(381);
    /// Transit value times 100 destination to source
    RTP_OUT_TRANSIT: U32, Ntop(382);
    /// DTMF digits seen
    RTP_DTMF_TONES: Text(16), Ntop(395);
    /// Packets the jitter buffer would discard source to destination
    RTP_IN_PKT_DROP: U32, Ntop(430), unit Packets;
    /// Packets the jitter buffer would discard destination to source
    RTP_OUT_PKT_DROP: U32, Ntop(431), unit Packets;
    /// Estimated MOS times 100 destination to source
    RTP_OUT_MOS: U32, Ntop(432);
    /// Estimated R factor times 100 destination to source
    RTP_OUT_R_FACTOR: U32, Ntop(433);
    /// Estimated MOS times 100, mean of both directions
    RTP_MOS: U32, Ntop(434);
    /// Estimated R factor times 100, mean of both directions
    RTP_R_FACTOR: U32, Ntop(436);
    /// RTP synchronisation source
    RTP_SSRC: U32, Ntop(437);
}
