//! TCP: flags, windows, retransmission, disorder.
//!
//! The sources give no type for TCP_FINGERPRINT, TCP_STATS_DST_TO_SRC, TCP_STATS_SRC_TO_DST: theirs is a guess.

use super::elements;
use crate::element::Unit::{Octets, Packets};

elements! { Group::Tcp;
    /// OR of the TCP flags of every packet of the flow
    TCP_FLAGS: U8 => U16, Iana(6), ipfix "tcpControlBits";
    /// OR of TCP flags sent by the client
    CLIENT_TCP_FLAGS: U8, Ntop(78);
    /// OR of TCP flags sent by the server
    SERVER_TCP_FLAGS: U8, Ntop(79);
    /// TCP packets resent source to destination
    RETRANSMITTED_IN_PKTS: U32, Ntop(109), delta Packets;
    /// TCP packets resent destination to source
    RETRANSMITTED_OUT_PKTS: U32, Ntop(110), delta Packets;
    // Older doc had direction swapped.
    /// Out-of-order TCP packets source to destination
    OOORDER_IN_PKTS: U32, Ntop(111), delta Packets;
    // Older doc had direction swapped.
    /// Out-of-order TCP packets destination to source
    OOORDER_OUT_PKTS: U32, Ntop(112), delta Packets;
    /// TCP bytes resent source to destination
    RETRANSMITTED_IN_BYTES: U32, Ntop(127), delta Octets;
    /// TCP bytes resent destination to source
    RETRANSMITTED_OUT_BYTES: U32, Ntop(128), delta Octets;
    /// Smallest TCP window source to destination
    TCP_WIN_MIN_IN: U16, Ntop(415);
    /// Largest TCP window source to destination
    TCP_WIN_MAX_IN: U16, Ntop(416);
    /// MSS announced by the source
    TCP_WIN_MSS_IN: U16, Ntop(417);
    /// Window scale announced by the source
    TCP_WIN_SCALE_IN: U8, Ntop(418);
    /// Smallest TCP window destination to source
    TCP_WIN_MIN_OUT: U16, Ntop(419);
    /// Largest TCP window destination to source
    TCP_WIN_MAX_OUT: U16, Ntop(420);
    /// MSS announced by the destination
    TCP_WIN_MSS_OUT: U16, Ntop(421);
    /// Window scale announced by the destination
    TCP_WIN_SCALE_OUT: U8, Ntop(422);
    /// TCP stack fingerprint (11.0, in @NTOPNG@)
    TCP_FINGERPRINT: Text(48), Unverified;
    /// Per-direction TCP statistics (11.0)
    TCP_STATS_DST_TO_SRC: Text(64), Unverified;
    /// Per-direction TCP statistics (11.0)
    TCP_STATS_SRC_TO_DST: Text(64), Unverified;
}
