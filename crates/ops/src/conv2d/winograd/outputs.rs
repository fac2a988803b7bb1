//! From the sums of the points to the images written.

use std::ops::Range;

use super::super::finish::{self, Finish};
use super::grid::{Grid, Pixels, Tile};
use super::memory::Planes;
use super::transforms::{HalfOutput, Output, Transform, both_sides, point};
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
    /// What is done with the results, if these are the last sums, and where its sums go.
    pub(super) finish: Option<(&'a Finish<'a>, Option<finish::Target>)>,
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
            let tile = self.grid.tile(tile);
            let source = (&sums[t * S::LANES..], planes);
            // SAFETY: by the contract of this function.
            unsafe {
                match tile.halves {
                    [false, false] => self.write_tile::<S, Output, Output>(tile, source),
                    [false, true] => self.write_tile::<S, Output, HalfOutput>(tile, source),
                    [true, false] => self.write_tile::<S, HalfOutput, Output>(tile, source),
                    [true, true] => self.write_tile::<S, HalfOutput, HalfOutput>(tile, source),
                }
            }
        }
    }

    /// Writes all outputs of a tile: rows by `R`, columns by `C`.
    ///
    /// # Safety
    ///
    /// As [`Self::write`]; the source starts at the tile.
    #[inline(always)]
    unsafe fn write_tile<S: Simd, R: Transform, C: Transform>(
        &self,
        tile: Tile,
        (source, planes): (&[f32], Planes),
    ) {
        let pixels = self.grid.written(tile);
        for (vector, first) in self.range.clone().step_by(S::LANES).enumerate() {
            let source = (&source[vector * planes.block()..], planes.point());
            let channels = (first, self.count::<S>(first));
            // SAFETY: by the contract of this function.
            unsafe {
                let Some((finish, target)) = self.finish else {
                    self.write_vector::<S, R, C>(
                        source,
                        &pixels,
                        first,
                        #[inline(always)]
                        |_, y| y,
                    );
                    continue;
                };
                let mut results =
                    finish::Tile::<S>::new(finish, tile.image, self.channels, channels);
                self.write_vector::<S, R, C>(
                    source,
                    &pixels,
                    first,
                    #[inline(always)]
                    |pixel, y| results.pixel(pixel, y),
                );
                results.write(target, tile.unit);
            }
        }
    }

    /// Channels computed in the vector from `first` on.
    fn count<S: Simd>(&self, first: usize) -> usize {
        (self.range.end - first).min(S::LANES)
    }

    /// Writes one vector of a tile as `take` makes it of a pixel and its results.
    ///
    /// # Safety
    ///
    /// As [`Self::write`]; the source holds a vector at each of the points, a step apart.
    #[inline(always)]
    unsafe fn write_vector<S: Simd, R: Transform, C: Transform>(
        &self,
        (source, step): (&[f32], usize),
        pixels: &Pixels<OUTPUT_SIDE>,
        first: usize,
        mut take: impl FnMut(usize, S::Vector) -> S::Vector,
    ) {
        let count = self.count::<S>(first);
        // SAFETY: by the contract of this function.
        unsafe {
            both_sides::<S, R, C>(
                #[inline(always)]
                |i, j| {
                    let point = point(i, R::FROM) * POINT_SIDE + point(j, C::FROM);
                    S::load(source.as_ptr().add(point * step))
                },
                #[inline(always)]
                |i, j, mut y| {
                    let Some(pixel) = pixels.at(i, j) else { return };
                    let target = self.target.0.add(pixel * self.channels + first);
                    if self.adds {
                        let old = if count == S::LANES {
                            S::load(target)
                        } else {
                            S::load_first(target, count)
                        };
                        y = S::add(y, old);
                    }
                    y = take(pixel, y);
                    if count == S::LANES {
                        S::store(target, y);
                    } else {
                        S::store_first(target, y, count);
                    }
                },
            );
        }
    }
}
