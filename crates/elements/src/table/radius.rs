//! RADIUS.

use super::elements;
use crate::element::Unit::{Octets, Packets};

elements! { Group::Radius;
    /// Code of the RADIUS request
    RADIUS_REQ_MSG_TYPE: U8, Ntop(240);
    /// Code of the RADIUS answer
    RADIUS_RSP_MSG_TYPE: U8, Ntop(241);
    /// RADIUS User-Name
    RADIUS_USER_NAME: Text(32), Ntop(242);
    /// RADIUS Calling-Station-Id
    RADIUS_CALLING_STATION_ID: Text(32), Ntop(243);
    /// RADIUS Called-Station-Id
    RADIUS_CALLED_STATION_ID: Text(32), Ntop(244);
    /// IPv4 address of the network access server
    RADIUS_NAS_IP_ADDR: Ipv4, Ntop(245);
    /// Name of the network access server
    RADIUS_NAS_IDENTIFIER: Text(24), Ntop(246);
    /// Subscriber IMSI
    RADIUS_USER_IMSI: FixedText(16), Ntop(247);
    /// Subscriber number extension (docs describe it as MSISDN)
    RADIUS_USER_IMEI: FixedText(16), Ntop(248);
    /// IPv4 address given to the user
    RADIUS_FRAMED_IP_ADDR: Ipv4, Ntop(249);
    /// Accounting session
    RADIUS_ACCT_SESSION_ID: Text(24), Ntop(250);
    /// Kind of accounting message (start, stop, interim)
    RADIUS_ACCT_STATUS_TYPE: U8, Ntop(251);
    /// Bytes the user sent, as accounted
    RADIUS_ACCT_IN_OCTETS: U32, Ntop(252), unit Octets;
    /// Bytes the user received, as accounted
    RADIUS_ACCT_OUT_OCTETS: U32, Ntop(253), unit Octets;
    /// Packets the user sent, as accounted
    RADIUS_ACCT_IN_PKTS: U32, Ntop(254), unit Packets;
    /// Packets the user received, as accounted
    RADIUS_ACCT_OUT_PKTS: U32, Ntop(255), unit Packets;
}
