//! Class-specific affinity: which channels of two layers respond together inside one class.
//!
//! With `p` running over pixels and `1/S_c` the factor of [`SizeNormalization`],
//!
//! ```text
//! F^c = F ⊙ M^c                                                         (2)
//! a^c_{m,n} = (1/S_c) · cos(F^c_m(l), F^c_n(k))                         (3)
//!           = (1/S_c) · Σ_p F^c_m(l)[p] F^c_n(k)[p] / (‖F^c_m(l)‖ ‖F^c_n(k)‖)
//! ```
//!
//! Classes partition the pixels, so the masked maps of Eq. (2) are never made: the pixels are sorted
//! by region once, and each region is one product over its own pixels, `M·N·p` multiplications for
//! all classes together.
//!
//! # Gradient
//!
//! With `X`, `Y` the two maps on one region, `x̂`, `ŷ` their channels at unit length, `w = 1/S_c`
//! and `G` the incoming gradient of the class,
//!
//! ```text
//! ∂L/∂X_m = (1/‖X_m‖) · ( w Σ_n G_mn ŷ_n − x̂_m · t_m ),   t_m = Σ_n G_mn a_mn
//! ```
//!
//! The second term takes out the part along `x̂_m`: a cosine does not feel a vector's length. For
//! `Y` swap the roles. A vector no longer than 1e-8 has cosine exactly 0 and no gradient.
//!
//! Dimension key: `B` slices, `h, w` the coarser grid, `M, N` channels of layers l and k, `C`
//! classes, `R` regions.
//!
//! [`SizeNormalization`]: crate::SizeNormalization

mod card;
mod cpu;
mod launches;
pub mod reference;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, backend::BackendStorage};
use duomo_ops::cuda::on_card;

use crate::{
    align::align,
    norms::{Map, inverse_norms},
    reading::Reading,
    real::{Real, elements, for_real, with_elements},
    regions::Regions,
};

/// Returns the affinity matrix of every class, Eqs. (2) and (3), differentiable in both maps.
///
/// If the maps differ in resolution the finer one is averaged over areas to the coarser grid;
/// labels follow by nearest neighbour, `floor(i·H/h)`. A class without pixels has an affinity of 0.
/// Bits do not depend on the number of threads.
///
/// With the feature `cuda` the maps may lie on a card, in `f32`; where [`cuda::set_precision`] has chosen TF32 or
/// bf16, tensor cores multiply there. Labels stay on the CPU, where they are
/// sorted; from a card they would first be fetched, and the host would wait.
///
/// # Shapes
///
/// - `features_l`: `[B, h, w, M]`, `features_k`: `[B, h', w', N]`, both `f32` or both `f64`
/// - `labels`: `[B, H, W]`, `u8` class indices below `classes`
/// - result: `[C, M, N]`; `C` is `classes`, one less without background, 1 without class masks
///
/// # Errors
///
/// If shapes, types or label values are other than stated, or no class is left.
///
/// # Source
///
/// \[Chen2020\] Eqs. (2) and (3); what they leave open is a [`Reading`].
///
/// [`cuda::set_precision`]: duomo_ops::cuda::set_precision
///
/// # Examples
///
/// ```
/// # use candle_core::{Device, Result, Tensor};
/// use duomo_affinity::{Reading, class_affinity};
///
/// # fn main() -> Result<()> {
/// // Four pixels in a row, the first two of class 0; one channel per layer.
/// let at = |values: [f32; 4]| Tensor::new(&values, &Device::Cpu)?.reshape((1, 1, 4, 1));
/// let labels = Tensor::new(&[[[0u8, 0, 1, 1]]], &Device::Cpu)?;
///
/// let affinity =
///     class_affinity(&at([3.0, 4.0, 1.0, 2.0])?, &at([4.0, 3.0, 2.0, 4.0])?, &labels, 2, &Reading::default())?;
///
/// // cos((3, 4), (4, 3)) = 24/25, and (1, 2) is parallel to (2, 4).
/// let cosines = affinity.flatten_all()?.to_vec1::<f32>()?;
/// assert!((cosines[0] - 0.96).abs() < 1e-6 && (cosines[1] - 1.0).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
pub fn class_affinity(
    features_l: &Tensor,
    features_k: &Tensor,
    labels: &Tensor,
    classes: usize,
    reading: &Reading,
) -> Result<Tensor> {
    let aligned = align(features_l, features_k, labels, classes, *reading)?;
    of_regions(&aligned.features_l, &aligned.features_k, aligned.regions)
}

