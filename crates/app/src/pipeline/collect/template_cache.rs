//! `--template-cache`: what was learnt of exporters, in a file that the next run begins with.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flowsonde_engine::decode::saved::{self, Exporters, Saved};

use crate::flags::Options;
use crate::log;
use crate::replace;
use crate::stop::Stop;

/// How often it is written.
pub const EVERY: Duration = Duration::from_secs(10);

/// What a desk last told of what it learnt.
pub type Slot = Arc<Mutex<Exporters>>;

/// The file, and the desks that tell what goes into it.
pub struct TemplateCache {
    path: PathBuf,
    old: Arc<Exporters>,
    slots: Vec<Slot>,
    written: Instant,
    failed: bool,
}

impl TemplateCache {
    /// Reads the file, if one was named, and sees that it can be written.
    pub fn open(options: &Options) -> Result<Option<TemplateCache>, Stop> {
        let Some(path) = options.collect.template_cache.clone() else { return Ok(None) };
        let place = format!("--template-cache={}", path.display());
        let old = match fs::read_to_string(&path) {
            Ok(text) if text.is_empty() => Exporters::new(),
            Ok(text) => saved::read(&text).map_err(|line| {
                Stop::Failed(format!(
                    "{place}: line {line} is none of a template cache; remove the file, or name another one"
                ))
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => Exporters::new(),
            Err(error) => return Err(Stop::Failed(format!("{place}: {error}; give a file that can be read"))),
        };
        replace::file(&path, &saved::write(&old))
            .map_err(|error| Stop::Failed(format!("{place}: {error}; give a file that can be written")))?;
        Ok(Some(TemplateCache { path, old: Arc::new(old), slots: Vec::new(), written: Instant::now(), failed: false }))
    }

    /// What an earlier run learnt, and where another desk tells what it learns.
    pub fn desk(&mut self) -> (Arc<Exporters>, Slot) {
        let slot = Slot::default();
        self.slots.push(Arc::clone(&slot));
        (Arc::clone(&self.old), slot)
    }

    /// Writes the file when that is due, or `now` in any case.
    pub fn write(&mut self, now: bool) {
        if !now && self.written.elapsed() < EVERY {
            return;
        }
        self.written = Instant::now();
        let mut all = Exporters::new();
        for slot in &self.slots {
            for (key, saved) in slot.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                // Every desk tells of those it never heard of, too.
                if all.get(key).is_none_or(|other| latest(other) < latest(saved)) {
                    all.insert(*key, saved.clone());
                }
            }
        }
        match replace::file(&self.path, &saved::write(&all)) {
            Ok(()) => self.failed = false,
            Err(error) if !self.failed => {
                self.failed = true;
                log::warn("collect", &format!("--template-cache={}: {error}; tried again", self.path.display()));
            }
            Err(_) => {}
        }
    }
}

fn latest(saved: &Saved) -> u64 {
    saved.templates.iter().map(|(.., refreshed)| refreshed.0).max().unwrap_or(0)
}
