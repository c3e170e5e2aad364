//! Flows for the tests of the encoders.

use core::net::IpAddr;
use std::sync::LazyLock;

use flowsonde_wire::link::Link;
use flowsonde_wire::{Frame, LinkType, Nanos};

use crate::meter::flow::{Base, EndReason};
use crate::meter::key::{End, Ends, KeyParts};
use crate::meter::{Config, Ended, Meter, View};

/// A flow of which only the base is kept.
#[derive(Clone, Debug)]
pub(crate) struct Flow(pub Base);

impl Flow {
    pub fn view(&self) -> View<'_> {
        let view = ENDED.view(0).expect("one flow");
        View { base: &self.0, side: self.0.state.client(), ..view }
    }
}

/// A view cannot be made from nothing, as its parts are many: it is borrowed from a flow that was really metered.
static ENDED: LazyLock<Ended> = LazyLock::new(|| {
    let mut meter = Meter::new(Config::default());
    let mut ended = Ended::default();
    let packet = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 99, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
    let frame = Frame { time: Nanos(1), link: LinkType::RAW, wire_len: 20, interface: 0, bytes: &packet };
    meter.frames(&[frame], &mut |_| {});
    meter.flush(&mut |flows| ended = flows.clone());
    ended
});

/// Time the sample flows begin.
pub(crate) const BEGIN: Nanos = Nanos(1_700_000_000_123_456_789);

fn end(address: &str) -> End {
    match address.parse().expect("address") {
        IpAddr::V4(a) => End::v4(a.octets()),
        IpAddr::V6(a) => End::v6(a.octets()),
    }
}

/// A flow from `client` to `server`, of which each sent the packets given.
pub(crate) fn flow(client: (&str, u16), server: (&str, u16), protocol: u8, packets: [u64; 2]) -> Flow {
    let version = if client.0.contains(':') { 6 } else { 4 };
    let link = Link { vlan_inner: 100, ..Link::default() };
    let (key, direction) = {
        let ends = Ends { src: end(client.0), dst: end(server.0), src_port: client.1, dst_port: server.1 };
        KeyParts::default().key(ends, protocol, version, 0, &link)
    };
    let from = usize::from(direction);
    let mut base = Base { key, id: 7, ..Base::default() };
    base.state.set_client(direction);
    base.state.set_starter(direction);
    base.state.set_reason(EndReason::Closed);
    base.first = BEGIN;
    base.first_answer = Nanos(1_700_000_000_250_000_000);
    base.last[from] = Nanos(1_700_000_002_500_000_000);
    base.last[from ^ 1] = Nanos(1_700_000_001_750_000_000);
    base.packets[from] = packets[0];
    base.packets[from ^ 1] = packets[1];
    base.bytes[from] = packets[0] * 500;
    base.bytes[from ^ 1] = packets[1] * 1000;
    base.tos[from] = 0x28;
    base.tcp_flags = if protocol == 6 { [0x1b, 0x1b] } else { [0, 0] };
    base.tcp_flags[from] |= if protocol == 6 { 2 } else { 0 };
    Flow(base)
}

/// HTTPS over IPv4: 3 packets of 1500 bytes there, 2 of 2000 back.
pub(crate) fn v4() -> Flow {
    flow(("192.0.2.1", 50000), ("198.51.100.7", 443), 6, [3, 2])
}

/// DNS over IPv6, one packet each way. The client is the key's second end when `::1` is above `::`.
pub(crate) fn v6() -> Flow {
    flow(("2001:db8::1", 40000), ("2001:db8::", 53), 17, [1, 1])
}
