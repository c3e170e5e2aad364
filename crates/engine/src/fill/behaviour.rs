//! The signs of behaviour. Those of the flow as a whole are the same in a record of one direction.

use flowsonde_elements::table::*;

use super::{Env, Fill, List, Row, Short, forward, reverse};
use crate::meter::behaviour::bins::{Bins, hash};
use crate::meter::behaviour::histograms::CLASSES;
use crate::meter::behaviour::series::Sent;
use crate::meter::{Group, View};
use flowsonde_elements::table::vendor::cesnet;

macro_rules! histogram {
    ($tells:ident, $element:ident, |$v:ident, $bins:ident| $read:expr) => {
        $tells(
            &$element,
            Group::Bins,
            Fill::Short(|$v, _, text| {
                // Nothing, not zeros, where packets were not seen: of collected flows.
                if let Some($bins) = $v.bins {
                    text.join($read);
                }
            }),
        )
    };
}

macro_rules! handshake {
    ($element:ident, $field:ident) => {
        forward(&$element, Group::Bins, Fill::Number(|v, _| bins(v).handshake.$field.into()))
    };
}

/// A list of the first packets.
macro_rules! series {
    ($element:ident, $id:literal, $width:literal, |$v:ident, $sent:ident| $read:expr) => {
        forward(
            &cesnet::$element,
            Group::Series,
            Fill::List(&List {
                number: (8057, $id),
                width: $width,
                len: |v| v.series.map_or(0, |series| series.len()),
                item: |$v, i| $v.series.and_then(|series| series.at(i)).map_or(0, |$sent| $read),
            }),
        )
    };
}

/// A histogram as a list.
macro_rules! classes {
    ($tells:ident, $element:ident, $id:literal, $field:ident, $side:ident) => {
        $tells(
            &cesnet::$element,
            Group::Histograms,
            Fill::List(&List {
                number: (8057, $id),
                width: 4,
                len: |v| v.histograms.map_or(0, |_| CLASSES),
                item: |v, i| {
                    let count = v.histograms.and_then(|histograms| histograms.$field[v.$side()].get(i));
                    count.copied().unwrap_or(0).into()
                },
            }),
        )
    };
}

macro_rules! burst {
    ($tells:ident, $element:ident, $field:ident, $side:ident) => {
        $tells(
            &$element,
            Group::Bursts,
            Fill::Number(|v, _| v.bursts.map_or(0, |bursts| bursts[v.$side()].$field.into())),
        )
    };
}

pub(super) const ROWS: &[Row] = &[
    histogram!(forward, SEQ_PLEN, |v, bins| bins.lengths()),
    histogram!(forward, SEQ_TDIFF, |v, bins| bins.gaps()),
    histogram!(forward, SRC_TO_DST_SEQ_PLEN, |v, bins| bins.lengths_of(v.side())),
    histogram!(forward, SRC_TO_DST_SEQ_TDIFF, |v, bins| bins.gaps_of(v.side())),
    histogram!(reverse, DST_TO_SRC_SEQ_PLEN, |v, bins| bins.lengths_of(v.other())),
    histogram!(reverse, DST_TO_SRC_SEQ_TDIFF, |v, bins| bins.gaps_of(v.other())),
    forward(&SEQ_PLEN_HASH, Group::Bins, Fill::Number(|v, _| hash(&bins(v).lengths()).into())),
    forward(&SEQ_TDIFF_HASH, Group::Bins, Fill::Number(|v, _| hash(&bins(v).gaps()).into())),
    forward(&ENTROPY_CLIENT_BYTES, Group::Entropy, Fill::Number(|v, _| entropy(v, v.side()))),
    reverse(&ENTROPY_SERVER_BYTES, Group::Entropy, Fill::Number(|v, _| entropy(v, v.other()))),
    handshake!(HANDSHAKE_SYN_PKTS, syns),
    handshake!(HANDSHAKE_SYN_ACK_PKTS, syn_acks),
    handshake!(HANDSHAKE_ACK_PKTS, acks),
    handshake!(HANDSHAKE_RST_PKTS, resets),
    forward(
        &FLOW_ENCRYPTED,
        Group::Entropy,
        Fill::Number(|v, _| v.bins.is_some_and(|bins| bins.entropy.looks_random()).into()),
    ),
    forward(&PKT_VECTOR, Group::Series, Fill::Short(vector)),
    series!(PPI_PKT_LENGTHS, 1013, 2, |v, sent| sent.length.into()),
    forward(
        &cesnet::PPI_PKT_TIMES,
        Group::Times,
        Fill::List(&List {
            number: (8057, 1014),
            width: 8,
            len: |v| v.times.map_or(0, |times| times.millis().len()),
            item: |v, i| v.times.and_then(|times| times.millis().get(i)).map_or(0, |&millis| millis as i64),
        }),
    ),
    series!(PPI_PKT_FLAGS, 1015, 1, |v, sent| sent.flags.into()),
    series!(PPI_PKT_DIRECTIONS, 1016, 1, |v, sent| sign(v, sent)),
    classes!(forward, S_PHISTS_SIZES, 1060, lengths, side),
    classes!(forward, S_PHISTS_IPT, 1061, gaps, side),
    classes!(reverse, D_PHISTS_SIZES, 1062, lengths, other),
    classes!(reverse, D_PHISTS_IPT, 1063, gaps, other),
    burst!(forward, SRC_TO_DST_BURSTS, count, side),
    burst!(forward, SRC_TO_DST_BURST_PKTS, packets, side),
    burst!(forward, SRC_TO_DST_BURST_BYTES, bytes, side),
    burst!(reverse, DST_TO_SRC_BURSTS, count, other),
    burst!(reverse, DST_TO_SRC_BURST_PKTS, packets, other),
    burst!(reverse, DST_TO_SRC_BURST_BYTES, bytes, other),
];

fn bins(v: &View<'_>) -> Bins {
    v.bins.copied().unwrap_or_default()
}

fn entropy(v: &View<'_>, direction: usize) -> u64 {
    v.bins.map_or(0, |bins| bins.entropy.milli(direction).into())
}

/// 1 for what the record's SRC side sent, -1 for the other's.
fn sign(v: &View<'_>, sent: Sent) -> i64 {
    if sent.direction == v.side() { 1 } else { -1 }
}

/// Bytes of PKT_VECTOR on the wire.
const VECTOR: usize = 94;

/// Signed lengths with commas between, as many as fit.
fn vector(v: &View<'_>, _: &Env, text: &mut Short) {
    for sent in v.series.iter().flat_map(|series| series.iter()) {
        let end = text.len();
        if end > 0 {
            text.push(b',');
        }
        text.push(if sign(v, sent) > 0 { b'+' } else { b'-' });
        text.number(sent.length.into());
        if text.len() > VECTOR {
            return text.truncate(end);
        }
    }
}
