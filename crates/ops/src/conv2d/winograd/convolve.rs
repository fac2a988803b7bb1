//! Forward and backward-data: blocks of tiles are transformed, multiplied point by point and transformed
//! back.
//!
//! The kernel is transformed part by part. If there are several parts, the transformed tiles are kept
//! for all of them; otherwise each block transforms its own, which then never leave the cache.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use rayon::prelude::*;

use super::super::finish::Around;
use super::super::packed::lanes;
use super::POINTS;
use super::gemm::Product;
use super::grid::Grid;
use super::kept::{Kept, Role, cut, nth_part};
use super::memory::{KEPT_LEN, Planes, aligned};
use super::outputs::{Outputs, Target};
use super::tiles::Tiles;
use super::weights::{Taps, Weights};
use crate::simd::{Simd, Work, dispatch};

/// Numbers that the transformed inputs of one block of tiles, and its products, may take each: together
/// half of a typical second-level cache of 1 MiB.
const BLOCK: usize = 1 << 16;

/// Least tiles of a block: with fewer, reading the weights would take longer than the arithmetic.
const LEAST_TILES: usize = 30;

/// Most tiles of a block.
const MOST_TILES: usize = 56;

/// Channels of the images read that are summed at a time: of a block's tiles at one point they stay in a first-level cache of
/// 32 KiB while all outputs pass.
const MOST_DEPTH: usize = 128;

/// Numbers of the part of the transformed kernel that is used at a time: 5 MiB, a fraction of a typical
/// third-level cache, and enough for 256 outputs.
const WEIGHTS_LEN: usize = 5 << 18;

/// Outputs computed at a time at least, a pair of the widest vectors.
const LEAST_OUTPUTS: usize = 32;

thread_local! {
    /// Memory of the transformed kernel and the kept tiles, taken while it is in use: a thread that waits
    /// may start another convolution.
    static MEMORY: Cell<[Vec<f32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
    /// Scratch memory of a thread, kept between calls: fresh pages cost as much as the arithmetic.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Returns the convolution of the images read, `[B, H, W, depth]`, as those written, `[B, H', W', outputs]`.
pub(super) fn convolve(
    grid: &Grid,
    source: &[f32],
    taps: &Taps<'_>,
    around: Around<'_>,
) -> Vec<f32> {
    assert!(taps.depth > 0, "there is something to sum");
    // Not filled with zeros: that would be one more pass over memory.
    let mut target = Vec::with_capacity(grid.target_pixels() * taps.outputs);
    let images = Images {
        grid,
        source,
        channels: taps.depth,
        around,
        target: Target(target.as_mut_ptr()),
        outputs: taps.outputs,
    };
    let [mut of_weights, mut of_tiles] = MEMORY.take();
    for depth in cut(0..taps.depth, MOST_DEPTH) {
        let most = (WEIGHTS_LEN / (POINTS * depth.len()) / LEAST_OUTPUTS).max(1);
        let parts: Vec<_> = cut(0..taps.outputs.div_ceil(LEAST_OUTPUTS), most).collect();
        let keeps = parts.len() > 1;
        let most_tiles = if keeps { KEPT_LEN / (POINTS * depth.len()) } else { grid.count() };
        for tiles in cut(0..grid.count(), most_tiles.max(1)) {
            let tiles = images.tiles(tiles, depth.clone());
            let least = if keeps { MOST_TILES } else { LEAST_TILES };
            let blocks = block_count(tiles.range.len(), depth.len(), least);
            let kept = keeps.then(|| Kept::new(Role::Input, &tiles, blocks, &mut of_tiles));
            for part in &parts {
                let end = taps.outputs.min(part.end * LEAST_OUTPUTS);
                let outputs = part.start * LEAST_OUTPUTS..end;
                let weights = Weights::new(taps, outputs, depth.clone(), &mut of_weights);
                add_part(&images, &weights, (tiles.range.clone(), blocks), kept.as_ref());
            }
        }
    }
    MEMORY.set([of_weights, of_tiles]);
    // SAFETY: there is room for so many, and the first part of the depth has written every number: each
    // pixel belongs to a tile, and each output to a part of the kernel.
    unsafe { target.set_len(grid.target_pixels() * taps.outputs) };
    target
}

/// The images read and written.
struct Images<'a> {
    grid: &'a Grid,
    source: &'a [f32],
    /// Channels of the images read.
    channels: usize,
    around: Around<'a>,
    target: Target,
    /// Channels of the images written.
    outputs: usize,
}

impl Images<'_> {
    fn tiles(&self, range: Range<usize>, channels: Range<usize>) -> Tiles<'_> {
        let (grid, values, all_channels) = (self.grid, self.source, self.channels);
        let reading = self.around.reading;
        Tiles { grid, range, values, all_channels, channels, zeros: &[], reading }
    }
}

