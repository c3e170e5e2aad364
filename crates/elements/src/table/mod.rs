//! The tables: every element as a row, a file a topic.
//!
//! A row says, in this order: its help, its name, its kind (`=>` how IPFIX carries it, when that differs), its number,
//! and then what applies of
//!
//! - `ipfix "name"`: the registry's name for the number
//! - `delta UNIT`, `total UNIT`: a counter; `unit UNIT`: any other measure
//! - `aliases &["other spelling"]`
//! - `deprecated true`
//! - `renamed &NEW`: an old label of NEW; `displaced &OTHER`: its number now means OTHER
//!
//! ```text
//! /// Name asked for in the flow's first DNS query.       <- this sentence is the help text
//! DNS_QUERY: Text(256), Ntop(205);                        <- 35632.205; the NetFlow v9 id is computed, not retyped
//! ```
//!
//! The rows of [`iana`] and [`vendor`] are shorter, `number name: kind`, since the number is the registry's and the
//! help follows from the rest.
//!
//! All elements with an nProbe name are re-exported here, so `use flowsonde_elements::table::*` gives `&IN_BYTES`.

mod application;
mod behaviour;
mod bgp;
mod counters;
mod dhcp;
mod diameter;
mod dns;
mod epp;
mod exporter;
mod ftp;
mod geo;
mod gtpv0;
mod gtpv1;
mod gtpv2;
mod http;
pub mod iana;
mod imap;
mod interarrival;
mod key;
mod latency;
mod mpls;
mod mysql;
mod names;
mod nat;
mod netbios;
mod ntopng;
mod oracle;
mod pop3;
mod process;
mod radius;
mod routing;
mod rtp;
mod s1ap;
mod sampling;
mod sip;
mod sizes;
mod smtp;
mod ssdp;
mod tcp;
mod times;
mod tls;
mod tunnel;
pub mod vendor;
mod whois;
mod wireless;

use crate::element::{Element, Id};

pub use application::*;
pub use behaviour::*;
pub use bgp::*;
pub use counters::*;
pub use dhcp::*;
pub use diameter::*;
pub use dns::*;
pub use epp::*;
pub use exporter::*;
pub use ftp::*;
pub use geo::*;
pub use gtpv0::*;
pub use gtpv1::*;
pub use gtpv2::*;
pub use http::*;
pub use imap::*;
pub use interarrival::*;
pub use key::*;
pub use latency::*;
pub use mpls::*;
pub use mysql::*;
pub use names::*;
pub use nat::*;
pub use netbios::*;
pub use ntopng::*;
pub use oracle::*;
pub use pop3::*;
pub use process::*;
pub use radius::*;
pub use routing::*;
pub use rtp::*;
pub use s1ap::*;
pub use sampling::*;
pub use sip::*;
pub use sizes::*;
pub use smtp::*;
pub use ssdp::*;
pub use tcp::*;
pub use times::*;
pub use tls::*;
pub use tunnel::*;
pub use whois::*;
pub use wireless::*;

/// Every table, in the order users read them.
#[allow(unused_qualifications, reason = "the globs above bring in one ROWS of the many")]
pub(crate) static TABLES: &[&[&Element]] = &[
    key::ROWS,
    counters::ROWS,
    times::ROWS,
    routing::ROWS,
    mpls::ROWS,
    tcp::ROWS,
    latency::ROWS,
    interarrival::ROWS,
    sizes::ROWS,
    behaviour::ROWS,
    tunnel::ROWS,
    nat::ROWS,
    sampling::ROWS,
    exporter::ROWS,
    wireless::ROWS,
    process::ROWS,
    geo::ROWS,
    names::ROWS,
    application::ROWS,
    tls::ROWS,
    bgp::ROWS,
    dns::ROWS,
    http::ROWS,
    smtp::ROWS,
    pop3::ROWS,
    imap::ROWS,
    ftp::ROWS,
    sip::ROWS,
    rtp::ROWS,
    dhcp::ROWS,
    radius::ROWS,
    diameter::ROWS,
    gtpv0::ROWS,
    gtpv1::ROWS,
    gtpv2::ROWS,
    s1ap::ROWS,
    mysql::ROWS,
    oracle::ROWS,
    ssdp::ROWS,
    netbios::ROWS,
    epp::ROWS,
    whois::ROWS,
    ntopng::ROWS,
    iana::ROWS,
    vendor::cisco::ROWS,
    vendor::nokia::ROWS,
    vendor::huawei::ROWS,
    vendor::vmware::ROWS,
    vendor::cesnet::ROWS,
];

/// Rows that have an nProbe name: a static each, and `ROWS` of all of them.
macro_rules! elements {
    (Group::$group:ident;
     $( $(#[doc = $help:literal])+
        $name:ident : $kind:ident $(($length:literal))? $(=> $wire:ident $(($wire_length:literal))?)?,
        $authority:ident $(($number:literal))? $(, $part:ident $value:expr)* ; )+
    ) => {
        $( $(#[doc = $help])+
        pub static $name: crate::Element = crate::Element::new(
            stringify!($name),
            crate::Kind::$kind $(($length))?,
            crate::Id::$authority $(($number))?,
            crate::Group::$group,
            concat!($($help),+).trim_ascii(),
        )
        $(.wire(crate::Kind::$wire $(($wire_length))?))?
        $(.$part($value))*; )+

        pub(crate) static ROWS: &[&crate::Element] = &[$(&$name),+];
    };
}

/// Rows that only a registry names.
macro_rules! registered {
    (Group::$group:ident, pen $pen:literal;
     $( $number:literal $name:ident : $kind:ident $(($length:literal))? $(, $part:ident $value:expr)* ; )+
    ) => {
        $( #[doc = concat!("`", stringify!($pen), ".", stringify!($number), "`")]
        pub static $name: crate::Element = crate::Element::new(
            stringify!($name),
            crate::Kind::$kind $(($length))?,
            crate::table::registered_id($pen, $number),
            crate::Group::$group,
            concat!(stringify!($name), ", ", stringify!($kind) $(, ", ", stringify!($part), " ", stringify!($value))*),
        )
        .ipfix(stringify!($name))
        $(.$part($value))*; )+

        pub(crate) static ROWS: &[&crate::Element] = &[$(&$name),+];
    };
}

use {elements, registered};

const fn registered_id(pen: u32, id: u16) -> Id {
    if pen == 0 { Id::Iana(id) } else { Id::Vendor { pen, id } }
}
