//! Shape of a flow: length and gap histograms, entropy, series.

use super::elements;

elements! { Group::Behaviour;
    /// Hash over the first payload of the flow
    PAYLOAD_HASH: U32, Ntop(438);
    /// Per-second byte series source to destination
    SRC_TO_DST_SECOND_BYTES: List(8), Ntop(472);
    /// Per-second byte series destination to source
    DST_TO_SRC_SECOND_BYTES: List(8), Ntop(473);
    // nProbe 9.2's changelog speaks of 8-bit elements instead.
    /// Payload-length histogram, six classes
    SEQ_PLEN: FixedText(47), Ntop(502);
    /// Byte entropy source to destination times 1000
    ENTROPY_CLIENT_BYTES: U32, Ntop(503);
    /// Byte entropy destination to source times 1000
    ENTROPY_SERVER_BYTES: U32, Ntop(504);
    /// Inter-arrival-time histogram, six classes
    SEQ_TDIFF: FixedText(47), Ntop(505);
    /// One-byte hash of the payload-length histogram
    SEQ_PLEN_HASH: U8, Ntop(506);
    /// One-byte hash of the inter-arrival histogram
    SEQ_TDIFF_HASH: U8, Ntop(507);
    /// Signed payload lengths of the first packets, + client to server, - reverse
    PKT_VECTOR: FixedText(94), Ntop(508);
    /// 1 when entropy says the flow is encrypted
    FLOW_ENCRYPTED: U8, Ntop(586);
    // Ours, and told by name only.
    /// Payload-length histogram of the packets source to destination
    SRC_TO_DST_SEQ_PLEN: FixedText(47), Unverified;
    /// Payload-length histogram of the packets destination to source
    DST_TO_SRC_SEQ_PLEN: FixedText(47), Unverified;
    /// Inter-arrival-time histogram of the packets source to destination
    SRC_TO_DST_SEQ_TDIFF: FixedText(47), Unverified;
    /// Inter-arrival-time histogram of the packets destination to source
    DST_TO_SRC_SEQ_TDIFF: FixedText(47), Unverified;
    /// SYNs without ACK, up to 255
    HANDSHAKE_SYN_PKTS: U8, Unverified;
    /// SYNs with ACK, up to 255
    HANDSHAKE_SYN_ACK_PKTS: U8, Unverified;
    /// ACKs that completed a handshake, up to 255
    HANDSHAKE_ACK_PKTS: U8, Unverified;
    /// Resets before a handshake was complete, up to 255
    HANDSHAKE_RST_PKTS: U8, Unverified;
    /// Bursts source to destination
    SRC_TO_DST_BURSTS: U32, Unverified;
    /// Packets in bursts source to destination
    SRC_TO_DST_BURST_PKTS: U32, Unverified;
    /// Bytes of payload in bursts source to destination
    SRC_TO_DST_BURST_BYTES: U64, Unverified;
    /// Bursts destination to source
    DST_TO_SRC_BURSTS: U32, Unverified;
    /// Packets in bursts destination to source
    DST_TO_SRC_BURST_PKTS: U32, Unverified;
    /// Bytes of payload in bursts destination to source
    DST_TO_SRC_BURST_BYTES: U64, Unverified;
}
