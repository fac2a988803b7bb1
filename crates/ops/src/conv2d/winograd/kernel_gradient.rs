//! Backward-weight: inputs and gradients are transformed, multiplied point by point, summed over the
//! tiles, and the sums are transformed back.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use rayon::prelude::*;

use super::super::Dims;
use super::super::finish::Reading;
use super::super::packed::lanes;
use super::grid::Grid;
use super::kept::{Kept, Role, cut, nth_part};
use super::memory::{KEPT_LEN, Planes, aligned};
use super::outer::OuterProduct;
use super::tiles::Tiles;
use super::transforms::{KernelGradient, both_sides};
use super::{POINT_SIDE, POINTS, TAPS};
use crate::fill::fill;
use crate::simd::{Simd, Work, dispatch};

/// Most outputs and most channels of one task.
const RANGE: usize = 128;

/// The same where the transformed tiles are kept: its sums then stay in a second-level cache.
const KEPT_RANGE: usize = 64;

/// Tiles transformed at a time.
const BLOCK_TILES: usize = 64;

/// The same where a task's sums stay in a second-level cache, and its transformed tiles are to do so too.
const SMALL_BLOCK_TILES: usize = 32;

/// Most sums of a task, at all points, that stay there.
const SMALL_SUMS: usize = 1 << 16;

/// Tasks that there are at least, if there are tiles enough: their sums are added in a fixed order, so
/// their number must not depend on that of the threads.
const LEAST_TASKS: usize = 16;

