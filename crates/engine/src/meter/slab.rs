//! Numbered places for one kind of per-flow state.
//!
//! Grows by chunks that never move, so that growing copies nothing and memory follows the flows there are.

/// Places a chunk holds.
const CHUNK: usize = 1 << SHIFT;
const SHIFT: u32 = 15;

/// A growing array in chunks.
#[derive(Debug, Default)]
pub struct Slab<T> {
    chunks: Vec<Box<[T; CHUNK]>>,
}

impl<T: Clone + Default> Slab<T> {
    /// Makes sure that place `i` exists.
    #[inline]
    pub fn reach(&mut self, i: u32) {
        while (i >> SHIFT) as usize >= self.chunks.len() {
            self.grow();
        }
    }

    #[cold]
    fn grow(&mut self) {
        if let Ok(chunk) = vec![T::default(); CHUNK].into_boxed_slice().try_into() {
            self.chunks.push(chunk);
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
