//! Inverted dropout whose mask can be recomputed instead of stored.
//!
//! ```text
//! Y[i] = X[i] / (1 - p) · [u(seed, i) ≥ p]        (1)
//! ```
//!
//! `u(seed, i)` is uniform on `[0, 1)` in steps of 2⁻¹⁶: the `i mod 4`-th 16 bits of draw `⌊i / 4⌋` of
//! the `SplitMix64` generator, which can be asked for any draw directly.

#[expect(
    clippy::inline_always,
    reason = "a call would cross the boundary of the vector unit's code"
)]
mod cpu;
mod launches;
#[cfg(test)]
mod tests;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::cuda;
use crate::storage::unary;

pub(crate) use cpu::Mask;
pub use cpu::split_mix;

/// Returns `input` with each element dropped with the given probability, the rest scaled up so that
/// the expectation stays.
///
/// The mask depends on the seed and the position of the element alone, Eq. (1) of the module: not on
/// the element type, the batch around it or the number of threads. A probability of 0 returns `input`
/// itself.
///
/// # Shapes
///
/// - `input`: any; the result has the same
///
/// # Errors
///
/// Returns an error if the probability is not in `[0, 1)` or the elements are neither `f32` nor `f64`.
///
/// # Source
///
/// N. Srivastava et al., *Dropout: A Simple Way to Prevent Neural Networks from Overfitting*, JMLR 15,
/// 2014; the draws are those of G. Steele et al., *Fast Splittable Pseudorandom Number Generators*,
/// OOPSLA 2014.
///
/// # Examples
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use duomo_ops::dropout;
///
/// let ones = Tensor::ones(1000, DType::F32, &Device::Cpu)?;
/// let kept = dropout(&ones, 0.5, 7)?.to_vec1::<f32>()?;
/// assert!(kept.iter().all(|&x| x == 0.0 || x == 2.0));
/// assert_eq!(kept, dropout(&ones, 0.5, 7)?.to_vec1::<f32>()?);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn dropout(input: &Tensor, probability: f64, seed: u64) -> Result<Tensor> {
    check_probability(probability)?;
    if probability == 0.0 {
        return Ok(input.clone());
    }
    input.contiguous()?.apply_op1(Dropout { probability, seed })
}

pub(crate) fn check_probability(probability: f64) -> Result<()> {
    if (0.0..1.0).contains(&probability) {
        return Ok(());
    }
    bail!("dropout: got probability {probability}, expected one in [0, 1)")
}

#[derive(Clone, Copy, Debug)]
struct Dropout {
    probability: f64,
    seed: u64,
}

impl Dropout {
    fn plan(self, layout: &Layout) -> Result<cuda::Planned> {
        let shape = layout.shape();
        Ok((launches::mask(shape.elem_count(), self)?, shape.clone()))
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let emulated = cuda::if_emulated(self.name(), [(input, layout)], || self.plan(layout))?;
        if let Some(emulated) = emulated {
            return Ok(emulated);
        }
        let output = unary(
            self.name(),
            (input, layout),
            |x| cpu::mask(x, self.probability, self.seed),
            |x| cpu::mask(x, self.probability, self.seed),
        )?;
        Ok((output, layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let (program, shape) = self.plan(layout)?;
        // SAFETY: the launch is made for as many elements, and runs between guards in its test.
        Ok((unsafe { cuda::card::apply(self.name(), &program, [(input, layout)])? }, shape))
    }

    /// The gradient passes through the same mask.
    fn bwd(&self, input: &Tensor, _output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !input.track_op() {
            return Ok(None);
        }
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(self)?))
    }
}
