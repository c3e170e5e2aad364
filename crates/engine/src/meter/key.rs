//! The flow key: one for both directions, and the parts of it that `-p` leaves out.
//!
//! ```text
//! word 0-1   address of the first end (IPv4 in the low 32 bits of word 1)
//! word 2-3   address of the second end
//! word 4     port of first end | port of second end | protocol | IP version | inner VLAN
//! word 5     tunnel id | outer VLAN | ToS
//! ```
//!
//! The key of a collected flow has the number of its exporter and interfaces where that of a metered one has a tunnel id,
//! and the VLAN of the second end, where it is another than that of the first, in place of the outer one.
//!
//! The first end is the smaller of (address, port); who is client is told apart elsewhere.

use flowsonde_wire::link::Link;

/// An address of either family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    high: u64,
    low: u64,
}

impl End {
    /// From an IPv4 address.
    #[inline]
    pub fn v4(address: [u8; 4]) -> End {
        End { high: 0, low: u64::from(u32::from_be_bytes(address)) }
    }

    /// From an IPv6 address.
    #[inline]
    pub fn v6(address: [u8; 16]) -> End {
        let whole = u128::from_be_bytes(address);
        End { high: (whole >> 64) as u64, low: whole as u64 }
    }

    /// From the two halves of an IPv6 address.
    #[inline]
    pub fn of_words(high: u64, low: u64) -> End {
        End { high, low }
    }

    #[inline]
    fn whole(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }

    /// As the 16 bytes of an IPv6 address.
    #[inline]
    pub fn octets16(self) -> [u8; 16] {
        self.whole().to_be_bytes()
    }

    /// As the 4 bytes of an IPv4 address.
    #[inline]
    pub fn octets4(self) -> [u8; 4] {
        (self.low as u32).to_be_bytes()
    }
}

/// See the module's figure.
#[derive(Clone, Copy, Debug, Default, Eq)]
#[repr(C)]
pub struct Key([u64; 6]);

impl PartialEq for Key {
    /// Word by word without a branch; the derived one calls out to `memcmp`.
    #[inline]
    fn eq(&self, other: &Key) -> bool {
        let [a, b, c, d, e, f] = self.0;
        let [g, h, i, j, k, l] = other.0;
        (a ^ g) | (b ^ h) | (c ^ i) | (d ^ j) | (e ^ k) | (f ^ l) == 0
    }
}

impl core::hash::Hash for Key {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Key {
    /// The first end's address.
    #[inline]
    pub fn first(&self) -> End {
        End { high: self.0[0], low: self.0[1] }
    }

    /// The second end's address.
    #[inline]
    pub fn second(&self) -> End {
        End { high: self.0[2], low: self.0[3] }
    }

    /// Ports of first and second end; for ICMP the request's type and code in both.
    #[inline]
    pub fn ports(&self) -> (u16, u16) {
        ((self.0[4] >> 48) as u16, (self.0[4] >> 32) as u16)
    }

    /// What the fragments of one datagram have in common: RFC 791, section 2.3; RFC 8200, section 4.5.
    pub fn of_datagram(&self) -> Key {
        let protocol = if self.version() == 4 { 0xff << 24 } else { 0 };
        let [a, b, c, d, word4, e] = self.0;
        Key([a, b, c, d, word4 & (0x00ff_ffff | protocol), e])
    }

    /// Takes ports and protocol from the key of another fragment of the same datagram.
    pub fn adopt(&mut self, first: &Key) {
        self.0[4] = first.0[4];
    }

    /// IP protocol.
    #[inline]
    pub fn protocol(&self) -> u8 {
        (self.0[4] >> 24) as u8
    }

    /// 4 or 6.
    #[inline]
    pub fn version(&self) -> u8 {
        (self.0[4] >> 16) as u8
    }

    /// The only or last VLAN id, 0 when untagged.
    #[inline]
    pub fn vlan_inner(&self) -> u16 {
        self.0[4] as u16
    }

