//! The signs of a flow's behaviour: what can be measured of it without reading what it says.
//!
//! Each is a group of flow state like the others, kept only when a template asks for it. docs/signs.md tells their shape,
//! windows and units.

pub mod bins;
pub mod bursts;
pub mod entropy;
pub mod histograms;
pub mod series;
