//! Where the addresses are.

use super::elements;

elements! { Group::Geo;
    /// Two-letter country of the source address
    SRC_IP_COUNTRY: FixedText(2), Ntop(101);
    /// City of the source address
    SRC_IP_CITY: FixedText(16), Ntop(102);
    /// Two-letter country of the destination address
    DST_IP_COUNTRY: FixedText(2), Ntop(103);
    /// City of the destination address
    DST_IP_CITY: FixedText(16), Ntop(104);
    /// Organisation owning the source AS
    SRC_AS_MAP: FixedText(16), Ntop(443);
    /// Organisation owning the destination AS
    DST_AS_MAP: FixedText(16), Ntop(444);
    /// Longitude of the source address, as text
    SRC_IP_LONG: FixedText(16), Ntop(448);
    /// Latitude of the source address, as text
    SRC_IP_LAT: FixedText(16), Ntop(449);
    /// Longitude of the destination address, as text
    DST_IP_LONG: FixedText(16), Ntop(450);
    /// Latitude of the destination address, as text
    DST_IP_LAT: FixedText(16), Ntop(451);
}
