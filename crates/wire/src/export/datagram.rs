//! What an exporter sent, as it came in: bytes with their origin and time.

use core::net::{IpAddr, SocketAddr};

use crate::Nanos;

/// How exports travel (RFC 7011, section 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream of messages.
    Tcp,
    /// A stream of messages, encrypted.
    Tls,
    /// Messages over SCTP.
    Sctp,
}

impl Transport {
    /// As users write it.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Sctp => "sctp",
        }
    }

    /// True where an exporter's messages all arrive, in order, within one session. Only there do template withdrawals
    /// count (RFC 7011, section 8.4).
    pub const fn is_session(self) -> bool {
        !matches!(self, Transport::Udp)
    }
}

/// One message of an exporter.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// When it arrived.
    pub time: Nanos,
    /// How it came.
    pub transport: Transport,
    /// Who sent it.
    pub from: SocketAddr,
    /// The local port it came to.
    pub to: u16,
    /// The local address it came to, where that is known.
    pub local: Option<IpAddr>,
    /// Its payload.
    pub bytes: &'a [u8],
}
