//! Numbered places for one kind of per-flow state.
//!
//! Grows by chunks that never move, so that growing copies nothing, and place by place within a chunk, so that memory
//! follows the flows there are.

/// Places a chunk holds.
const CHUNK: usize = 1 << SHIFT;
const SHIFT: u32 = 15;

/// A growing array in chunks.
#[derive(Debug, Default)]
pub struct Slab<T> {
    chunks: Vec<Vec<T>>,
    len: usize,
}

impl<T: Default> Slab<T> {
    /// Makes sure that place `i` exists.
    #[inline]
    pub fn reach(&mut self, i: u32) {
        while self.len <= i as usize {
            self.grow();
        }
    }

    #[inline]
    fn grow(&mut self) {
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(T::default());
            self.len += 1;
        }
    }

    /// The state at place `i`, which must have been reached.
    #[inline]
    pub fn at(&self, i: u32) -> &T {
        &self.chunks[(i >> SHIFT) as usize][i as usize % CHUNK]
    }

    /// The state at place `i`, to be changed.
    #[inline]
    pub fn at_mut(&mut self, i: u32) -> &mut T {
        &mut self.chunks[(i >> SHIFT) as usize][i as usize % CHUNK]
    }

    /// Bytes taken.
    pub fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>()
    }
}
