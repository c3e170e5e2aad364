//! Interface indexes flows carry, and what is local.

use super::value::{InterfaceIndex, InterfaceRule, Networks};
use super::{Flag, Group, Repeat, Value};

/// What was asked for about interfaces and networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The input interface of every flow.
    pub input: InterfaceIndex,
    /// The output interface of every flow.
    pub output: InterfaceIndex,
    /// Interfaces from MAC addresses and networks; the first that fits counts, before `input` and `output`.
    pub rules: Vec<InterfaceRule>,
    /// The local networks.
    pub local_networks: Networks,
    /// Addresses of hosts that are not local become zero.
    pub track_local_hosts: bool,
    /// The direction of a flow follows from the local networks.
    pub local_direction: bool,
}

impl Default for Interface {
    fn default() -> Self {
        Interface {
            input: InterfaceIndex::Fixed(0),
            output: InterfaceIndex::Fixed(0),
            rules: Vec::new(),
            local_networks: Networks::default(),
            track_local_hosts: false,
            local_direction: false,
        }
    }
}

/// The options.
pub const SPEC: Group = Group {
    name: "interface",
    title: "Interfaces and local networks",
    flags: &[
        Flag {
            short: Some('u'),
            long: "in-iface-idx",
            value: Value::One("INDEX"),
            default: "0",
            help: "Input interface of all flows, or -1 for the last two bytes of the source MAC",
            good: &["3", "-1"],
            bad: &["-2", "eth0", "4294967296"],
            apply: |options, text| {
                options.interface.input = InterfaceIndex::parse(text)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('Q'),
            long: "out-iface-idx",
            value: Value::One("INDEX"),
            default: "0",
            help: "Output interface of all flows, or -1 for the last two bytes of the destination MAC",
            good: &["4", "-1"],
            bad: &["-2", "eth0"],
            apply: |options, text| {
                options.interface.output = InterfaceIndex::parse(text)?;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('1'),
            long: "if-networks",
            value: Value::One("RULES"),
            repeat: Repeat::Adds,
            help: "Interface indexes by MAC address or network: MAC@index,network@index,... or @FILE",
            doc: "The source's MAC address or network gives the input interface, the destination's the output interface. \
                  The first rule that fits counts; flows none fits get `-u` and `-Q`. A file holds rules in its lines; \
                  blank lines and `#` comments are skipped.",
            good: &["00:11:22:33:44:55@3,10.0.0.0/8@7", "2001:db8::/32@2"],
            bad: &["10.0.0.0/8", "eth0@1", "10.0.0.0/8@x", "@/nonexistent/rules"],
            apply: |options, text| {
                options.interface.rules.extend(InterfaceRule::parse_list(text)?);
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('L'),
            long: "local-networks",
            value: Value::One("NETWORKS"),
            repeat: Repeat::Adds,
            help: "Networks that are local, parted by commas",
            doc: "As address/prefix or address/mask; an address alone is a network of one.",
            good: &["192.168.0.0/16,10.0.0.0/8,fd00::/8", "192.168.0.0/255.255.0.0"],
            bad: &["192.168.0.0/33", "home", "10.0.0.0/8,,"],
            apply: |options, text| options.interface.local_networks.add(text),
            ..Flag::SWITCH
        },
        Flag {
            short: Some('r'),
            long: "local-traffic-direction",
            help: "Set a flow's direction from the local networks: into them is received, out of them is sent",
            doc: "Needs `-L`. A flow from a local network gets direction 1 (egress), one to a local network from \
                  elsewhere 0 (ingress), and the interfaces of `-u` and `-Q` are exchanged to fit.",
            apply: |options, _| {
                options.interface.local_direction = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('c'),
            long: "track-local-hosts",
            help: "Replace the addresses of hosts that are not local by 0.0.0.0",
            doc: "Needs `-L`. IPv6 addresses become `::`. All such hosts then share flows, which keeps the table small.",
            apply: |options, _| {
                options.interface.track_local_hosts = true;
                Ok(())
            },
            ..Flag::SWITCH
        },
    ],
};
