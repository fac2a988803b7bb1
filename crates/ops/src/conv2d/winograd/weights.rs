//! Kernels transformed for the points, `U = G g Gᵀ`.

use std::ops::Range;

use rayon::prelude::*;

use super::super::Dims;
use super::super::packed::lanes;
use super::memory::{Planes, aligned};
use super::transforms::{Kernel, both_sides};
use super::{POINT_SIDE, POINTS, TAPS};
use crate::simd::{MOST_LANES, Simd, Work, dispatch};

/// A kernel as the images read and written see it.
pub(super) struct Taps<W> {
    /// The channels of the images read.
    pub(super) depth: usize,
    /// The channels of the images written.
    pub(super) outputs: usize,
    /// The weight of an output, a tap and a channel.
    pub(super) weight: W,
}

/// The kernel of the forward pass.
pub(super) fn forward<'a>(
    kernel: &'a [f32],
    dims: &Dims,
) -> Taps<impl Fn(usize, usize, usize) -> f32 + Sync + 'a> {
    let channels = dims.channels;
    let weight = move |k: usize, tap: usize, c: usize| kernel[(k * TAPS + tap) * channels + c];
    Taps { depth: channels, outputs: dims.outputs, weight }
}

/// The kernel of the backward pass: turned by 180°, inputs and outputs exchanged.
pub(super) fn backward<'a>(
    kernel: &'a [f32],
    dims: &Dims,
) -> Taps<impl Fn(usize, usize, usize) -> f32 + Sync + 'a> {
    let channels = dims.channels;
    let weight =
        move |c: usize, tap: usize, k: usize| kernel[(k * TAPS + (TAPS - 1 - tap)) * channels + c];
    Taps { depth: dims.outputs, outputs: channels, weight }
}

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
        taps: &Taps<impl Fn(usize, usize, usize) -> f32 + Sync>,
        outputs: Range<usize>,
        depth: Range<usize>,
        memory: &'a mut Vec<f32>,
    ) -> Self {
        let lanes = lanes();
        let planes = Planes { blocks: 1, rows: depth.len(), lanes };
        let values = aligned(memory, outputs.len().div_ceil(lanes) * planes.len());
        values.par_chunks_mut(planes.len()).enumerate().for_each(|(block, values)| {
            let first = outputs.start + block * lanes;
            let count = (outputs.end - first).min(lanes);
            let weight = |lane, tap, d| (taps.weight)(first + lane, tap, depth.start + d);
            dispatch(Block { weight, count, planes, values });
        });
        Self { values, depth, outputs, planes }
    }

    /// Vectors of outputs.
    pub(super) fn vectors(&self) -> usize {
        self.outputs.len().div_ceil(self.planes.lanes)
    }
}

/// Transforms the kernels of one vector of outputs.
struct Block<'a, W> {
    /// The weight of a lane, a tap and a channel.
    weight: W,
    /// Lanes that hold outputs.
    count: usize,
    planes: Planes,
    values: &'a mut [f32],
}

/// Channels gathered before they are transformed: loads that wait for memory overlap only with others
/// like them.
const GATHERED: usize = 16;

impl<W: Fn(usize, usize, usize) -> f32> Work for Block<'_, W> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        assert_eq!(self.planes.lanes, S::LANES, "kernels are packed for the unit that runs");
        assert_eq!(self.values.len(), self.planes.len(), "there is room for every point");
        let mut gathered = [[[0.0; MOST_LANES]; TAPS]; GATHERED];
        for first in (0..self.planes.rows).step_by(GATHERED) {
            let rows = (self.planes.rows - first).min(GATHERED);
            for (d, taps) in gathered[..rows].iter_mut().enumerate() {
                for (tap, lanes) in taps.iter_mut().enumerate() {
                    for (lane, target) in lanes[..self.count].iter_mut().enumerate() {
                        *target = (self.weight)(lane, tap, first + d);
                    }
                }
            }
            for (d, taps) in gathered[..rows].iter().enumerate() {
                // SAFETY: `Work::run` runs where the unit exists; `taps` holds its vectors, and the
                // planes hold a vector for every point and row.
                unsafe {
                    let mut kernel = [[S::zero(); 3]; 3];
                    for (tap, lanes) in taps.iter().enumerate() {
                        kernel[tap / 3][tap % 3] = S::load(lanes.as_ptr());
                    }
                    let points = both_sides::<S, Kernel, 3, POINT_SIDE>(&kernel);
                    let target = self.values.as_mut_ptr().add((first + d) * S::LANES);
                    for point in 0..POINTS {
                        let vector = points[point / POINT_SIDE][point % POINT_SIDE];
                        S::store(target.add(point * self.planes.point()), vector);
                    }
                }
            }
        }
    }
}
