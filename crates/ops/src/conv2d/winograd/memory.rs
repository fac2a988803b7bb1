//! Scratch memory and the layout of transformed tiles in it.

use super::POINTS;

/// Numbers that transformed tiles may take that are kept for several products: 32 MiB, and so few in tests
/// that these meet the limit.
pub(super) const KEPT_LEN: usize = if cfg!(test) { 1 << 19 } else { 1 << 23 };

/// Numbers in one cache line.
const LINE: usize = 16;

/// Transformed rows, `[36, blocks, rows, lanes]`: channels in blocks of one vector, so that the rows of
/// one block are adjacent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes {
    pub(super) blocks: usize,
    pub(super) rows: usize,
    pub(super) lanes: usize,
}

impl Planes {
    /// The planes of `rows` rows of `channels` numbers.
    pub(super) fn new(channels: usize, rows: usize, lanes: usize) -> Self {
        Self { blocks: channels.div_ceil(lanes), rows, lanes }
    }

    /// Numbers from one point to the next.
    ///
    /// An odd number of cache lines: the 36 numbers of one place would share few sets of the caches if
    /// a power of two lay between them.
    pub(super) fn point(&self) -> usize {
        ((self.blocks * self.block()).div_ceil(LINE) | 1) * LINE
    }

    /// Numbers from one block of channels to the next.
    pub(super) fn block(&self) -> usize {
        self.rows * self.lanes
    }

    /// Numbers in all.
    pub(super) fn len(&self) -> usize {
        POINTS * self.point()
    }
}

/// The first `len` numbers of `scratch` from the start of a cache line on, grown if need be.
pub(super) fn aligned(scratch: &mut Vec<f32>, len: usize) -> &mut [f32] {
    let needed = len + LINE;
    if scratch.len() < needed {
        // Nothing of the old contents is needed, so nothing is copied.
        *scratch = vec![0.0; needed];
    }
    let start = scratch.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    &mut scratch[start..start + len]
}
