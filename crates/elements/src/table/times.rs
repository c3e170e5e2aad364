//! When a flow began and ended, and why it ended.

use super::elements;
use crate::element::Unit::{Microseconds, Milliseconds, Seconds};

elements! { Group::Times;
    /// Time of the last packet (uptime ms on the NetFlow wire)
    LAST_SWITCHED: UptimeMillis, Iana(21), ipfix "flowEndSysUpTime", unit Milliseconds;
    /// Time of the first packet (uptime ms on the NetFlow wire)
    FIRST_SWITCHED: UptimeMillis, Iana(22), ipfix "flowStartSysUpTime", unit Milliseconds;
    /// Active timeout of the cache in seconds
    FLOW_ACTIVE_TIMEOUT: U16, Iana(36), ipfix "flowActiveTimeout", unit Seconds;
    /// Idle timeout of the cache in seconds
    FLOW_INACTIVE_TIMEOUT: U16, Iana(37), ipfix "flowIdleTimeout", unit Seconds;
    /// Why the flow ended
    FLOW_END_REASON: U8, Iana(136), ipfix "flowEndReason";
    /// Epoch second of the first packet
    FLOW_START_SEC: Seconds, Iana(150), ipfix "flowStartSeconds";
    /// Epoch second of the last packet
    FLOW_END_SEC: Seconds, Iana(151), ipfix "flowEndSeconds";
    /// Epoch milliseconds of the first packet
    FLOW_START_MILLISECONDS: Millis, Iana(152), ipfix "flowStartMilliseconds";
    /// Epoch milliseconds of the last packet
    FLOW_END_MILLISECONDS: Millis, Iana(153), ipfix "flowEndMilliseconds";
    /// Epoch microseconds of the first packet
    FLOW_START_MICROSECONDS: Micros, Iana(154), ipfix "flowStartMicroseconds";
    /// Epoch microseconds of the last packet
    FLOW_END_MICROSECONDS: Micros, Iana(155), ipfix "flowEndMicroseconds";
    /// Epoch nanoseconds of the first packet
    FLOW_START_NANOSECONDS: Nanos, Iana(156), ipfix "flowStartNanoseconds";
    /// Epoch nanoseconds of the last packet
    FLOW_END_NANOSECONDS: Nanos, Iana(157), ipfix "flowEndNanoseconds";
    /// How long the flow lasted, ms
    FLOW_DURATION_MILLISECONDS: U32, Iana(161), ipfix "flowDurationMilliseconds", unit Milliseconds;
    /// How long the flow lasted, us
    FLOW_DURATION_MICROSECONDS: U32, Iana(162), ipfix "flowDurationMicroseconds", unit Microseconds;
    /// Length of the client-to-server stream, ms
    DURATION_IN: U32, Ntop(391), unit Milliseconds;
    /// Length of the server-to-client stream, ms
    DURATION_OUT: U32, Ntop(392), unit Milliseconds;
    /// Epoch second at which the flow was exported
    FLOW_EXPORT_TIME: Seconds, Ntop(573);
}
