//! `host[:port]` as users write it, to addresses. Done once, at start.
//!
//! Names are not looked up again while running: a lookup blocks, and a collector that moves is a change of settings.

use super::Error;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// The addresses of `text`, in the resolver's order: `host:port`, `host`, `1.2.3.4:port`, `[::1]:port`, `::1`. Without a
/// port it is `default_port`, and port 0 is refused unless that is the default (a local address to bind).
pub fn resolve(option: &str, text: &str, default_port: u16) -> Result<Vec<SocketAddr>, Error> {
    let wrong = |why: &str| Error(format!("{option} {text}: {why}; write host, host:port or [IPv6 address]:port"));
    let (host, port) = split(text).ok_or_else(|| wrong("no such form of address"))?;
    let port = match port {
        Some(digits) => digits.parse::<u16>().map_err(|_| wrong("the port is no number from 1 to 65535"))?,
        None => default_port,
    };
    if port == 0 && default_port != 0 {
        return Err(wrong("port 0 cannot be sent to"));
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let unknown = |why: &str| {
        Error(format!("{option} {text}: host {host} cannot be resolved ({why}); check the name, or write its address"))
    };
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(|error| unknown(&error.to_string()))?.collect();
    if found.is_empty() { Err(unknown("it has no address")) } else { Ok(found) }
}

/// The local address, out of those `-q` came to, that can talk to `remote`.
pub(super) fn local_for(remote: SocketAddr, locals: &[SocketAddr]) -> Option<SocketAddr> {
    locals.iter().copied().find(|local| local.is_ipv4() == remote.is_ipv4())
}

/// Host and port text. A bare IPv6 address has colons, but no port.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, behind) = rest.split_once(']')?;
        match behind.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if behind.is_empty() => (host, None),
            None => return None,
        }
    } else if is_ipv6(text) {
        (text, None)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() { None } else { Some((host, port)) }
}

/// `fe80::1`, `fe80::1%eth0`
fn is_ipv6(text: &str) -> bool {
    text.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> String {
        resolve("-n", text, 2055).unwrap().first().unwrap().to_string()
    }

    fn error(text: &str) -> String {
        resolve("-n", text, 2055).unwrap_err().to_string()
    }

    #[test]
    fn every_form() {
        assert_eq!(one("127.0.0.1:9995"), "127.0.0.1:9995");
        assert_eq!(one("127.0.0.1"), "127.0.0.1:2055");
        assert_eq!(one("[2001:db8::1]:4739"), "[2001:db8::1]:4739");
        assert_eq!(one("[::1]"), "[::1]:2055");
        assert_eq!(one("2001:db8::1"), "[2001:db8::1]:2055");
        assert!(resolve("-q", "127.0.0.1", 0).unwrap().first().is_some_and(|local| local.port() == 0));
    }

    #[test]
    fn errors_name_option_value_and_remedy() {
        for text in ["host:port", "host:", "127.0.0.1:0", "127.0.0.1:65536", ":2055", "[::1", "[::1]2055", ""] {
            let said = error(text);
            assert!(said.starts_with(&format!("-n {text}: ")) && said.contains("; write host"), "{said}");
        }
        let overlong = "x".repeat(80);
        let said = error(&overlong);
        assert!(said.contains("cannot be resolved") && said.contains("check the name"), "{said}");
    }

    #[test]
    fn local_of_the_same_family() {
        let locals = ["[::1]:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()];
        assert_eq!(local_for("192.0.2.1:1".parse().unwrap(), &locals), Some(locals[1]));
        assert_eq!(local_for("192.0.2.1:1".parse().unwrap(), &locals[..1]), None);
    }
}
