//! How the optional groups of a flow's state follow its packets.

use super::application::{Application, Host};
use super::flow::{Base, Columns, Extremes, Group, Groups, Labels, Macs};
use crate::decode::packet::{Packet, Part, protocol};

impl Columns {
    /// Updates the groups that are kept. The base still shows the flow without this packet.
    #[inline(never)]
    pub(super) fn update(&mut self, place: u32, groups: Groups, packet: &Packet<'_>, len: u32) {
        let columns = self;
        let from = usize::from(packet.direction & 1);
        let base = columns.base.at(place);
        let (first, client) = (base.all_packets() == 0, base.state.client());
        let tcp = packet.protocol == protocol::TCP;
        if groups.has(Group::Gaps) && base.packets[from] > 0 {
            columns.gaps.at_mut(place)[from].add(packet.time.since(base.last[from]) / 1000);
        }
        if groups.has(Group::Macs) && first {
            let macs = columns.macs.at_mut(place);
            if let Some([dst @ .., _, _, _, _, _, _]) =
                packet.frame.first_chunk::<12>().filter(|_| packet.ethernet && !macs.known)
                && let Some(src) = packet.frame.get(6..12).and_then(|s| s.first_chunk::<6>())
            {
                *macs = Macs { addresses: [*src, *dst], direction: packet.direction, known: true };
            }
        }
        if groups.has(Group::Labels) && first && packet.labels > 0 {
            let labels = columns.labels.at_mut(place);
            let stack = packet.frame.get(usize::from(packet.mpls)..).unwrap_or(&[]);
            *labels = Labels::default();
            for (entry, bytes) in labels.entries.iter_mut().zip(stack.chunks_exact(4)).take(usize::from(packet.labels))
            {
                entry.copy_from_slice(&bytes[..3]);
                labels.count += 1;
            }
        }
        if groups.has(Group::Extremes) {
            update_extremes(columns.extremes.at_mut(place), from, packet);
        }
        if groups.has(Group::V6) && packet.key.version() == 6 {
            let v6 = columns.v6.at_mut(place);
            let h = packet.network();
            if let Some(&[a, b, c, d, _, _, next]) = h.first_chunk::<7>() {
                if columns.base.at(place).packets[from] == 0 {
                    v6.flow_label[from] = u32::from_be_bytes([a, b, c, d]) & 0x000f_ffff;
                }
                v6.extensions |= flowsonde_wire::net::ipv6::chain(next, h.get(40..).unwrap_or(&[])).seen;
            }
        }
        if groups.has(Group::Sizes) {
            let class = [128, 256, 512, 1024, 1514].iter().take_while(|&&limit| packet.ip_len > limit).count();
            columns.sizes.at_mut(place).0[from][class] += 1;
        }
        if groups.has(Group::Ttls) {
            let class = [1, 5, 32, 64, 96, 128, 160, 192, 224].iter().take_while(|&&limit| packet.ttl > limit).count();
            columns.ttls.at_mut(place).0[from][class] += 1;
        }
        if groups.has(Group::Rate) {
            columns.rate.at_mut(place)[from].add(packet.time.seconds(), len);
        }
        if groups.has(Group::Windows) && tcp {
            columns.windows.at_mut(place).take(packet);
        }
        if groups.has(Group::Quality) && tcp {
            columns.quality.at_mut(place).take(packet);
        }
        if groups.has(Group::Latency) {
            columns.latency.at_mut(place).take(packet, from == client);
        }
        if groups.has(Group::Series) {
            columns.series.at_mut(place).take(packet);
        }
        if groups.has(Group::Times) {
            columns.times.at_mut(place).take(packet);
        }
        if groups.has(Group::Histograms) {
            columns.histograms.at_mut(place).take(packet);
        }
        if groups.has(Group::Bursts) {
            columns.bursts.at_mut(place)[from].take(packet);
        }
        if groups.has(Group::Bins) && columns.bins.at_mut(place).take(packet) && groups.has(Group::Entropy) {
            columns.payloads.take(&mut columns.bins.at_mut(place).entropy, from, packet.payload());
        }
    }

