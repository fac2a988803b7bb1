//! From the sums of the points to the images written.

use std::ops::Range;

use super::grid::Grid;
use super::memory::Planes;
use super::transforms::{Output, both_sides};
use super::{OUTPUT_SIDE, POINT_SIDE};
use crate::simd::Simd;

/// The images written, shared by the blocks of tiles.
#[derive(Clone, Copy)]
pub(super) struct Target(pub(super) *mut f32);

// SAFETY: every pixel belongs to one tile and every tile to one block, so no two threads write to the
// same place, and nothing reads before all have finished.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

/// Some outputs of some tiles.
pub(super) struct Outputs<'a> {
    pub(super) grid: &'a Grid,
    /// `[pixels written, channels]`
    pub(super) target: Target,
    /// Channels of the images written.
    pub(super) channels: usize,
    pub(super) tiles: Range<usize>,
    /// The channels that are computed, the first at the start of a vector.
    pub(super) range: Range<usize>,
    /// Whether the sums are added to what is there.
    pub(super) adds: bool,
}

impl Outputs<'_> {
    /// Writes `Aᵀ M A` of every tile; `sums` is laid out as `planes`, a block for each vector of outputs.
    ///
    /// # Safety
    ///
    /// The unit exists, the planes hold the tiles and outputs, and the target all pixels of the grid.
    #[inline(always)]
    pub(super) unsafe fn write<S: Simd>(&self, planes: Planes, sums: &[f32]) {
        for (t, tile) in self.tiles.clone().enumerate() {
            let pixels = self.grid.written(self.grid.tile(tile));
            for (vector, first) in self.range.clone().step_by(S::LANES).enumerate() {
                let source = &sums[vector * planes.block() + t * S::LANES..];
                let count = (self.range.end - first).min(S::LANES);
                // SAFETY: by the contract of this function.
                unsafe {
                    both_sides::<S, Output, POINT_SIDE, OUTPUT_SIDE>(
                        #[inline(always)]
                        |i, j| {
                            let point = i * POINT_SIDE + j;
                            S::load(source.as_ptr().add(point * planes.point()))
                        },
                        #[inline(always)]
                        |i, row| {
                            for (y, pixel) in row.into_iter().zip(pixels[i]) {
                                if let Some(pixel) = pixel {
                                    let target = self.target.0.add(pixel * self.channels + first);
                                    self.store::<S>(target, y, count);
                                }
                            }
                        },
                    );
                }
            }
        }
    }

    /// Writes the first `count` lanes, or adds them to what is there.
    ///
    /// # Safety
    ///
    /// The unit exists and `to` is valid for `count` numbers, at most a vector.
    #[inline(always)]
    unsafe fn store<S: Simd>(&self, to: *mut f32, mut vector: S::Vector, count: usize) {
        // SAFETY: by the contract of this function.
        unsafe {
            if count == S::LANES {
                if self.adds {
                    vector = S::add(vector, S::load(to));
                }
                S::store(to, vector);
            } else {
                if self.adds {
                    vector = S::add(vector, S::load_first(to, count));
                }
                S::store_first(to, vector, count);
            }
        }
    }
}