    /// VLAN of an end of a collected flow.
    #[inline]
    pub fn vlan_of(&self, end: usize) -> u16 {
        let other = self.vlan_outer();
        if end == 0 || other == 0 { self.vlan_inner() } else { other }
    }

    /// The first of several VLAN ids, else 0.
    #[inline]
    pub fn vlan_outer(&self) -> u16 {
        (self.0[5] >> 16) as u16
    }

    /// A 32-bit hash under secret `seeds`, so that nobody outside can aim at one place of the table.
    #[inline]
    pub fn hash(&self, seeds: &Seeds) -> u32 {
        let [a, b, c, d, e, f] = self.0;
        let [s0, s1, s2, s3, s4, s5] = seeds.0;
        let addresses = fold(a ^ s0, c ^ s1) ^ fold(b ^ s2, d ^ s3);
        let whole = fold(addresses ^ e, s4 ^ f).wrapping_mul(s5 | 1);
        (whole >> 32) as u32
    }
}

impl Key {
    /// A 64-bit hash of one end with its port, and the protocol.
    pub(super) fn hash_of_end(&self, seeds: &Seeds, end: usize) -> u64 {
        let (first, second) = self.ports();
        let (End { high, low }, port) = if end == 0 { (self.first(), first) } else { (self.second(), second) };
        let [s0, s1, s2, s3, ..] = seeds.0;
        let rest = u64::from(port) << 16 | u64::from(self.protocol()) << 8 | u64::from(self.version());
        fold(fold(high ^ s0, low ^ s1) ^ s2, rest ^ s3)
    }
}

/// High and low half of the 128-bit product, combined: every input bit reaches every output bit.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// The secret of [`Key::hash`].
#[derive(Clone, Copy, Debug)]
pub struct Seeds([u64; 6]);

impl Seeds {
    /// Spreads one random number over all seeds (SplitMix64).
    pub fn new(random: u64) -> Seeds {
        let mut state = random;
        Seeds(core::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        }))
    }
}

/// Where a packet comes from and goes to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// Sender.
    pub src: End,
    /// Receiver.
    pub dst: End,
    /// Sender's port.
    pub src_port: u16,
    /// Receiver's port.
    pub dst_port: u16,
}

/// What of a collected record's key is neither address nor port.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// IP protocol.
    pub protocol: u8,
    /// 4 or 6.
    pub version: u8,
    /// ToS or traffic class.
    pub tos: u8,
    /// VLAN of sender and receiver.
    pub vlans: [u16; 2],
    /// Number of its exporter and interfaces.
    pub path: u32,
}

/// Which parts of a packet tell flows apart (`-p`), and which hosts keep their address (`-c`).
#[derive(Clone, Debug)]
pub struct Parts {
    /// Outer VLAN id.
    pub vlan_outer: bool,
    /// Inner, or only, VLAN id.
    pub vlan_inner: bool,
    /// Protocol.
    pub protocol: bool,
    /// Addresses.
    pub addresses: bool,
    /// Ports.
    pub ports: bool,
    /// ToS or traffic class. Off by default: the two directions often differ in it.
    pub tos: bool,
    /// Exporter and interfaces of a collected flow.
    pub exporter: bool,
    /// When not empty, hosts outside of these networks become the zero address.
    pub only_local: Vec<Network>,
}

impl Default for Parts {
    fn default() -> Self {
        Parts {
            vlan_outer: true,
            vlan_inner: true,
            protocol: true,
            addresses: true,
            ports: true,
            tos: false,
            exporter: true,
            only_local: Vec::new(),
        }
    }
}

/// [`Parts`], compiled: the bits of a key that are kept.
#[derive(Clone, Debug)]
pub struct KeyParts {
    keep: [u64; 6],
    only_local: Vec<Network>,
    is_whole: bool,
    tells_connections: bool,
}

impl Default for KeyParts {
    fn default() -> Self {
        Parts::default().into()
    }
}

