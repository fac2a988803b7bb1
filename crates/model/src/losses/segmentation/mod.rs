//! Soft Dice and class-weighted cross-entropy.
//!
//! With `p = softmax(logits)`, the one-hot reference `g`, pixels `x` of the whole batch, `n_c` of
//! the `n` pixels in class `c` and `D_c = Σ_x p_c² + n_c + 1e-7`:
//!
//! ```text
//! dice          = 1 − (1/C) Σ_c 2 Σ_x p_c g_c / D_c
//! cross_entropy = −(1/n) Σ_x w_g(x) · ln clip(p_g(x), 0.005, 1),   w_c = 1 − n_c / n
//! ```
//!
//! and their gradients, with `h_c = ∂L/∂p_c`:
//!
//! ```text
//! ∂L/∂z_j = p_j (h_j − Σ_c p_c h_c)
//! ∂dice/∂p_c = −(2/C) (g_c / D_c − 2 p_c Σ_x p_c g_c / D_c²)
//! ∂cross_entropy/∂p_g = −w_g / (n p_g), or 0 where p_g < 0.005
//! ```

mod cpu;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType, bail,
};

use duomo_ops::{cuda::on_card, losses};

use super::{check_classes, check_pixels, elements, with_labels};
use crate::Error;
use cpu::Totals;

/// Returns the soft Dice loss and the class-weighted cross-entropy, two scalars with gradients.
///
/// Sums run over the batch, background included. Dice lies in `0..=1`; a class that the batch lacks
/// adds `1/C` to it whatever the logits are. In cross-entropy a class is weighted by the share of
/// the *other* classes in this batch, so a batch of one class has none. Where the probability of
/// the true class is below 0.005, its logarithm is clipped and has no gradient.
///
/// # Shapes
///
/// - `logits`: `[B, H, W, C]`, `f32` or `f64`
/// - `labels`: `[B, H, W]`, `u8` class indices, on the CPU
///
/// # Errors
///
/// - [`Error::LabelShape`] if the labels do not cover the logits' pixels
/// - [`Error::Tensor`] names the first label that is not below `C`
///
/// # Source
///
/// \[Chen2020\] Eq. (5) with the two losses of \[Dou2020\]'s code; 1 is added to its Dice loss so
/// that it is not negative.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// // Two pixels, two classes, no opinion: p = ½ everywhere.
/// let logits = Tensor::zeros((1, 1, 2, 2), candle_core::DType::F64, &Device::Cpu)?;
/// let labels = Tensor::new(&[[[0u8, 1]]], &Device::Cpu)?;
/// let (dice, cross_entropy) = duomo_model::segmentation_losses(&logits, &labels)?;
///
/// // 1 − 2·½ / (2·¼ + 1) and ½ ln 2
/// assert!((dice.to_scalar::<f64>()? - 1.0 / 3.0).abs() < 1e-6);
/// assert!((cross_entropy.to_scalar::<f64>()? - 0.5 * 2f64.ln()).abs() < 1e-12);
/// # Ok::<(), duomo_model::Error>(())
/// ```
pub fn segmentation_losses(
    logits: &Tensor,
    labels: &Tensor,
) -> std::result::Result<(Tensor, Tensor), Error> {
    check_pixels(logits, labels)?;
    let labels = labels.detach().contiguous()?;
    if on_card(logits) {
        let losses = with_labels(&labels, |values| {
            check_classes(&labels, values, logits.dim(3)?)?;
            losses::segmentation(logits, values)
        })?;
        return Ok((losses.get(0)?, losses.get(1)?));
    }
    let op = SegmentationLosses { labels, totals: OnceLock::new() };
    let losses = logits.contiguous()?.apply_op1(op)?;
    Ok((losses.get(0)?, losses.get(1)?))
}

/// Logits `[B, H, W, C]` to `[dice, cross_entropy]`.
struct SegmentationLosses {
    labels: Tensor,
    /// What the forward pass learnt about the batch, for the gradient.
    totals: OnceLock<Totals>,
}

impl SegmentationLosses {
    fn forward<T: WithDType>(&self, logits: &[T], classes: usize) -> Result<CpuStorage> {
        let totals = with_labels(&self.labels, |labels| {
            check_classes(&self.labels, labels, classes)?;
            Ok(cpu::totals(logits, labels, classes))
        })?;
        let losses = [totals.dice(), totals.cross_entropy()].map(T::from_f64);
        // A second forward pass of the same operation would find the same totals.
        let _ = self.totals.set(totals);
        Ok(T::to_cpu_storage(&losses))
    }
}

impl CustomOp1 for SegmentationLosses {
    fn name(&self) -> &'static str {
        "segmentation-losses"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let classes = layout.dims()[3];
        let losses = match storage {
            CpuStorage::F32(_) => self.forward::<f32>(elements(storage, layout)?, classes)?,
            CpuStorage::F64(_) => self.forward::<f64>(elements(storage, layout)?, classes)?,
            _ => bail!("segmentation losses take logits of type f32 or f64"),
        };
        Ok((losses, Shape::from(2)))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, incoming: &Tensor) -> Result<Option<Tensor>> {
        let totals = self.totals.get().expect("the gradient follows the forward pass");
        let gradient = SegmentationGradient { labels: &self.labels, totals };
        logits.apply_op2_no_bwd(&incoming.contiguous()?, &gradient).map(Some)
    }
}

/// Logits and the gradients of the two losses to the gradient of the logits.
struct SegmentationGradient<'a> {
    labels: &'a Tensor,
    totals: &'a Totals,
}

impl SegmentationGradient<'_> {
    fn gradient<T: WithDType>(&self, logits: &[T], incoming: &[T]) -> Result<CpuStorage> {
        let incoming = [incoming[0].to_f64(), incoming[1].to_f64()];
        let gradient = with_labels(self.labels, |labels| {
            Ok(cpu::gradient(logits, labels, self.totals, incoming))
        })?;
        Ok(T::to_cpu_storage_owned(gradient))
    }
}

impl CustomOp2 for SegmentationGradient<'_> {
    fn name(&self) -> &'static str {
        "segmentation-losses-gradient"
    }

    fn cpu_fwd(
        &self,
        logits: &CpuStorage,
        logits_layout: &Layout,
        incoming: &CpuStorage,
        incoming_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let gradient = match logits {
            CpuStorage::F32(_) => self.gradient::<f32>(
                elements(logits, logits_layout)?,
                elements(incoming, incoming_layout)?,
            )?,
            _ => self.gradient::<f64>(
                elements(logits, logits_layout)?,
                elements(incoming, incoming_layout)?,
            )?,
        };
        Ok((gradient, logits_layout.shape().clone()))
    }
}
