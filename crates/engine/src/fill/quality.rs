//! What the optional groups hold: addresses of the link, extremes, sizes, gaps, throughput, TCP and latency.

use flowsonde_elements::table::*;

use super::{Fill, Row, forward, reverse};
use crate::meter::{Group, View};

macro_rules! sized {
    ($element:ident, $group:ident, $field:ident, $class:expr) => {
        forward(
            &$element,
            Group::$group,
            Fill::Number(|v, e| {
                v.$field.map_or(0, |s| {
                    let own = u64::from(s.0[v.side()][$class]);
                    e.scaled(if v.alone { own } else { own + u64::from(s.0[v.other()][$class]) })
                })
            }),
        )
    };
}

macro_rules! label {
    ($element:ident, $at:expr) => {
        forward(&$element, Group::Labels, Fill::Label(|v| v.labels.map_or([0; 3], |l| l.entries[$at])))
    };
}

macro_rules! gap {
    ($tells:ident, $element:ident, $side:ident, |$gap:ident| $read:expr) => {
        $tells(
            &$element,
            Group::Gaps,
            Fill::Number(|v, _| {
                v.gaps.map_or(0, |gaps| {
                    let $gap = &gaps[v.$side()];
                    $read
                })
            }),
        )
    };
}

pub(super) const ROWS: &[Row] = &[
    forward(&IN_SRC_MAC, Group::Macs, Fill::Mac(|v| mac(v, v.side()))),
    forward(&OUT_DST_MAC, Group::Macs, Fill::Mac(|v| mac(v, v.other()))),
    forward(&IN_DST_MAC, Group::Macs, Fill::Mac(|v| mac(v, v.other()))),
    forward(&OUT_SRC_MAC, Group::Macs, Fill::Mac(|v| mac(v, v.side()))),
    label!(MPLS_LABEL_1, 0),
    label!(MPLS_LABEL_2, 1),
    label!(MPLS_LABEL_3, 2),
    label!(MPLS_LABEL_4, 3),
    label!(MPLS_LABEL_5, 4),
    label!(MPLS_LABEL_6, 5),
    label!(MPLS_LABEL_7, 6),
    label!(MPLS_LABEL_8, 7),
    label!(MPLS_LABEL_9, 8),
    label!(MPLS_LABEL_10, 9),
    forward(&IPV6_FLOW_LABEL, Group::V6, Fill::Number(|v, _| v.v6.map_or(0, |x| x.flow_label[v.side()].into()))),
    forward(&IPV6_OPTION_HEADERS, Group::V6, Fill::Number(|v, _| v.v6.map_or(0, |x| x.extensions.into()))),
    forward(&MIN_IP_PKT_LEN, Group::Extremes, Fill::Number(|v, _| shortest(v))),
    forward(&MAX_IP_PKT_LEN, Group::Extremes, Fill::Number(|v, _| longest(v))),
    forward(&SHORTEST_FLOW_PKT, Group::Extremes, Fill::Number(|v, _| shortest(v))),
    forward(&LONGEST_FLOW_PKT, Group::Extremes, Fill::Number(|v, _| longest(v))),
    forward(&MIN_TTL, Group::Extremes, Fill::Number(|v, _| seen(v, |x, d| x.min_ttl[d].into(), u64::min))),
    forward(&MAX_TTL, Group::Extremes, Fill::Number(|v, _| seen(v, |x, d| x.max_ttl[d].into(), u64::max))),
    forward(
        &SRC_FRAGMENTS,
        Group::Extremes,
        Fill::Number(|v, _| v.extremes.map_or(0, |x| x.fragments[v.side()].into())),
    ),
    reverse(
        &DST_FRAGMENTS,
        Group::Extremes,
        Fill::Number(|v, _| v.extremes.map_or(0, |x| x.fragments[v.other()].into())),
    ),
    sized!(NUM_PKTS_UP_TO_128_BYTES, Sizes, sizes, 0),
    sized!(NUM_PKTS_128_TO_256_BYTES, Sizes, sizes, 1),
    sized!(NUM_PKTS_256_TO_512_BYTES, Sizes, sizes, 2),
    sized!(NUM_PKTS_512_TO_1024_BYTES, Sizes, sizes, 3),
    sized!(NUM_PKTS_1024_TO_1514_BYTES, Sizes, sizes, 4),
    sized!(NUM_PKTS_OVER_1514_BYTES, Sizes, sizes, 5),
    sized!(NUM_PKTS_TTL_EQ_1, Ttls, ttls, 0),
    sized!(NUM_PKTS_TTL_2_5, Ttls, ttls, 1),
    sized!(NUM_PKTS_TTL_5_32, Ttls, ttls, 2),
    sized!(NUM_PKTS_TTL_32_64, Ttls, ttls, 3),
    sized!(NUM_PKTS_TTL_64_96, Ttls, ttls, 4),
    sized!(NUM_PKTS_TTL_96_128, Ttls, ttls, 5),
    sized!(NUM_PKTS_TTL_128_160, Ttls, ttls, 6),
    sized!(NUM_PKTS_TTL_160_192, Ttls, ttls, 7),
    sized!(NUM_PKTS_TTL_192_224, Ttls, ttls, 8),
    sized!(NUM_PKTS_TTL_224_255, Ttls, ttls, 9),
    gap!(forward, SRC_TO_DST_IAT_MIN, side, |g| u64::from(g.min / 1000)),
    gap!(forward, SRC_TO_DST_IAT_MAX, side, |g| u64::from(g.max / 1000)),
    gap!(forward, SRC_TO_DST_IAT_AVG, side, |g| millis(g.mean())),
    gap!(forward, SRC_TO_DST_IAT_STDDEV, side, |g| millis(g.deviation())),
    gap!(reverse, DST_TO_SRC_IAT_MIN, other, |g| u64::from(g.min / 1000)),
    gap!(reverse, DST_TO_SRC_IAT_MAX, other, |g| u64::from(g.max / 1000)),
    gap!(reverse, DST_TO_SRC_IAT_AVG, other, |g| millis(g.mean())),
    gap!(reverse, DST_TO_SRC_IAT_STDDEV, other, |g| millis(g.deviation())),
    forward(
        &SRC_TO_DST_MAX_THROUGHPUT,
        Group::Rate,
        Fill::Number(|v, e| e.scaled(v.rate.map_or(0, |r| r[v.side()].max_bits()))),
    ),
    forward(
        &SRC_TO_DST_MIN_THROUGHPUT,
        Group::Rate,
        Fill::Number(|v, e| e.scaled(v.rate.map_or(0, |r| r[v.side()].min_bits()))),
    ),
    reverse(
        &DST_TO_SRC_MAX_THROUGHPUT,
        Group::Rate,
        Fill::Number(|v, e| e.scaled(v.rate.map_or(0, |r| r[v.other()].max_bits()))),
    ),
    reverse(
        &DST_TO_SRC_MIN_THROUGHPUT,
        Group::Rate,
        Fill::Number(|v, e| e.scaled(v.rate.map_or(0, |r| r[v.other()].min_bits()))),
    ),
    forward(&TCP_WIN_MIN_IN, Group::Windows, Fill::Number(|v, _| window(v, v.side()).0)),
    forward(&TCP_WIN_MAX_IN, Group::Windows, Fill::Number(|v, _| window(v, v.side()).1)),
    forward(&TCP_WIN_MSS_IN, Group::Windows, Fill::Number(|v, _| v.windows.map_or(0, |w| w.mss[v.side()].into()))),
    forward(&TCP_WIN_SCALE_IN, Group::Windows, Fill::Number(|v, _| v.windows.map_or(0, |w| w.scale[v.side()].into()))),
    reverse(&TCP_WIN_MIN_OUT, Group::Windows, Fill::Number(|v, _| window(v, v.other()).0)),
    reverse(&TCP_WIN_MAX_OUT, Group::Windows, Fill::Number(|v, _| window(v, v.other()).1)),
    reverse(&TCP_WIN_MSS_OUT, Group::Windows, Fill::Number(|v, _| v.windows.map_or(0, |w| w.mss[v.other()].into()))),
    reverse(
        &TCP_WIN_SCALE_OUT,
        Group::Windows,
        Fill::Number(|v, _| v.windows.map_or(0, |w| w.scale[v.other()].into())),
    ),
    forward(
        &RETRANSMITTED_IN_PKTS,
        Group::Quality,
        Fill::Number(|v, _| v.quality.map_or(0, |q| q.retransmitted(v.side()).into())),
    ),
    reverse(
        &RETRANSMITTED_OUT_PKTS,
        Group::Quality,
        Fill::Number(|v, _| v.quality.map_or(0, |q| q.retransmitted(v.other()).into())),
    ),
    forward(
        &RETRANSMITTED_IN_BYTES,
        Group::Quality,
        Fill::Number(|v, _| v.quality.map_or(0, |q| q.retransmitted_bytes(v.side()).into())),
    ),
    reverse(
        &RETRANSMITTED_OUT_BYTES,
        Group::Quality,
        Fill::Number(|v, _| v.quality.map_or(0, |q| q.retransmitted_bytes(v.other()).into())),
    ),
    forward(
        &OOORDER_IN_PKTS,
        Group::Quality,
        Fill::Number(|v, _| v.quality.map_or(0, |q| q.out_of_order(v.side()).into())),
    ),
    reverse(
        &OOORDER_OUT_PKTS,
        Group::Quality,
        Fill::Number(|v, _| v.quality.map_or(0, |q| q.out_of_order(v.other()).into())),
    ),
    forward(
        &CLIENT_NW_LATENCY_MS,
        Group::Latency,
        Fill::Latency(|v| v.latency.map_or(0, |l| half(l.client_round_trip()))),
    ),
    forward(
        &SERVER_NW_LATENCY_MS,
        Group::Latency,
        Fill::Latency(|v| v.latency.map_or(0, |l| half(l.server_round_trip()))),
    ),
    forward(&APPL_LATENCY_MS, Group::Latency, Fill::Latency(|v| v.latency.map_or(0, |l| l.application()))),
];

