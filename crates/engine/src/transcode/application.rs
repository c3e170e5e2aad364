//! The application of a collected flow: as its exporter says, else by its ports.

use std::sync::Arc;

use crate::decode::layout::{At, Layout, Record, Spans, number};
use crate::fill::Names;
use crate::meter::application::ByPort;

/// What collected flows are taken for, and what that is called.
#[derive(Debug)]
pub struct Applications {
    /// By port.
    pub by_port: Arc<ByPort>,
    /// What numbers are called.
    pub names: Arc<Names>,
}

/// Where records say what tells an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// nDPI's number, of an exporter that has it (35632.118).
    own: Option<(At, u8)>,
    /// The exporter's application id (95).
    id: Option<At>,
    protocol: Option<At>,
    ports: Option<[At; 2]>,
}

impl Telling {
    /// Of a layout.
    pub(super) fn of(layout: &Layout) -> Telling {
        let fixed = |pen: u32, id: u16, length: u16| {
            layout.find_of(pen, id).filter(|field| field.length == length).map(|field| field.at)
        };
        let port = |ids: [u16; 3]| ids.into_iter().find_map(|id| fixed(0, id, 2));
        let own = layout.find_of(flowsonde_elements::NTOP_PEN, 118).filter(|field| matches!(field.length, 2 | 4));
        Telling {
            own: own.map(|field| (field.at, field.length as u8)),
            id: fixed(0, 95, 4),
            protocol: fixed(0, 4, 1),
            ports: port([7, 180, 182]).zip(port([11, 181, 183])).map(<[At; 2]>::from),
        }
    }

    /// The application of a record.
    pub(super) fn read(&self, r: &Record<'_>, s: &Spans, applications: Option<&Applications>) -> u16 {
        match self.own {
            Some((at, 2)) => return u16::from_be_bytes(r.array(at, s)),
            Some((at, _)) => return number(&r.array::<4>(at, s)) as u16,
            None => {}
        }
        let Some(Applications { by_port, .. }) = applications else { return 0 };
        let protocol = self.protocol.map_or(0, |at| u8::from_be_bytes(r.array(at, s)));
        let said = self.id.and_then(|at| by_port.of_id(u32::from_be_bytes(r.array(at, s)), protocol));
        said.unwrap_or_else(|| {
            let ports = self.ports.map_or([0; 2], |ports| ports.map(|at| u16::from_be_bytes(r.array(at, s))));
            by_port.application(protocol, ports)
        })
    }
}
