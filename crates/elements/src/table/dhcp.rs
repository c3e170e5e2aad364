//! DHCP.

use super::elements;

elements! { Group::Dhcp;
    /// MAC of the DHCP client
    DHCP_CLIENT_MAC: Mac, Ntop(353);
    /// IPv4 address of the DHCP client
    DHCP_CLIENT_IP: Ipv4, Ntop(354);
    /// Host name the DHCP client gives
    DHCP_CLIENT_NAME: Text(64), Ntop(355);
    /// Remote id added by the relay agent
    DHCP_REMOTE_ID: Text(32), Ntop(423);
    /// Subscriber id added by the relay agent
    DHCP_SUBSCRIBER_ID: Text(48), Ntop(424);
    /// DHCP message type
    DHCP_MESSAGE_TYPE: U8, Ntop(429);
}
