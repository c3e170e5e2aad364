//! The ordered list of elements a user asks for (`-T`).

mod expansion;

use core::fmt;

use crate::element::Element;
use crate::registry::{self, Unknown};

/// Whether the flows are made from packets or collected. `@NTOPNG@` differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Flows made from packets.
    Probe,
    /// Flows collected from exporters.
    Collector,
}

/// An ordered list of elements, none twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    elements: Vec<&'static Element>,
}

impl Template {
    /// Reads `%A %B`, separated by spaces, commas or nothing, the `%` optional.
    ///
    /// An element may be an nProbe name, an IPFIX name or a number (`8`, `57677`, `35632.205`). The macros `@NTOPNG@`,
    /// `@SIP@` and `@RTP@` may stand among them. Of duplicates the first stays.
    pub fn parse(text: &str, mode: Mode) -> Result<Template, Error> {
        let mut template = Template { elements: Vec::new() };
        for (position, word) in (1..).zip(words(text)) {
            if word.starts_with('@') {
                let expansion = expansion::expand(word, mode);
                let elements = expansion.ok_or_else(|| Error::UnknownMacro { text: word.to_owned(), position })?;
                template.extend(elements.iter().copied());
            } else {
                template.push(registry::parse(word).map_err(|unknown| Error::Unknown { unknown, position })?);
            }
        }
        if template.is_empty() { Err(Error::Empty) } else { Ok(template) }
    }

    /// Appends an element; false when it is there already, be it under an older name.
    pub fn push(&mut self, element: &'static Element) -> bool {
        let new = !self.contains(element);
        if new {
            self.elements.push(element);
        }
        new
    }

    /// The elements in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'static Element> + '_ {
        self.elements.iter().copied()
    }

    /// True when the element is asked for, be it under an older or newer name.
    pub fn contains(&self, element: &Element) -> bool {
        self.elements.iter().any(|ours| ours.is_same_as(element))
    }

    /// How many elements.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// True for a template of nothing. [`Template::parse`] makes none.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }
}

/// The template of a probe that was given none.
impl Default for Template {
    fn default() -> Self {
        expansion::DEFAULT.iter().copied().collect()
    }
}

impl FromIterator<&'static Element> for Template {
    fn from_iter<I: IntoIterator<Item = &'static Element>>(elements: I) -> Self {
        let mut template = Template { elements: Vec::new() };
        template.extend(elements);
        template
    }
}

impl Extend<&'static Element> for Template {
    fn extend<I: IntoIterator<Item = &'static Element>>(&mut self, elements: I) {
        for element in elements {
            self.push(element);
        }
    }
}

/// As [`Template::parse`] reads it.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, element) in self.elements.iter().enumerate() {
            write!(f, "{}%{}", if at == 0 { "" } else { " " }, element.name)?;
        }
        Ok(())
    }
}

/// Splits at spaces and commas, before a `%` and around a macro.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | '%'));
        let end = match rest.strip_prefix('@') {
            Some(name) => name.find(['@', ' ', ',', '%']).map_or(rest.len(), |at| {
                let closed = name[at..].starts_with('@');
                at + 1 + usize::from(closed)
            }),
            None => rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | '%' | '@')).unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(end);
        rest = after;
        (!word.is_empty()).then_some(word)
    })
}

/// Why a template was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It names nothing.
    Empty,
    /// It names what no element is called.
    Unknown {
        /// The name, and the nearest there is.
        unknown: Unknown,
        /// Its place in the template, from 1.
        position: usize,
    },
    /// It has a macro we do not know.
    UnknownMacro {
        /// The macro.
        text: String,
        /// Its place in the template, from 1.
        position: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Empty => f.write_str("the template is empty; name elements such as %IPV4_SRC_ADDR, or @NTOPNG@"),
            Error::Unknown { unknown, position } => write!(f, "{unknown} (word {position} of the template)"),
            Error::UnknownMacro { text, position } => {
                write!(f, "unknown macro {text} (word {position} of the template); there are @NTOPNG@, @SIP@ and @RTP@")
            }
        }
    }
}

impl core::error::Error for Error {}
