//! Has kernels run the launches, or cuDNN the convolution whose transpose this is.

use candle_core::{CpuStorage, Layout, Result, Shape};

use super::{Dims, launches};
use crate::conv2d::Pass;
use crate::cuda::{self, Planned};

/// Returns the result of a pass where a test emulates a card.
pub(super) fn if_emulated(
    op: &str,
    pass: Pass,
    dims: &Dims,
    inputs: [(&CpuStorage, &Layout); 2],
) -> Result<Option<(CpuStorage, Shape)>> {
    cuda::if_emulated(op, inputs, || plan(pass, dims))
}

/// Returns the result of a pass over a card's tensors, of whose shapes `dims` is made: input and kernel,
/// gradient and kernel, or gradient and input.
#[cfg(feature = "cuda")]
pub(super) fn run(
    op: &str,
    pass: Pass,
    dims: &Dims,
    inputs: [(&candle_core::CudaStorage, &Layout); 2],
) -> Result<(candle_core::CudaStorage, Shape)> {
    let (program, shape) = plan(pass, dims)?;
    #[cfg(feature = "cudnn")]
    if dims.input_shape().elem_count() * dims.output_shape().elem_count() > 0 {
        return Ok((by_cudnn(op, pass, dims, inputs)?, shape));
    }
    // SAFETY: `Dims` was made from the shapes of both, and the launches from `Dims`; they run between
    // guards in their tests, at every kind of border.
    Ok((unsafe { cuda::card::apply(op, &program, inputs)? }, shape))
}

/// A pass of the convolution from the larger image to the smaller: its gradient with respect to the input
/// is the transposed convolution.
#[cfg(feature = "cudnn")]
fn by_cudnn(
    op: &str,
    pass: Pass,
    dims: &Dims,
    [first, second]: [(&candle_core::CudaStorage, &Layout); 2],
) -> Result<candle_core::CudaStorage> {
    use crate::conv2d::cudnn::{Geometry, in_precision};

    let geometry = Geometry {
        input: [dims.batch, dims.outputs, dims.out_height(), dims.out_width()],
        kernel: [dims.channels, dims.outputs, dims.kernel_rows, dims.kernel_columns],
        output: [dims.batch, dims.channels, dims.height, dims.width],
        padding: [dims.steps.padding; 2],
        stride: dims.steps.stride,
        dilation: 1,
    };
    let (pass, inputs) = match pass {
        Pass::Forward => (Pass::BackwardInput, [first, second]),
        Pass::BackwardInput => (Pass::Forward, [first, second]),
        Pass::BackwardKernel => (Pass::BackwardKernel, [second, first]),
    };
    in_precision(op, pass, &geometry, inputs)
}

fn plan(pass: Pass, dims: &Dims) -> Result<Planned> {
    Ok(match pass {
        Pass::Forward => (launches::forward(dims)?, dims.output_shape()),
        Pass::BackwardInput => (launches::backward_input(dims)?, dims.input_shape()),
        Pass::BackwardKernel => (launches::backward_kernel(dims)?, dims.kernel_shape()),
    })
}
