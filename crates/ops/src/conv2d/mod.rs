//! Convolution of stride 1 that keeps the size of the image.
//!
//! ```text
//! Y[b, y, x, k] = Σ_{r,s,c} W[k, r, s, c] · X[b, y + d (r - R/2), x + d (s - S/2), c]        (1)
//! ```
//!
//! `d` is the dilation; outside the image, `X` is zero or mirrored.
//!
//! Dimension key: `B` batch, `H`, `W` rows and columns, `C` input channels, `K` output channels,
//! `R`, `S` rows and columns of the kernel.
//!
//! Kernels of 3×3 taps with channels enough are computed by Winograd's algorithm (`winograd`), all others
//! directly (`cpu`); `choice` holds the measurements that decide.

mod border;
mod choice;
mod cpu;
mod cuda;
#[cfg(feature = "cudnn")]
pub(crate) mod cudnn;
#[expect(
    clippy::inline_always,
    reason = "a call would cross the boundary of the vector unit's code"
)]
pub(crate) mod finish;
#[expect(
    clippy::inline_always,
    reason = "a call would cross the boundary of the vector unit's code"
)]
mod gram;
pub(crate) mod launches;
#[expect(
    clippy::inline_always,
    reason = "a call would cross the boundary of the vector unit's code"
)]
mod packed;
pub(crate) mod passes;
mod reference;
#[cfg(test)]
mod tests;
#[expect(
    clippy::inline_always,
    reason = "a call would cross the boundary of the vector unit's code"
)]
mod tile;
#[expect(
    clippy::inline_always,
    reason = "a call would cross the boundary of the vector unit's code"
)]
mod winograd;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

pub(crate) use self::choice::Pass;
use crate::storage::binary;

/// What lies outside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros.
    Zero,
    /// The image mirrored at its border, the edge pixel repeated: `… x1 x0 | x0 x1 …`.
    Symmetric,
}

/// How [`conv2d`] treats the border and how far apart its taps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// What the kernel sees outside the image.
    pub padding: Padding,
    /// Distance in pixels between neighbouring taps of the kernel, 1 for an ordinary convolution.
    pub dilation: usize,
}

/// Returns the convolution of `input` with `kernel`, of the size of `input` and without bias.
///
/// This is Eq. (1) of the module: what deep learning calls a convolution, that is without flipping
/// the kernel. Differentiable in both arguments; the gradient of an `input` that does not track
/// operations is not computed.
///
/// # Shapes
///
/// - `input`: `[B, H, W, C]`
/// - `kernel`: `[K, R, S, C]`, `R` and `S` odd
/// - result: `[B, H, W, K]`
///
/// # Errors
///
/// Returns an error if the shapes do not fit each other, the kernel has an even side, the dilation is
/// 0, or the elements are not all `f32` or all `f64`.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
/// use duomo_ops::{Conv2d, Padding, conv2d};
///
/// let image = Tensor::new(&[1f32, 2., 3.], &Device::Cpu)?.reshape((1, 1, 3, 1))?;
/// let sum_of_three = Tensor::ones((1, 1, 3, 1), candle_core::DType::F32, &Device::Cpu)?;
/// let options = Conv2d { padding: Padding::Symmetric, dilation: 1 };
/// let sums = conv2d(&image, &sum_of_three, options)?;
/// assert_eq!(sums.flatten_all()?.to_vec1::<f32>()?, [4., 6., 8.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv2d(input: &Tensor, kernel: &Tensor, options: Conv2d) -> Result<Tensor> {
    input.contiguous()?.apply_op2(&kernel.contiguous()?, Forward(options))
}

/// Returns the gradient of [`conv2d`] with respect to its input.
///
/// # Shapes
///
/// - `gradient`: with respect to the output, `[B, H, W, K]`
/// - `kernel`: `[K, R, S, C]`
/// - result: `[B, H, W, C]`, carries no gradient itself
///
/// # Errors
///
/// Those of [`conv2d`].
pub fn conv2d_input_gradient(
    gradient: &Tensor,
    kernel: &Tensor,
    options: Conv2d,
) -> Result<Tensor> {
    gradient.contiguous()?.apply_op2_no_bwd(&kernel.contiguous()?, &BackwardInput(options))
}

/// Returns the gradient of [`conv2d`] with respect to a kernel of `sides` rows and columns.
///
/// # Shapes
///
/// - `gradient`: with respect to the output, `[B, H, W, K]`
/// - `input`: `[B, H, W, C]`
/// - result: `[K, R, S, C]`, carries no gradient itself
///
/// # Errors
///
/// Those of [`conv2d`].
pub fn conv2d_kernel_gradient(
    gradient: &Tensor,
    input: &Tensor,
    sides: (usize, usize),
    options: Conv2d,
) -> Result<Tensor> {
    let backward = BackwardKernel(options, sides);
    gradient.contiguous()?.apply_op2_no_bwd(&input.contiguous()?, &backward)
}

/// Sizes of one convolution, checked against each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dims {
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    pub(crate) outputs: usize,
    kernel_rows: usize,
    kernel_columns: usize,
    options: Conv2d,
}

impl Dims {
    pub(crate) fn new(
        image: (usize, usize, usize),
        kernel: &[usize],
        options: Conv2d,
    ) -> Result<Self> {
        let (batch, height, width) = image;
        let &[outputs, kernel_rows, kernel_columns, channels] = kernel else {
            bail!("conv2d: got a kernel of shape {kernel:?}, expected [K, R, S, C]");
        };
        if kernel_rows % 2 == 0 || kernel_columns % 2 == 0 || options.dilation == 0 {
            bail!(
                "conv2d: got a kernel of {kernel_rows} x {kernel_columns} with dilation {}, \
                 expected odd sides and a dilation of at least 1",
                options.dilation
            );
        }
        Ok(Self { batch, height, width, channels, outputs, kernel_rows, kernel_columns, options })
    }

