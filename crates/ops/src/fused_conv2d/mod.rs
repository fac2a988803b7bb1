//! A convolution with what stands around it in a pre-activation network, in one pass over memory.
//!
//! ```text
//! Y = n(conv2d(f(X), W) ⊙ M + S)        (1)
//! ```
//!
//! `f` and `n` are batch norms with known statistics and LeakyReLU ([`Activation`]): `f` is applied as the
//! convolution reads, so its result is never in memory, and `n` as it writes. `M` is a dropout mask and `S` a
//! skip, padded with zero channels. The statistics that the next norm needs are taken from `Y` on the way.
//!
//! Each part is optional, and the result is that of the operations one by one: [`Activation::apply`],
//! [`conv2d`](fn@crate::conv2d), [`dropout`](fn@crate::dropout), [`add_skip`](fn@crate::add_skip),
//! [`batch_statistics`](crate::batch_statistics).

mod cpu;
mod reference;
#[cfg(test)]
mod tests;

use candle_core::{DType, Result, Tensor, bail};

use crate::conv2d::Dims;
use crate::cuda::on_card;
use crate::{Activation, BatchStatistics, Conv2d};

const NAME: &str = "fused_conv2d";

/// What follows the convolution, in this order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Probability and seed of dropout.
    pub dropout: Option<(f64, u64)>,
    /// `[B, H, W, C1]`, added to the middle of the `K` channels.
    pub skip: Option<&'a Tensor>,
    /// The norm of the result.
    pub activation: Option<&'a Activation>,
    /// The row of each slice and the number of rows, if the result's statistics are wanted.
    pub statistics: Option<(&'a [usize], usize)>,
}

/// Returns Eq. (1) of the module and, if asked for, the statistics of `Y`.
///
/// For callers that keep no graph: the result carries no gradient, see [`fused_conv2d_gradients`].
///
/// # Shapes
///
/// - `input`: `[B, H, W, C]`
/// - `kernel`: `[K, R, S, C]`, `R` and `S` odd
/// - result: `[B, H, W, K]`
///
/// # Errors
///
/// Those of the operations that it joins.
///
/// # Examples
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use duomo_ops::{Conv2d, Epilogue, Padding, fused_conv2d};
///
/// let image = Tensor::new(&[1f32, 2., 3.], &Device::Cpu)?.reshape((1, 1, 3, 1))?;
/// let twice = Tensor::new(&[2f32], &Device::Cpu)?.reshape((1, 1, 1, 1))?;
/// let options = Conv2d { padding: Padding::Zero, dilation: 1 };
/// let epilogue = Epilogue { skip: Some(&image), statistics: Some((&[0], 1)), ..Epilogue::default() };
/// let (sum, statistics) = fused_conv2d(&image, None, &twice, options, &epilogue)?;
/// assert_eq!(sum.flatten_all()?.to_vec1::<f32>()?, [3., 6., 9.]);
/// assert_eq!(statistics.map(|statistics| statistics.mean()).transpose()?, Some(vec![6.]));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn fused_conv2d(
    input: &Tensor,
    activation: Option<&Activation>,
    kernel: &Tensor,
    options: Conv2d,
    epilogue: &Epilogue<'_>,
) -> Result<(Tensor, Option<BatchStatistics>)> {
    let dims = sizes(input, kernel, options)?;
    let output_shape = (dims.batch, dims.height, dims.width, dims.outputs);
    if let Some(norm) = activation {
        norm.check(input.dims4()?)?;
    }
    if let Some(norm) = epilogue.activation {
        norm.check(output_shape)?;
    }
    match input.dtype() {
        DType::F32 if joined(input, &dims) => {
            cpu::forward(input, activation, kernel, &dims, epilogue)
        }
        _ => reference::forward(input, activation, kernel, options, epilogue),
    }
}

/// What the gradient of a [`fused_conv2d`] without a norm of its result depends on.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a> {
    /// `X`, `[B, H, W, C]`.
    pub input: &'a Tensor,
    /// `f`, with the statistics of `X`.
    pub activation: &'a Activation,
    /// `W`, `[K, R, S, C]`.
    pub kernel: &'a Tensor,
    /// How the convolution treated the border.
    pub options: Conv2d,
    /// Probability and seed of dropout.
    pub dropout: Option<(f64, u64)>,
    /// Added to the gradient with respect to `X`: what its other readers contribute.
    pub others: Option<&'a Tensor>,
}

/// Gradients of [`fused_conv2d`].
#[derive(Clone, Debug)]
pub struct Gradients {
    /// With respect to `X`, through its statistics too, and the other readers' contributions.
    pub input: Tensor,
    /// With respect to `γ` of `f`, `[R, C]`.
    pub gamma: Tensor,
    /// With respect to `β` of `f`, `[R, C]`.
    pub beta: Tensor,
    /// With respect to `W`.
    pub kernel: Tensor,
}

/// Returns the gradients of [`fused_conv2d`], given that of its result; the skip's is that of the result.
///
/// The norm's result is computed anew where it is read: that is faster than reading it from memory.
///
/// # Shapes
///
/// - `gradient`: `[B, H, W, K]`
/// - `of.others`: `[B, H, W, C]`
///
/// # Errors
///
/// Those of the operations that it joins.
pub fn fused_conv2d_gradients(gradient: &Tensor, of: &Backward<'_>) -> Result<Gradients> {
    let dims = sizes(of.input, of.kernel, of.options)?;
    let expected = [dims.batch, dims.height, dims.width, dims.outputs];
    let others = of.others.map_or(of.input.dims(), Tensor::dims);
    if gradient.dims() != expected || others != of.input.dims() {
        bail!(
            "{NAME}: got gradients of shape {:?} and {others:?}, expected {expected:?} and {:?}",
            gradient.dims(),
            of.input.dims()
        );
    }
    of.activation.check(of.input.dims4()?)?;
    match of.input.dtype() {
        DType::F32 if joined(of.input, &dims) => cpu::gradients(gradient, of, &dims),
        _ => reference::gradients(gradient, of),
    }
}

/// Whether one pass does it all: on a card the operations are run one by one.
fn joined(input: &Tensor, dims: &Dims) -> bool {
    dims.channels * dims.outputs > 0 && !on_card(input)
}

fn sizes(input: &Tensor, kernel: &Tensor, options: Conv2d) -> Result<Dims> {
    let (batch, height, width, channels) = input.dims4()?;
    let dims = Dims::new((batch, height, width), kernel.dims(), options)?;
    if dims.channels != channels {
        bail!(
            "{NAME}: got a feature map of shape {:?} for a kernel of {:?}",
            input.dims(),
            kernel.dims()
        );
    }
    Ok(dims)
}
