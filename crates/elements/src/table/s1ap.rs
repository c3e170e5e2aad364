//! S1AP (LTE base station signalling).
//!
//! The sources give these no types: they are guesses.

use super::elements;

elements! { Group::S1ap;
    /// Id the base station gave the device
    S1AP_ENB_UE_S1AP_ID: U32, Ntop(407);
    /// Id the MME gave the device
    S1AP_MME_UE_S1AP_ID: U32, Ntop(408);
    /// Mobility message type, MME to base station
    S1AP_MSG_EMM_TYPE_MME_TO_ENB: U8, Ntop(409);
    /// Session message type, MME to base station
    S1AP_MSG_ESM_TYPE_MME_TO_ENB: U8, Ntop(410);
    /// Mobility message type, base station to MME
    S1AP_MSG_EMM_TYPE_ENB_TO_MME: U8, Ntop(411);
    /// Session message type, base station to MME
    S1AP_MSG_ESM_TYPE_ENB_TO_MME: U8, Ntop(412);
    /// Cause, base station to MME
    S1AP_CAUSE_ENB_TO_MME: U16, Ntop(413);
    /// Detailed cause, base station to MME
    S1AP_DETAILED_CAUSE_ENB_TO_MME: U16, Ntop(414);
}
