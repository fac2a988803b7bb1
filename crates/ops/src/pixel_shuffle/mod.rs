//! Depth to space: channels of a coarse pixel become the pixels of a fine one.
//!
//! ```text
//! Y[b, f i + a, f j + a', c] = X[b, i, j, f² c + f a + a']        (1)
//! ```

mod cpu;
mod launches;
#[cfg(test)]
mod tests;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

pub(crate) use self::cpu::{shuffle_pixel, unshuffle_row};
use crate::cuda;
use crate::storage::unary;

/// Returns the image enlarged by `factor`, its pixels taken from the channels as in Eq. (1) of the
/// module.
///
/// The order of the channels is that of PyTorch's `pixel_shuffle`.
///
/// # Shapes
///
/// - `input`: `[B, h, w, factor² · C]`
/// - result: `[B, factor · h, factor · w, C]`
///
/// # Errors
///
/// Returns an error if `factor` is 0, its square does not divide the channels, or the elements are
/// neither `f32` nor `f64`.
///
/// # Source
///
/// W. Shi et al., *Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
/// Convolutional Neural Network*, CVPR 2016.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
/// use duomo_ops::pixel_shuffle;
///
/// let coarse = Tensor::new(&[1f32, 2., 3., 4.], &Device::Cpu)?.reshape((1, 1, 1, 4))?;
/// let fine = pixel_shuffle(&coarse, 2)?.reshape((2, 2))?;
/// assert_eq!(fine.to_vec2::<f32>()?, [[1., 2.], [3., 4.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn pixel_shuffle(input: &Tensor, factor: usize) -> Result<Tensor> {
    let dims = Dims::of_coarse(input, factor)?;
    input.contiguous()?.apply_op1(Shuffle(dims))
}

/// Returns the inverse of [`pixel_shuffle`], which is its gradient as well.
///
/// # Shapes
///
/// - `fine`: `[B, f H, f W, C]`
/// - result: `[B, H, W, f² C]`, carries no gradient itself
///
/// # Errors
///
/// Returns an error if `fine` has not four dimensions, the factor is 0 or does not divide its rows and
/// columns, or its elements are neither `f32` nor `f64`.
pub fn pixel_unshuffle(fine: &Tensor, factor: usize) -> Result<Tensor> {
    let (batch, height, width, channels) = fine.dims4()?;
    if factor == 0 || height % factor != 0 || width % factor != 0 {
        bail!(
            "pixel_unshuffle: got an image of {height} x {width} and factor {factor}, \
             expected multiples of the factor"
        );
    }
    let dims = Dims { batch, height: height / factor, width: width / factor, channels, factor };
    fine.contiguous()?.apply_op1_no_bwd(&Unshuffle(dims))
}

/// Sizes of the coarse image, and the channels of the fine one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dims {
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    channels: usize,
    factor: usize,
}

impl Dims {
    /// The sizes, given the coarse image.
    pub(crate) fn of_coarse(input: &Tensor, factor: usize) -> Result<Self> {
        let (batch, height, width, channels) = input.dims4()?;
        if factor == 0 || channels % (factor * factor) != 0 {
            bail!(
                "pixel_shuffle: got {channels} channels and factor {factor}, \
                 expected a multiple of the factor's square"
            );
        }
        Ok(Self { batch, height, width, channels: channels / (factor * factor), factor })
    }

    /// Channels of the coarse image.
    pub(crate) fn depth(&self) -> usize {
        self.channels * self.factor * self.factor
    }

    /// Numbers of one coarse row.
    pub(crate) fn row(&self) -> usize {
        self.width * self.depth()
    }

    fn coarse_shape(&self) -> Shape {
        (self.batch, self.height, self.width, self.depth()).into()
    }

    pub(crate) fn fine_shape(&self) -> Shape {
        let (height, width) = (self.factor * self.height, self.factor * self.width);
        (self.batch, height, width, self.channels).into()
    }
}

struct Shuffle(Dims);

impl Shuffle {
    fn plan(&self) -> Result<cuda::Planned> {
        Ok((launches::shuffle(self.0)?, self.0.fine_shape()))
    }
}

impl CustomOp1 for Shuffle {
    fn name(&self) -> &'static str {
        "pixel_shuffle"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let emulated = cuda::if_emulated(self.name(), [(input, layout)], || self.plan())?;
        if let Some(emulated) = emulated {
            return Ok(emulated);
        }
        let dims = self.0;
        let output = unary(
            self.name(),
            (input, layout),
            |x| cpu::shuffle(x, dims),
            |x| cpu::shuffle(x, dims),
        )?;
        Ok((output, dims.fine_shape()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let (program, shape) = self.plan()?;
        // SAFETY: the launch is made for the sizes of this image, and runs between guards in its test.
        Ok((unsafe { cuda::card::apply(self.name(), &program, [(input, layout)])? }, shape))
    }

    fn bwd(&self, input: &Tensor, _output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !input.track_op() {
            return Ok(None);
        }
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(&Unshuffle(self.0))?))
    }
}

/// The inverse of [`Shuffle`], which is also its gradient.
struct Unshuffle(Dims);

impl Unshuffle {
    fn plan(&self) -> Result<cuda::Planned> {
        Ok((launches::unshuffle(self.0)?, self.0.coarse_shape()))
    }
}

impl CustomOp1 for Unshuffle {
    fn name(&self) -> &'static str {
        "pixel_unshuffle"
    }

    fn cpu_fwd(&self, fine: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let emulated = cuda::if_emulated(self.name(), [(fine, layout)], || self.plan())?;
        if let Some(emulated) = emulated {
            return Ok(emulated);
        }
        let dims = self.0;
        let coarse = unary(
            self.name(),
            (fine, layout),
            |x| cpu::unshuffle(x, dims),
            |x| cpu::unshuffle(x, dims),
        )?;
        Ok((coarse, dims.coarse_shape()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        fine: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let (program, shape) = self.plan()?;
        // SAFETY: the launch is made for the sizes of this image, and runs between guards in its test.
        Ok((unsafe { cuda::card::apply(self.name(), &program, [(fine, layout)])? }, shape))
    }
}
