//! The probe and collector.

fn main() {}
