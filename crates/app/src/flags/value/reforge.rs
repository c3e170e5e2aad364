//! The file of `--collector-nf-reforge`: an exporter a line, the address it is told as, the interfaces wanted of it.
//!
//! ```text
//! 192.0.2.1   10.0.0.1   *          told as 10.0.0.1
//! 192.0.2.2   *          1,2,5-8    flows that enter or leave by these interfaces, 0 to 63
//! ```

use std::collections::HashMap;
use std::net::IpAddr;

use flowsonde_engine::decode::reforge::{Reforge, Rule};

use crate::stop::Stop;

const REMEDY: &str = "give EXPORTER, ADDRESS or *, INTERFACES of 0 to 63 or *, parted by blanks";

/// Reads the file.
pub fn file(path: &str) -> Result<Reforge, Stop> {
    let mut rules = HashMap::new();
    for (number, line) in super::lines(path)? {
        let (exporter, rule) = rule(&line)
            .ok_or_else(|| Stop::Usage(format!("{path}:{number}: '{line}' is none of its lines; {REMEDY}")))?;
        rules.insert(exporter, rule);
    }
    Ok(Reforge::new(rules))
}

fn rule(line: &str) -> Option<(IpAddr, Rule)> {
    let mut words = line.split_whitespace();
    let exporter = words.next()?.parse().ok()?;
    let rule = Rule {
        exporter: match words.next()? {
            "*" => None,
            address => Some(address.parse().ok()?),
        },
        interfaces: match words.next()? {
            "*" => None,
            list => Some(list.split(',').try_fold(0, |bits, item| Some(bits | self::bits(item)?))?),
        },
    };
    words.next().is_none().then_some((exporter, rule))
}

/// The bits of `5` or `5-8`.
fn bits(item: &str) -> Option<u64> {
    let (from, to) = item.split_once('-').unwrap_or((item, item));
    let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to && to < 64).then(|| (u64::MAX >> (63 - (to - from))) << from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let (exporter, read) = rule("192.0.2.2\t*\t1,5-8,63").unwrap();
        assert_eq!(exporter, "192.0.2.2".parse::<IpAddr>().unwrap());
        assert_eq!(read, Rule { exporter: None, interfaces: Some(1 << 63 | 0b1_1110_0010) });
        let all = rule("192.0.2.1 10.0.0.1 0-63").unwrap().1;
        assert_eq!(all, Rule { exporter: Some("10.0.0.1".parse().unwrap()), interfaces: Some(u64::MAX) });
        for wrong in ["", "x * *", "1.1.1.1 *", "1.1.1.1 * 64", "1.1.1.1 * 3-2", "1.1.1.1 * * *", "1.1.1.1 y *"] {
            assert_eq!(rule(wrong), None, "{wrong}");
        }
    }
}