    /// Reads what a packet of the flow at `place` will touch of the signs, and of its application.
    #[inline]
    pub(super) fn touch(&self, place: u32, groups: Groups) -> u64 {
        let bins = if groups.has(Group::Bins) { self.bins.at(place).touch() } else { 0 };
        let application = if groups.has(Group::Application) { self.application.at(place).risk } else { 0 };
        bins ^ application
    }

    /// Reads what the next payload of a direction will touch.
    #[inline]
    pub(super) fn touch_payload(&self, place: u32, direction: u8) -> u64 {
        self.payloads.touch(&self.bins.at(place).entropy, direction.into())
    }

    /// Reads what the end of the record at `place` will touch of the signs.
    #[inline]
    pub(super) fn touch_end(&self, place: u32, groups: Groups) -> u64 {
        let series = if groups.has(Group::Series) { self.series.at(place).touch() } else { 0 };
        let payloads =
            if groups.has(Group::Entropy) { self.payloads.touch_end(&self.bins.at(place).entropy) } else { 0 };
        series ^ payloads
    }

    /// The record at `place` has ended: what is worked out only then.
    #[inline]
    pub(super) fn end(&mut self, place: u32, groups: Groups) {
        if groups.has(Group::Entropy) {
            self.payloads.end(&mut self.bins.at_mut(place).entropy);
        }
    }

    /// What is kept of the application of a flow, which groups with it say so.
    #[inline]
    pub(super) fn application(&mut self, place: u32, groups: Groups) -> (&mut Application, Option<&mut Host>, &Base) {
        let host = groups.has(Group::Host).then(|| self.host.at_mut(place));
        (self.application.at_mut(place), host, self.base.at(place))
    }

    /// Makes `place` begin a new record. What belongs to the connection and not to the record stays.
    pub(super) fn cut(&mut self, place: u32, groups: Groups) {
        let quality = groups.has(Group::Quality).then(|| *self.quality.at(place));
        let windows = groups.has(Group::Windows).then(|| *self.windows.at(place));
        let latency = groups.has(Group::Latency).then(|| *self.latency.at(place));
        let macs = groups.has(Group::Macs).then(|| *self.macs.at(place));
        let labels = groups.has(Group::Labels).then(|| *self.labels.at(place));
        let application = groups.has(Group::Application).then(|| *self.application.at(place));
        let host = groups.has(Group::Host).then(|| *self.host.at(place));
        let bins = groups.has(Group::Bins).then(|| self.bins.at(place).next());
        let origin = groups.has(Group::Origin).then(|| *self.origin.at(place));
        let hops = groups.has(Group::Hops).then(|| *self.hops.at(place));
        self.reset(place, groups);
        if let Some(mut quality) = quality {
            quality.reset_counters();
            *self.quality.at_mut(place) = quality;
        }
        if let Some(mut windows) = windows {
            windows.reset_counters();
            *self.windows.at_mut(place) = windows;
        }
        if let Some(latency) = latency {
            *self.latency.at_mut(place) = latency;
        }
        if let Some(macs) = macs {
            *self.macs.at_mut(place) = macs;
        }
        if let Some(labels) = labels {
            *self.labels.at_mut(place) = labels;
        }
        if let Some(application) = application {
            *self.application.at_mut(place) = application;
        }
        if let Some(host) = host {
            *self.host.at_mut(place) = host;
        }
        if let Some(bins) = bins {
            *self.bins.at_mut(place) = bins;
        }
        if let Some(origin) = origin {
            *self.origin.at_mut(place) = origin;
        }
        if let Some(hops) = hops {
            *self.hops.at_mut(place) = hops;
        }
    }
}

#[inline]
fn update_extremes(e: &mut Extremes, from: usize, packet: &Packet<'_>) {
    let len = packet.ip_len.min(u32::from(u16::MAX)) as u16;
    e.min_len[from] = e.min_len[from].min(len);
    e.max_len[from] = e.max_len[from].max(len);
    e.min_ttl[from] = e.min_ttl[from].min(packet.ttl);
    e.max_ttl[from] = e.max_ttl[from].max(packet.ttl);
    if packet.part != Part::Whole {
        e.fragments[from] = e.fragments[from].saturating_add(1);
    }
}