impl KeyParts {
    /// True when a flow holds one TCP connection at a time; without addresses or ports it holds many at once.
    #[inline]
    pub fn tells_connections(&self) -> bool {
        self.tells_connections
    }

    /// True when the exporter of a collected flow tells it from others.
    #[inline]
    pub fn tells_exporters(&self) -> bool {
        self.keep[5] >> 32 != 0
    }
}

impl From<Parts> for KeyParts {
    fn from(parts: Parts) -> Self {
        let bits = |on: bool, bits: u64| if on { bits } else { 0 };
        let address = bits(parts.addresses, u64::MAX);
        let keep4 = bits(parts.ports, 0xffff_ffff << 32)
            | bits(parts.protocol, 0xff << 24)
            | 0xff << 16
            | bits(parts.vlan_inner, 0xffff);
        let keep5 =
            bits(parts.exporter, 0xffff_ffff << 32) | bits(parts.vlan_outer, 0xffff << 16) | bits(parts.tos, 0xff << 8);
        KeyParts {
            keep: [address, address, address, address, keep4, keep5],
            is_whole: parts.only_local.is_empty(),
            tells_connections: parts.addresses && parts.ports,
            only_local: parts.only_local,
        }
    }
}

impl KeyParts {
    /// The key of a packet, and its direction: 0 when the sender is the key's first end. No branch depends on which end
    /// is which: half of all packets go either way.
    #[inline]
    pub fn key(&self, mut ends: Ends, protocol: u8, version: u8, tos: u8, link: &Link) -> (Key, u8) {
        if !self.is_whole {
            self.reduce(&mut ends, version);
        }
        let Ends { src, dst, src_port, dst_port } = ends;
        let (from, to) = (src.whole(), dst.whole());
        let swap = (from > to) | ((from == to) & (src_port > dst_port));
        let mask = u64::from(swap).wrapping_neg();
        let exchange = |a: u64, b: u64| {
            let difference = (a ^ b) & mask;
            (a ^ difference, b ^ difference)
        };
        let (high0, high1) = exchange(src.high, dst.high);
        let (low0, low1) = exchange(src.low, dst.low);
        let (port0, port1) = exchange(src_port.into(), dst_port.into());
        let word4 = port0 << 48
            | port1 << 32
            | u64::from(protocol) << 24
            | u64::from(version) << 16
            | u64::from(link.vlan_inner);
        let word5 = u64::from(link.vlan_outer) << 16 | u64::from(tos) << 8;
        let [keep_high0, keep_low0, keep_high1, keep_low1, keep4, keep5] = self.keep;
        let key = Key([
            high0 & keep_high0,
            low0 & keep_low0,
            high1 & keep_high1,
            low1 & keep_low1,
            word4 & keep4,
            word5 & keep5,
        ]);
        (key, u8::from(swap))
    }

    /// The key of a collected record, and its direction. `vlans` are those of sender and receiver, `path` is the number of
    /// its exporter and interfaces.
    #[inline]
    pub fn key_of_record(&self, ends: Ends, about: &Marks) -> (Key, u8) {
        let (mut key, direction) = self.key(ends, about.protocol, about.version, about.tos, &Link::default());
        let [src, dst] = about.vlans;
        let (first, second) = if direction == 0 { (src, dst) } else { (dst, src) };
        let second = if second == first { 0 } else { second };
        let [.., keep4, keep5] = self.keep;
        key.0[4] |= u64::from(first) & keep4;
        key.0[5] |= (u64::from(about.path) << 32 | u64::from(second) << 16) & keep5;
        (key, direction)
    }

    /// Hosts that are not ours lose their address (`-c`).
    #[cold]
    fn reduce(&self, ends: &mut Ends, version: u8) {
        ends.src = self.keep_local(ends.src, version);
        ends.dst = self.keep_local(ends.dst, version);
    }

