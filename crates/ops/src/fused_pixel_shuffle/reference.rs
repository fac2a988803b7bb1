//! The operations one by one, in any type and on any device.

use candle_core::{Result, Tensor};

use crate::{Activation, pixel_shuffle, pixel_unshuffle};

pub(super) fn forward(input: &Tensor, activation: &Activation, factor: usize) -> Result<Tensor> {
    pixel_shuffle(&activation.apply(input)?, factor)
}

pub(super) fn gradients(
    gradient: &Tensor,
    input: &Tensor,
    activation: &Activation,
    factor: usize,
) -> Result<[Tensor; 3]> {
    activation.gradients(input, &pixel_unshuffle(gradient, factor)?)
}
