//! The templates of one observation domain, and the store of layouts that all of them share.
//!
//! Ten thousand exporters of one make send the same few templates: each layout is kept once ([`Layouts`]), with whatever
//! was compiled from it. A template id leads to its layout; another template under the same id takes its place.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use flowsonde_wire::Nanos;
use flowsonde_wire::export::ipfix::Specifier;

use super::connections::Counting;
use super::layout::{Layout, Refused, Shape};

/// Most templates of one domain. Large routers have some hundreds.
pub const MAX_TEMPLATES: usize = 4096;

/// A template as it is known.
#[derive(Clone, Debug)]
pub struct Template {
    /// Its records.
    pub layout: Arc<Layout>,
    /// When it last came.
    pub refreshed: Nanos,
}

/// Templates by id.
#[derive(Debug, Default)]
pub struct Templates {
    by_id: HashMap<u16, Template>,
    /// The last one asked for: most messages hold data of one template.
    last: Option<(u16, Arc<Layout>)>,
}

impl Templates {
    /// The layout of this id, unless it is older than `limit` nanoseconds at `now`; 0 is no limit.
    #[inline]
    pub fn find(&mut self, id: u16, now: Nanos, limit: u64) -> Option<Arc<Layout>> {
        if let Some((last, layout)) = &self.last
            && *last == id
            && limit == 0
        {
            return Some(Arc::clone(layout));
        }
        let template = self.by_id.get(&id)?;
        if limit != 0 && now.since(template.refreshed) > limit {
            self.by_id.remove(&id);
            self.last = None;
            return None;
        }
        self.last = Some((id, Arc::clone(&template.layout)));
        Some(Arc::clone(&template.layout))
    }

    /// The layout of this id, for records in lists: as old as it may be, as the set they came in is known.
    pub fn peek(&self, id: u16) -> Option<&Arc<Layout>> {
        self.by_id.get(&id).map(|template| &template.layout)
    }

    /// Notes a template. False when there is no room for another id.
    pub fn insert(&mut self, id: u16, layout: Arc<Layout>, now: Nanos) -> bool {
        self.last = None;
        if self.by_id.len() >= MAX_TEMPLATES && !self.by_id.contains_key(&id) {
            return false;
        }
        self.by_id.insert(id, Template { layout, refreshed: now });
        true
    }

    /// Forgets a template (a withdrawal). False when there was none.
    pub fn remove(&mut self, id: u16) -> bool {
        self.last = None;
        self.by_id.remove(&id).is_some()
    }

    /// Forgets templates of flows, or of options (RFC 7011, section 8.1: a withdrawal of all).
    pub fn remove_all(&mut self, options: bool) -> usize {
        self.last = None;
        let before = self.by_id.len();
        self.by_id.retain(|_, template| template.layout.is_options() != options);
        before - self.by_id.len()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Every one with its id, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Template)> {
        self.by_id.iter().map(|(id, template)| (*id, template))
    }
}

/// Every layout in use, each once.
#[derive(Debug, Default)]
pub struct Layouts {
    by_shape: HashMap<Shape, Weak<Layout>>,
    next: u32,
    /// Bytes of all, dead ones that were not swept out yet included.
    bytes: usize,
    /// Entries at which dead ones are swept out.
    sweep: usize,
}

impl Layouts {
    /// The layout of these fields, made now or shared.
    pub fn of(&mut self, specifiers: &[Specifier], scopes: u16) -> Result<Arc<Layout>, Refused> {
        let shape =
            Shape { specifiers: specifiers.iter().map(|field| (field.pen, field.id, field.length)).collect(), scopes };
        if let Some(layout) = self.by_shape.get(&shape).and_then(Weak::upgrade) {
            return Ok(layout);
        }
        if self.by_shape.len() >= self.sweep.max(1024) {
            self.sweep();
        }
        self.next = self.next.wrapping_add(1);
        let mut layout = Layout::new(self.next, specifiers, scopes)?;
        // One with counters behind it would be too long where this fails.
        if let Ok(Some(counting)) = Counting::new(&layout, self.next.wrapping_add(1)) {
            self.next = self.next.wrapping_add(1);
            layout.counting = Some(Box::new(counting));
        }
        let layout = Arc::new(layout);
        self.bytes += memory(specifiers.len());
        // One of the same fields may lie there, dead.
        if self.by_shape.insert(shape, Arc::downgrade(&layout)).is_some() {
            self.bytes -= memory(specifiers.len());
        }
        Ok(layout)
    }

    /// Forgets layouts that no session has any more.
    pub fn sweep(&mut self) {
        let bytes = &mut self.bytes;
        self.by_shape.retain(|shape, layout| {
            let alive = layout.strong_count() > 0;
            *bytes -= if alive { 0 } else { memory(shape.specifiers.len()) };
            alive
        });
        self.sweep = self.by_shape.len() * 2;
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.by_shape.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.by_shape.is_empty()
    }

    /// Bytes that all take, near enough, with the programs outputs make of them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Bytes of a layout of so many fields: the fields, the shape it is found by, and a step each in the programs of two
/// outputs.
pub(super) fn memory(fields: usize) -> usize {
    const LAYOUT: usize = 512;
    const FIELD: usize = size_of::<super::layout::Field>() + 2 * size_of::<super::layout::Row>() + 2 * 96;
    LAYOUT + fields * FIELD
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [Specifier; 2] = [Specifier { pen: 0, id: 8, length: 4 }, Specifier { pen: 0, id: 1, length: 8 }];

    #[test]
    fn equal_templates_share_a_layout_and_dead_ones_go() {
        let mut layouts = Layouts::default();
        let first = layouts.of(&FIELDS, 0).expect("sound");
        assert!(Arc::ptr_eq(&first, &layouts.of(&FIELDS, 0).expect("sound")));
        assert_ne!(layouts.of(&FIELDS, 1).expect("sound").number, first.number);
        for id in 0..5000 {
            layouts.of(&[Specifier { pen: 9, id, length: 4 }], 0).expect("sound");
        }
        assert!(layouts.len() <= 2048, "{}", layouts.len());
        assert!(Arc::ptr_eq(&first, &layouts.of(&FIELDS, 0).expect("sound")));
    }

    #[test]
    fn a_template_takes_the_place_of_the_one_before_and_grows_old() {
        let mut layouts = Layouts::default();
        let (one, other) = (layouts.of(&FIELDS, 0).expect("sound"), layouts.of(&FIELDS[..1], 0).expect("sound"));
        let mut templates = Templates::default();
        assert!(templates.insert(256, one, Nanos(10)));
        assert!(templates.insert(256, Arc::clone(&other), Nanos(20)));
        assert_eq!(templates.find(256, Nanos(25), 5), Some(Arc::clone(&other)));
        assert_eq!(templates.find(256, Nanos(1000), 0), Some(other));
        assert_eq!(templates.find(256, Nanos(26), 5), None);
        assert!(templates.is_empty() && !templates.remove(256));
    }

    #[test]
    fn ids_are_bounded() {
        let mut layouts = Layouts::default();
        let layout = layouts.of(&FIELDS, 0).expect("sound");
        let mut templates = Templates::default();
        let taken = (256..=u16::MAX).filter(|&id| templates.insert(id, Arc::clone(&layout), Nanos(0))).count();
        assert_eq!(taken, MAX_TEMPLATES);
        assert!(templates.insert(256, layout, Nanos(1)), "known ids are refreshed");
        assert_eq!(templates.remove_all(true), 0);
        assert_eq!(templates.remove_all(false), MAX_TEMPLATES);
    }
}
