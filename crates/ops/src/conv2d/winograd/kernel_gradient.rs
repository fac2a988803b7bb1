//! Backward-weight: inputs and gradients are transformed, multiplied point by point, summed over the
//! tiles, and the sums are transformed back.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::super::Dims;
use super::super::packed::lanes;
use super::grid::Grid;
use super::memory::{Planes, aligned};
use super::outer::OuterProduct;
use super::tiles::Tiles;
use super::transforms::{KernelGradient, both_sides};
use super::{POINT_SIDE, POINTS, TAPS};
use crate::simd::{Simd, Work, dispatch};

/// Most outputs and most channels of one task.
const RANGE: usize = 128;

/// Tiles transformed at a time.
const BLOCK_TILES: usize = 32;

/// Tasks that there are at least, if there are tiles enough: their sums are added in a fixed order, so
/// their number must not depend on that of the threads.
const LEAST_TASKS: usize = 16;

thread_local! {
    /// Scratch memory of a thread, kept between calls: fresh pages cost as much as the arithmetic.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Eq. (W2).
pub(super) fn backward_kernel(gradient: &[f32], input: &[f32], dims: &Dims) -> Vec<f32> {
    let grid = Grid::new(dims, dims.options.padding);
    let (output_ranges, channel_ranges) = (ranges(dims.outputs), ranges(dims.channels));
    let blocks = output_ranges.len() * channel_ranges.len();
    let parts = LEAST_TASKS.div_ceil(blocks).min(grid.count().div_ceil(BLOCK_TILES));
    let sums: Vec<Vec<f32>> = (0..blocks * parts)
        .into_par_iter()
        .map(|task| {
            let (block, part) = (task / parts, task % parts);
            let outputs = output_ranges[block / channel_ranges.len()].clone();
            let channels = channel_ranges[block % channel_ranges.len()].clone();
            let tiles = grid.count() * part / parts..grid.count() * (part + 1) / parts;
            let task = Task { grid: &grid, dims, outputs, channels, tiles };
            task.kernel_gradient(gradient, input)
        })
        .collect();

    let mut kernel_gradient = vec![0.0; dims.kernel_shape().elem_count()];
    kernel_gradient.par_chunks_mut(TAPS * dims.channels).enumerate().for_each(|(k, target)| {
        for (range, channels) in channel_ranges.iter().enumerate() {
            let block = k / RANGE * channel_ranges.len() + range;
            let row = TAPS * channels.len();
            for sums in &sums[block * parts..(block + 1) * parts] {
                let taps = sums[k % RANGE * row..][..row].chunks_exact(channels.len());
                for (target, sums) in target.chunks_exact_mut(dims.channels).zip(taps) {
                    target[channels.clone()].iter_mut().zip(sums).for_each(|(w, sum)| *w += sum);
                }
            }
        }
    });
    kernel_gradient
}

/// Cuts `0..size` into ranges of [`RANGE`], the last one shorter.
fn ranges(size: usize) -> Vec<Range<usize>> {
    (0..size).step_by(RANGE).map(|first| first..size.min(first + RANGE)).collect()
}

/// One share of the sum over tiles, for some outputs and channels.
struct Task<'a> {
    grid: &'a Grid,
    dims: &'a Dims,
    outputs: Range<usize>,
    channels: Range<usize>,
    tiles: Range<usize>,
}

