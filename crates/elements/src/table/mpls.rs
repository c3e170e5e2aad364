//! The MPLS label stack.

use super::elements;

elements! { Group::Mpls;
    /// Raw 3-byte MPLS stack entry number 1 (top of stack = 1)
    MPLS_LABEL_1: FixedOctets(3), Iana(70), ipfix "mplsTopLabelStackSection";
    /// Raw 3-byte MPLS stack entry number 2 (top of stack = 1)
    MPLS_LABEL_2: FixedOctets(3), Iana(71), ipfix "mplsLabelStackSection2";
    /// Raw 3-byte MPLS stack entry number 3 (top of stack = 1)
    MPLS_LABEL_3: FixedOctets(3), Iana(72), ipfix "mplsLabelStackSection3";
    /// Raw 3-byte MPLS stack entry number 4 (top of stack = 1)
    MPLS_LABEL_4: FixedOctets(3), Iana(73), ipfix "mplsLabelStackSection4";
    /// Raw 3-byte MPLS stack entry number 5 (top of stack = 1)
    MPLS_LABEL_5: FixedOctets(3), Iana(74), ipfix "mplsLabelStackSection5";
    /// Raw 3-byte MPLS stack entry number 6 (top of stack = 1)
    MPLS_LABEL_6: FixedOctets(3), Iana(75), ipfix "mplsLabelStackSection6";
    /// Raw 3-byte MPLS stack entry number 7 (top of stack = 1)
    MPLS_LABEL_7: FixedOctets(3), Iana(76), ipfix "mplsLabelStackSection7";
    /// Raw 3-byte MPLS stack entry number 8 (top of stack = 1)
    MPLS_LABEL_8: FixedOctets(3), Iana(77), ipfix "mplsLabelStackSection8";
    /// Raw 3-byte MPLS stack entry number 9 (top of stack = 1)
    MPLS_LABEL_9: FixedOctets(3), Iana(78), ipfix "mplsLabelStackSection9";
    /// Raw 3-byte MPLS stack entry number 10 (top of stack = 1)
    MPLS_LABEL_10: FixedOctets(3), Iana(79), ipfix "mplsLabelStackSection10";
}
