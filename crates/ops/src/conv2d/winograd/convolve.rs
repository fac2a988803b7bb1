//! Forward and backward-data: blocks of tiles are transformed, multiplied point by point and transformed
//! back.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use rayon::prelude::*;

use super::gemm::Product;
use super::grid::Grid;
use super::memory::{Planes, aligned};
use super::tiles::Tiles;
use super::transforms::{Output, both_sides};
use super::weights::{Taps, Weights};
use super::{OUTPUT_SIDE, POINT_SIDE, POINTS};
use crate::simd::{Simd, Work, dispatch};

/// Numbers that the transformed inputs of one block of tiles, and its products, may take each: together
/// half of a typical second-level cache of 1 MiB.
const BLOCK: usize = 1 << 16;

/// Least tiles of a block: with fewer, reading the weights would take longer than the arithmetic.
const LEAST_TILES: usize = 28;

/// Most tiles of a block.
const MOST_TILES: usize = 56;

/// Channels of the images read that are summed at a time.
const MOST_DEPTH: usize = 256;

/// Numbers of the part of the transformed kernel that is used at a time: 4 MiB, a fraction of a typical
/// third-level cache.
const WEIGHTS_LEN: usize = 1 << 20;

/// Outputs computed at a time at least, a pair of the widest vectors.
const LEAST_OUTPUTS: usize = 32;

thread_local! {
    /// Memory of the transformed kernel, taken while it is in use: a thread that waits may start another
    /// convolution.
    static WEIGHTS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    /// Scratch memory of a thread, kept between calls: fresh pages cost as much as the arithmetic.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Returns the convolution of the images read, `[B, H, W, depth]`, as those written, `[B, H', W', outputs]`.
pub(super) fn convolve(
    grid: &Grid,
    source: &[f32],
    taps: &Taps<impl Fn(usize, usize, usize) -> f32 + Sync>,
) -> Vec<f32> {
    assert!(taps.depth > 0, "there is something to sum");
    // Not filled with zeros: that would be one more pass over memory.
    let mut target = Vec::with_capacity(grid.target_pixels() * taps.outputs);
    let images = Images {
        grid,
        source,
        channels: taps.depth,
        target: Target(target.as_mut_ptr()),
        outputs: taps.outputs,
    };
    let mut memory = WEIGHTS.take();
    let depths = taps.depth.div_ceil(MOST_DEPTH);
    let cut = |part: usize| taps.depth * part / depths;
    let some = WEIGHTS_LEN / (POINTS * cut(1)) / LEAST_OUTPUTS * LEAST_OUTPUTS;
    for first in (0..taps.outputs).step_by(some.max(LEAST_OUTPUTS)) {
        let outputs = first..taps.outputs.min(first + some.max(LEAST_OUTPUTS));
        for part in 0..depths {
            let depth = cut(part)..cut(part + 1);
            add_part(&images, &Weights::new(taps, outputs.clone(), depth, &mut memory));
        }
    }
    WEIGHTS.set(memory);
    // SAFETY: there is room for so many, and the first part of the depth has written every number: each
    // pixel belongs to a tile, and each output to a part of the kernel.
    unsafe { target.set_len(grid.target_pixels() * taps.outputs) };
    target
}

/// Adds the share of a part of the kernel, block by block of tiles.
fn add_part(images: &Images<'_>, weights: &Weights<'_>) {
    let tiles = images.grid.count();
    let blocks = block_count(tiles, weights);
    (0..blocks).into_par_iter().for_each(|block| {
        let tiles = tiles * block / blocks..tiles * (block + 1) / blocks;
        let inputs = Planes::new(weights.depth.len(), tiles.len(), weights.planes.lanes);
        let vectors = (BLOCK / (POINTS * inputs.block())).max(2) & !1;
        let products = Planes { blocks: vectors.min(weights.vectors()), ..inputs };
        SCRATCH.with_borrow_mut(|scratch| {
            let needed = inputs.len() + products.len() + weights.depth.len();
            let (transformed, scratch) = aligned(scratch, needed).split_at_mut(inputs.len());
            let (sums, zeros) = scratch.split_at_mut(products.len());
            zeros.fill(0.0);
            dispatch(Block { images, weights, tiles, inputs, transformed, products, sums, zeros });
        });
    });
}

/// Blocks that the tiles are cut into; where they are cut changes no number.
fn block_count(tiles: usize, weights: &Weights<'_>) -> usize {
    let fitting = BLOCK / (POINTS * weights.depth.len().next_multiple_of(weights.planes.lanes));
    let blocks = tiles.div_ceil(fitting.clamp(LEAST_TILES, MOST_TILES));
    blocks.next_multiple_of(rayon::current_num_threads()).min(tiles)
}

/// The images read and written.
struct Images<'a> {
    grid: &'a Grid,
    source: &'a [f32],
    /// Channels of the images read.
    channels: usize,
    target: Target,
    /// Channels of the images written.
    outputs: usize,
}

