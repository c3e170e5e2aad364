//! The relay's ledger.
//!
//! ```text
//! receive   (datagrams)  the port's -> exporters    | kernel_drops, truncated                              one a port
//! exporter  (datagrams)             -> collectors   | not_flow, not_allowed, rate_limit                 one an exporter
//! relay     (datagrams)  a collector's -> acknowledged | relay_buffer_full, relay_spool_full, ...      one a collector
//! ```

use flowsonde_io::relay::{Queue, Seen};
use flowsonde_io::source::exports::Counters;

use super::core::Core;
use crate::ledger::{Ledger, Stage, Unit};

/// Adds the stages.
pub fn stages(ports: &[(String, Counters)], core: &Core, names: &[String], seen: &Seen, ledger: &mut Ledger) {
    for (name, counters) in ports {
        let mut stage = Stage::new("receive", name, Unit::Datagrams).noting("bytes", counters.bytes);
        for (reason, count) in counters.lost() {
            stage = stage.losing(reason, count);
        }
        (stage.received, stage.delivered) = (counters.received(), counters.datagrams);
        ledger.stages.push(stage);
    }
    let mut exporters: Vec<_> = core.intake.exporters().collect();
    exporters.sort_by_key(|exporter| exporter.from);
    for exporter in exporters {
        let mut stage = Stage::new("exporter", "flowrelay", Unit::Datagrams)
            .losing("not_flow", exporter.not_flow)
            .losing("not_allowed", exporter.not_allowed)
            .losing("rate_limit", exporter.rate);
        stage.exporter = Some(exporter.from.to_string());
        (stage.received, stage.delivered) = (exporter.received, exporter.passed);
        ledger.stages.push(stage);
    }
    for (queue, name) in core.queues.iter().zip(names) {
        ledger.stages.push(relay(queue, name));
    }
    if let Some(stage) = ledger.stages.last_mut() {
        let notes = [
            ("frames", seen.frames),
            ("frame_bytes", seen.bytes),
            ("attached", seen.attached),
            ("gone", seen.gone),
            ("strange", seen.strange),
            ("keys_refused", seen.refused),
            ("handshakes_failed", seen.handshakes),
            ("templates_refused", core.kept.refused()),
            ("exporters_forgotten", core.intake.beyond()),
        ];
        stage.notes.extend(notes);
        stage.notes.extend(core.intake.refused());
    }
}

fn relay(queue: &Queue, name: &str) -> Stage {
    let waiting = queue.waiting();
    let mut stage = Stage::new("relay", name, Unit::Datagrams)
        .noting("memory_bytes", waiting.memory as u64)
        .noting("spool_bytes", waiting.spool);
    for (reason, count) in queue.lost() {
        stage = stage.losing(reason.name(), count);
    }
    stage.received = queue.received();
    stage.held = queue.held();
    stage.delivered = queue.delivered();
    stage
}