/// The MAC address of the sender of `direction`.
pub(crate) fn mac(v: &View<'_>, direction: usize) -> [u8; 6] {
    v.macs.map_or([0; 6], |m| m.addresses[usize::from(usize::from(m.direction) != direction)])
}

fn seen(v: &View<'_>, read: fn(&crate::meter::flow::Extremes, usize) -> u64, join: fn(u64, u64) -> u64) -> u64 {
    let Some(x) = v.extremes else { return 0 };
    if v.alone || v.base.packets[v.other()] == 0 {
        read(x, v.side())
    } else if v.base.packets[v.side()] == 0 {
        read(x, v.other())
    } else {
        join(read(x, v.side()), read(x, v.other()))
    }
}

fn shortest(v: &View<'_>) -> u64 {
    seen(v, |x, d| x.min_len[d].into(), u64::min)
}

fn longest(v: &View<'_>) -> u64 {
    seen(v, |x, d| x.max_len[d].into(), u64::max)
}

/// Smallest and largest window, 0 and 0 where none was seen.
fn window(v: &View<'_>, direction: usize) -> (u64, u64) {
    v.windows
        .filter(|w| w.min[direction] <= w.max[direction])
        .map_or((0, 0), |w| (w.min[direction].into(), w.max[direction].into()))
}

/// Microseconds to whole milliseconds, to the nearest.
fn millis(micros: f64) -> u64 {
    (micros / 1000.0).round() as u64
}

/// Half of a round trip; what is known stays above 0.
fn half(round_trip: u32) -> u32 {
    round_trip.div_ceil(2)
}
