//! The `f32` path: one row of coarse pixels, which is `factor` rows of fine ones, per task.

use std::cell::RefCell;

use candle_core::{Result, Tensor};

use super::NAME;
use crate::conv2d::finish::{Finish, Reading, Size, Sums, Target};
use crate::fill::fill;
use crate::norm::{Activation, Units};
use crate::pixel_shuffle::{Dims, shuffle_pixel, unshuffle_row};
use crate::storage::{elements, with_view};

thread_local! {
    /// One coarse pixel of a thread.
    static PIXEL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn forward(input: &Tensor, activation: &Activation, dims: Dims) -> Result<Tensor> {
    let norm = Reading::from(activation.host()?);
    let fine = with_view(NAME, input, |view| {
        let coarse: &[f32] = elements(NAME, view)?;
        Ok(fill(coarse.len(), dims.row(), |start, fine| {
            let norm = norm.of_slice(start / (dims.height * dims.row()));
            PIXEL.with_borrow_mut(|pixel| {
                pixel.resize(dims.depth(), 0.0);
                let row = coarse[start..].chunks_exact(dims.depth());
                for (column, coarse) in row.take(dims.width).enumerate() {
                    pixel.copy_from_slice(coarse);
                    norm.apply(pixel);
                    shuffle_pixel(pixel, column, fine, dims);
                }
            });
        }))
    })?;
    Tensor::from_vec(fine, dims.fine_shape(), input.device())
}

pub(super) fn gradients(
    gradient: &Tensor,
    input: &Tensor,
    activation: &Activation,
    dims: Dims,
) -> Result<[Tensor; 3]> {
    let activation = activation.host()?;
    let size = Size { height: dims.height, width: dims.width, channels: dims.depth() };
    let mut units = Units::of_rows(dims.batch, (dims.height, dims.width), dims.depth());
    let target = Target::of(Some(&mut units));
    with_view(NAME, input, |input_view| {
        let coarse: &[f32] = elements(NAME, input_view)?;
        let sums = Some(Sums::Products { norm: activation.into(), input: coarse });
        let finish = Finish { sums, ..Finish::default() };
        let delta = with_view(NAME, gradient, |view| {
            let fine: &[f32] = elements(NAME, view)?;
            Ok(fill(fine.len(), dims.row(), |start, delta| {
                unshuffle_row(&fine[start..], delta, dims);
                finish.rows(start / dims.row(), size, delta, target);
            }))
        })?;
        activation.gradients_of_units(coarse, &units, None, (delta, input.shape()))
    })
}