impl Task<'_> {
    /// The sums, `[outputs, 9, channels]`.
    fn kernel_gradient(&self, gradient: &[f32], input: &[f32]) -> Vec<f32> {
        let lanes = lanes();
        let tiles = BLOCK_TILES.min(self.tiles.len());
        let inputs = Planes::new(self.channels.len(), tiles, lanes);
        let gradients = Planes::new(self.outputs.len(), tiles, lanes);
        let products = Planes { blocks: inputs.blocks, rows: gradients.blocks * lanes, lanes };
        let mut result = vec![0.0; self.outputs.len() * TAPS * self.channels.len()];
        SCRATCH.with_borrow_mut(|scratch| {
            let needed = products.len() + inputs.len() + gradients.len() + RANGE;
            let (sums, scratch) = aligned(scratch, needed).split_at_mut(products.len());
            let (transformed, scratch) = scratch.split_at_mut(inputs.len());
            let (transformed_gradients, zeros) = scratch.split_at_mut(gradients.len());
            sums.fill(0.0);
            zeros.fill(0.0);
            // Lanes past the last output are multiplied, so they must hold numbers.
            transformed_gradients.fill(0.0);
            let tiles = |values, all_channels, channels: &Range<usize>| Tiles {
                grid: self.grid,
                range: self.tiles.clone(),
                values,
                all_channels,
                channels: channels.clone(),
                zeros,
            };
            dispatch(Sum {
                input: tiles(input, self.dims.channels, &self.channels),
                inputs,
                transformed,
                gradient: tiles(gradient, self.dims.outputs, &self.outputs),
                gradients,
                transformed_gradients,
                products,
                sums,
                result: &mut result,
            });
        });
        result
    }
}

/// The work of one task.
struct Sum<'a> {
    input: Tiles<'a>,
    inputs: Planes,
    /// `Bᵀ d B` of some tiles.
    transformed: &'a mut [f32],
    gradient: Tiles<'a>,
    gradients: Planes,
    /// `A ∂L/∂Y Aᵀ` of some tiles.
    transformed_gradients: &'a mut [f32],
    /// A row for every output, padded to vectors.
    products: Planes,
    sums: &'a mut [f32],
    result: &'a mut [f32],
}

impl Work for Sum<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        assert_eq!(self.products.lanes, S::LANES, "memory is laid out for the unit that runs");
        let all = self.input.range.clone();
        for first in all.clone().step_by(self.inputs.rows) {
            let tiles = first..all.end.min(first + self.inputs.rows);
            self.input.range = tiles.clone();
            self.gradient.range = tiles.clone();
            self.input.transform_inputs::<S>(self.inputs, self.transformed);
            self.gradient.transform_gradients::<S>(self.gradients, self.transformed_gradients);
            self.add_products::<S>(tiles.len());
        }
        self.transform_sums::<S>();
    }
}

impl Sum<'_> {
    #[inline(always)]
    fn add_products<S: Simd>(&mut self, tiles: usize) {
        for point in 0..POINTS {
            let gradients = &self.transformed_gradients[point * self.gradients.point()..];
            let inputs = &self.transformed[point * self.inputs.point()..];
            let product = OuterProduct {
                tiles,
                gradients: (gradients.as_ptr(), self.gradients),
                inputs: (inputs.as_ptr(), self.inputs),
                sums: self.sums[point * self.products.point()..].as_mut_ptr(),
            };
            // SAFETY: `Work::run` runs where the unit exists, and the slices hold the planes' points.
            unsafe { product.add::<S>() };
        }
    }

    #[inline(always)]
    fn transform_sums<S: Simd>(&mut self) {
        let channels = self.input.channels.len();
        for (k, result) in self.result.chunks_exact_mut(TAPS * channels).enumerate() {
            for first in (0..channels).step_by(S::LANES) {
                let count = (channels - first).min(S::LANES);
                let place = k * self.products.blocks * S::LANES + first;
                // SAFETY: `Work::run` runs where the unit exists; the planes hold this vector at every
                // point, and the result has `count` numbers from `first` on at every tap.
                unsafe {
                    let sums = self.sums.as_ptr().add(place);
                    let mut x = [[S::zero(); POINT_SIDE]; POINT_SIDE];
                    for point in 0..POINTS {
                        x[point / POINT_SIDE][point % POINT_SIDE] =
                            S::load(sums.add(point * self.products.point()));
                    }
                    let taps = both_sides::<S, KernelGradient, POINT_SIDE, 3>(&x);
                    for tap in 0..TAPS {
                        let target = result.as_mut_ptr().add(tap * channels + first);
                        S::store_first(target, taps[tap / 3][tap % 3], count);
                    }
                }
            }
        }
    }
}
