//! IMAP.

use super::elements;

elements! { Group::Imap;
    /// IMAP login name
    IMAP_LOGIN: Text(64), Ntop(260);
}
