//! The application of a collected flow: as its exporter calls it, else by its ports.

use std::sync::Arc;

use super::take::value;
use super::{Context, Width};
use crate::decode::applications::{Called, Id};
use crate::decode::layout::{At, Layout, Record, Spans, number};
use crate::fill::Names;
use crate::meter::application::{ByAddress, ByPort};

/// What collected flows are taken for, and what that is called.
#[derive(Debug)]
pub struct Applications {
    /// By port.
    pub by_port: Arc<ByPort>,
    /// By address, where ports tell nothing; `None` where nobody knows addresses.
    pub by_address: Option<Arc<ByAddress>>,
    /// What numbers are called.
    pub names: Arc<Names>,
}

/// Where records say what tells an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// nDPI's number, of an exporter that has it (35632.118).
    own: Option<(At, u8)>,
    /// The exporter's application id (95).
    id: Option<(At, Width)>,
    protocol: Option<At>,
    ports: Option<[At; 2]>,
    /// Of IPv4.
    addresses: Option<[At; 2]>,
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
            id: layout.find(95).map(|field| (field.at, Width::of(field))),
            protocol: fixed(0, 4, 1),
            addresses: fixed(0, 8, 4).zip(fixed(0, 12, 4)).map(<[At; 2]>::from),
            ports: port([7, 180, 182]).zip(port([11, 181, 183])).map(<[At; 2]>::from),
        }
    }

    /// nDPI's number of a record's application.
    pub(super) fn read(&self, r: &Record<'_>, s: &Spans, c: &Context<'_>) -> u16 {
        match self.own {
            Some((at, 2)) => return u16::from_be_bytes(r.array(at, s)),
            Some((at, _)) => return number(&r.array::<4>(at, s)) as u16,
            None => {}
        }
        self.number(r, s, c, self.called(r, s, c))
    }

    /// What a record's application is called: as nDPI calls it, where that has it, else as the exporter does.
    pub(super) fn name<'a>(&self, r: &Record<'_>, s: &Spans, c: &Context<'a>) -> &'a str {
        let called = if self.own.is_none() { self.called(r, s, c) } else { Called::default() };
        if called.tells() && called.number().is_none() {
            return c.applications.name(called);
        }
        let number = if self.own.is_none() { self.number(r, s, c, called) } else { self.read(r, s, c) };
        let names = c.home.applications.map(|applications| &applications.names.protocols);
        names.and_then(|names| names.get(usize::from(number))).map_or("", String::as_str)
    }

    fn called(&self, r: &Record<'_>, s: &Spans, c: &Context<'_>) -> Called {
        self.id.map_or(Called::default(), |(at, width)| c.applications.find(value(r, s, at, width)))
    }

    /// By its name, else by the exporter's number where that is a port or protocol, else by its ports, else by its
    /// addresses.
    fn number(&self, r: &Record<'_>, s: &Spans, c: &Context<'_>, called: Called) -> u16 {
        if let Some(number) = called.number().filter(|&number| number != 0) {
            return number;
        }
        let Some(Applications { by_port, by_address, .. }) = c.home.applications else { return 0 };
        let protocol = self.protocol.map_or(0, |at| u8::from_be_bytes(r.array(at, s)));
        let said = self.id.and_then(|(at, width)| by_port.of_id(Id::read(value(r, s, at, width))?, protocol));
        if let Some(said) = said {
            return said;
        }
        let ports = self.ports.map_or([0; 2], |ports| ports.map(|at| u16::from_be_bytes(r.array(at, s))));
        match (by_port.application(protocol, ports), by_address, self.addresses) {
            (0, Some(by_address), Some(addresses)) => by_address.application(addresses.map(|at| r.array(at, s))),
            (known, ..) => known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::{sent_by, set, v9, words};
    use super::super::{Home, Lines, Plan, TextLines, Transcode};
    use super::*;
    use crate::decode::applications::Vocabulary;
    use crate::decode::collector::Config;
    use crate::meter::application::{Addresses, Builtin, builtin_names};
    use flowsonde_elements::{Mode, Template};

    /// Names by NBAR2, by scope of the system: id, name.
    fn options() -> [Vec<u8>; 2] {
        let named = |id: [u8; 4], name: &str| {
            let mut record = [&[192, 0, 2, 1][..], &id, name.as_bytes()].concat();
            record.resize(4 + 4 + 12, 0);
            record
        };
        let table = [
            named([3, 0, 0, 53], "dns"),
            named([13, 0, 1, 0xdf], "ms-teams"),
            named([13, 0, 0, 80], "ssh"),
            named([13, 0, 0, 1], "unknown"),
            named([3, 0, 0, 138], "netbios-dgm"),
        ];
        [set(1, &words(&[400, 4, 8, 1, 4, 95, 4, 96, 12])), set(400, &table.concat())]
    }

    /// Flows to a port by TCP of an application each.
    fn flows(of: &[(u16, [u8; 4])]) -> [Vec<u8>; 2] {
        let flow = |&(port, id): &(u16, [u8; 4])| {
            let ends = [10, 0, 0, 1, 10, 0, 0, 2, 0xc0, 0, (port >> 8) as u8, port as u8, 6];
            [&ends[..], &id, &[0, 0, 0, 9]].concat()
        };
        let template = set(0, &words(&[300, 7, 8, 4, 12, 4, 7, 2, 11, 2, 4, 1, 95, 4, 1, 4]));
        [template, set(300, &of.iter().map(flow).collect::<Vec<_>>().concat())]
    }

    fn told(transcoder: &mut dyn Transcode, sets: [[Vec<u8>; 2]; 3]) -> String {
        let names = builtin_names();
        let vocabulary = Some(Arc::new(Vocabulary::new(&names.protocols)));
        let messages = [v9(0, 7, &sets.concat())];
        let out = sent_by(Config { vocabulary, ..Config::default() }, transcoder, &messages);
        String::from_utf8(out.iter().flat_map(|(line, _)| line.to_vec()).collect()).expect("text")
    }

    fn home() -> Home {
        let by_port = Arc::new(ByPort::ask(&mut Builtin::new()));
        let by_address = Some(Arc::new(ByAddress::new(Box::new(Networks))));
        let applications = Applications { by_port, by_address, names: Arc::new(builtin_names()) };
        Home { applications: Some(Box::leak(Box::new(applications))), ..Home::at([127, 0, 0, 1]) }
    }

    /// Knows 10.0.0.3 as HTTP.
    #[derive(Debug)]
    struct Networks;

    impl Addresses for Networks {
        fn application(&mut self, address: [u8; 4]) -> u16 {
            if address == [10, 0, 0, 3] { 7 } else { 0 }
        }
    }

    const OF: [(u16, [u8; 4]); 7] = [
        (53, [3, 0, 0, 53]),
        (443, [13, 0, 1, 0xdf]),
        (9999, [13, 0, 1, 0xdf]),
        (443, [13, 0, 0, 80]),
        (443, [13, 0, 0, 1]),
        (9999, [3, 0, 0, 138]),
        // Not in the table.
        (443, [13, 0, 2, 2]),
    ];

    const TOLD: [&str; 7] = [
        "5|DNS|dns",
        // What TCP port 443 is of, but by its own name.
        "91|ms-teams|ms-teams",
        "0|ms-teams|ms-teams",
        // Named SSH, whatever the port.
        "92|SSH|ssh",
        // What the exporter could not tell the port does.
        "91|TLS|unknown",
        "0|netbios-dgm|netbios-dgm",
        "91|TLS|",
    ];

    #[test]
    fn records_are_called_as_their_exporter_calls_them() {
        let template = Template::parse("%L7_PROTO %L7_PROTO_NAME %APPLICATION_NAME", Mode::Collector).expect("sound");
        let mut text = TextLines::new(template.clone(), '|', home());
        let lines = told(&mut text, [options(), flows(&OF), flows(&[])]);
        assert_eq!(lines.lines().filter(|line| !line.starts_with("L7")).collect::<Vec<_>>(), TOLD);
        // What came before the table is told by ports, and by its name from then on.
        let mut json = Lines::new(Plan::Template(template), home());
        let lines = told(&mut json, [flows(&OF[..2]), options(), flows(&OF[..2])]);
        let line = |number, name, exporters| {
            format!(r#"{{"L7_PROTO":"{number}","L7_PROTO_NAME":"{name}","APPLICATION_NAME":"{exporters}"}}"#)
        };
        let expected =
            [line(5, "DNS", ""), line(91, "TLS", ""), line(5, "DNS", "dns"), line(91, "ms-teams", "ms-teams")];
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    }

    /// Only where ports tell nothing.
    #[test]
    fn addresses_tell_what_ports_do_not() {
        let template = Template::parse("%L7_PROTO %L7_PROTO_NAME", Mode::Collector).expect("sound");
        let mut text = TextLines::new(template, '|', home());
        let flow = |client: u8, server: u8, port: u8| [10, 0, 0, client, 10, 0, 0, server, 0xc0, 0, 0, port, 6];
        let flows = [flow(3, 1, 1), flow(1, 3, 1), flow(1, 3, 53), flow(1, 2, 1)].concat();
        let sets = [set(0, &words(&[300, 5, 8, 4, 12, 4, 7, 2, 11, 2, 4, 1])), set(300, &flows)];
        let lines = told(&mut text, [sets, Default::default(), Default::default()]);
        let told: Vec<_> = lines.lines().filter(|line| !line.starts_with("L7")).collect();
        assert_eq!(told, ["7|HTTP", "7|HTTP", "5|DNS", "0|Unknown"]);
    }

    #[test]
    fn other_domains_and_exporters_have_tables_of_their_own() {
        let template = Template::parse("%APPLICATION_NAME", Mode::Collector).expect("sound");
        let mut json = Lines::new(Plan::Template(template), home());
        let vocabulary = Some(Arc::new(Vocabulary::new(&[])));
        let messages = [v9(0, 7, &options()), v9(0, 8, &flows(&OF[..1])), v9(0, 7, &flows(&OF[..1]))];
        let out = sent_by(Config { vocabulary, ..Config::default() }, &mut json, &messages);
        let lines: Vec<_> = out.iter().map(|(line, _)| String::from_utf8_lossy(line).into_owned()).collect();
        assert_eq!(lines.concat(), "{\"APPLICATION_NAME\":\"\"}\n{\"APPLICATION_NAME\":\"dns\"}\n");
    }
}
