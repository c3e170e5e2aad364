//! What a record holds.

use flowsonde_elements as elements;

use super::value::number::number;
use super::{Flag, Group, Value};
use crate::stop::Stop;

/// What was asked for about records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The elements as they were given; `None` is the default template. Read with the vocabulary of elements.
    pub fields: Option<String>,
    /// The id of the first template.
    pub id: u16,
}

impl Default for Template {
    fn default() -> Self {
        Template { fields: None, id: 257 }
    }
}

/// The options.
pub const SPEC: Group = Group {
    name: "template",
    title: "Records",
    flags: &[
        Flag {
            short: Some('T'),
            long: "flow-templ",
            value: Value::One("ELEMENTS"),
            help: "Elements a record holds, like '%IPV4_SRC_ADDR %IN_BYTES'",
            doc: "Names with a `%`, parted by blanks; `-H` lists them. The default holds addresses, next hop, \
                  interfaces, packets, bytes, times, ports, TCP flags, protocol, ToS, AS numbers, masks and VLAN.",
            good: &["%IPV4_SRC_ADDR %IPV4_DST_ADDR %IN_BYTES"],
            bad: &["%IPV4_SRC_ADR", "@NTOP@", "%"],
            apply: |options, text| {
                // Names are looked up now, so that a wrong one is told with its place; what macros stand for is seen later.
                elements::Template::parse(text, elements::Mode::Probe)
                    .map_err(|error| Stop::Usage(error.to_string()))?;
                options.template.fields = Some(text.to_owned());
                Ok(())
            },
            ..Flag::SWITCH
        },
        Flag {
            short: Some('U'),
            long: "flow-templ-id",
            value: Value::One("ID"),
            default: "257",
            help: "Id of the first template",
            doc: "Further templates, for IPv6 and for options, take the ids after it.",
            good: &["300"],
            bad: &["255", "65001", "x"],
            apply: |options, text| {
                options.template.id =
                    number(text, "a template", 256..=65_000).map_err(|_| "not a template id; give 256 to 65000")?;
                Ok(())
            },
            ..Flag::SWITCH
        },
    ],
};
