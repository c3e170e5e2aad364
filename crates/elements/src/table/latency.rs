//! Network and application latency.

use super::elements;
use crate::element::Unit::Milliseconds;

elements! { Group::Latency;
    /// Half the handshake round trip between client and probe, ms
    CLIENT_NW_LATENCY_MS: LatencyMs, Ntop(123), unit Milliseconds;
    /// Half the handshake round trip between probe and server, ms
    SERVER_NW_LATENCY_MS: LatencyMs, Ntop(124), unit Milliseconds;
    /// Server response time, ms
    APPL_LATENCY_MS: LatencyMs, Ntop(125), unit Milliseconds;
}
