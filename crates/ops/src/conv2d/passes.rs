//! The three passes by the algorithm that suits their sizes, with what is done around them.

use super::choice::{Pass, takes_winograd};
use super::finish::{Around, Finish, Reading, Target};
use super::{Dims, Padding, cpu, winograd};
use crate::norm::Units;

/// Eq. (1), reading through the norm if there is one.
pub(crate) fn forward(
    input: &[f32],
    kernel: &[f32],
    dims: &Dims,
    reading: Option<Reading<'_>>,
    finish: Option<&Finish<'_>>,
) -> (Vec<f32>, Option<Units>) {
    let by_winograd = takes_winograd(Pass::Forward, dims);
    let mut units = units(finish, dims, dims.outputs, by_winograd);
    let finish = finish.map(|finish| (finish, Target::of(units.as_mut())));
    let around = Around { reading, finish };
    let output = if by_winograd {
        winograd::forward(input, kernel, dims, around)
    } else {
        cpu::forward(input, kernel, dims, around)
    };
    (output, units)
}

/// The gradient with respect to what the convolution read.
pub(crate) fn backward_input(
    gradient: &[f32],
    kernel: &[f32],
    dims: &Dims,
    finish: Option<&Finish<'_>>,
) -> (Vec<f32>, Option<Units>) {
    // Winograd's algorithm folds mirrored borders after it has finished.
    let can = finish.is_none() || dims.options.padding == Padding::Zero;
    let by_winograd = can && takes_winograd(Pass::BackwardInput, dims);
    let mut units = units(finish, dims, dims.channels, by_winograd);
    let finish = finish.map(|finish| (finish, Target::of(units.as_mut())));
    let around = Around { reading: None, finish };
    let input_gradient = if by_winograd {
        winograd::backward_input(gradient, kernel, dims, around)
    } else {
        cpu::backward_input(gradient, kernel, dims, around)
    };
    (input_gradient, units)
}

/// The gradient with respect to the kernel, where the convolution read through the norm if there is one.
pub(crate) fn backward_kernel(
    gradient: &[f32],
    input: &[f32],
    dims: &Dims,
    reading: Option<Reading<'_>>,
) -> Vec<f32> {
    if takes_winograd(Pass::BackwardKernel, dims) {
        winograd::backward_kernel(gradient, input, dims, reading)
    } else {
        cpu::backward_kernel(gradient, input, dims, reading)
    }
}

/// Places for the sums, if any are asked for: of tiles or of rows.
fn units(
    finish: Option<&Finish<'_>>,
    dims: &Dims,
    channels: usize,
    by_winograd: bool,
) -> Option<Units> {
    finish?.sums.as_ref()?;
    Some(if by_winograd {
        Units::of_pixels(dims.batch, winograd::tile_pixels(dims), channels)
    } else {
        Units::of_rows(dims.batch, (dims.height, dims.width), channels)
    })
}
