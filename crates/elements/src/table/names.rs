//! Names of hosts and users.
//!
//! The sources give no type for USER_NAME: theirs is a guess.

use super::NPROBE_INSTANCE_NAME;
use super::elements;

elements! { Group::Names;
    /// User bound to the tunnel or flow
    FLOW_USER_NAME: Text(32), Ntop(121);
    // The old meaning of 122.
    /// Server name learnt for the flow
    FLOW_SERVER_NAME: Text(32), Ntop(122), displaced &NPROBE_INSTANCE_NAME;
    /// PaloAlto User-Id
    USER_NAME: Text(32), Ntop(428);
    /// Resolved source host name
    SRC_HOST_NAME: Text(48), Ntop(491);
    /// Resolved destination host name
    DST_HOST_NAME: Text(48), Ntop(492);
    /// User-given label of the source host
    SRC_HOST_LABEL: Text(24), Ntop(525);
    /// User-given label of the destination host
    DST_HOST_LABEL: Text(24), Ntop(526);
}
