//! The vocabulary of flow records: information elements, templates and values.
//!
//! An [`Element`] is a row of a table in [`table`]; the [`registry`] finds it by any of its names and numbers; a
//! [`Template`] is the ordered list of elements a user asked for; a [`Value`] is what one of them holds in one record.

#![forbid(unsafe_code)]

mod element;
pub mod registry;
pub mod table;
mod template;
mod value;

pub use element::{
    CISCO_PEN, Counter, Element, Group, Id, Kind, NTOP_PEN, Standing, Unit, V9_CISCO_BASE, V9_NTOP_BASE, VARIABLE,
};
pub use template::{Error as TemplateError, Mode, Template};
pub use value::Value;
