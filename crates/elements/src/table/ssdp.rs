//! SSDP.

use super::elements;

elements! { Group::Ssdp;
    /// HOST header of the SSDP message
    SSDP_HOST: Text(48), Ntop(462);
    /// USN (unique service name) header
    SSDP_USN: Text(64), Ntop(463);
    /// SERVER header
    SSDP_SERVER: Text(64), Ntop(468);
    /// Notification or search type
    SSDP_TYPE: Text(64), Ntop(469);
    /// SSDP method
    SSDP_METHOD: Text(8), Ntop(470);
}
