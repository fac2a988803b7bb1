//! Transposed convolution: every input pixel stamps the kernel, scaled by its value, on the output.
//!
//! ```text
//! Y[b, t i - p + r, t j - p + s, k] += X[b, i, j, c] · W[c, r, s, k]        (1)
//! ```
//!
//! Dimension key: `B` batch, `h`, `w` rows and columns of the input, `C` input and `K` output
//! channels, `R`, `S` rows and columns of the kernel, `t` stride, `p` padding.

mod cpu;
mod cuda;
mod launches;
mod reference;
#[cfg(test)]
mod tests;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use crate::conv2d::Pass;
use crate::storage::binary;

/// Returns the transposed convolution of `input` with `kernel`, Eq. (1) of the module, without bias.
///
/// Differentiable in both arguments. It is the transpose, as a linear map, of the convolution with the
/// same stride and padding.
///
/// # Shapes
///
/// - `input`: `[B, h, w, C]`
/// - `kernel`: `[C, R, S, K]`
/// - result: `[B, (h - 1) stride - 2 padding + R, (w - 1) stride - 2 padding + S, K]`
///
/// # Errors
///
/// Returns an error if the shapes do not fit each other, the stride is 0, nothing is left of the
/// output, or the elements are not all `f32` or all `f64`.
///
/// # Examples
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use duomo_ops::transposed_conv2d;
///
/// let image = Tensor::new(&[1f32, 2.], &Device::Cpu)?.reshape((1, 1, 2, 1))?;
/// let stamp = Tensor::ones((1, 1, 2, 1), DType::F32, &Device::Cpu)?;
/// let wide = transposed_conv2d(&image, &stamp, 2, 0)?.narrow(1, 0, 1)?;
/// assert_eq!(wide.flatten_all()?.to_vec1::<f32>()?, [1., 1., 2., 2.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn transposed_conv2d(
    input: &Tensor,
    kernel: &Tensor,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let steps = Steps { stride, padding };
    input.contiguous()?.apply_op2(&kernel.contiguous()?, Forward(steps))
}

/// Returns the gradients of [`transposed_conv2d`] with respect to `input` and `kernel`.
///
/// For callers that keep no graph.
///
/// # Shapes
///
/// - `input`, `kernel`: those of the forward pass; the results have the same and carry no gradient
/// - `gradient`: with respect to the output
///
/// # Errors
///
/// Those of [`transposed_conv2d`], and a `gradient` of another shape.
pub fn transposed_conv2d_gradients(
    input: &Tensor,
    kernel: &Tensor,
    gradient: &Tensor,
    stride: usize,
    padding: usize,
) -> Result<[Tensor; 2]> {
    let dims = Dims::new(input.dims(), kernel.dims(), Steps { stride, padding })?;
    if gradient.shape() != &dims.output_shape() {
        let (given, expected) = (gradient.dims(), dims.output_shape());
        bail!("transposed_conv2d: got a gradient of shape {given:?}, expected {expected:?}");
    }
    let gradient = gradient.contiguous()?;
    let by_input = gradient.apply_op2_no_bwd(&kernel.contiguous()?, &BackwardInput(dims))?;
    let by_kernel = gradient.apply_op2_no_bwd(&input.contiguous()?, &BackwardKernel(dims))?;
    Ok([by_input, by_kernel])
}

#[derive(Clone, Copy, Debug)]
struct Steps {
    stride: usize,
    padding: usize,
}

/// Sizes of one transposed convolution, checked against each other.
#[derive(Clone, Copy, Debug)]
struct Dims {
    batch: usize,
    height: usize,
    width: usize,
    channels: usize,
    kernel_rows: usize,
    kernel_columns: usize,
    outputs: usize,
    steps: Steps,
}

impl Dims {
    fn new(input: &[usize], kernel: &[usize], steps: Steps) -> Result<Self> {
        let (&[batch, height, width, channels], &[inputs, kernel_rows, kernel_columns, outputs]) =
            (input, kernel)
        else {
            bail!(
                "transposed_conv2d: got shapes {input:?} and {kernel:?}, \
                 expected [B, h, w, C] and [C, R, S, K]"
            );
        };
        let fits = |size: usize, taps: usize| {
            size > 0 && (size - 1) * steps.stride + taps > 2 * steps.padding
        };
        if channels != inputs || steps.stride == 0 {
            bail!(
                "transposed_conv2d: got shapes {input:?} and {kernel:?} with {steps:?}, \
                 expected equal C and a stride of at least 1"
            );
        }
        if !fits(height, kernel_rows) || !fits(width, kernel_columns) {
            bail!(
                "transposed_conv2d: nothing is left of the output of {input:?} and {kernel:?} \
                 with {steps:?}"
            );
        }
        Ok(Self { batch, height, width, channels, kernel_rows, kernel_columns, outputs, steps })
    }

