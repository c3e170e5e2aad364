//! Where export packets go, `[udp|tcp://]host[:port]`, and the address they leave from.
//!
//! A bare IPv6 address is taken whole, so a port after one needs brackets: `[2001:db8::1]:2055`.

use std::fmt;
use std::net::IpAddr;

use super::number::number;
use crate::stop::Stop;

const REMEDY: &str = "give [udp://|tcp://]host[:port], an IPv6 address with a port in brackets, or none";
const SENDER_REMEDY: &str = "give host[:port], an IPv6 address with a port in brackets";

/// How export packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One export packet a datagram.
    Udp,
    /// One after the other on a connection.
    Tcp,
}

/// A machine, by address or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Its address.
    Addr(IpAddr),
    /// Its name, to be looked up when the socket is made.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Addr(addr) => addr.fmt(f),
            Host::Name(name) => f.write_str(name),
        }
    }
}

/// A receiver of export packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// How to reach it.
    pub transport: Transport,
    /// The machine.
    pub host: Host,
    /// The port it listens on.
    pub port: u16,
}

impl Collector {
    /// The port when none is given, as common for NetFlow.
    pub const PORT: u16 = 2055;

    /// Reads one collector.
    pub fn parse(text: &str) -> Result<Self, Stop> {
        let (transport, rest) = match text.split_once("://") {
            None => (Transport::Udp, text),
            Some(("udp", rest)) => (Transport::Udp, rest),
            Some(("tcp", rest)) => (Transport::Tcp, rest),
            Some((other @ ("tls" | "sctp"), _)) => {
                return Err(Stop::Usage(format!("{other} is not supported by this version; give udp:// or tcp://")));
            }
            Some((other, _)) => return Err(Stop::Usage(format!("'{other}' is not a way to export; {REMEDY}"))),
        };
        let (host, port) = host_port(rest, REMEDY)?;
        Ok(Collector { transport, host, port: port.unwrap_or(Self::PORT) })
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        match &self.host {
            Host::Addr(IpAddr::V6(addr)) => write!(f, "{scheme}://[{addr}]:{}", self.port),
            host => write!(f, "{scheme}://{host}:{}", self.port),
        }
    }
}

/// The local address export packets leave from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The machine's own address or name.
    pub host: Host,
    /// The local port; any if not given.
    pub port: Option<u16>,
}

impl Sender {
    /// Reads `host[:port]`.
    pub fn parse(text: &str) -> Result<Self, Stop> {
        let (host, port) = host_port(text, SENDER_REMEDY)?;
        Ok(Sender { host, port })
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
fn host_port(text: &str, remedy: &str) -> Result<(Host, Option<u16>), Stop> {
    if let Ok(addr) = text.parse() {
        return Ok((Host::Addr(addr), None));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (addr, tail) = rest.split_once(']').ok_or_else(|| Stop::Usage(format!("']' is missing; {remedy}")))?;
            let addr: IpAddr = addr
                .parse()
                .ok()
                .filter(IpAddr::is_ipv6)
                .ok_or_else(|| Stop::Usage(format!("'{addr}' is not an IPv6 address; {remedy}")))?;
            let port = match tail {
                "" => None,
                tail => Some(
                    tail.strip_prefix(':')
                        .ok_or_else(|| Stop::Usage(format!("'{tail}' behind the address is not a port; {remedy}")))?,
                ),
            };
            (Host::Addr(addr), port)
        }
        None => {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            (host.parse().map_or_else(|_| name(host, remedy), |addr| Ok(Host::Addr(addr)))?, port)
        }
    };
    let port = match port {
        None => None,
        Some(port) => Some(
            number(port, "a port", 1_u16..=65_535)
                .map_err(|_| Stop::Usage(format!("'{port}' is not a port of 1 to 65535; {remedy}")))?,
        ),
    };
    Ok((host, port))
}

fn name(text: &str, remedy: &str) -> Result<Host, Stop> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    // A name of digits and dots only is a mistyped address.
    let letter = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    if !letter || text.len() > 253 || !text.bytes().all(fits) {
        return Err(Stop::Usage(format!("'{text}' is not a host; {remedy}")));
    }
    Ok(Host::Name(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_are_read() {
        for (text, full) in [
            ("10.0.0.1", "udp://10.0.0.1:2055"),
            ("10.0.0.1:9996", "udp://10.0.0.1:9996"),
            ("tcp://flow-1.example.com:4739", "tcp://flow-1.example.com:4739"),
            ("udp://[2001:db8::1]:9995", "udp://[2001:db8::1]:9995"),
            ("[::1]", "udp://[::1]:2055"),
            ("2001:db8::1", "udp://[2001:db8::1]:2055"),
            ("localhost", "udp://localhost:2055"),
        ] {
            assert_eq!(Collector::parse(text).unwrap().to_string(), full, "{text}");
        }
    }

    #[test]
    fn a_sender_is_not_told_of_what_only_collectors_have() {
        for text in ["127.0.0.1:99999", "[::1", "a b", "[::1]x"] {
            let said = Sender::parse(text).unwrap_err().to_string();
            assert!(said.ends_with("; give host[:port], an IPv6 address with a port in brackets"), "{said}");
        }
    }

    #[test]
    fn bad_collectors_are_refused() {
        for text in [
            "",
            ":2055",
            "10.0.0.1:",
            "10.0.0.1:0",
            "10.0.0.1:65536",
            "10.0.0",
            "[::1",
            "[10.0.0.1]:1",
            "[::1]2055",
            "http://x",
            "tls://x",
            "a b",
            "x:y",
            "udp://",
        ] {
            assert!(Collector::parse(text).is_err(), "{text}");
        }
    }
}
