//! EPP (domain registration).
//!
//! The sources give these no types: they are guesses.

use super::elements;

elements! { Group::Epp;
    /// EPP registrar
    EPP_REGISTRAR_NAME: Text(32), Ntop(364);
    /// EPP command
    EPP_CMD: U8, Ntop(365);
    /// Arguments of the EPP command
    EPP_CMD_ARGS: Text(64), Ntop(366);
    /// EPP answer code
    EPP_RSP_CODE: U16, Ntop(367);
    /// EPP answer reason
    EPP_REASON_STR: Text(64), Ntop(368);
    /// EPP server
    EPP_SERVER_NAME: Text(32), Ntop(369);
}
