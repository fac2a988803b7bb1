//! Maximum over windows of 2 × 2 pixels, stride 2.

#[expect(
    clippy::inline_always,
    reason = "a call would cross the boundary of the vector unit's code"
)]
mod cpu;
mod launches;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};

use crate::cuda;
use crate::storage::{elements, unary, unsupported};

/// Returns the maximum of every 2 × 2 window, halving the image.
///
/// An odd last row or column is dropped. The gradient goes to the maximum alone; of equal values, the
/// first in reading order receives it, and a NaN counts as the maximum, both as in PyTorch.
///
/// # Shapes
///
/// - `input`: `[B, H, W, C]`
/// - result: `[B, H / 2, W / 2, C]`
///
/// # Errors
///
/// Returns an error if `input` has not four dimensions or its elements are neither `f32` nor `f64`.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
/// use duomo_ops::max_pool2;
///
/// let image = Tensor::new(&[[1f32, 2.], [4., 3.]], &Device::Cpu)?.reshape((1, 2, 2, 1))?;
/// assert_eq!(max_pool2(&image)?.flatten_all()?.to_vec1::<f32>()?, [4.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn max_pool2(input: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op1(MaxPool2 { winners: OnceLock::new() })
}

/// Returns the gradient of [`max_pool2`] with respect to its input.
///
/// For callers that keep no graph: the maxima are found once more.
///
/// # Shapes
///
/// - `input`: `[B, H, W, C]`; the result has the same and carries no gradient itself
/// - `gradient`: with respect to the output, `[B, H / 2, W / 2, C]`
///
/// # Errors
///
/// Those of [`max_pool2`], and a `gradient` of another shape.
pub fn max_pool2_gradient(input: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let expected = Dims::new(input.dims())?.output_shape();
    if gradient.shape() != &expected {
        bail!("max_pool2: got a gradient of shape {:?}, expected {expected:?}", gradient.dims());
    }
    if cuda::on_card(input) {
        let program = launches::backward(Dims::new(input.dims())?)?;
        let inputs = [input.contiguous()?, gradient.contiguous()?];
        // SAFETY: the launch is made for the sizes of this image, of whose output's shape the gradient is; it
        // runs between guards in its test.
        let [by_input] =
            unsafe { cuda::tensors(NAME, &program, &inputs.each_ref(), [input.shape()])? };
        return Ok(by_input);
    }
    let pool = MaxPool2 { winners: OnceLock::new() };
    input.contiguous()?.apply_op1_no_bwd(&pool)?;
    pool.gradient(input, gradient)
}

const NAME: &str = "max_pool2";

/// Sizes of the input.
#[derive(Clone, Copy, Debug)]
struct Dims {
    batch: usize,
    height: usize,
    width: usize,
    channels: usize,
}

impl Dims {
    fn new(shape: &[usize]) -> Result<Self> {
        let &[batch, height, width, channels] = shape else {
            bail!("max_pool2: got shape {shape:?}, expected [B, H, W, C]");
        };
        Ok(Self { batch, height, width, channels })
    }

    fn output_shape(&self) -> Shape {
        (self.batch, self.height / 2, self.width / 2, self.channels).into()
    }
}

fn plan(layout: &Layout) -> Result<cuda::Planned> {
    let dims = Dims::new(layout.dims())?;
    Ok((launches::forward(dims)?, dims.output_shape()))
}

struct MaxPool2 {
    /// For every output its maximum's place in the window: 0 1 above, 2 3 below.
    winners: OnceLock<Vec<u8>>,
}

impl MaxPool2 {
    fn gradient(&self, input: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let Some(winners) = self.winners.get() else {
            bail!("max_pool2: the gradient was asked for before the result");
        };
        let backward = Backward { winners, dims: Dims::new(input.dims())? };
        gradient.contiguous()?.apply_op1_no_bwd(&backward)
    }
}

impl CustomOp1 for MaxPool2 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let view = (input, layout);
        let emulated = cuda::if_emulated(self.name(), [view], || plan(layout))?;
        if let Some(emulated) = emulated {
            return Ok(emulated);
        }
        let dims = Dims::new(layout.dims())?;
        let (output, winners) = match input.dtype() {
            DType::F32 => {
                let (output, winners) = cpu::forward::<f32>(elements(self.name(), view)?, dims);
                (CpuStorage::F32(output), winners)
            }
            DType::F64 => {
                let (output, winners) = cpu::forward::<f64>(elements(self.name(), view)?, dims);
                (CpuStorage::F64(output), winners)
            }
            other => return Err(unsupported(self.name(), other)),
        };
        // A second run on the same input would find the same winners.
        let _ = self.winners.set(winners);
        Ok((output, dims.output_shape()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let (program, shape) = plan(layout)?;
        // SAFETY: the launch is made for the sizes of this image, and runs between guards in its test.
        Ok((unsafe { cuda::card::apply(self.name(), &program, [(input, layout)])? }, shape))
    }

    fn bwd(&self, input: &Tensor, _output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !input.track_op() {
            return Ok(None);
        }
        if cuda::on_card(input) {
            return max_pool2_gradient(input, gradient).map(Some);
        }
        Ok(Some(self.gradient(input, gradient)?))
    }
}

/// The gradient of [`MaxPool2`].
struct Backward<'a> {
    winners: &'a [u8],
    dims: Dims,
}

impl CustomOp1 for Backward<'_> {
    fn name(&self) -> &'static str {
        "max_pool2-backward"
    }

    fn cpu_fwd(&self, gradient: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Self { winners, dims } = *self;
        let input_gradient = unary(
            self.name(),
            (gradient, layout),
            |g| cpu::backward(g, winners, dims),
            |g| cpu::backward(g, winners, dims),
        )?;
        Ok((input_gradient, (dims.batch, dims.height, dims.width, dims.channels).into()))
    }
}