    fn keep_local(&self, end: End, version: u8) -> End {
        if self.only_local.iter().any(|n| n.holds(end, version)) { end } else { End::default() }
    }
}

/// An IP network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    version: u8,
    prefix: u8,
    base: End,
}

impl Network {
    /// From an address and a prefix length; bits behind the prefix are dropped, a too long prefix is the whole address.
    pub fn new(address: core::net::IpAddr, prefix: u8) -> Network {
        let (version, end, prefix) = match address {
            core::net::IpAddr::V4(a) => (4, End::v4(a.octets()), prefix.min(32)),
            core::net::IpAddr::V6(a) => (6, End::v6(a.octets()), prefix.min(128)),
        };
        Network { version, prefix, base: mask(end, version, prefix) }
    }

    /// True when the address lies in this network.
    #[inline]
    pub fn holds(&self, end: End, version: u8) -> bool {
        version == self.version && mask(end, version, self.prefix) == self.base
    }

    /// Prefix length.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }
}

#[inline]
fn mask(end: End, version: u8, prefix: u8) -> End {
    let width = if version == 4 { 32 } else { 128 };
    let dropped = u32::from(width - prefix.min(width));
    let kept = end.whole().checked_shr(dropped).unwrap_or(0).checked_shl(dropped).unwrap_or(0);
    End { high: (kept >> 64) as u64, low: kept as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &KeyParts, a: (u8, u16), b: (u8, u16)) -> (Key, u8) {
        let link = Link { vlan_inner: 7, vlan_outer: 9, ..Link::default() };
        let (src, dst) = (End::v4([10, 0, 0, a.0]), End::v4([10, 0, 0, b.0]));
        parts.key(Ends { src, dst, src_port: a.1, dst_port: b.1 }, 6, 4, 0x28, &link)
    }

    #[test]
    fn directions_differ_and_keys_do_not() {
        let parts = KeyParts::default();
        let (there, back) = (key(&parts, (1, 80), (2, 5000)), key(&parts, (2, 5000), (1, 80)));
        assert_eq!((there.0, back.0, there.1, back.1), (there.0, there.0, 0, 1));
        assert_eq!(there.0.ports(), (80, 5000));
        assert_eq!((there.0.vlan_inner(), there.0.vlan_outer(), there.0.protocol(), there.0.version()), (7, 9, 6, 4));
        assert_eq!(there.0.first().octets4(), [10, 0, 0, 1]);
    }

    #[test]
    fn dropped_parts_are_zero_and_merge_flows() {
        let parts = Parts { ports: false, vlan_inner: false, vlan_outer: false, ..Parts::default() }.into();
        let k = key(&parts, (1, 80), (2, 5000)).0;
        assert_eq!(k, key(&parts, (1, 81), (2, 5001)).0);
        assert_eq!((k.ports(), k.vlan_inner(), k.vlan_outer()), ((0, 0), 0, 0));
    }

    #[test]
    fn hashes_depend_on_the_seed_and_on_every_word() {
        let (a, b) = (Seeds::new(1), Seeds::new(2));
        let base = Key([1, 2, 3, 4, 5, 6]);
        assert_ne!(base.hash(&a), base.hash(&b));
        for word in 0..6 {
            let mut other = base;
            other.0[word] ^= 1;
            assert_ne!(base.hash(&a), other.hash(&a), "word {word}");
        }
    }

    #[test]
    fn networks_hold_their_own() {
        let ten = Network::new("10.1.2.3".parse().expect("address"), 8);
        assert!(ten.holds(End::v4([10, 200, 0, 1]), 4) && !ten.holds(End::v4([11, 0, 0, 1]), 4));
        let all = Network::new("::".parse().expect("address"), 0);
        assert!(all.holds(End::v6([0xff; 16]), 6) && !all.holds(End::v4([1, 2, 3, 4]), 4));
        let host = Network::new("2001:db8::1".parse().expect("address"), 128);
        assert!(!host.holds(End::v6([0; 16]), 6));
    }
}
