//! Distillation between modalities: what the network confuses each class with.
//!
//! With the logits `z` of a modality's batch, its labels and `n_i` pixels of class `i`,
//!
//! ```text
//! z̄_i = Σ_x z(x) [label(x) = i] / (n_i + 1e-6)          mean logits of class i, C numbers
//! q_i = softmax(z̄_i / T)
//! L   = mean_i ½ [KL(q¹_i ‖ q²_i) + KL(q²_i ‖ q¹_i)] = mean_i ½ Σ_j (q¹ − q²)(ln q¹ − ln q²)
//! ```
//!
//! The mean runs over the classes present in both modalities, then over all pairs of modalities.

mod cpu;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, WithDType, bail};

use duomo_ops::{cuda::on_card, losses};

use super::{check_classes, check_pixels, elements, with_labels};
use crate::Error;

/// Keeps the mean of an absent class at zero.
const COUNT_EPSILON: f64 = 1e-6;

/// Returns how differently the modalities confuse classes, a scalar with gradients to all logits.
///
/// Zero means that the class means of the softened logits agree. There is no factor `T²`. A class
/// that either of two modalities lacks is skipped; if they have none in common, their loss is 0.
///
/// # Shapes
///
/// - `logits[m]`: `[B_m, H, W, C]`, `f32` or `f64`, of modality `m`
/// - `labels[m]`: `[B_m, H, W]`, `u8` class indices, on the CPU
/// - `temperature`: above 1 softens; \[Dou2020\] has 2
///
/// # Errors
///
/// - [`Error::Sides`] if there are fewer than two modalities, or labels for another number
/// - [`Error::Temperature`] if `temperature` is not above 0
/// - [`Error::LabelShape`] if labels do not cover their logits' pixels
/// - [`Error::Tensor`] names the first label that is not below `C`
///
/// # Source
///
/// The distillation of \[Dou2020\], with two deviations: their code does not skip absent classes,
/// and more than two modalities are compared pair by pair.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let logits = Tensor::new(&[[[[2f64, 0.], [0., 2.]]]], &Device::Cpu)?;
/// let labels = Tensor::new(&[[[0u8, 1]]], &Device::Cpu)?;
/// let agree = duomo_model::distillation_loss(
///     &[logits.clone(), logits],
///     &[labels.clone(), labels],
///     2.0,
/// )?;
/// assert_eq!(agree.to_scalar::<f64>()?, 0.0);
/// # Ok::<(), duomo_model::Error>(())
/// ```
pub fn distillation_loss(
    logits: &[Tensor],
    labels: &[Tensor],
    temperature: f64,
) -> std::result::Result<Tensor, Error> {
    if logits.len() < 2 || logits.len() != labels.len() {
        return Err(Error::Sides { logits: logits.len(), labels: labels.len() });
    }
    if !(temperature > 0.0 && temperature.is_finite()) {
        return Err(Error::Temperature(temperature));
    }
    let mut sides = Vec::new();
    for (logits, labels) in logits.iter().zip(labels) {
        check_pixels(logits, labels)?;
        sides.push(Confusion::new(logits, labels, temperature)?);
    }

    let mut divergences = Vec::new();
    for (index, one) in sides.iter().enumerate() {
        for other in &sides[index + 1..] {
            divergences.push(one.divergence(other)?);
        }
    }
    Ok(Tensor::stack(&divergences, 0)?.mean_all()?)
}

/// What one modality confuses its classes with.
struct Confusion {
    /// `ln q`, `[C, C]`.
    log_q: Tensor,
    /// 1 for every class that has pixels, else 0, `[C, 1]`.
    present: Tensor,
}

impl Confusion {
    fn new(logits: &Tensor, labels: &Tensor, temperature: f64) -> Result<Self> {
        let classes = logits.dim(D::Minus1)?;
        let labels = labels.detach().contiguous()?;
        let means = class_means(logits, labels)?; // [C, C + 1]
        let pixels = means.narrow(1, classes, 1)?.detach();
        let softened = (means.narrow(1, 0, classes)? / temperature)?;
        let present = pixels.gt(0.0)?.to_dtype(means.dtype())?;
        Ok(Self { log_q: log_softmax(&softened)?, present })
    }

    /// Mean symmetric divergence over the classes present on both sides.
    fn divergence(&self, other: &Self) -> Result<Tensor> {
        let both = (&self.present * &other.present)?; // [C, 1]
        let difference = (self.log_q.exp()? - other.log_q.exp()?)?;
        let divergence = (difference * (&self.log_q - &other.log_q)?)?.sum_keepdim(1)?; // [C, 1]
        let classes = both.sum_all()?.maximum(1.0)?;
        (divergence * both)?.sum_all()?.div(&classes)? * 0.5
    }
}

/// The mean logits of every class and, in the last column, its pixels, `[C, C + 1]`.
fn class_means(logits: &Tensor, labels: Tensor) -> Result<Tensor> {
    if on_card(logits) {
        return with_labels(&labels, |values| {
            check_classes(&labels, values, logits.dim(D::Minus1)?)?;
            losses::class_means(logits, values)
        });
    }
    logits.contiguous()?.apply_op1(ClassMeans { labels })
}

/// Over the last axis of a matrix.
fn log_softmax(x: &Tensor) -> Result<Tensor> {
    // A shift changes neither value nor gradient, so it need not be part of the graph.
    let shifted = x.broadcast_sub(&x.max_keepdim(1)?.detach())?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(1)?.log()?)
}

/// Logits `[B, H, W, C]` to the mean logits of every class and its pixel count, `[C, C + 1]`.
struct ClassMeans {
    labels: Tensor,
}

impl ClassMeans {
    fn forward<T: WithDType>(&self, logits: &[T], classes: usize) -> Result<CpuStorage> {
        let means = with_labels(&self.labels, |labels| {
            check_classes(&self.labels, labels, classes)?;
            Ok(cpu::class_means(logits, labels, classes))
        })?;
        let means: Vec<T> = means.into_iter().map(T::from_f64).collect();
        Ok(T::to_cpu_storage_owned(means))
    }
}

impl CustomOp1 for ClassMeans {
    fn name(&self) -> &'static str {
        "class-means"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let classes = layout.dims()[3];
        let means = match storage {
            CpuStorage::F32(_) => self.forward::<f32>(elements(storage, layout)?, classes)?,
            CpuStorage::F64(_) => self.forward::<f64>(elements(storage, layout)?, classes)?,
            _ => bail!("the distillation loss takes logits of type f32 or f64"),
        };
        Ok((means, Shape::from((classes, classes + 1))))
    }

    /// `∂L/∂z(x) = G_label(x) / (n_label(x) + 1e-6)`: every pixel takes the row of its class.
    fn bwd(&self, logits: &Tensor, means: &Tensor, incoming: &Tensor) -> Result<Option<Tensor>> {
        let classes = logits.dim(D::Minus1)?;
        let pixels = (means.narrow(1, classes, 1)?.detach() + COUNT_EPSILON)?;
        let rows = incoming.narrow(1, 0, classes)?.broadcast_div(&pixels)?;
        let gradient = rows.contiguous()?.index_select(&self.labels.flatten_all()?, 0)?;
        gradient.reshape(logits.shape()).map(Some)
    }
}
