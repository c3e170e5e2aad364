//! How the traffic was sampled.
//!
//! The sources give no type for FLOW_SAMPLER_ID: theirs is a guess.

use super::elements;
use crate::element::Unit::Packets;

elements! { Group::Sampling;
    /// Sampling rate, one packet every N
    SAMPLING_INTERVAL: U32, Iana(34), ipfix "samplingInterval", unit Packets, deprecated true;
    /// Kind of sampling (1 deterministic, 2 random)
    SAMPLING_ALGORITHM: U8, Iana(35), ipfix "samplingAlgorithm", deprecated true;
    /// Offset of the sampled packet section
    PACKET_SECTION_OFFSET: U16, Iana(102), ipfix "layer2packetSectionOffset", deprecated true;
    /// Size of the sampled packet
    SAMPLED_PACKET_SIZE: U16, Iana(103), ipfix "layer2packetSectionSize", deprecated true;
    // An identifier to nProbe, the bytes of the packet in the registry.
    /// Identifier of the sampled packet
    SAMPLED_PACKET_ID: U16 => Octets(2), Iana(104), ipfix "layer2packetSectionData", deprecated true;
    /// Sampler id
    SELECTOR_ID: U16 => U64, Iana(302), ipfix "selectorId";
    /// Selector algorithm code
    IPFIX_SAMPLING_ALGORITHM: U16, Iana(304), ipfix "selectorAlgorithm";
    /// How many packets are sampled
    SAMPLING_SIZE: U16 => U32, Iana(309), ipfix "samplingSize", unit Packets;
    /// Out of how many packets
    SAMPLING_POPULATION: U16 => U32, Iana(310), ipfix "samplingPopulation", unit Packets;
    /// Packets the selector saw
    PACKETS_OBSERVED: U16 => U64, Iana(318), ipfix "selectorIdTotalPktsObserved", total Packets;
    /// Packets the selector kept
    PACKETS_SELECTED: U16 => U64, Iana(319), ipfix "selectorIdTotalPktsSelected", total Packets;
    /// Sampler name
    SELECTOR_NAME: FixedText(2) => Text(2), Iana(335), ipfix "selectorName";
    /// Sampler id of sampled flows (10.8)
    FLOW_SAMPLER_ID: U32, Unverified;
    // Ours: collected counters are scaled, and SAMPLING_INTERVAL is 1 then.
    /// Rate an exporter sampled at, one packet every N, before counters were scaled by it
    ORIGINAL_SAMPLING_INTERVAL: U32, Unverified;
    /// What told that rate: user, record, sampler, options or header; empty when nothing did
    SAMPLING_SOURCE: Text(8), Unverified;
}
