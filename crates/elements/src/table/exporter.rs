//! Who metered and exported the flow.
//!
//! The sources give no type for NPROBE_IPV6_ADDRESS, NPROBE_SOURCE_ID: theirs is a guess.

use super::elements;
use crate::element::Unit::{Flows, Messages, Octets};

elements! { Group::Exporter;
    /// Exporter engine type
    ENGINE_TYPE: U8, Iana(38), ipfix "engineType", deprecated true;
    /// Exporter engine id
    ENGINE_ID: U8, Iana(39), ipfix "engineId", deprecated true;
    /// Bytes exported so far
    TOTAL_BYTES_EXP: U32 => U64, Iana(40), ipfix "exportedOctetTotalCount", total Octets;
    /// Export packets sent so far
    TOTAL_PKTS_EXP: U32 => U64, Iana(41), ipfix "exportedMessageTotalCount", total Messages;
    /// Flow records exported so far
    TOTAL_FLOWS_EXP: U32 => U64, Iana(42), ipfix "exportedFlowRecordTotalCount", total Flows;
    /// Name of the monitored interface
    INTERFACE_NAME: FixedText(8) => Text(8), Iana(82), ipfix "interfaceName";
    /// Forwarding outcome reported by the exporter
    FORWARDING_STATUS: U8, Iana(89), ipfix "forwardingStatus";
    /// IPv4 address of the device that exported the flow
    EXPORTER_IPV4_ADDRESS: Ipv4, Iana(130), ipfix "exporterIPv4Address";
    /// IPv6 address of the device that exported the flow
    EXPORTER_IPV6_ADDRESS: Ipv6, Iana(131), ipfix "exporterIPv6Address";
    /// Progressive number given to the flow
    FLOW_ID: U32, Iana(148), ipfix "flowId";
    /// Kind of observation point
    OBSERVATION_POINT_TYPE: U16 => U8, Iana(277), ipfix "observationPointType";
    // A number to nProbe, a name in the registry, whose observationPointId is 138.
    /// Number identifying the observation site
    OBSERVATION_POINT_ID: U16 => Text(2), Iana(300), ipfix "observationDomainName";
    /// Label of this probe instance
    NPROBE_INSTANCE_NAME: Text(32), Ntop(122);
    /// Plugin that handled the flow
    PLUGIN_NAME: Text(8), Ntop(126);
    /// IPv4 address of the probe host
    NPROBE_IPV4_ADDRESS: Ipv4, Ntop(471);
    /// AWS VPC account
    ACCOUNT_ID: Text(16), Ntop(575);
    /// 0 built from packets, 1 collected NetFlow/IPFIX, 2 collected sFlow
    FLOW_SOURCE: U8, Ntop(579);
    /// Number unique to a probe plus exporter pair
    UNIQUE_SOURCE_ID: U32, Ntop(589);
    /// UUID of the probe instance
    NPROBE_UUID: FixedText(36), Ntop(590);
    /// IPv6 address of the probe (10.8)
    NPROBE_IPV6_ADDRESS: Ipv6, Unverified;
    /// Probe instance id (11.0)
    NPROBE_SOURCE_ID: U32, Unverified;
}