/// [`class_affinity`] of maps that are on one grid already, `[B, h, w, M]` and `[B, h, w, N]`.
pub(crate) fn of_regions(
    features_l: &Tensor,
    features_k: &Tensor,
    regions: Regions,
) -> Result<Tensor> {
    if on_card(features_l) {
        return card::of_regions(features_l, features_k, regions);
    }
    features_l.apply_op2(features_k, ClassAffinity::new(regions))
}

/// The labels enter as regions, which have no gradient.
struct ClassAffinity {
    regions: Regions,
    /// Of both maps, kept from the forward pass for the backward one.
    inverse_norms: OnceLock<[Vec<f64>; 2]>,
}

impl ClassAffinity {
    fn new(regions: Regions) -> Self {
        Self { regions, inverse_norms: OnceLock::new() }
    }
}

impl CustomOp2 for ClassAffinity {
    fn name(&self) -> &'static str {
        "class_affinity"
    }

    fn cpu_fwd(
        &self,
        storage_l: &CpuStorage,
        layout_l: &Layout,
        storage_k: &CpuStorage,
        layout_k: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (l, k) = ((storage_l, layout_l), (storage_k, layout_k));
        for_real!(self.name(), storage_l.dtype(), forward(self, l, k))
    }

    fn bwd(
        &self,
        features_l: &Tensor,
        features_k: &Tensor,
        affinity: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let tensors = [features_l, features_k, affinity, gradient];
        for_real!(self.name(), features_l.dtype(), backward(self, tensors))
    }
}

type Argument<'a> = (&'a CpuStorage, &'a Layout);

fn forward<T: Real>(
    op: &ClassAffinity,
    (storage_l, layout_l): Argument<'_>,
    (storage_k, layout_k): Argument<'_>,
) -> Result<(CpuStorage, Shape)> {
    let l = Map::new(elements::<T>(storage_l, layout_l)?, layout_l.dims());
    let k = Map::new(elements::<T>(storage_k, layout_k)?, layout_k.dims());
    let (affinity, norms) = cpu::forward(l, k, &op.regions);
    // Only the first forward pass can fill the cell, and an op is applied once.
    let _ = op.inverse_norms.set(norms);
    let shape = (op.regions.classes, l.channels, k.channels);
    Ok((T::to_cpu_storage_owned(affinity), Shape::from(shape)))
}

fn backward<T: Real>(
    op: &ClassAffinity,
    tensors: [&Tensor; 4],
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let [features_l, features_k, ..] = tensors;
    let gradients = with_elements::<T, 4, _>(tensors, |[l, k, affinity, gradient]| {
        let l = Map::new(l, features_l.dims());
        let k = Map::new(k, features_k.dims());
        let inverse = op
            .inverse_norms
            .get_or_init(|| [inverse_norms(l, &op.regions), inverse_norms(k, &op.regions)]);
        let l = cpu::Operand { map: l, inverse: &inverse[0] };
        let k = cpu::Operand { map: k, inverse: &inverse[1] };
        let (m, n) = (l.map.channels, k.map.channels);
        let sums = cpu::along(affinity, gradient, &op.regions, m, n);
        let along = |side: usize| sums.as_ref().map(|sums| &sums[side][..]);
        let of_l = || {
            let gradient = &cpu::transpose(gradient, m, n)[..];
            cpu::gradient(l, k, &op.regions, cpu::Incoming { gradient, along: along(0) })
        };
        let of_k = || cpu::gradient(k, l, &op.regions, cpu::Incoming { gradient, along: along(1) });
        (features_l.track_op().then(of_l), features_k.track_op().then(of_k))
    })?;
    let tensor = |values: Option<Vec<T>>, like: &Tensor| {
        values.map(|values| Tensor::from_vec(values, like.shape(), like.device())).transpose()
    };
    Ok((tensor(gradients.0, features_l)?, tensor(gradients.1, features_k)?))
}