    fn out_height(&self) -> usize {
        (self.height - 1) * self.steps.stride + self.kernel_rows - 2 * self.steps.padding
    }

    fn out_width(&self) -> usize {
        (self.width - 1) * self.steps.stride + self.kernel_columns - 2 * self.steps.padding
    }

    fn input_shape(&self) -> Shape {
        (self.batch, self.height, self.width, self.channels).into()
    }

    fn kernel_shape(&self) -> Shape {
        (self.channels, self.kernel_rows, self.kernel_columns, self.outputs).into()
    }

    fn output_shape(&self) -> Shape {
        (self.batch, self.out_height(), self.out_width(), self.outputs).into()
    }
}

/// Eq. (1).
struct Forward(Steps);

impl CustomOp2 for Forward {
    fn name(&self) -> &'static str {
        "transposed_conv2d"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dims = Dims::new(input_layout.dims(), kernel_layout.dims(), self.0)?;
        let views = [(input, input_layout), (kernel, kernel_layout)];
        if let Some(emulated) = cuda::if_emulated(self.name(), Pass::Forward, &dims, views)? {
            return Ok(emulated);
        }
        let output = binary(
            self.name(),
            views.into(),
            |x, w| cpu::forward(x, w, &dims),
            |x, w| reference::forward(x, w, &dims),
        )?;
        Ok((output, dims.output_shape()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &candle_core::CudaStorage,
        input_layout: &Layout,
        kernel: &candle_core::CudaStorage,
        kernel_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let dims = Dims::new(input_layout.dims(), kernel_layout.dims(), self.0)?;
        let views = [(input, input_layout), (kernel, kernel_layout)];
        cuda::run(self.name(), Pass::Forward, &dims, views)
    }

    fn bwd(
        &self,
        input: &Tensor,
        kernel: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let dims = Dims::new(input.dims(), kernel.dims(), self.0)?;
        let input_gradient = input
            .track_op()
            .then(|| gradient.apply_op2_no_bwd(kernel, &BackwardInput(dims)))
            .transpose()?;
        let kernel_gradient = kernel
            .track_op()
            .then(|| gradient.apply_op2_no_bwd(input, &BackwardKernel(dims)))
            .transpose()?;
        Ok((input_gradient, kernel_gradient))
    }
}

/// The gradient of [`Forward`] with respect to its input: a strided convolution.
struct BackwardInput(Dims);

impl CustomOp2 for BackwardInput {
    fn name(&self) -> &'static str {
        "transposed_conv2d-backward-input"
    }

    fn cpu_fwd(
        &self,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let views = [(gradient, gradient_layout), (kernel, kernel_layout)];
        if let Some(emulated) = cuda::if_emulated(self.name(), Pass::BackwardInput, &self.0, views)?
        {
            return Ok(emulated);
        }
        let output = binary(
            self.name(),
            views.into(),
            |g, w| cpu::backward_input(g, w, &self.0),
            |g, w| reference::backward_input(g, w, &self.0),
        )?;
        Ok((output, self.0.input_shape()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        gradient: &candle_core::CudaStorage,
        gradient_layout: &Layout,
        kernel: &candle_core::CudaStorage,
        kernel_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let views = [(gradient, gradient_layout), (kernel, kernel_layout)];
        cuda::run(self.name(), Pass::BackwardInput, &self.0, views)
    }
}

/// The gradient of [`Forward`] with respect to its kernel.
struct BackwardKernel(Dims);

impl CustomOp2 for BackwardKernel {
    fn name(&self) -> &'static str {
        "transposed_conv2d-backward-kernel"
    }

    fn cpu_fwd(
        &self,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        input: &CpuStorage,
        input_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let views = [(gradient, gradient_layout), (input, input_layout)];
        if let Some(emulated) =
            cuda::if_emulated(self.name(), Pass::BackwardKernel, &self.0, views)?
        {
            return Ok(emulated);
        }
        let output = binary(
            self.name(),
            views.into(),
            |g, x| cpu::backward_kernel(g, x, &self.0),
            |g, x| reference::backward_kernel(g, x, &self.0),
        )?;
        Ok((output, self.0.kernel_shape()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        gradient: &candle_core::CudaStorage,
        gradient_layout: &Layout,
        input: &candle_core::CudaStorage,
        input_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let views = [(gradient, gradient_layout), (input, input_layout)];
        cuda::run(self.name(), Pass::BackwardKernel, &self.0, views)
    }
}
