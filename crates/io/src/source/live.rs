//! Live capture from an interface: what can be asked for, and by which engine it is done.

use std::net::Ipv4Addr;
use std::time::Duration;

#[cfg(target_os = "linux")]
use super::af_packet;
use super::libpcap::Libpcap;
use super::{Error, Source, kernel};

/// Which packets, by where they go: `--capture-direction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Received and sent.
    #[default]
    Both,
    /// Received by this host.
    Received,
    /// Sent by this host.
    Sent,
}

impl Direction {
    /// From the option's value: 0, 1 or 2.
    pub fn from_value(value: u8) -> Option<Direction> {
        match value {
            0 => Some(Direction::Both),
            1 => Some(Direction::Received),
            2 => Some(Direction::Sent),
            _ => None,
        }
    }
}

/// What does the capturing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// `AF_PACKET` where the system has it, else libpcap.
    #[default]
    Auto,
    /// Rings of packet(7); Linux only.
    AfPacket,
    /// libpcap; anywhere.
    Libpcap,
}

/// How to capture. The defaults are the program's.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Most bytes kept of a packet.
    pub snaplen: u32,
    /// Takes frames for others too.
    pub promiscuous: bool,
    /// Which packets, by where they go.
    pub direction: Direction,
    /// Only packets that pass this expression.
    pub filter: Option<String>,
    /// What does the capturing.
    pub engine: Engine,
    /// Workers that share the interface, each with a source of its own.
    pub workers: usize,
    /// Blocks of each worker's ring.
    pub blocks: u32,
    /// Bytes of a block: a power of two, at least a page, and longer than any packet.
    pub block_size: u32,
    /// When a block that is not full is handed on.
    pub retire: Duration,
}

impl Default for LiveOptions {
    fn default() -> Self {
        LiveOptions {
            snaplen: 262_144,
            promiscuous: true,
            direction: Direction::Both,
            filter: None,
            engine: Engine::Auto,
            workers: 1,
            blocks: 64,
            block_size: 1 << 20,
            retire: Duration::from_millis(20),
        }
    }
}

/// Starts to capture from `interface` (`any` for all). One source a worker; libpcap cannot share, so that always is one.
pub fn open(interface: &str, options: &LiveOptions) -> Result<Vec<Box<dyn Source + Send>>, Error> {
    let libpcap = || Libpcap::open(interface, options).map(|source| vec![Box::new(source) as Box<dyn Source + Send>]);
    #[cfg(target_os = "linux")]
    {
        let engine = match options.engine {
            Engine::Auto if !af_packet::supported() => Engine::Libpcap,
            engine => engine,
        };
        if engine == Engine::Libpcap {
            return libpcap();
        }
        let sources = af_packet::AfPacket::open(interface, options)?;
        Ok(sources.into_iter().map(|source| Box::new(source) as Box<dyn Source + Send>).collect())
    }
    #[cfg(not(target_os = "linux"))]
    libpcap()
}

/// The address a probe on these interfaces goes by: the first IPv4 address they have, else the host's; never a loopback
/// one.
pub fn address(interfaces: &[String]) -> Option<Ipv4Addr> {
    interfaces.iter().find_map(|name| kernel::ipv4_address(Some(name))).or_else(|| kernel::ipv4_address(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_no_address_to_go_by() {
        for name in ["lo", "nosuch0"] {
            assert_eq!(kernel::ipv4_address(Some(name)), None, "{name}");
            assert!(address(&[name.to_owned()]).is_none_or(|address| !address.is_loopback()));
        }
    }
}
