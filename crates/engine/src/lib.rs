//! The middle: packets become flows, flows become records.