/// The images written, shared by the blocks of tiles.
#[derive(Clone, Copy)]
struct Target(*mut f32);

// SAFETY: every pixel belongs to one tile and every tile to one block, so no two threads write to the
// same place, and nothing reads before all have finished.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

/// Convolves some tiles with a part of the kernel.
struct Block<'a> {
    images: &'a Images<'a>,
    weights: &'a Weights<'a>,
    tiles: Range<usize>,
    inputs: Planes,
    /// `V`
    transformed: &'a mut [f32],
    products: Planes,
    /// `M` for some of the outputs.
    sums: &'a mut [f32],
    /// A pixel outside the image.
    zeros: &'a [f32],
}

impl Work for Block<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let weights = self.weights;
        assert_eq!(weights.planes.lanes, S::LANES, "kernels are packed for the unit that runs");
        let inputs = Tiles {
            grid: self.images.grid,
            range: self.tiles.clone(),
            values: self.images.source,
            all_channels: self.images.channels,
            channels: weights.depth.clone(),
            zeros: self.zeros,
        };
        inputs.transform_inputs::<S>(self.inputs, self.transformed);
        for first in (0..weights.vectors()).step_by(self.products.blocks) {
            let vectors = first..weights.vectors().min(first + self.products.blocks);
            self.multiply::<S>(vectors.clone());
            self.transform_outputs::<S>(vectors);
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
            let product = Product {
                tiles: self.tiles.len(),
                depth: planes.rows,
                vectors: vectors.len(),
                inputs: self.transformed[point * self.inputs.point()..].as_ptr(),
                weights: kernels[point * planes.point()..].as_ptr(),
                weight_step: planes.len(),
                sums: self.sums[point * self.products.point()..].as_mut_ptr(),
            };
            // SAFETY: `Work::run` runs where the unit exists; the planes of inputs, weights and sums
            // hold every number of the point.
            unsafe { product.compute::<S>() };
        }
    }

    #[inline(always)]
    fn transform_outputs<S: Simd>(&mut self, vectors: Range<usize>) {
        let (images, planes) = (self.images, self.products);
        for (t, tile) in self.tiles.clone().enumerate() {
            let pixels = images.grid.written(images.grid.tile(tile));
            for (index, vector) in vectors.clone().enumerate() {
                let source = &self.sums[index * planes.block() + t * S::LANES..];
                let first = self.weights.outputs.start + vector * S::LANES;
                let count = (self.weights.outputs.end - first).min(S::LANES);
                // SAFETY: `Work::run` runs where the unit exists; the planes hold this vector at every
                // point, and `convolve` has made room for all of the grid's pixels.
                unsafe {
                    let mut m = [[S::zero(); POINT_SIDE]; POINT_SIDE];
                    for point in 0..POINTS {
                        m[point / POINT_SIDE][point % POINT_SIDE] =
                            S::load(source.as_ptr().add(point * planes.point()));
                    }
                    let y = both_sides::<S, Output, POINT_SIDE, OUTPUT_SIDE>(&m);
                    for (y, pixels) in y.iter().zip(&pixels) {
                        for (&y, pixel) in y.iter().zip(pixels) {
                            if let Some(pixel) = pixel {
                                let target = images.target.0.add(pixel * images.outputs + first);
                                self.store::<S>(target, y, count);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Writes the first `count` lanes, or adds them to what an earlier part of the kernel gave.
    ///
    /// # Safety
    ///
    /// The unit exists and `to` is valid for `count` numbers, at most a vector.
    #[inline(always)]
    unsafe fn store<S: Simd>(&self, to: *mut f32, mut vector: S::Vector, count: usize) {
        let adds = self.weights.depth.start > 0;
        // SAFETY: by the contract of this function.
        unsafe {
            if count == S::LANES {
                if adds {
                    vector = S::add(vector, S::load(to));
                }
                S::store(to, vector);
            } else {
                if adds {
                    vector = S::add(vector, S::load_first(to, count));
                }
                S::store_first(to, vector, count);
            }
        }
    }
}
