//! What an encoder is told at the start.

use core::fmt;

use flowsonde_elements::{Element, Template};

use crate::fill;

use crate::transcode::Batching;

/// How to encode. Each format reads the part that concerns it.
#[derive(Clone, Debug)]
pub struct Options {
    /// What a record tells (`-T`). NetFlow v5 does not ask.
    pub template: Template,
    /// Longest message in bytes: the path MTU less IP and UDP headers. On TCP and in files, any length up to 65535.
    pub max_message: usize,
    /// Id of the first template (`-U`); the others take the ids after it.
    pub first_template_id: u16,
    /// Templates and options are sent again after this many messages (`-o`); 0 is never.
    pub resend_messages: u32,
    /// Templates and options are sent again after this many seconds; 0 is never.
    pub resend_seconds: u32,
    /// The receiver misses nothing, as on TCP: templates are sent once a session, and only options data again.
    pub stream: bool,
    /// Engine type and id (`-E`), as NetFlow v5 has them.
    pub engine: (u8, u8),
    /// Source id of NetFlow v9, observation domain id of IPFIX. By `-E` it is 256 * type + id.
    pub domain: u32,
    /// A message goes out when it holds this many flow records (`-m`), full or not; 0 is when it is full.
    pub min_flows: u32,
    /// A message goes out this many seconds after its first record was put in (`-l`), full or not.
    pub queue_seconds: u32,
    /// IPFIX: one record a flow, with the elements of RFC 5103 for the reverse direction.
    pub biflow: bool,
    /// One packet in this many was metered, and the counters were *not* made up for it: the receiver is told to multiply
    /// by this. 1 when nothing was sampled, and when [`Env::sample`](crate::fill::Env::sample) already scales.
    pub announced_sampling: u32,
    /// What stands between the values of a line of text.
    pub separator: char,
    /// Flows were collected and merged, not made from packets.
    pub collected: bool,
    /// Applications are found out; else nothing is told of them.
    pub applications: bool,
    /// What bounds a message for ntopng.
    pub batching: Batching,
    /// Names instead of numbers as keys for ntopng (`--json-labels`).
    pub labels: bool,
}

impl Options {
    /// How an element is filled.
    pub fn row(&self, element: &Element) -> Option<&'static fill::Row> {
        let row = if self.collected { fill::row_of_collected(element) } else { fill::row(element) };
        row.filter(|row| self.applications || !fill::tells_application(row.element))
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            template: Template::default(),
            max_message: 1440,
            first_template_id: 257,
            resend_messages: 10,
            resend_seconds: 30,
            stream: false,
            engine: (0, 0),
            domain: 0,
            min_flows: 0,
            queue_seconds: 30,
            biflow: false,
            announced_sampling: 1,
            separator: '|',
            collected: false,
            applications: false,
            batching: Batching::default(),
            labels: false,
        }
    }
}

/// A setting no message can be made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Template ids begin at 256, and all that are needed must fit in below 65536.
    TemplateId {
        /// The first id, as asked for.
        first: u16,
        /// The highest that would do.
        highest: u16,
    },
    /// The template announces, or one record takes, more than a message may hold.
    TooLong {
        /// Bytes it takes.
        needed: usize,
        /// Bytes there are.
        limit: usize,
    },
    /// The format has no number for any of the template's elements.
    Nothing,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::TemplateId { first, highest } => {
                write!(f, "template id {first} cannot be the first; use 256 to {highest}")
            }
            Error::TooLong { needed, limit } => {
                write!(
                    f,
                    "the template needs messages of {needed} bytes, over the limit of {limit}; ask for fewer elements"
                )
            }
            Error::Nothing => f.write_str("no element of the template has a number in this format; ask for others"),
        }
    }
}

impl core::error::Error for Error {}
