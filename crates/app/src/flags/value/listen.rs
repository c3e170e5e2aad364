//! Where exporters send to: `[udp|tcp|tls|sctp://][ip:]port[c]`, or `any` of a capture.

use std::fmt;
use std::net::IpAddr;

use super::number::number;
use crate::stop::Stop;

const REMEDY: &str = "give [udp://|tcp://|tls://|sctp://][ip:]port, zmq://host:port of a relay, or any with a capture";

/// What `-3` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Any port of a capture.
    Any,
    /// A relay, or a port of this host that relays come to.
    Relay {
        /// Its name or address; none is every address of this host.
        host: Option<String>,
        /// Its port.
        port: u16,
    },
    /// A port of this host, or of a capture.
    Port {
        /// What is spoken there.
        transport: Speaks,
        /// The address; none is all.
        address: Option<IpAddr>,
        /// The port.
        port: u16,
    },
}

/// How exporters reach a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream, encrypted.
    Tls,
    /// Messages on a connection of several streams.
    Sctp,
}

impl Listen {
    /// Takes off the `c` behind a port, which asks for the cache.
    pub fn cached(text: &str) -> (&str, bool) {
        match text.strip_suffix('c') {
            Some(place) if place.ends_with(|last: char| last.is_ascii_digit()) => (place, true),
            _ => (text, false),
        }
    }

    /// A UDP port on every address.
    pub fn udp(port: u16) -> Listen {
        Listen::Port { transport: Speaks::Udp, address: None, port }
    }

    /// Reads one.
    pub fn parse(text: &str) -> Result<Listen, Stop> {
        if text == "any" {
            return Ok(Listen::Any);
        }
        let (transport, rest) = match text.split_once("://") {
            None => (Speaks::Udp, text),
            Some(("udp", rest)) => (Speaks::Udp, rest),
            Some(("tcp", rest)) => (Speaks::Tcp, rest),
            Some(("tls", rest)) => (Speaks::Tls, rest),
            Some(("sctp", rest)) => (Speaks::Sctp, rest),
            Some(("dtls", _)) => {
                return Err("DTLS is not supported; let the exporter send over TLS, as tls://port".into());
            }
            Some(("zmq", rest)) => return relay(rest),
            Some((other, _)) => return Err(Stop::Usage(format!("'{other}' is no transport; {REMEDY}"))),
        };
        let (address, port) = match rest.rsplit_once(':') {
            None => (None, rest),
            Some((address, port)) => {
                let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
                let parsed =
                    bare.parse().map_err(|_| Stop::Usage(format!("'{address}' is no IP address; {REMEDY}")))?;
                (Some(parsed), port)
            }
        };
        let port = number(port, "a port", 1..=u16::MAX)
            .map_err(|_| Stop::Usage(format!("'{port}' is no port of 1 to 65535; {REMEDY}")))?;
        Ok(Listen::Port { transport, address, port })
    }
}

/// What follows `zmq://`.
fn relay(text: &str) -> Result<Listen, Stop> {
    let remedy = "give zmq://host:port of a relay, or zmq://*:port for relays that come";
    let Some((host, port)) = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()) else {
        return Err(Stop::Usage(format!("'{text}' has no port; {remedy}")));
    };
    let port = number(port, "a port", 1..=u16::MAX)
        .map_err(|_| Stop::Usage(format!("'{port}' is no port of 1 to 65535; {remedy}")))?;
    if host.contains(|c: char| c.is_whitespace() || c == '/') {
        return Err(Stop::Usage(format!("'{host}' is no name or address of a host; {remedy}")));
    }
    Ok(Listen::Relay { host: (host != "*").then(|| host.to_owned()), port })
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, address, port) = match self {
            Listen::Any => return f.write_str("any"),
            Listen::Relay { host, port } => return write!(f, "zmq://{}:{port}", host.as_deref().unwrap_or("*")),
            Listen::Port { transport, address, port } => (transport, address, port),
        };
        let transport = match transport {
            Speaks::Udp => "udp",
            Speaks::Tcp => "tcp",
            Speaks::Tls => "tls",
            Speaks::Sctp => "sctp",
        };
        match address {
            None => write!(f, "{transport}://{port}"),
            Some(IpAddr::V6(address)) => write!(f, "{transport}://[{address}]:{port}"),
            Some(address) => write!(f, "{transport}://{address}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_users_write_them() {
        for (text, shown) in [
            ("2055", "udp://2055"),
            ("udp://192.0.2.1:2055", "udp://192.0.2.1:2055"),
            ("tcp://[::1]:4739", "tcp://[::1]:4739"),
            ("::1:4739", "udp://[::1]:4739"),
            ("sctp://4739", "sctp://4739"),
            ("any", "any"),
            ("zmq://relay.example:5556", "zmq://relay.example:5556"),
            ("zmq://[::1]:5556", "zmq://[::1]:5556"),
            ("zmq://*:5556", "zmq://*:5556"),
        ] {
            assert_eq!(Listen::parse(text).unwrap().to_string(), shown);
        }
        for (text, part) in [
            ("dtls://1", "tls://port"),
            ("zmq://5556", "no port"),
            ("zmq://a:x", "no port"),
            ("zmq://a/b:1", "no name"),
            ("2055c", "no port"),
            ("0", "no port"),
            ("a:1", "no IP address"),
        ] {
            let error = Listen::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_c_behind_the_port_is_taken_off() {
        for (text, place, cached) in [
            ("2055c", "2055", true),
            ("2055", "2055", false),
            ("tcp://[::1]:1c", "tcp://[::1]:1", true),
            ("c", "c", false),
        ] {
            assert_eq!(Listen::cached(text), (place, cached));
        }
    }
}
