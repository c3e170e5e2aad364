//! Interface indexes a flow gets: a number for all, or from a packet's MAC addresses or networks.

use std::fmt;

use super::lines;
use super::network::Net;
use super::number::number;
use crate::stop::Stop;

const REMEDY: &str = "give MAC@index or network@index, like 00:11:22:33:44:55@3 or 10.0.0.0/8@7";

/// The interface index of every flow in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceIndex {
    /// This number.
    Fixed(u32),
    /// The last two bytes of the MAC address: of the source's for the input, of the destination's for the output.
    FromMac,
}

impl InterfaceIndex {
    /// Reads a number or `-1`.
    pub fn parse(text: &str) -> Result<Self, Stop> {
        if text == "-1" {
            return Ok(InterfaceIndex::FromMac);
        }
        number(text, "an interface", 0..=u32::MAX).map(InterfaceIndex::Fixed).map_err(|_| {
            Stop::Usage(format!("not an interface index; give 0 to {}, or -1 for two bytes of the MAC", u32::MAX))
        })
    }
}

/// Whose packets a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The machine with this MAC address.
    Mac([u8; 6]),
    /// Machines with addresses in this network.
    Net(Net),
}

/// An interface index for some machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceRule {
    /// The machines.
    pub whose: Whose,
    /// The index of the interface they are behind.
    pub index: u32,
}

impl InterfaceRule {
    /// Reads a comma-separated list of rules, or `@file` with lists of rules in its lines.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Stop> {
        let Some(path) = text.strip_prefix('@') else {
            return text.split(',').map(|rule| Self::parse(rule.trim())).collect();
        };
        let mut rules = Vec::new();
        for (number, line) in lines(path)? {
            for rule in line.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
                rules.push(Self::parse(rule).map_err(|stop| stop.at(&format!("{path}:{number}")))?);
            }
        }
        Ok(rules)
    }

    fn parse(text: &str) -> Result<Self, Stop> {
        let (whose, index) =
            text.rsplit_once('@').ok_or_else(|| Stop::Usage(format!("'{text}' has no @index; {REMEDY}")))?;
        let index = number(index, "an interface", 0..=u32::MAX)
            .map_err(|_| Stop::Usage(format!("'{index}' is not an interface index; {REMEDY}")))?;
        let whose = match mac(whose) {
            Some(mac) => Whose::Mac(mac),
            None => Whose::Net(
                Net::parse(whose)
                    .map_err(|_| Stop::Usage(format!("'{whose}' is neither a MAC address nor a network; {REMEDY}")))?,
            ),
        };
        Ok(InterfaceRule { whose, index })
    }
}

impl fmt::Display for InterfaceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whose {
            Whose::Mac([a, b, c, d, e, g]) => {
                write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}@{}", self.index)
            }
            Whose::Net(net) => write!(f, "{net}@{}", self.index),
        }
    }
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        let part = parts.next().filter(|part| matches!(part.len(), 1 | 2) && !part.starts_with('+'))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let rules = InterfaceRule::parse_list("AA:bb:0:33:44:55@3, 10.0.0.0/8@7,2001:db8::/32@9").unwrap();
        let texts: Vec<String> = rules.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["aa:bb:00:33:44:55@3", "10.0.0.0/8@7", "2001:db8::/32@9"]);
        for text in ["", "10.0.0.0/8", "10.0.0.0/8@", "10.0.0.0/8@x", "aa:bb:cc@1", "@/nonexistent/rules"] {
            assert!(InterfaceRule::parse_list(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rules_are_read_from_a_file() {
        let path = std::env::temp_dir().join(format!("flowsonde-rules-{}", std::process::id()));
        std::fs::write(&path, "# rules\n\n10.0.0.0/8@7, 1.1.1.1@8\nnonsense\n").unwrap();
        let stop = InterfaceRule::parse_list(&format!("@{}", path.display())).unwrap_err();
        assert!(stop.to_string().contains(":4: 'nonsense'"), "{stop}");
        std::fs::write(&path, "10.0.0.0/8@7, 1.1.1.1@8\n").unwrap();
        assert_eq!(InterfaceRule::parse_list(&format!("@{}", path.display())).unwrap().len(), 2);
        std::fs::remove_file(&path).unwrap();
    }
}
