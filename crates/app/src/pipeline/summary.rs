//! What a person wants to know of a run first: who talked most, over what, and how well.

use std::collections::HashMap;
use std::sync::Arc;

use flowsonde_engine::decode::packet::protocol;
use flowsonde_engine::fill::{Env, Names};
use flowsonde_engine::meter::View;

use super::books::Account;
use crate::console;

/// Lines of a list.
const TOP: usize = 10;
/// Entries kept of each list; the rest is summed up, so that an address scan cannot take all memory.
const KEPT: usize = 1 << 16;

/// Traffic of one port, host, or pair.
#[derive(Clone, Copy, Default)]
struct Traffic {
    bytes: u64,
    packets: u64,
    flows: u64,
}

/// An address with its version, or none.
type Address = (u8, [u8; 16]);

/// Sums over every exported flow.
#[derive(Default)]
pub struct Summary {
    /// Most flows under way (`-M`).
    max_flows: u32,
    all: Traffic,
    ports: HashMap<(u8, u16), Traffic>,
    /// By carrier and application.
    applications: HashMap<u32, Traffic>,
    names: Arc<Names>,
    hosts: HashMap<Address, Traffic>,
    tcp: Quality,
    latency: [Mean; 3],
    unlisted: u64,
}

#[derive(Default)]
struct Quality {
    flows: u64,
    packets: u64,
    retransmitted: u64,
    out_of_order: u64,
    worst: Vec<(u64, String)>,
}

#[derive(Clone, Copy, Default)]
struct Mean {
    sum: u64,
    count: u64,
    max: u64,
}

impl Mean {
    fn add(&mut self, micros: u32) {
        if micros > 0 {
            self.sum += u64::from(micros);
            self.count += 1;
            self.max = self.max.max(u64::from(micros));
        }
    }
}

impl Summary {
    /// Of nothing yet; `max_flows` may be under way at once, of applications with these names.
    pub fn new(max_flows: u32, names: Arc<Names>) -> Self {
        Summary { max_flows, names, ..Summary::default() }
    }

    /// Adds a flow.
    pub fn take(&mut self, flow: &View<'_>, env: &Env) {
        let key = &flow.base.key;
        let [there, back] = flow.base.bytes.map(|bytes| env.scaled(bytes));
        let packets = env.scaled(flow.base.all_packets());
        let traffic = Traffic { bytes: there + back, packets, flows: 1 };
        self.all.add(traffic);
        let (first, second) = key.ports();
        let server = if flow.base.state.client() == 0 { second } else { first };
        let port = match key.protocol() {
            protocol::TCP | protocol::UDP | protocol::SCTP | protocol::UDP_LITE | protocol::DCCP => server,
            _ => 0,
        };
        self.unlisted += u64::from(!add(&mut self.ports, (key.protocol(), port), traffic));
        if let Some(application) = flow.application {
            add(&mut self.applications, application.both(), traffic);
        }
        for end in [key.first(), key.second()] {
            self.unlisted += u64::from(!add(&mut self.hosts, (key.version(), end.octets16()), traffic));
        }
        if key.protocol() == protocol::TCP {
            self.take_tcp(flow);
        }
        if let Some(latency) = flow.latency {
            self.latency[0].add(latency.client_round_trip());
            self.latency[1].add(latency.server_round_trip());
            self.latency[2].add(latency.application());
        }
    }

    fn take_tcp(&mut self, flow: &View<'_>) {
        self.tcp.flows += 1;
        self.tcp.packets += flow.base.all_packets();
        let Some(quality) = flow.quality else { return };
        let again: u64 = [0, 1].map(|d| u64::from(quality.retransmitted(d))).iter().sum();
        let overtaken: u64 = [0, 1].map(|d| u64::from(quality.out_of_order(d))).iter().sum();
        self.tcp.retransmitted += again;
        self.tcp.out_of_order += overtaken;
        let bad = again + overtaken;
        if bad > 0 && (self.tcp.worst.len() < 3 || self.tcp.worst.last().is_some_and(|(least, _)| bad > *least)) {
            let key = &flow.base.key;
            let (ends, ports) = ([key.first(), key.second()], [key.ports().0, key.ports().1]);
            let client = flow.base.state.client();
            let end = |i: usize| format!("{}:{}", address((key.version(), ends[i].octets16())), ports[i]);
            let line = format!(
                "{} -> {}: {again} sent again, {overtaken} out of order, of {} packets",
                end(client),
                end(client ^ 1),
                flow.base.all_packets()
            );
            self.tcp.worst.push((bad, line));
            self.tcp.worst.sort_by_key(|worst| std::cmp::Reverse(worst.0));
            self.tcp.worst.truncate(3);
        }
    }