    fn input_shape(&self) -> Shape {
        (self.batch, self.height, self.width, self.channels).into()
    }

    fn kernel_shape(&self) -> Shape {
        (self.outputs, self.kernel_rows, self.kernel_columns, self.channels).into()
    }

    fn output_shape(&self) -> Shape {
        (self.batch, self.height, self.width, self.outputs).into()
    }
}

/// Splits the shape of a feature map into image (batch, height, width) and channels.
fn image_of(layout: &Layout, channels: usize) -> Result<(usize, usize, usize)> {
    match *layout.dims() {
        [batch, height, width, last] if last == channels => Ok((batch, height, width)),
        _ => bail!(
            "conv2d: got a feature map of shape {:?}, expected [B, H, W, {channels}] to fit the kernel",
            layout.dims()
        ),
    }
}

/// Eq. (1).
struct Forward(Conv2d);

impl Forward {
    fn dims(&self, input: &Layout, kernel: &Layout) -> Result<Dims> {
        let channels = kernel.dims().last().copied().unwrap_or(0);
        Dims::new(image_of(input, channels)?, kernel.dims(), self.0)
    }
}

impl CustomOp2 for Forward {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dims = self.dims(input_layout, kernel_layout)?;
        let views = [(input, input_layout), (kernel, kernel_layout)];
        if let Some(emulated) = cuda::if_emulated(self.name(), Pass::Forward, &dims, views)? {
            return Ok(emulated);
        }
        let output = binary(
            self.name(),
            views.into(),
            |x, w| passes::forward(x, w, &dims, None, None).0,
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
        let dims = self.dims(input_layout, kernel_layout)?;
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
        let input_gradient = input
            .track_op()
            .then(|| conv2d_input_gradient(gradient, kernel, self.0))
            .transpose()?;
        let sides = (kernel.dim(1)?, kernel.dim(2)?);
        let kernel_gradient = kernel
            .track_op()
            .then(|| conv2d_kernel_gradient(gradient, input, sides, self.0))
            .transpose()?;
        Ok((input_gradient, kernel_gradient))
    }
}

/// The gradient of [`Forward`] with respect to its input.
struct BackwardInput(Conv2d);

impl BackwardInput {
    fn dims(&self, gradient: &Layout, kernel: &Layout) -> Result<Dims> {
        let outputs = kernel.dims().first().copied().unwrap_or(0);
        Dims::new(image_of(gradient, outputs)?, kernel.dims(), self.0)
    }
}

impl CustomOp2 for BackwardInput {
    fn name(&self) -> &'static str {
        "conv2d-backward-input"
    }

    fn cpu_fwd(
        &self,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dims = self.dims(gradient_layout, kernel_layout)?;
        let views = [(gradient, gradient_layout), (kernel, kernel_layout)];
        if let Some(emulated) = cuda::if_emulated(self.name(), Pass::BackwardInput, &dims, views)? {
            return Ok(emulated);
        }
        let output = binary(
            self.name(),
            views.into(),
            |g, w| passes::backward_input(g, w, &dims, None).0,
            |g, w| reference::backward_input(g, w, &dims),
        )?;
        Ok((output, dims.input_shape()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        gradient: &candle_core::CudaStorage,
        gradient_layout: &Layout,
        kernel: &candle_core::CudaStorage,
        kernel_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let dims = self.dims(gradient_layout, kernel_layout)?;
        let views = [(gradient, gradient_layout), (kernel, kernel_layout)];
        cuda::run(self.name(), Pass::BackwardInput, &dims, views)
    }
}

/// The gradient of [`Forward`] with respect to its kernel of the given rows and columns.
struct BackwardKernel(Conv2d, (usize, usize));

impl BackwardKernel {
    fn dims(&self, gradient: &Layout, input: &Layout) -> Result<Dims> {
        let &[batch, height, width, channels] = input.dims() else {
            bail!("{}: got a map of shape {:?}, expected [B, H, W, C]", self.name(), input.dims());
        };
        let outputs = gradient.dims().last().copied().unwrap_or(0);
        let image = image_of(gradient, outputs)?;
        if image != (batch, height, width) {
            bail!("{}: got gradients of {image:?} for {:?}", self.name(), (batch, height, width));
        }
        Dims::new(image, &[outputs, self.1.0, self.1.1, channels], self.0)
    }
}

impl CustomOp2 for BackwardKernel {
    fn name(&self) -> &'static str {
        "conv2d-backward-kernel"
    }

    fn cpu_fwd(
        &self,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        input: &CpuStorage,
        input_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dims = self.dims(gradient_layout, input_layout)?;
        let views = [(gradient, gradient_layout), (input, input_layout)];
        if let Some(emulated) = cuda::if_emulated(self.name(), Pass::BackwardKernel, &dims, views)?
        {
            return Ok(emulated);
        }
        let output = binary(
            self.name(),
            views.into(),
            |g, x| passes::backward_kernel(g, x, &dims, None),
            |g, x| reference::backward_kernel(g, x, &dims),
        )?;
        Ok((output, dims.kernel_shape()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        gradient: &candle_core::CudaStorage,
        gradient_layout: &Layout,
        input: &candle_core::CudaStorage,
        input_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let dims = self.dims(gradient_layout, input_layout)?;
        let views = [(gradient, gradient_layout), (input, input_layout)];
        cuda::run(self.name(), Pass::BackwardKernel, &dims, views)
    }
}
