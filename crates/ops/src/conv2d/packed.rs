//! Kernels rearranged for the order in which the register tiles read them.

use rayon::prelude::*;

use super::Dims;
use crate::simd::{Simd, Work, dispatch};

/// A kernel cut into blocks of one vector of outputs, each `[R, S', C, lanes]`, zero-padded.
///
/// Few outputs would leave most lanes of a vector idle. Their kernels are therefore repeated, shifted
/// one column each, so that one vector holds all outputs of a *group* of adjacent pixels:
///
/// ```text
/// W'[K j + k, r, s, c] = W[k, r, s - j, c],   j in 0..group,   S' = S + group - 1
/// ```
///
/// Channels last, the outputs of adjacent pixels are adjacent in memory: the result needs no
/// rearrangement.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub(super) weights: Vec<f32>,
    /// Adjacent pixels computed together.
    pub(super) group: usize,
    /// Outputs of one pixel.
    pub(super) outputs: usize,
    pub(super) channels: usize,
    pub(super) rows: usize,
    /// Columns including the shifts, `S'`.
    pub(super) columns: usize,
    pub(super) dilation: usize,
    /// Numbers in one vector of the processor that this was packed for.
    pub(super) lanes: usize,
}

impl Packed {
    /// The kernel of the forward pass.
    pub(super) fn forward(kernel: &[f32], dims: &Dims) -> Self {
        let (taps, channels) = (dims.kernel_rows * dims.kernel_columns, dims.channels);
        let columns = dims.kernel_columns;
        Self::new(dims, [dims.outputs, channels], |k, r, s, c| {
            kernel[(k * taps + r * columns + s) * channels + c]
        })
    }

    /// The kernel of the backward pass: turned by 180°, inputs and outputs exchanged.
    pub(super) fn backward(kernel: &[f32], dims: &Dims) -> Self {
        let (taps, channels) = (dims.kernel_rows * dims.kernel_columns, dims.channels);
        let columns = dims.kernel_columns;
        Self::new(dims, [channels, dims.outputs], |c, r, s, k| {
            kernel[(k * taps + (taps - 1 - (r * columns + s))) * channels + c]
        })
    }

    fn new(
        dims: &Dims,
        [outputs, channels]: [usize; 2],
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let lanes = lanes();
        let group = if dims.options.dilation == 1 { (lanes / outputs).max(1) } else { 1 };
        let mut packed = Self {
            weights: vec![],
            group,
            outputs,
            channels,
            rows: dims.kernel_rows,
            columns: dims.kernel_columns + group - 1,
            dilation: dims.options.dilation,
            lanes,
        };
        let depth = packed.depth();
        let mut weights = vec![0.0; packed.padded_outputs() * depth];
        let real_columns = dims.kernel_columns;
        weights.par_chunks_mut(lanes * depth).enumerate().for_each(|(block, weights)| {
            let first = block * lanes;
            for (place, vector) in weights.chunks_exact_mut(lanes).enumerate() {
                let (c, tap) = (place % channels, place / channels);
                let (r, s) = (tap / packed.columns, tap % packed.columns);
                for (output, target) in (first..group * outputs).zip(vector) {
                    let (shift, k) = (output / outputs, output % outputs);
                    if (shift..shift + real_columns).contains(&s) {
                        *target = weight(k, r, s - shift, c);
                    }
                }
            }
        });
        packed.weights = weights;
        packed
    }

    /// Rows and columns beside a pixel that the kernel sees.
    pub(super) fn margins(&self) -> (usize, usize) {
        let reach = |taps: usize| self.dilation * (taps / 2);
        (reach(self.rows), reach(self.columns + 1 - self.group))
    }

    /// Outputs of one group of pixels.
    pub(super) fn grouped_outputs(&self) -> usize {
        self.group * self.outputs
    }

    /// Weights of one output: `R S' C`.
    pub(super) fn depth(&self) -> usize {
        self.rows * self.columns * self.channels
    }

    fn padded_outputs(&self) -> usize {
        self.grouped_outputs().next_multiple_of(self.lanes)
    }
}

/// Numbers in one vector of this processor.
pub(super) fn lanes() -> usize {
    struct Ask<'a>(&'a mut usize);
    impl Work for Ask<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            *self.0 = S::LANES;
        }
    }
    let mut lanes = 0;
    dispatch(Ask(&mut lanes));
    lanes
}
