//! Gaps between packets.

use super::elements;
use crate::element::Unit::Milliseconds;

elements! { Group::Interarrival;
    /// Smallest packet gap source to destination, ms
    SRC_TO_DST_IAT_MIN: U32, Ntop(531), unit Milliseconds;
    /// Largest packet gap source to destination, ms
    SRC_TO_DST_IAT_MAX: U32, Ntop(532), unit Milliseconds;
    /// Mean packet gap source to destination, ms
    SRC_TO_DST_IAT_AVG: U32, Ntop(533), unit Milliseconds;
    /// Deviation of the packet gap source to destination, ms
    SRC_TO_DST_IAT_STDDEV: U32, Ntop(534), unit Milliseconds;
    /// Smallest packet gap destination to source, ms
    DST_TO_SRC_IAT_MIN: U32, Ntop(535), unit Milliseconds;
    /// Largest packet gap destination to source, ms
    DST_TO_SRC_IAT_MAX: U32, Ntop(536), unit Milliseconds;
    /// Mean packet gap destination to source, ms
    DST_TO_SRC_IAT_AVG: U32, Ntop(537), unit Milliseconds;
    /// Deviation of the packet gap destination to source, ms
    DST_TO_SRC_IAT_STDDEV: U32, Ntop(538), unit Milliseconds;
}