    /// Prints it.
    pub fn print(&self, account: &Account) {
        let meter = &account.meter;
        console::print(&format!(
            "{} packets captured, {} metered, {} flows, {}\n",
            account.source.seen - account.over_count,
            meter.metered,
            self.all.flows,
            size(self.all.bytes)
        ));
        if meter.evicted > 0 {
            console::print(&format!(
                "{} flows were exported early: -M {} was reached\n",
                meter.evicted, self.max_flows
            ));
        }
        let share = |bytes: u64| 100.0 * bytes as f64 / self.all.bytes.max(1) as f64;
        if !self.applications.is_empty() {
            console::print("\nTop applications                            flows    packets       bytes  share\n");
        }
        for (application, t) in top(&self.applications) {
            console::print(&format!(
                "  {:<38} {:>8} {:>10} {:>11} {:>5.1}%\n",
                self.names.application((application >> 16) as u16, application as u16),
                t.flows,
                t.packets,
                size(t.bytes),
                share(t.bytes)
            ));
        }
        console::print("\nTop ports             flows    packets       bytes  share\n");
        for ((protocol, port), t) in top(&self.ports) {
            console::print(&format!(
                "  {:<16} {:>8} {:>10} {:>11} {:>5.1}%\n",
                service(protocol, port),
                t.flows,
                t.packets,
                size(t.bytes),
                share(t.bytes)
            ));
        }
        console::print("\nTop talkers                                 flows    packets       bytes  share\n");
        for (host, t) in top(&self.hosts) {
            console::print(&format!(
                "  {:<38} {:>8} {:>10} {:>11} {:>5.1}%\n",
                address(host),
                t.flows,
                t.packets,
                size(t.bytes),
                share(t.bytes)
            ));
        }
        if self.unlisted > 0 {
            console::print(&format!("  (lists hold {KEPT} entries; {} flow ends were not listed)\n", self.unlisted));
        }
        self.print_tcp();
    }

    fn print_tcp(&self) {
        let tcp = &self.tcp;
        if tcp.flows == 0 {
            return;
        }
        let share = |n: u64| 100.0 * n as f64 / tcp.packets.max(1) as f64;
        console::print(&format!(
            "\nTCP quality\n  {} connections, {} packets: {} sent again ({:.2}%), {} out of order ({:.2}%)\n",
            tcp.flows,
            tcp.packets,
            tcp.retransmitted,
            share(tcp.retransmitted),
            tcp.out_of_order,
            share(tcp.out_of_order)
        ));
        for (name, mean) in ["client round trip", "server round trip", "server answer"].iter().zip(&self.latency) {
            if mean.count > 0 {
                console::print(&format!(
                    "  {name:<18} mean {:>9.3} ms, most {:>9.3} ms, of {} flows\n",
                    mean.sum as f64 / mean.count as f64 / 1000.0,
                    mean.max as f64 / 1000.0,
                    mean.count
                ));
            }
        }
        for (_, line) in &tcp.worst {
            console::print(&format!("  {line}\n"));
        }
    }
}

impl Traffic {
    fn add(&mut self, other: Traffic) {
        self.bytes += other.bytes;
        self.packets += other.packets;
        self.flows += other.flows;
    }
}

/// False when the list is full and `key` not on it.
fn add<K: std::hash::Hash + Eq>(list: &mut HashMap<K, Traffic>, key: K, traffic: Traffic) -> bool {
    let full = list.len() >= KEPT;
    match list.entry(key) {
        std::collections::hash_map::Entry::Occupied(mut entry) => entry.get_mut().add(traffic),
        std::collections::hash_map::Entry::Vacant(_) if full => return false,
        std::collections::hash_map::Entry::Vacant(entry) => {
            entry.insert(traffic);
        }
    }
    true
}

fn top<K: Copy + Ord>(list: &HashMap<K, Traffic>) -> Vec<(K, Traffic)> {
    let mut all: Vec<_> = list.iter().map(|(key, traffic)| (*key, *traffic)).collect();
    all.sort_by(|a, b| b.1.bytes.cmp(&a.1.bytes).then(a.0.cmp(&b.0)));
    all.truncate(TOP);
    all
}

fn address((version, octets): Address) -> String {
    let [.., a, b, c, d] = octets;
    if version == 4 {
        std::net::Ipv4Addr::new(a, b, c, d).to_string()
    } else {
        std::net::Ipv6Addr::from(octets).to_string()
    }
}

fn service(protocol: u8, port: u16) -> String {
    let name = match protocol {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        47 => "gre".to_owned(),
        50 => "esp".to_owned(),
        51 => "ah".to_owned(),
        58 => "icmpv6".to_owned(),
        132 => "sctp".to_owned(),
        other => format!("ip {other}"),
    };
    if port == 0 { name } else { format!("{name} {port}") }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!([0, 999, 1000, 1_500_000, 999_960].map(size), ["0 B", "999 B", "1.0 kB", "1.5 MB", "1.0 MB"]);
    }

    #[test]
    fn a_full_list_takes_no_more() {
        let mut list = HashMap::new();
        let one = Traffic { bytes: 1, packets: 1, flows: 1 };
        assert!((0..KEPT).all(|i| add(&mut list, i, one)));
        assert!(!add(&mut list, KEPT, one) && add(&mut list, 0, one));
    }
}
