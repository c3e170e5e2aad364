//! sFlow version 5.

use core::net::{IpAddr, Ipv4Addr};

use flowsonde_wire::{Cursor, Short};

use super::records::{About, Receive};
use super::session::Session;
use super::templates::Layouts;

/// The header of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The agent.
    pub agent: IpAddr,
    /// Its sub-agent.
    pub sub_agent: u32,
    /// Datagrams of the sub-agent before this one.
    pub sequence: u32,
    /// Milliseconds since the agent started.
    pub uptime_ms: u32,
    /// Samples in the datagram.
    pub samples: u32,
}

impl Header {
    /// Reads a header, version included but not checked.
    pub fn read(c: &mut Cursor<'_>) -> Result<Header, Short> {
        c.skip(4, "sFlow version")?;
        let agent = match c.u32("sFlow address type")? {
            2 => IpAddr::from(c.array::<16>("sFlow agent")?),
            1 => IpAddr::from(c.array::<4>("sFlow agent")?),
            _ => Ipv4Addr::UNSPECIFIED.into(),
        };
        Ok(Header {
            agent,
            sub_agent: c.u32("sFlow sub-agent")?,
            sequence: c.u32("sFlow sequence")?,
            uptime_ms: c.u32("sFlow uptime")?,
            samples: c.u32("sFlow samples")?,
        })
    }
}

/// Reads samples.
#[derive(Debug)]
pub struct Decoder {}

impl Decoder {
    /// Ready for a first datagram.
    pub fn new(layouts: &mut Layouts) -> Decoder {
        let _ = layouts;
        Decoder {}
    }

    /// Reads a datagram of `session`.
    pub fn read(&mut self, datagram: &[u8], about: &About, session: &mut Session, out: &mut dyn Receive) {
        let _ = (datagram, about, session, out);
    }
}
