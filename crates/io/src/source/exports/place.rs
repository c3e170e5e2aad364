//! Where exporters send to: what `-3` names.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use flowsonde_wire::export::Transport;

use crate::source::Error;

/// A port of this host, at one of its addresses or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What is spoken there.
    pub transport: Transport,
    /// The address; none is all, of both families.
    pub address: Option<IpAddr>,
    /// The port; 0 is one of the kernel's choice.
    pub port: u16,
}

impl Place {
    /// The addresses to bind to, each to be tried when those before it are of a family the host does not have.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let any = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        let found = match self.address {
            Some(address) => [Some(address), None],
            None => any.map(Some),
        };
        let port = self.port;
        found.into_iter().flatten().map(move |address| SocketAddr::new(address, port))
    }

    /// Opens what `open` makes, at the first of the addresses it can be had at.
    pub(super) fn bind<T>(&self, mut open: impl FnMut(SocketAddr) -> io::Result<T>) -> Result<T, Error> {
        let mut last = None;
        for address in self.addresses() {
            match open(address) {
                Ok(opened) => return Ok(opened),
                Err(error) => {
                    let no_family = no_family(&error);
                    last = Some(error);
                    if !no_family {
                        break;
                    }
                }
            }
        }
        Err(self.refused(&last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())))
    }

    /// Why nothing can be received here, as the user is told.
    pub(super) fn refused(&self, error: &io::Error) -> Error {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "another program has the port; stop it, or name another port",
            io::ErrorKind::AddrNotAvailable => "name an address of this host, or only the port",
            io::ErrorKind::PermissionDenied => "ports below 1024 need root or CAP_NET_BIND_SERVICE",
            _ => "name [ip:]port",
        };
        Error(format!("-3 {self}: {error}; {remedy}"))
    }
}

fn no_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAFNOSUPPORT) || error.kind() == io::ErrorKind::AddrNotAvailable
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.transport.name())?;
        match self.address {
            Some(address) => write!(f, "{}", SocketAddr::new(address, self.port)),
            None => write!(f, "{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(address: Option<&str>) -> Place {
        Place { transport: Transport::Udp, address: address.map(|text| text.parse().unwrap()), port: 2055 }
    }

    #[test]
    fn as_users_write_it() {
        assert_eq!(place(None).to_string(), "udp://2055");
        assert_eq!(place(Some("192.0.2.1")).to_string(), "udp://192.0.2.1:2055");
        assert_eq!(place(Some("::1")).to_string(), "udp://[::1]:2055");
    }

    #[test]
    fn a_host_without_ipv6_is_bound_by_ipv4() {
        let mut tried = Vec::new();
        let bound = place(None).bind(|address| {
            tried.push(address.to_string());
            if address.is_ipv6() { Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)) } else { Ok(7) }
        });
        assert_eq!((bound.unwrap(), tried), (7, vec!["[::]:2055".to_owned(), "0.0.0.0:2055".to_owned()]));
        let taken = place(None).bind(|_| Err::<(), _>(io::ErrorKind::AddrInUse.into())).unwrap_err();
        assert!(taken.0.starts_with("-3 udp://2055: ") && taken.0.contains("another port"), "{taken}");
    }
}
