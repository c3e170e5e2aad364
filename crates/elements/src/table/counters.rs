//! Byte and packet counters, and rates.

use super::elements;
use crate::element::Unit::{BitsPerSecond, Flows, Octets, Packets};

elements! { Group::Counters;
    /// Bytes carried from source to destination
    IN_BYTES: U32 => U64, Iana(1), ipfix "octetDeltaCount", delta Octets;
    /// Packets from source to destination
    IN_PKTS: U32 => U64, Iana(2), ipfix "packetDeltaCount", delta Packets;
    /// Number of aggregated flows
    FLOWS: U32 => U64, Iana(3), ipfix "deltaFlowCount", delta Flows;
    /// Packets replicated by multicast
    MUL_DST_PKTS: U32 => U64, Iana(19), ipfix "postMCastPacketDeltaCount", delta Packets;
    /// Bytes replicated by multicast
    MUL_DST_BYTES: U32 => U64, Iana(20), ipfix "postMCastOctetDeltaCount", delta Octets;
    /// Bytes carried from destination to source
    OUT_BYTES: U32 => U64, Iana(23), ipfix "postOctetDeltaCount", delta Octets;
    /// Packets from destination to source
    OUT_PKTS: U32 => U64, Iana(24), ipfix "postPacketDeltaCount", delta Packets;
    /// Total bytes since the flow began
    OCTET_TOTAL: U64, Iana(85), ipfix "octetTotalCount", total Octets;
    /// Total packets since the flow began
    PACKET_TOTAL: U64, Iana(86), ipfix "packetTotalCount", total Packets;
    /// Absolute byte counter, initiator side
    INITIATOR_OCTETS: U64, Iana(231), ipfix "initiatorOctets", delta Octets;
    /// Absolute byte counter, responder side
    RESPONDER_OCTETS: U64, Iana(232), ipfix "responderOctets", delta Octets;
    /// Absolute packet counter, initiator side
    INITIATOR_PKTS: U64, Iana(298), ipfix "initiatorPackets", delta Packets;
    /// Absolute packet counter, responder side
    RESPONDER_PKTS: U64, Iana(299), ipfix "responderPackets", delta Packets;
    // Older Wireshark calls it FRAGMENTS.
    /// Fragmented packets source to destination
    SRC_FRAGMENTS: U16, Ntop(80), delta Packets;
    /// Fragmented packets destination to source
    DST_FRAGMENTS: U16, Ntop(81), delta Packets;
    // Older Wireshark calls it CLIENT_NW_DELAY_SEC.
    /// Peak rate source to destination, bit/s
    SRC_TO_DST_MAX_THROUGHPUT: U32, Ntop(82), unit BitsPerSecond;
    // Older Wireshark calls it CLIENT_NW_DELAY_USEC.
    /// Lowest rate source to destination, bit/s
    SRC_TO_DST_MIN_THROUGHPUT: U32, Ntop(83), unit BitsPerSecond;
    // Older Wireshark calls it SERVER_NW_DELAY_SEC.
    /// Mean rate source to destination, bit/s
    SRC_TO_DST_AVG_THROUGHPUT: U32, Ntop(84), unit BitsPerSecond;
    // Older Wireshark calls it SERVER_NW_DELAY_USEC.
    /// Peak rate destination to source, bit/s
    DST_TO_SRC_MAX_THROUGHPUT: U32, Ntop(85), unit BitsPerSecond;
    // Older Wireshark calls it APPL_LATENCY_SEC.
    /// Lowest rate destination to source, bit/s
    DST_TO_SRC_MIN_THROUGHPUT: U32, Ntop(86), unit BitsPerSecond;
    // Older Wireshark calls it APPL_LATENCY_USEC.
    /// Mean rate destination to source, bit/s
    DST_TO_SRC_AVG_THROUGHPUT: U32, Ntop(87), unit BitsPerSecond;
    /// Estimated peak TCP rate source to destination, bit/s
    SRC_TO_DST_MAX_EST_THROUGHPUT: U32, Ntop(523), unit BitsPerSecond;
    /// Estimated peak TCP rate destination to source, bit/s
    DST_TO_SRC_MAX_EST_THROUGHPUT: U32, Ntop(524), unit BitsPerSecond;
}
