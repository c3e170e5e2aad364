//! Packet lengths and TTLs, and how they are distributed.

use super::elements;
use crate::element::Unit::{Hops, Octets, Packets};

elements! { Group::Sizes;
    /// Smallest IP packet length in the flow
    MIN_IP_PKT_LEN: U16, Iana(25), ipfix "minimumIpTotalLength", unit Octets;
    /// Largest IP packet length in the flow
    MAX_IP_PKT_LEN: U16, Iana(26), ipfix "maximumIpTotalLength", unit Octets;
    /// Lowest TTL seen
    MIN_TTL: U8, Iana(52), ipfix "minimumTTL", unit Hops;
    /// Highest TTL seen
    MAX_TTL: U8, Iana(53), ipfix "maximumTTL", unit Hops;
    /// Layer-2 length of the original frame
    FRAME_LENGTH: U16, Iana(312), ipfix "dataLinkFrameSize";
    /// Packets of IP length up to 128
    NUM_PKTS_UP_TO_128_BYTES: U32, Ntop(88), delta Packets;
    /// Packets of IP length 129 to 256
    NUM_PKTS_128_TO_256_BYTES: U32, Ntop(89), delta Packets;
    /// Packets of IP length above 256, below 512 (512 itself ambiguous)
    NUM_PKTS_256_TO_512_BYTES: U32, Ntop(90), delta Packets;
    /// Packets of IP length above 512, below 1024 (1024 itself ambiguous)
    NUM_PKTS_512_TO_1024_BYTES: U32, Ntop(91), delta Packets;
    /// Packets of IP length above 1024 up to 1514
    NUM_PKTS_1024_TO_1514_BYTES: U32, Ntop(92), delta Packets;
    /// Packets of IP length above 1514
    NUM_PKTS_OVER_1514_BYTES: U32, Ntop(93), delta Packets;
    /// Length of the longest packet
    LONGEST_FLOW_PKT: U16, Ntop(107), unit Octets;
    /// Length of the shortest packet
    SHORTEST_FLOW_PKT: U16, Ntop(108), unit Octets;
    /// Packets whose TTL is above 5 and at most 32
    NUM_PKTS_TTL_5_32: U32, Ntop(334), delta Packets;
    /// Packets whose TTL is above 32 and at most 64
    NUM_PKTS_TTL_32_64: U32, Ntop(335), delta Packets;
    /// Packets whose TTL is above 64 and at most 96
    NUM_PKTS_TTL_64_96: U32, Ntop(336), delta Packets;
    /// Packets whose TTL is above 96 and at most 128
    NUM_PKTS_TTL_96_128: U32, Ntop(337), delta Packets;
    /// Packets whose TTL is above 128 and at most 160
    NUM_PKTS_TTL_128_160: U32, Ntop(338), delta Packets;
    /// Packets whose TTL is above 160 and at most 192
    NUM_PKTS_TTL_160_192: U32, Ntop(339), delta Packets;
    /// Packets whose TTL is above 192 and at most 224
    NUM_PKTS_TTL_192_224: U32, Ntop(340), delta Packets;
    /// Packets whose TTL is above 224 and at most 255
    NUM_PKTS_TTL_224_255: U32, Ntop(341), delta Packets;
    /// Packets whose TTL is above 1 and at most 5
    NUM_PKTS_TTL_2_5: U32, Ntop(346), delta Packets;
    /// Packets with TTL equal to 1
    NUM_PKTS_TTL_EQ_1: U32, Ntop(347), delta Packets;
}
