//! BGP AS paths.

use super::elements;

elements! { Group::Bgp;
    /// AS number at hop 1 of the BGP AS path towards the source address
    SRC_AS_PATH_1: U32, Ntop(290);
    /// AS number at hop 2 of the BGP AS path towards the source address
    SRC_AS_PATH_2: U32, Ntop(291);
    /// AS number at hop 3 of the BGP AS path towards the source address
    SRC_AS_PATH_3: U32, Ntop(292);
    /// AS number at hop 4 of the BGP AS path towards the source address
    SRC_AS_PATH_4: U32, Ntop(293);
    /// AS number at hop 5 of the BGP AS path towards the source address
    SRC_AS_PATH_5: U32, Ntop(294);
    /// AS number at hop 6 of the BGP AS path towards the source address
    SRC_AS_PATH_6: U32, Ntop(295);
    /// AS number at hop 7 of the BGP AS path towards the source address
    SRC_AS_PATH_7: U32, Ntop(296);
    /// AS number at hop 8 of the BGP AS path towards the source address
    SRC_AS_PATH_8: U32, Ntop(297);
    /// AS number at hop 9 of the BGP AS path towards the source address
    SRC_AS_PATH_9: U32, Ntop(298);
    /// AS number at hop 10 of the BGP AS path towards the source address
    SRC_AS_PATH_10: U32, Ntop(299);
    /// AS number at hop 1 of the BGP AS path towards the destination address
    DST_AS_PATH_1: U32, Ntop(300);
    /// AS number at hop 2 of the BGP AS path towards the destination address
    DST_AS_PATH_2: U32, Ntop(301);
    /// AS number at hop 3 of the BGP AS path towards the destination address
    DST_AS_PATH_3: U32, Ntop(302);
    /// AS number at hop 4 of the BGP AS path towards the destination address
    DST_AS_PATH_4: U32, Ntop(303);
    /// AS number at hop 5 of the BGP AS path towards the destination address
    DST_AS_PATH_5: U32, Ntop(304);
    /// AS number at hop 6 of the BGP AS path towards the destination address
    DST_AS_PATH_6: U32, Ntop(305);
    /// AS number at hop 7 of the BGP AS path towards the destination address
    DST_AS_PATH_7: U32, Ntop(306);
    /// AS number at hop 8 of the BGP AS path towards the destination address
    DST_AS_PATH_8: U32, Ntop(307);
    /// AS number at hop 9 of the BGP AS path towards the destination address
    DST_AS_PATH_9: U32, Ntop(308);
    /// AS number at hop 10 of the BGP AS path towards the destination address
    DST_AS_PATH_10: U32, Ntop(309);
}
