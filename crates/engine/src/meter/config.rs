//! How to meter.

use super::flow::Groups;
use super::key::KeyParts;

/// How to meter. Durations are in nanoseconds.
#[derive(Clone, Debug)]
pub struct Config {
    /// A flow ends when it had no packet for this long (`-d`).
    pub idle: u64,
    /// A record is cut when it covers this long (`-t`).
    pub active: u64,
    /// A closed connection waits this long for late packets.
    pub linger: u64,
    /// Cut every record at the turn of a minute.
    pub by_minute: bool,
    /// Most flows kept (`-M`).
    pub max_flows: u32,
    /// Flows to make room for at the start (`-w`).
    pub room: usize,
    /// What to keep of a flow besides its base.
    pub groups: Groups,
    /// What tells flows apart (`-p`, `-c`).
    pub parts: KeyParts,
    /// Count whole frames instead of IP packets.
    pub account_l2: bool,
    /// Meter one packet in this many (`-S`); 1 is all.
    pub sample: u32,
    /// Do not export smaller flows (`-z`).
    pub min_bytes: MinBytes,
    /// Which flows to export by their directions (`-N`).
    pub biflows: Biflows,
    /// Any number nobody outside knows.
    pub random: u64,
    /// Number of the first flow, to tell meters apart.
    pub first_id: u32,
    /// Which flows to export by their application.
    pub applications: Wanted,
    /// Takes collected records instead of packets.
    pub collected: bool,
}

impl Default for Config {
    fn default() -> Self {
        const SECOND: u64 = 1_000_000_000;
        Config {
            idle: 30 * SECOND,
            active: 120 * SECOND,
            linger: 5 * SECOND,
            by_minute: false,
            max_flows: 1 << 22,
            room: 1 << 12,
            groups: Groups::default(),
            parts: KeyParts::default(),
            account_l2: false,
            sample: 1,
            min_bytes: MinBytes::default(),
            biflows: Biflows::All,
            random: 0,
            first_id: 0,
            applications: Wanted::default(),
            collected: false,
        }
    }
}

/// Least bytes, both directions together, of a flow that is exported.
#[derive(Clone, Copy, Debug, Default)]
pub struct MinBytes {
    /// Of TCP flows.
    pub tcp: u64,
    /// Of UDP flows.
    pub udp: u64,
    /// Of others.
    pub other: u64,
}

/// Which flows are exported, by their directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Biflows {
    /// All.
    #[default]
    All,
    /// Only with packets both ways.
    TwoWay,
    /// Only with packets one way.
    OneWay,
}

/// Which flows are exported, by their application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// By whether it is known (`--discard-unknown-flows`).
    pub known: Known,
    /// Only these, as application or as what carries it (`-O`).
    pub only: Option<Vec<u16>>,
}

/// Which flows are exported, by whether their application is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// All.
    #[default]
    All,
    /// Only of a known one.
    Only,
    /// Only of none that is known.
    Never,
}
