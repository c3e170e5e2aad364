//! TLS and SSH handshakes and their fingerprints.

use super::elements;

elements! { Group::Tls;
    /// SNI host name
    TLS_SERVER_NAME: Text(48), Ntop(188);
    /// SNI host name (now TLS_SERVER_NAME)
    SSL_SERVER_NAME: Text(48), Ntop(188), renamed &TLS_SERVER_NAME;
    /// JA3 client fingerprint
    JA3C_HASH: Text(32), Ntop(489);
    /// JA3 server fingerprint
    JA3S_HASH: Text(32), Ntop(490);
    /// Negotiated TLS cipher suite number
    TLS_CIPHER: U16, Ntop(493);
    /// Negotiated TLS cipher suite number (now TLS_CIPHER)
    SSL_CIPHER: U16, Ntop(493), renamed &TLS_CIPHER;
    /// 0 safe cipher, 1 unsafe cipher
    TLS_UNSAFE_CIPHER: U8, Ntop(494);
    /// 0 safe cipher, 1 unsafe cipher (now TLS_UNSAFE_CIPHER)
    SSL_UNSAFE_CIPHER: U8, Ntop(494), renamed &TLS_UNSAFE_CIPHER;
    /// TLS version number
    TLS_VERSION: U16, Ntop(495);
    /// TLS version number (now TLS_VERSION)
    SSL_VERSION: U16, Ntop(495), renamed &TLS_VERSION;
    /// HASSH fingerprint of the SSH client
    HASSH_CLIENT: Text(32), Ntop(499);
    /// HASSH fingerprint of the SSH server
    HASSH_SERVER: Text(32), Ntop(500);
    /// JA4 client fingerprint
    JA4C_HASH: Text(32), Ntop(576);
}
