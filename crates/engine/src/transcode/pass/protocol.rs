//! How the two protocols declare fields that are passed on.

use flowsonde_elements::{CISCO_PEN, NTOP_PEN, V9_CISCO_BASE, V9_NTOP_BASE};
use flowsonde_wire::export::ipfix::{REVERSE_PEN, Specifier, VARIABLE};
use flowsonde_wire::export::netflow9::{SCOPE_CACHE, SCOPE_INTERFACE, SCOPE_LINE_CARD, SCOPE_SYSTEM, SCOPE_TEMPLATE};

use crate::encode::session::Protocol;
use crate::encode::{Ipfix, NetFlow9};

/// A protocol records are passed on in.
pub trait Passes: Protocol {
    /// The scope that is the exporter, or its observation domain, as a whole.
    const SCOPE: u16;
    /// Headers tell the uptime, so that times may be relative to it.
    const UPTIME: bool;

    /// How a collected field is declared; `None` when it cannot be.
    fn passed(field: &Specifier) -> Option<Specifier>;

    /// How a scope of options is declared; `None` when it can be a field only.
    fn scope(field: &Specifier) -> Option<Specifier>;
}

impl Passes for Ipfix {
    const SCOPE: u16 = 149; // observationDomainId
    const UPTIME: bool = false;

    fn passed(field: &Specifier) -> Option<Specifier> {
        let cisco = field.pen == 0 && field.id >= V9_CISCO_BASE;
        Some(if cisco {
            Specifier { pen: CISCO_PEN, id: field.id - V9_CISCO_BASE, length: field.length }
        } else {
            *field
        })
    }

    /// Any element may be one (RFC 7011, section 3.4.2.1). Those of NetFlow v9 were made elements when they were collected:
    /// System 144 exportingProcessId, Interface 10, Line Card 141, Cache 143 meteringProcessId, Template 145.
    fn scope(field: &Specifier) -> Option<Specifier> {
        Ipfix::passed(field)
    }
}

impl Passes for NetFlow9 {
    const SCOPE: u16 = SCOPE_SYSTEM;
    const UPTIME: bool = true;

    fn passed(field: &Specifier) -> Option<Specifier> {
        let id = match (field.pen, field.id) {
            _ if field.length == VARIABLE => return None,
            (0, id) => id,
            (NTOP_PEN, n) => V9_NTOP_BASE.checked_add(n)?,
            (CISCO_PEN, n) if n < V9_NTOP_BASE - V9_CISCO_BASE => V9_CISCO_BASE + n,
            (REVERSE_PEN, 1) => 23, // OUT_BYTES
            (REVERSE_PEN, 2) => 24, // OUT_PKTS
            _ => return None,
        };
        Some(Specifier { pen: 0, id, length: field.length })
    }

    /// It has five (RFC 3954, section 6.1).
    fn scope(field: &Specifier) -> Option<Specifier> {
        let id = match (field.pen, field.id) {
            _ if field.length == VARIABLE => return None,
            // The process, the exporter by its addresses, the domain.
            (0, 144 | 130 | 131 | 149) => SCOPE_SYSTEM,
            (0, 10) => SCOPE_INTERFACE,
            (0, 141) => SCOPE_LINE_CARD,
            (0, 143) => SCOPE_CACHE,
            (0, 145) => SCOPE_TEMPLATE,
            _ => return None,
        };
        Some(Specifier { pen: 0, id, length: field.length })
    }
}
