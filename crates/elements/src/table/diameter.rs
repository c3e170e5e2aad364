//! Diameter.

use super::elements;

elements! { Group::Diameter;
    /// IPv4 address given to the user
    DIAMETER_FRAMED_IP_ADDR: Ipv4, Ntop(261);
    /// IPv4 address served
    DIAMETER_SERVED_IP_ADDR: Ipv4, Ntop(262);
    /// Diameter Calling-Station-Id
    DIAMETER_CALLING_STATION_ID: Text(32), Ntop(263);
    /// Diameter Called-Station-Id
    DIAMETER_CALLED_STATION_ID: Text(32), Ntop(264);
    /// Diameter Subscription-Id
    DIAMETER_SUBSCRIPTION_ID: Text(64), Ntop(265);
    /// Diameter Calling-Party-Address
    DIAMETER_CALLING_PARTY_ADDRESS: Text(64), Ntop(266);
    /// Diameter Called-Party-Address
    DIAMETER_CALLED_PARTY_ADDRESS: Text(64), Ntop(267);
    /// IPv4 address of the packet data session
    DIAMETER_PDP_ADDR: Ipv4, Ntop(268);
    /// Command code of the Diameter request
    DIAMETER_REQ_MSG_TYPE: U32, Ntop(399);
    /// Command code of the Diameter answer
    DIAMETER_RSP_MSG_TYPE: U32, Ntop(400);
    /// Origin-Host of the request
    DIAMETER_REQ_ORIGIN_HOST: Text(64), Ntop(401);
    /// Origin-Host of the answer
    DIAMETER_RSP_ORIGIN_HOST: Text(64), Ntop(402);
    /// User-Name of the request
    DIAMETER_REQ_USER_NAME: Text(64), Ntop(403);
    /// Result-Code of the answer
    DIAMETER_RSP_RESULT_CODE: U32, Ntop(404);
    /// Vendor of the Experimental-Result
    DIAMETER_EXP_RES_VENDOR_ID: U32, Ntop(405);
    /// Code of the Experimental-Result
    DIAMETER_EXP_RES_RESULT_CODE: U32, Ntop(406);
    /// Diameter hop-by-hop identifier
    DIAMETER_HOP_BY_HOP_ID: U32, Ntop(445);
    /// Cancellation type of a Cancel-Location request
    DIAMETER_CLR_CANCEL_TYPE: U32, Ntop(452);
    /// Flags of a Cancel-Location request
    DIAMETER_CLR_FLAGS: U32, Ntop(453);
}
