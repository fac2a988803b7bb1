//! Has kernels run the launches, or cuDNN the convolution.

use candle_core::{CpuStorage, Layout, Result, Shape};

use super::choice::Pass;
use super::{Dims, launches};
use crate::cuda::{self, Planned};

/// A tensor on a card as a custom operation receives it.
#[cfg(feature = "cuda")]
pub(super) type View<'a> = (&'a candle_core::CudaStorage, &'a Layout);

/// Returns the result of a pass where a test emulates a card.
pub(super) fn if_emulated(
    op: &str,
    pass: Pass,
    dims: &Dims,
    inputs: [(&CpuStorage, &Layout); 2],
) -> Result<Option<(CpuStorage, Shape)>> {
    cuda::if_emulated(op, inputs, || plan(pass, dims))
}

/// Returns the result of a pass over a card's tensors, of whose shapes `dims` is made.
#[cfg(feature = "cuda")]
pub(super) fn run(
    op: &str,
    pass: Pass,
    dims: &Dims,
    inputs: [View<'_>; 2],
) -> Result<(candle_core::CudaStorage, Shape)> {
    let (program, shape) = plan(pass, dims)?;
    #[cfg(feature = "cudnn")]
    if dims.input_shape().elem_count() * dims.output_shape().elem_count() > 0 {
        return Ok((super::cudnn::convolve(op, pass, dims, inputs)?, shape));
    }
    // SAFETY: `Dims` was made from the shapes of both, and the launches from `Dims`; they run between
    // guards in their tests, at every kind of border.
    Ok((unsafe { cuda::card::apply(op, &program, inputs)? }, shape))
}

fn plan(pass: Pass, dims: &Dims) -> Result<Planned> {
    Ok(match pass {
        Pass::Forward => (launches::forward(dims)?, dims.output_shape()),
        Pass::BackwardInput => (launches::backward_input(dims)?, dims.input_shape()),
        Pass::BackwardKernel => (launches::backward_kernel(dims)?, dims.kernel_shape()),
    })
}
