//! Kernels transformed for the points, `U = G g Gᵀ`.

use std::ops::Range;

use rayon::prelude::*;

use super::super::Dims;
use super::super::packed::lanes;
use super::memory::{Planes, aligned};
use super::transforms::{Kernel, both_sides};
use super::{POINT_SIDE, TAPS};
use crate::simd::{MOST_LANES, Simd, Work, dispatch};

/// A kernel as the images read and written see it.
#[derive(Clone, Copy)]
pub(super) struct Taps<'a> {
    kernel: &'a [f32],
    /// Channels of the kernel, the distance of its taps.
    channels: usize,
    /// The channels of the images read.
    pub(super) depth: usize,
    /// The channels of the images written.
    pub(super) outputs: usize,
    /// Whether inputs and outputs are exchanged and the kernel is turned by 180°.
    turned: bool,
}

impl<'a> Taps<'a> {
    /// The kernel of the forward pass.
    pub(super) fn forward(kernel: &'a [f32], dims: &Dims) -> Self {
        let (depth, outputs) = (dims.channels, dims.outputs);
        Self { kernel, channels: dims.channels, depth, outputs, turned: false }
    }

    /// The kernel of the backward pass.
    pub(super) fn backward(kernel: &'a [f32], dims: &Dims) -> Self {
        let (depth, outputs) = (dims.outputs, dims.channels);
        Self { kernel, channels: dims.channels, depth, outputs, turned: true }
    }

    /// Copies the weights of some outputs (at most a vector) and depths to `[depth][tap][output]`.
    ///
    /// Runs along what is adjacent in memory: kernels are so large that every other way leaves the cache.
    #[inline(always)]
    fn gather(&self, outputs: Range<usize>, depths: Range<usize>, to: &mut [Gathered]) {
        let row = |outer: usize, tap: usize| &self.kernel[(outer * TAPS + tap) * self.channels..];
        if self.turned {
            for (d, to) in depths.zip(to) {
                for (tap, to) in to.iter_mut().rev().enumerate() {
                    copy(&row(d, tap)[outputs.clone()], to);
                }
            }
        } else {
            let mut square = [[0.0; MOST_LANES]; MOST_LANES];
            for tap in 0..TAPS {
                for (square, k) in square.iter_mut().zip(outputs.clone()) {
                    copy(&row(k, tap)[depths.clone()], square);
                }
                let transposed = transpose(square);
                to.iter_mut().zip(&transposed).for_each(|(to, weights)| to[tap] = *weights);
            }
        }
    }
}

/// Copies at most a vector.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32; MOST_LANES]) {
    match from.as_array() {
        // Of known length: a load and a store, not a call.
        Some(from) => *to = *from,
        None => to[..from.len()].copy_from_slice(from),
    }
}

/// Rows of numbers, as many as each has.
type Square = [[f32; MOST_LANES]; MOST_LANES];

/// Exchanges rows and columns.
///
/// Interleaving the halves of a list rotates the bits of each number's index by one. The upper four bits of
/// an index here are its row and the lower four its column: four rotations exchange them, and each is
/// a few instructions that shuffle whole vectors.
#[inline(always)]
fn transpose(mut square: Square) -> Square {
    const { assert!(MOST_LANES == 1 << 4) };
    let mut rotated = [[0.0; MOST_LANES]; MOST_LANES];
    for _ in 0..2 {
        interleave(&square, &mut rotated);
        interleave(&rotated, &mut square);
    }
    square
}

/// Writes the numbers of the first and the second half in turn.
#[inline(always)]
fn interleave(from: &Square, to: &mut Square) {
    let (first, second) = from.split_at(MOST_LANES / 2);
    let halves = first.as_flattened().iter().zip(second.as_flattened());
    for (pair, (a, b)) in to.as_flattened_mut().chunks_exact_mut(2).zip(halves) {
        (pair[0], pair[1]) = (*a, *b);
    }
}

/// The taps of one depth for a vector of outputs.
type Gathered = [[f32; MOST_LANES]; TAPS];

/// A part of a transformed kernel: for every vector of outputs `[36, depth, lanes]`, zero-padded.
pub(super) struct Weights<'a> {
    pub(super) values: &'a [f32],
    /// The channels of the images read that this part sums.
    pub(super) depth: Range<usize>,
    /// The channels of the images written.
    pub(super) outputs: Range<usize>,
    /// Layout of one vector of outputs.
    pub(super) planes: Planes,
}

impl<'a> Weights<'a> {
    /// Transforms a part of a kernel.
    pub(super) fn new(
        taps: &Taps<'_>,
        outputs: Range<usize>,
        depth: Range<usize>,
        memory: &'a mut Vec<f32>,
    ) -> Self {
        let lanes = lanes();
        let planes = Planes { blocks: 1, rows: depth.len(), lanes };
        let values = aligned(memory, outputs.len().div_ceil(lanes) * planes.len());
        values.par_chunks_mut(planes.len()).enumerate().for_each(|(block, values)| {
            let first = outputs.start + block * lanes;
            let outputs = first..outputs.end.min(first + lanes);
            dispatch(Block { taps, outputs, depth: depth.clone(), planes, values });
        });
        Self { values, depth, outputs, planes }
    }

    /// Vectors of outputs.
    pub(super) fn vectors(&self) -> usize {
        self.outputs.len().div_ceil(self.planes.lanes)
    }
}

/// Transforms the kernels of one vector of outputs.
struct Block<'a> {
    taps: &'a Taps<'a>,
    outputs: Range<usize>,
    depth: Range<usize>,
    planes: Planes,
    values: &'a mut [f32],
}

/// Depths gathered before they are transformed: loads that wait for memory overlap only with others like
/// them.
const GATHERED: usize = MOST_LANES;

impl Work for Block<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        assert_eq!(self.planes.lanes, S::LANES, "kernels are packed for the unit that runs");
        assert_eq!(self.values.len(), self.planes.len(), "there is room for every point");
        let mut gathered = [[[0.0; MOST_LANES]; TAPS]; GATHERED];
        for first in (0..self.planes.rows).step_by(GATHERED) {
            let rows = (self.planes.rows - first).min(GATHERED);
            let depth = self.depth.start + first..self.depth.start + first + rows;
            self.taps.gather(self.outputs.clone(), depth, &mut gathered[..rows]);
            for (d, taps) in gathered[..rows].iter().enumerate() {
                // SAFETY: `Work::run` runs where the unit exists; `taps` holds its vectors, and the
                // planes hold a vector for every point and row.
                unsafe {
                    let target = self.values.as_mut_ptr().add((first + d) * S::LANES);
                    both_sides::<S, Kernel, Kernel>(
                        #[inline(always)]
                        |i, j| S::load(taps[i * 3 + j].as_ptr()),
                        #[inline(always)]
                        |i, j, vector| {
                            let point = (i * POINT_SIDE + j) * self.planes.point();
                            S::store(target.add(point), vector);
                        },
                    );
                }
            }
        }
    }
}