/// Adds the share of a part of the kernel to some tiles, which are cut into blocks.
fn add_part(
    images: &Images<'_>,
    weights: &Weights<'_>,
    (tiles, blocks): (Range<usize>, usize),
    kept: Option<&Kept<'_>>,
) {
    (0..blocks).into_par_iter().for_each(|block| {
        let tiles = nth_part(tiles.clone(), block, blocks);
        let (depth, lanes) = (weights.depth.len(), weights.planes.lanes);
        let planes =
            kept.map_or_else(|| Planes::new(depth, tiles.len(), lanes), |kept| kept.planes);
        let vectors = (BLOCK / (POINTS * tiles.len() * lanes)).max(2) & !1;
        let vectors = vectors.min(weights.vectors());
        let products = Planes { blocks: vectors, rows: tiles.len(), lanes };
        SCRATCH.with_borrow_mut(|scratch| {
            let own = if kept.is_some() { 0 } else { planes.len() };
            let scratch = aligned(scratch, products.len() + own + depth);
            let (sums, scratch) = scratch.split_at_mut(products.len());
            let (transformed, zeros) = scratch.split_at_mut(own);
            zeros.fill(0.0);
            let inputs = match kept {
                Some(kept) => Inputs::Kept(kept, block),
                None => Inputs::Own { transformed, zeros },
            };
            dispatch(Block { images, weights, tiles, inputs, planes, products, sums });
        });
    });
}

/// Blocks that tiles are cut into; where they are cut changes no number.
fn block_count(tiles: usize, depth: usize, least: usize) -> usize {
    let fitting = BLOCK / (POINTS * depth.next_multiple_of(lanes()));
    let blocks = tiles.div_ceil(fitting.clamp(least, MOST_TILES));
    blocks.next_multiple_of(rayon::current_num_threads()).min(tiles)
}

/// Transformed inputs.
enum Inputs<'a> {
    /// A block of those that were kept.
    Kept(&'a Kept<'a>, usize),
    /// Memory for the block's own, and a pixel outside the image.
    Own { transformed: &'a mut [f32], zeros: &'a [f32] },
}

/// Convolves some tiles with a part of the kernel.
struct Block<'a> {
    images: &'a Images<'a>,
    weights: &'a Weights<'a>,
    tiles: Range<usize>,
    /// `V`
    inputs: Inputs<'a>,
    planes: Planes,
    products: Planes,
    /// `M` for some of the outputs.
    sums: &'a mut [f32],
}

impl Work for Block<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let weights = self.weights;
        assert_eq!(weights.planes.lanes, S::LANES, "kernels are packed for the unit that runs");
        if let Inputs::Own { transformed, zeros } = &mut self.inputs {
            let tiles = self.images.tiles(self.tiles.clone(), weights.depth.clone());
            Tiles { zeros, ..tiles }.transform_inputs::<S>(self.planes, transformed);
        }
        for first in (0..weights.vectors()).step_by(self.products.blocks) {
            let vectors = first..weights.vectors().min(first + self.products.blocks);
            self.multiply::<S>(vectors.clone());
            let start = weights.outputs.start;
            let end = weights.outputs.end.min(start + vectors.end * S::LANES);
            let outputs = Outputs {
                grid: self.images.grid,
                target: self.images.target,
                channels: self.images.outputs,
                tiles: self.tiles.clone(),
                range: start + vectors.start * S::LANES..end,
                adds: weights.depth.start > 0,
                finish: if weights.depth.end == self.images.channels {
                    self.images.around.finish
                } else {
                    None
                },
            };
            // SAFETY: `Work::run` runs where the unit exists; the planes were made for these tiles and
            // outputs, and `convolve` has made room for all of the grid's pixels.
            unsafe { outputs.write::<S>(self.products, self.sums) };
        }
    }
}

impl Block<'_> {
    /// Multiplies every point, for a range of the vectors of outputs.
    #[inline(always)]
    fn multiply<S: Simd>(&mut self, vectors: Range<usize>) {
        let planes = self.weights.planes;
        let kernels =
            &self.weights.values[vectors.start * planes.len()..vectors.end * planes.len()];
        for point in 0..POINTS {
            let inputs = match &self.inputs {
                Inputs::Kept(kept, block) => kept.point(*block, point),
                Inputs::Own { transformed, .. } => &transformed[point * self.planes.point()..],
            };
            let tiles = self.images.grid.with_point(point, &self.tiles);
            let first = (tiles.start - self.tiles.start) * S::LANES;
            let product = Product {
                tiles: tiles.len(),
                depth: planes.rows,
                vectors: vectors.len(),
                inputs: inputs[first..].as_ptr(),
                input_step: self.planes.block(),
                weights: kernels[point * planes.point()..].as_ptr(),
                weight_step: planes.len(),
                sums: self.sums[point * self.products.point() + first..].as_mut_ptr(),
                sum_step: self.products.block(),
            };
            // SAFETY: `Work::run` runs where the unit exists; the planes of inputs, weights and sums
            // hold every number of the point.
            unsafe { product.compute::<S>() };
        }
    }
}
