//! Elements of other enterprises, by their private enterprise number.

#![allow(non_upper_case_globals, reason = "a row is spelt as its vendor spells it")]

/// Cisco: security events of firewalls (NSEL). Spelt as TShark does, as nProbe has no names for them.
pub mod cisco {
    use crate::table::registered;

    registered! { Group::Cisco, pen 9;
        232 INGRESS_ACL_ID: FixedOctets(12);
        233 EGRESS_ACL_ID: FixedOctets(12);
        234 FW_EXT_EVENT: U16;
        7232 AAA_USERNAME: Text(65);
    }
}

/// Nokia (Alcatel-Lucent): large-scale NAT.
pub mod nokia {
    use crate::table::registered;

    registered! { Group::Nokia, pen 637;
        91 aluInsideServiceId: U16;
        92 aluOutsideServiceId: U16;
        93 aluNatSubString: Text(32);
    }
}

/// Huawei: passive optical networks.
pub mod huawei {
    use crate::table::registered;

    registered! { Group::Huawei, pen 2011;
        1 ingressGponGemPortId: U16;
        2 egressGponGemPortId: U16;
    }
}

/// VMware: virtual switches.
pub mod vmware {
    use crate::element::Unit::Microseconds;
    use crate::table::registered;

    registered! { Group::Vmware, pen 6876;
        880 tenantProtocol: U8;
        881 tenantSourceIPv4: Ipv4;
        882 tenantDestIPv4: Ipv4;
        883 tenantSourceIPv6: Ipv6;
        884 tenantDestIPv6: Ipv6;
        886 tenantSourcePort: U16;
        887 tenantDestPort: U16;
        888 egressInterfaceAttr: U16;
        889 vxlanExportRole: U8;
        890 ingressInterfaceAttr: U16;
        898 virtualObsID: Text(32);
        950 ruleId: U32;
        951 vmUuid: Text(32);
        952 vnicIndex: U32;
        953 sessionFlags: U8;
        954 flowDirection: U8;
        955 algControlFlowId: U64;
        956 algType: U8;
        957 algFlowType: U8;
        958 averageLatency: U32, unit Microseconds;
        959 retransmissionCount: U32;
        960 vifUuid: Octets(32);
        961 vifId: Text(32);
    }
}

/// CESNET: ipfixprobe's signs of behaviour. Each is the element of the values of a basicList (291, RFC 6313).
pub mod cesnet {
    use crate::table::registered;

    registered! { Group::Cesnet, pen 8057;
        1013 PPI_PKT_LENGTHS: U16;
        1014 PPI_PKT_TIMES: Millis;
        1015 PPI_PKT_FLAGS: U8;
        1016 PPI_PKT_DIRECTIONS: I32;
        1060 S_PHISTS_SIZES: U32;
        1061 S_PHISTS_IPT: U32;
        1062 D_PHISTS_SIZES: U32;
        1063 D_PHISTS_IPT: U32;
    }
}