thread_local! {
    /// Memory of the kept tiles, taken while it is in use: a thread that waits may start another
    /// convolution.
    static MEMORY: Cell<[Vec<f32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
    /// Scratch memory of a thread, kept between calls: fresh pages cost as much as the arithmetic.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Eq. (W2).
///
/// With many channels, all tasks read the same transformed tiles; with few, each transforms its own.
pub(super) fn backward_kernel(
    gradient: &[f32],
    input: &[f32],
    dims: &Dims,
    reading: Option<Reading<'_>>,
) -> Vec<f32> {
    let grid = Grid::new(dims, dims.options.padding);
    let images = Images { grid: &grid, gradient, input, reading, dims };
    let (weights, row) = (dims.kernel_shape().elem_count(), TAPS * dims.channels);
    if dims.outputs.max(dims.channels) <= RANGE {
        let shares = images.shares(0..grid.count(), RANGE, None);
        return fill(weights, row, |start, target| shares.add_to(start / row, target));
    }
    let mut kernel_gradient = None;
    let [mut of_inputs, mut of_gradients] = MEMORY.take();
    let most_tiles = KEPT_LEN / (POINTS * (dims.channels + dims.outputs));
    for tiles in cut(0..grid.count(), most_tiles.max(BLOCK_TILES)) {
        let blocks = tiles.len().div_ceil(BLOCK_TILES);
        let [inputs, gradients] = images.tiles(&tiles, 0..dims.channels, 0..dims.outputs, &[]);
        let inputs = Kept::new(Role::Input, &inputs, blocks, &mut of_inputs);
        let gradients = Kept::new(Role::Gradient, &gradients, blocks, &mut of_gradients);
        let kept = Some([inputs, gradients]);
        let shares = images.shares(tiles, KEPT_RANGE, kept);
        let add = |start: usize, target: &mut [f32]| shares.add_to(start / row, target);
        match &mut kernel_gradient {
            None => kernel_gradient = Some(fill(weights, row, add)),
            Some(sums) => {
                let rows = sums.par_chunks_mut(row).enumerate();
                rows.for_each(|(k, target)| add(k * row, target));
            }
        }
    }
    MEMORY.set([of_inputs, of_gradients]);
    kernel_gradient.unwrap_or_else(|| vec![0.0; weights])
}

/// What the convolution read, and the gradient with respect to what it wrote.
struct Images<'a> {
    grid: &'a Grid,
    gradient: &'a [f32],
    input: &'a [f32],
    reading: Option<Reading<'a>>,
    dims: &'a Dims,
}

impl<'a> Images<'a> {
    /// Inputs and gradients of some tiles.
    fn tiles(
        &self,
        tiles: &Range<usize>,
        channels: Range<usize>,
        outputs: Range<usize>,
        zeros: &'a [f32],
    ) -> [Tiles<'a>; 2] {
        let Self { grid, gradient, input, reading, dims } = *self;
        let range = tiles.clone();
        let all_channels = dims.channels;
        let gradients = Tiles {
            grid,
            range: range.clone(),
            values: gradient,
            all_channels: dims.outputs,
            channels: outputs,
            zeros,
            reading: None,
        };
        [Tiles { grid, range, values: input, all_channels, channels, zeros, reading }, gradients]
    }

    /// Tiles that a task transforms at a time.
    fn block_tiles(&self) -> usize {
        let sums = POINTS * self.dims.channels * self.dims.outputs;
        if sums <= SMALL_SUMS { SMALL_BLOCK_TILES } else { BLOCK_TILES }
    }

    /// The share of some tiles, task by task.
    fn shares(&self, tiles: Range<usize>, range: usize, kept: Option<[Kept<'_>; 2]>) -> Shares {
        let all_channels = self.dims.channels;
        let output_ranges: Vec<_> = ranges(self.dims.outputs, range).collect();
        let channel_ranges: Vec<_> = ranges(all_channels, range).collect();
        let blocks = output_ranges.len() * channel_ranges.len();
        let parts = match kept {
            Some(_) => 1,
            None => LEAST_TASKS.div_ceil(blocks).min(tiles.len().div_ceil(self.block_tiles())),
        };
        let sums = (0..blocks * parts)
            .into_par_iter()
            .map(|task| {
                let (block, part) = (task / parts, task % parts);
                let outputs = output_ranges[block / channel_ranges.len()].clone();
                let channels = channel_ranges[block % channel_ranges.len()].clone();
                let tiles = nth_part(tiles.clone(), part, parts);
                Task { images: self, kept, outputs, channels, tiles }.kernel_gradient()
            })
            .collect();
        Shares { sums, parts, range, channel_ranges, all_channels }
    }
}

/// The sums of all tasks, which together are the gradient of the kernel.
struct Shares {
    /// Of every block of outputs and channels, `parts` sums.
    sums: Vec<Vec<f32>>,
    parts: usize,
    /// Outputs of a block.
    range: usize,
    channel_ranges: Vec<Range<usize>>,
    all_channels: usize,
}

impl Shares {
    /// Adds the sums of output `k` to its gradient, `[9, channels]`.
    fn add_to(&self, k: usize, target: &mut [f32]) {
        for (channel_range, channels) in self.channel_ranges.iter().enumerate() {
            let block = k / self.range * self.channel_ranges.len() + channel_range;
            let row = TAPS * channels.len();
            for sums in &self.sums[block * self.parts..(block + 1) * self.parts] {
                let taps = sums[k % self.range * row..][..row].chunks_exact(channels.len());
                for (target, sums) in target.chunks_exact_mut(self.all_channels).zip(taps) {
                    let target = &mut target[channels.clone()];
                    target.iter_mut().zip(sums).for_each(|(w, sum)| *w += sum);
                }
            }
        }
    }
}

/// Cuts `0..size` into ranges of `range`, the last one shorter.
fn ranges(size: usize, range: usize) -> impl Iterator<Item = Range<usize>> {
    (0..size).step_by(range).map(move |first| first..size.min(first + range))
}

/// One share of the sum over tiles, for some outputs and channels.
struct Task<'a> {
    images: &'a Images<'a>,
    /// Transformed inputs and gradients of all channels and outputs.
    kept: Option<[Kept<'a>; 2]>,
    outputs: Range<usize>,
    channels: Range<usize>,
    tiles: Range<usize>,
}

impl Task<'_> {
    /// The sums, `[outputs, 9, channels]`.
    fn kernel_gradient(&self) -> Vec<f32> {
        let lanes = lanes();
        let tiles = self.images.block_tiles().min(self.tiles.len());
        let tiles = if self.kept.is_some() { 0 } else { tiles };
        let inputs = Planes::new(self.channels.len(), tiles, lanes);
        let gradients = Planes::new(self.outputs.len(), tiles, lanes);
        let products = Planes { blocks: inputs.blocks, rows: gradients.blocks * lanes, lanes };
        let len = self.outputs.len() * TAPS * self.channels.len();
        // Not filled with zeros: that would be one more pass over memory.
        let mut result = Vec::with_capacity(len);
        SCRATCH.with_borrow_mut(|scratch| {
            let needed = products.len() + inputs.len() + gradients.len() + RANGE;
            let (sums, scratch) = aligned(scratch, needed).split_at_mut(products.len());
            let (transformed, scratch) = scratch.split_at_mut(inputs.len());
            let (transformed_gradients, zeros) = scratch.split_at_mut(gradients.len());
            zeros.fill(0.0);
            let (channels, outputs) = (self.channels.clone(), self.outputs.clone());
            let [input, gradient] = self.images.tiles(&self.tiles, channels, outputs, zeros);
            dispatch(Sum {
                kept: self.kept,
                input,
                inputs,
                transformed,
                gradient,
                gradients,
                transformed_gradients,
                products,
                sums,
                result: result.as_mut_ptr(),
            });
        });
        // SAFETY: there is room for so many, and the sums of all outputs and channels were transformed.
        unsafe { result.set_len(len) };
        result
    }
}

/// The work of one task.
struct Sum<'a> {
    kept: Option<[Kept<'a>; 2]>,
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
    /// Room for `[outputs, 9, channels]`.
    result: *mut f32,
}

impl Work for Sum<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        assert_eq!(self.products.lanes, S::LANES, "memory is laid out for the unit that runs");
        match self.kept {
            Some(kept) => self.add_kept::<S>(kept),
            None => self.add_own::<S>(),
        }
        self.transform_sums::<S>();
    }
}

