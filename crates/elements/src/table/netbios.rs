//! NetBIOS names.

use super::elements;

elements! { Group::Netbios;
    /// NetBIOS name asked for
    NETBIOS_QUERY_NAME: Text(48), Ntop(464);
    /// Type of the name asked for, as text
    NETBIOS_QUERY_TYPE: Text(64), Ntop(465);
    /// NetBIOS answer
    NETBIOS_RESPONSE: Text(64), Ntop(466);
    /// Operating system the host announces
    NETBIOS_QUERY_OS: Text(24), Ntop(467);
}
