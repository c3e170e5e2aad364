//! Networks: `192.168.0.0/16`, `10.0.0.0/255.0.0.0`, `2001:db8::/32`, or one address.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::stop::Stop;

const REMEDY: &str = "give address/prefix, like 192.168.0.0/16 or 2001:db8::/32";

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    /// Its first address.
    pub addr: IpAddr,
    /// How many leading bits its addresses share.
    pub prefix: u8,
}

impl Net {
    /// Reads one network. Bits behind the prefix are cleared, as routers and nProbe's examples are lax about them.
    pub fn parse(text: &str) -> Result<Self, Stop> {
        let (addr, length) = match text.split_once('/') {
            Some((addr, length)) => (addr, Some(length)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| Stop::Usage(format!("'{addr}' is not an IP address; {REMEDY}")))?;
        let most = if addr.is_ipv4() { 32 } else { 128 };
        let prefix = match length {
            None => most,
            Some(length) => prefix(length, addr.is_ipv4())
                .filter(|&prefix| prefix <= most)
                .ok_or_else(|| Stop::Usage(format!("'/{length}' is not a prefix of 0 to {most} bits; {REMEDY}")))?,
        };
        Ok(Net { addr: masked(addr, prefix), prefix })
    }

    /// Whether this address is in the network. An IPv4 address is never in an IPv6 network.
    pub fn contains(&self, addr: IpAddr) -> bool {
        addr.is_ipv4() == self.addr.is_ipv4() && masked(addr, self.prefix) == self.addr
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

/// Any number of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<Net>);

impl Networks {
    /// Adds networks from a comma-separated list.
    pub fn add(&mut self, list: &str) -> Result<(), Stop> {
        for item in list.split(',').map(str::trim) {
            self.0.push(Net::parse(item)?);
        }
        Ok(())
    }

    /// Whether this address is in one of them.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(addr))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Networks, to be looked up often: costs as many looks as they have lengths of prefix.
#[derive(Clone, Debug, Default)]
pub struct Lookup(Vec<(u8, HashSet<IpAddr>)>);

impl Lookup {
    /// Of these networks.
    pub fn new(networks: &[Net]) -> Lookup {
        let mut lengths = Vec::<(u8, HashSet<IpAddr>)>::new();
        for net in networks {
            match lengths.iter_mut().find(|(prefix, _)| *prefix == net.prefix) {
                Some((_, found)) => _ = found.insert(net.addr),
                None => lengths.push((net.prefix, HashSet::from([net.addr]))),
            }
        }
        Lookup(lengths)
    }

    /// Whether this address is in one of them.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.0.iter().any(|(prefix, found)| found.contains(&masked(addr, *prefix)))
    }
}

/// A prefix length from `16` or, for IPv4, from a mask like `255.255.0.0`.
fn prefix(text: &str, v4: bool) -> Option<u8> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let mask = u32::from(text.parse::<Ipv4Addr>().ok().filter(|_| v4)?);
    (mask.leading_ones() + mask.trailing_zeros() >= 32).then_some(mask.leading_ones() as u8)
}

fn masked(addr: IpAddr, prefix: u8) -> IpAddr {
    match addr {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        let mut nets = Networks::default();
        nets.add("10.1.2.3/8, 192.168.1.0/255.255.255.0,2001:db8::/33,1.1.1.1").unwrap();
        for inside in ["10.255.0.1", "192.168.1.7", "2001:db8:7fff::1", "1.1.1.1"] {
            assert!(nets.contains(inside.parse().unwrap()), "{inside}");
            assert!(Lookup::new(&nets.0).contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.1", "192.168.2.1", "2001:db8:8000::1", "1.1.1.2", "::ffff:10.0.0.1"] {
            assert!(!nets.contains(outside.parse().unwrap()), "{outside}");
            assert!(!Lookup::new(&nets.0).contains(outside.parse().unwrap()), "{outside}");
        }
        assert_eq!(nets.0[0].to_string(), "10.0.0.0/8");
    }

    #[test]
    fn the_whole_address_space_is_a_network() {
        assert!(Net::parse("0.0.0.0/0").unwrap().contains("255.1.2.3".parse().unwrap()));
        assert!(Net::parse("::/0").unwrap().contains("ff::1".parse().unwrap()));
        assert!(Net::parse("1.2.3.4/0.0.0.0").unwrap().contains("255.1.2.3".parse().unwrap()));
    }

    #[test]
    fn bad_networks_are_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0.0/255.0.255.0", "2001:db8::/255.0.0.0", "::/129", "example.com", "/8"] {
            assert!(Net::parse(text).is_err(), "{text}");
        }
    }
}