impl Sum<'_> {
    /// Adds the products of the tiles that this task transforms itself.
    #[inline(always)]
    fn add_own<S: Simd>(&mut self) {
        let all = self.input.range.clone();
        for first in all.clone().step_by(self.inputs.rows) {
            let tiles = first..all.end.min(first + self.inputs.rows);
            self.input.range = tiles.clone();
            self.gradient.range = tiles.clone();
            self.input.transform_inputs::<S>(self.inputs, self.transformed);
            self.gradient.transform_gradients::<S>(self.gradients, self.transformed_gradients);
            for point in 0..POINTS {
                let with_point = self.input.grid.with_point(point, &tiles);
                let first = (with_point.start - tiles.start) * S::LANES;
                let gradients = &self.transformed_gradients[point * self.gradients.point()..];
                let product = OuterProduct {
                    tiles: with_point.len(),
                    outputs: self.products.rows,
                    vectors: self.products.blocks,
                    gradients: &gradients[first..],
                    gradient_step: self.gradients.block(),
                    inputs: &self.transformed[point * self.inputs.point() + first..],
                    input_step: self.inputs.block(),
                    adds: tiles.start > all.start,
                };
                let sums = &mut self.sums[point * self.products.point()..];
                // SAFETY: `Work::run` runs where the unit exists, and the slices hold the planes' points.
                unsafe { product.compute::<S>(sums) };
            }
        }
    }

    /// Adds the products of the tiles that were kept.
    #[inline(always)]
    fn add_kept<S: Simd>(&mut self, [inputs, gradients]: [Kept<'_>; 2]) {
        let all = self.input.range.clone();
        let blocks = all.len().div_ceil(inputs.planes.rows);
        let input_step = inputs.planes.block();
        let gradient_step = gradients.planes.block();
        let first_input = self.input.channels.start / S::LANES * input_step;
        let first_gradient = self.gradient.channels.start / S::LANES * gradient_step;
        for point in 0..POINTS {
            let sums = &mut self.sums[point * self.products.point()..];
            for block in 0..blocks {
                let tiles = nth_part(all.clone(), block, blocks);
                let with_point = self.input.grid.with_point(point, &tiles);
                let first = (with_point.start - tiles.start) * S::LANES;
                let product = OuterProduct {
                    tiles: with_point.len(),
                    outputs: self.products.rows,
                    vectors: self.products.blocks,
                    gradients: &gradients.point(block, point)[first_gradient + first..],
                    gradient_step,
                    inputs: &inputs.point(block, point)[first_input + first..],
                    input_step,
                    adds: block > 0,
                };
                // SAFETY: `Work::run` runs where the unit exists, and the slices hold the planes' points.
                unsafe { product.compute::<S>(sums) };
            }
        }
    }

    #[inline(always)]
    fn transform_sums<S: Simd>(&mut self) {
        let channels = self.input.channels.len();
        for k in 0..self.gradient.channels.len() {
            for first in (0..channels).step_by(S::LANES) {
                let count = (channels - first).min(S::LANES);
                let place = k * self.products.blocks * S::LANES + first;
                // SAFETY: `Work::run` runs where the unit exists; the planes hold this vector at every
                // point, and the result has room for `count` numbers from `first` on at every tap.
                unsafe {
                    let sums = self.sums.as_ptr().add(place);
                    let target = self.result.add(k * TAPS * channels + first);
                    both_sides::<S, KernelGradient, KernelGradient>(
                        #[inline(always)]
                        |i, j| S::load(sums.add((i * POINT_SIDE + j) * self.products.point())),
                        #[inline(always)]
                        |i, j, tap| {
                            S::store_first(target.add((i * 3 + j) * channels), tap, count);
                        },
                    );
                }
            }
        }
    }
}
