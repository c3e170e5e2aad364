//! FTP.

use super::elements;

elements! { Group::Ftp;
    /// FTP user
    FTP_LOGIN: Text(32), Ntop(356);
    /// FTP password
    FTP_PASSWORD: Text(32), Ntop(357);
    /// Last FTP command
    FTP_COMMAND: Text(64), Ntop(358);
    /// Reply code of that command
    FTP_COMMAND_RET_CODE: U16, Ntop(359);
}
