//! What was made of layouts, kept for as long as they live.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::Program;
use crate::decode::layout::Layout;

/// The programs of an output.
pub type Programs<K> = PerLayout<Program<K>>;

/// Something a layout.
#[derive(Debug)]
pub struct PerLayout<T> {
    by_number: HashMap<u32, Made<T>>,
    /// Fields of all layouts, dead ones included.
    fields: usize,
    /// Fields at which dead ones are swept out.
    sweep: usize,
}

#[derive(Debug)]
struct Made<T> {
    layout: Weak<Layout>,
    fields: usize,
    what: T,
}

impl<T> Default for PerLayout<T> {
    fn default() -> Self {
        PerLayout { by_number: HashMap::new(), fields: 0, sweep: Self::FEW }
    }
}

impl<T> PerLayout<T> {
    /// Fields that are not worth sweeping.
    const FEW: usize = 1 << 15;

    /// What was made of a layout; made by `make` when there is nothing.
    pub fn of(&mut self, layout: &Arc<Layout>, make: impl FnOnce(&Layout) -> T) -> &T {
        if self.fields >= self.sweep && !self.by_number.contains_key(&layout.number) {
            self.by_number.retain(|_, made| made.layout.strong_count() > 0);
            self.fields = self.by_number.values().map(|made| made.fields).sum();
            self.sweep = (2 * self.fields).max(Self::FEW);
        }
        let all = &mut self.fields;
        let made = self.by_number.entry(layout.number).or_insert_with(|| {
            let fields = layout.fields.len();
            *all += fields;
            Made { layout: Arc::downgrade(layout), fields, what: make(layout) }
        });
        &made.what
    }
}
