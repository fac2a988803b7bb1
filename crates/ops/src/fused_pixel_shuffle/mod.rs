//! A pixel shuffle with the norm before it, in one pass over memory.
//!
//! ```text
//! Y = pixel_shuffle(f(X), factor)        (1)
//! ```
//!
//! `f` is a batch norm with known statistics and LeakyReLU ([`Activation`]). The result is that of
//! [`Activation::apply`] and [`pixel_shuffle`](fn@crate::pixel_shuffle) one by one; its result `f(X)` and the
//! gradient with respect to it, as large as the widest map of a network, are never in memory.

mod cpu;
mod reference;
#[cfg(test)]
mod tests;

use candle_core::{DType, Result, Tensor, bail};

use crate::Activation;
use crate::cuda::on_card;
use crate::pixel_shuffle::Dims;

const NAME: &str = "fused_pixel_shuffle";

/// Returns Eq. (1) of the module.
///
/// For callers that keep no graph: the result carries no gradient, see [`fused_pixel_shuffle_gradients`].
///
/// # Shapes
///
/// - `input`: `[B, h, w, factor² · C]`
/// - result: `[B, factor · h, factor · w, C]`
///
/// # Errors
///
/// Those of the operations that it joins.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
/// use duomo_ops::{Activation, NormOptions, fused_pixel_shuffle};
///
/// let [coarse, zero, one] = [[1f32, 2., 3., -4.], [0.; 4], [1.; 4]]
///     .map(|numbers| Tensor::new(&[numbers], &Device::Cpu).unwrap());
/// let options = NormOptions { epsilon: 0.0, slope: 0.5 };
/// let norm = Activation::of_running([&one, &zero], [&zero, &one], &[0], options)?;
/// let fine = fused_pixel_shuffle(&coarse.reshape((1, 1, 1, 4))?, &norm, 2)?;
/// assert_eq!(fine.reshape((2, 2))?.to_vec2::<f32>()?, [[1., 2.], [3., -2.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn fused_pixel_shuffle(
    input: &Tensor,
    activation: &Activation,
    factor: usize,
) -> Result<Tensor> {
    let dims = Dims::of_coarse(input, factor)?;
    activation.check(input.dims4()?)?;
    match input.dtype() {
        DType::F32 if !on_card(input) => cpu::forward(input, activation, dims),
        _ => reference::forward(input, activation, factor),
    }
}

/// Returns the gradients of [`fused_pixel_shuffle`] with respect to `X`, through its statistics too, and to `γ`
/// and `β`, `[R, factor² · C]`, given that of its result.
///
/// # Shapes
///
/// - `gradient`: `[B, factor · h, factor · w, C]`
/// - `input`: `[B, h, w, factor² · C]`
///
/// # Errors
///
/// Those of the operations that it joins.
pub fn fused_pixel_shuffle_gradients(
    gradient: &Tensor,
    input: &Tensor,
    activation: &Activation,
    factor: usize,
) -> Result<[Tensor; 3]> {
    let dims = Dims::of_coarse(input, factor)?;
    if gradient.shape() != &dims.fine_shape() {
        bail!(
            "{NAME}: got a gradient of shape {:?}, expected {:?}",
            gradient.dims(),
            dims.fine_shape().dims()
        );
    }
    activation.check(input.dims4()?)?;
    match input.dtype() {
        DType::F32 if !on_card(input) => cpu::gradients(gradient, input, activation, dims),
        _ => reference::gradients(gradient, input, activation, factor),
    }
}
