//! Wireless networks.

use super::elements;

elements! { Group::Wireless;
    /// Wireless network name
    WLAN_SSID: Text(32), Iana(147), ipfix "wlanSSID";
    /// MAC of the wireless access point
    WTP_MAC_ADDRESS: Mac, Iana(367), ipfix "wtpMacAddress";
}
