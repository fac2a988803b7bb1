//! The sum of a residual block: the branch plus the skip, the skip padded with zero channels.
//!
//! ```text
//! Y[…, c] = M[…, c] + S[…, c - o]   where 0 ≤ c - o < C1,   o = ⌊(C2 - C1) / 2⌋        (1)
//! ```

mod cpu;
mod launches;
#[cfg(test)]
mod tests;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use crate::cuda;
use crate::storage::binary;

/// Returns `main + skip`, where `skip` may have fewer channels and is padded with zeros on both sides.
///
/// `⌊(C2 - C1) / 2⌋` zero channels go before those of `skip` and the rest after, Eq. (1) of the module.
///
/// # Shapes
///
/// - `main`: `[B, H, W, C2]`
/// - `skip`: `[B, H, W, C1]` with `C1 ≤ C2`
/// - result: `[B, H, W, C2]`
///
/// # Errors
///
/// Returns an error if the shapes do not fit each other or the elements are not all `f32` or all `f64`.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
/// use duomo_ops::add_skip;
///
/// let main = Tensor::new(&[1f32, 2., 3., 4.], &Device::Cpu)?.reshape((1, 1, 1, 4))?;
/// let skip = Tensor::new(&[10f32, 20.], &Device::Cpu)?.reshape((1, 1, 1, 2))?;
/// let sum = add_skip(&main, &skip)?;
/// assert_eq!(sum.flatten_all()?.to_vec1::<f32>()?, [1., 12., 23., 4.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn add_skip(main: &Tensor, skip: &Tensor) -> Result<Tensor> {
    let (main_shape, skip_shape) = (main.dims4()?, skip.dims4()?);
    let pixels = |(b, h, w, _): (usize, usize, usize, usize)| (b, h, w);
    if pixels(main_shape) != pixels(skip_shape) || skip_shape.3 > main_shape.3 {
        bail!(
            "add_skip: got {main_shape:?} plus a skip of {skip_shape:?}, \
             expected equal images and no more channels in the skip"
        );
    }
    let channels = Channels { main: main_shape.3, skip: skip_shape.3 };
    main.contiguous()?.apply_op2(&skip.contiguous()?, AddSkip(channels))
}

/// How many channels either side has.
#[derive(Clone, Copy, Debug)]
struct Channels {
    main: usize,
    skip: usize,
}

impl Channels {
    /// Zero channels before those of the skip.
    fn before(self) -> usize {
        (self.main - self.skip) / 2
    }
}

struct AddSkip(Channels);

impl AddSkip {
    fn plan(&self, main: &Layout) -> Result<cuda::Planned> {
        let shape = main.shape();
        let pixels = shape.elem_count() / self.0.main.max(1);
        Ok((launches::add(pixels, self.0)?, shape.clone()))
    }
}

impl CustomOp2 for AddSkip {
    fn name(&self) -> &'static str {
        "add_skip"
    }

    fn cpu_fwd(
        &self,
        main: &CpuStorage,
        main_layout: &Layout,
        skip: &CpuStorage,
        skip_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let views = [(main, main_layout), (skip, skip_layout)];
        let emulated = cuda::if_emulated(self.name(), views, || self.plan(main_layout))?;
        if let Some(emulated) = emulated {
            return Ok(emulated);
        }
        let output = binary(
            self.name(),
            ((main, main_layout), (skip, skip_layout)),
            |m, s| cpu::add(m, s, self.0),
            |m, s| cpu::add(m, s, self.0),
        )?;
        Ok((output, main_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        main: &candle_core::CudaStorage,
        main_layout: &Layout,
        skip: &candle_core::CudaStorage,
        skip_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let (program, shape) = self.plan(main_layout)?;
        let inputs = [(main, main_layout), (skip, skip_layout)];
        // SAFETY: `add_skip` has checked that both have these pixels and channels; the launch runs
        // between guards in its test.
        Ok((unsafe { cuda::card::apply(self.name(), &program, inputs)? }, shape))
    }

    /// The branch receives the gradient, the skip its middle channels.
    fn bwd(
        &self,
        main: &Tensor,
        skip: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let skip_gradient = skip
            .track_op()
            .then(|| gradient.narrow(3, self.0.before(), self.0.skip)?.contiguous())
            .transpose()?;
        Ok((main.track_op().then(|| gradient.clone()), skip_gradient))
    }
}
