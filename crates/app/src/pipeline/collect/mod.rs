//! The collector at work: exporters' messages in, records out.
//!
//! ```text
//! captures:  one thread   source -> desk -> outputs
//! ports:     one each     source -> desk --queue--> outputs     one thread for all outputs
//! ```
//!
//! A desk is a collector and a way: a transcoder an output (`lines`), or a cache (`cached`). Exporters stay with one desk, as
//! their templates and sequence numbers do.

mod asides;
pub(crate) mod bad_packets;
mod books;
mod cached;
mod captures;
mod desk;
mod lines;
mod live;
mod outputs;
mod places;
mod relay_state;
mod template_cache;
mod transcoders;
mod way;
mod worker;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowsonde_io::source::exports::Exports;

use super::live::now;
use super::{Signal, inputs};
use crate::flags::Options;
use crate::log;
use crate::stop::Stop;
use cached::Flows;
use outputs::Outputs;

/// How often a desk looks at the clock and tells what it did.
const PULSE: Duration = Duration::from_millis(100);

pub(super) use transcoders::check_text as check_outputs;

/// Checks all that can be checked without receiving anything.
pub fn check(options: &Options) -> Result<(), Stop> {
    if !options.capture.inputs.is_empty() {
        inputs(options)?;
    }
    if options.collect.cache { cached::check(options) } else { transcoders::check(options) }
}

/// Collects until the captures end, or until told to stop.
pub fn run(options: &Options, signal: &Signal) -> Result<(), Stop> {
    match (options.capture.inputs.is_empty(), options.collect.cache) {
        (true, false) => live::run::<Outputs>(options, signal),
        (false, false) => captures::run::<Outputs>(options, signal),
        (true, true) => live::run::<Flows>(options, signal),
        (false, true) => captures::run::<Flows>(options, signal),
    }
}

fn bad_packets(options: &Options) -> Result<desk::Bad, Stop> {
    let Some(path) = &options.collect.bad_packets else { return Ok(None) };
    Ok(Some(Arc::new(Mutex::new(bad_packets::BadPackets::create(path)?))))
}

fn tell(source: &mut dyn Exports) {
    for notice in source.notices() {
        log::warn("collect", &notice);
    }
}
