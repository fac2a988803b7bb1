//! Runs the launches on a card.

use candle_core::{CudaStorage, CustomOp2 as _, Layout, Result, Shape, bail};

use super::choice::Pass;
use super::{BackwardInput, BackwardKernel, Dims, Forward, image_of, launches};
use crate::cuda::card;

/// A tensor on a card as a custom operation receives it.
pub(super) type View<'a> = (&'a CudaStorage, &'a Layout);

pub(super) fn forward(
    op: &Forward,
    input: View<'_>,
    kernel: View<'_>,
) -> Result<(CudaStorage, Shape)> {
    let channels = kernel.1.dims().last().copied().unwrap_or(0);
    let dims = Dims::new(image_of(input.1, channels)?, kernel.1.dims(), op.0)?;
    let output = run(op.name(), Pass::Forward, &dims, [input, kernel])?;
    Ok((output, dims.output_shape()))
}

pub(super) fn backward_input(
    op: &BackwardInput,
    gradient: View<'_>,
    kernel: View<'_>,
) -> Result<(CudaStorage, Shape)> {
    let outputs = kernel.1.dims().first().copied().unwrap_or(0);
    let dims = Dims::new(image_of(gradient.1, outputs)?, kernel.1.dims(), op.0)?;
    let output = run(op.name(), Pass::BackwardInput, &dims, [gradient, kernel])?;
    Ok((output, dims.input_shape()))
}

pub(super) fn backward_kernel(
    op: &BackwardKernel,
    gradient: View<'_>,
    input: View<'_>,
) -> Result<(CudaStorage, Shape)> {
    let &[batch, height, width, channels] = input.1.dims() else {
        bail!("{}: got a map of shape {:?}, expected [B, H, W, C]", op.name(), input.1.dims());
    };
    let outputs = gradient.1.dims().last().copied().unwrap_or(0);
    let image = image_of(gradient.1, outputs)?;
    if image != (batch, height, width) {
        bail!("{}: got gradients of {image:?} for {:?}", op.name(), (batch, height, width));
    }
    let (options, (rows, columns)) = (op.0, op.1);
    let dims = Dims::new(image, &[outputs, rows, columns, channels], options)?;
    let output = run(op.name(), Pass::BackwardKernel, &dims, [gradient, input])?;
    Ok((output, dims.kernel_shape()))
}

fn run(op: &str, pass: Pass, dims: &Dims, inputs: [View<'_>; 2]) -> Result<CudaStorage> {
    #[cfg(feature = "cudnn")]
    if dims.input_shape().elem_count() * dims.output_shape().elem_count() > 0 {
        return super::cudnn::convolve(op, pass, dims, inputs);
    }
    let program = match pass {
        Pass::Forward => launches::forward(dims)?,
        Pass::BackwardInput => launches::backward_input(dims)?,
        Pass::BackwardKernel => launches::backward_kernel(dims)?,
    };
    // SAFETY: `Dims` was made from the shapes of both, and the launches from `Dims`; they run between
    // guards in their tests, at every kind of border.
    unsafe { card::apply(op, &program, inputs) }
}
