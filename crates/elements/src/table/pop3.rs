//! POP3.

use super::elements;

elements! { Group::Pop3;
    /// POP3 login name
    POP_USER: Text(64), Ntop(210);
}
