//! The mean of an affinity matrix, without the matrix.
//!
//! The literal reading of Eq. (4) compares only the means of the entries, and a sum of dot products
//! is the dot product of the sums. With `x̂_m`, `ŷ_n` the channels of a region at unit length,
//!
//! ```text
//! (1/P) Σ_{m,n} a^c_{m,n} = (w/P) Σ_p u[p] v[p],   u = Σ_m x̂_m,   v = Σ_n ŷ_n
//! ```
//!
//! which takes `(M + N)·p` multiplications instead of `M·N·p`. With `g` the incoming gradient,
//!
//! ```text
//! ∂L/∂X_m = (g w / P) · (1/‖X_m‖) · ( v − x̂_m · Σ_p x̂_m[p] v[p] )
//! ```
//!
//! Dimension key: `B` slices, `h, w` the coarser grid, `M, N` channels of layers l and k, `P = M·N`,
//! `C` classes, `R` regions.

mod cpu;
#[cfg(test)]
mod tests;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, backend::BackendStorage};
use duomo_ops::cuda::on_card;

use crate::{
    align::align,
    class_affinity,
    norms::Map,
    reading::Reading,
    real::{Real, elements, for_real, with_elements},
    regions::Regions,
};

/// Returns the mean of each class's affinity matrix, differentiable in both maps.
///
/// Equal to the mean over `M` and `N` of [`class_affinity`](fn@crate::class_affinity).
///
/// # Shapes
///
/// - `features_l`: `[B, h, w, M]`, `features_k`: `[B, h', w', N]`, both `f32` or both `f64`
/// - `labels`: `[B, H, W]`, `u8` class indices below `classes`
/// - result: `[C]`; `C` is `classes`, one less without background, 1 without class masks
///
/// # Errors
///
/// If shapes, types or label values are other than stated, or no class is left.
///
/// # Source
///
/// \[Chen2020\], the inner sum of Eq. (4) as printed.
///
/// # Examples
///
/// ```
/// # use candle_core::{Device, Result, Tensor};
/// use duomo_affinity::{Reading, mean_affinity};
///
/// # fn main() -> Result<()> {
/// // Two pixels of one class; channels (3, 4) and (4, 3) against (3, 4).
/// let features_l = Tensor::new(&[3f32, 4.0, 4.0, 3.0], &Device::Cpu)?.reshape((1, 1, 2, 2))?;
/// let features_k = Tensor::new(&[3f32, 4.0], &Device::Cpu)?.reshape((1, 1, 2, 1))?;
/// let labels = Tensor::new(&[[[0u8, 0]]], &Device::Cpu)?;
///
/// let mean = mean_affinity(&features_l, &features_k, &labels, 1, &Reading::default())?;
///
/// // The cosines are 1 and 24/25.
/// assert!((mean.to_vec1::<f32>()?[0] - 0.98).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
pub fn mean_affinity(
    features_l: &Tensor,
    features_k: &Tensor,
    labels: &Tensor,
    classes: usize,
    reading: &Reading,
) -> Result<Tensor> {
    let aligned = align(features_l, features_k, labels, classes, *reading)?;
    of_regions(&aligned.features_l, &aligned.features_k, aligned.regions)
}

/// [`mean_affinity`] of maps that are on one grid already, `[B, h, w, M]` and `[B, h, w, N]`.
pub(crate) fn of_regions(
    features_l: &Tensor,
    features_k: &Tensor,
    regions: Regions,
) -> Result<Tensor> {
    if on_card(features_l) {
        let affinity = class_affinity::of_regions(features_l, features_k, regions)?;
        return affinity.flatten_from(1)?.mean(1);
    }
    features_l.apply_op2(features_k, MeanAffinity { regions })
}

struct MeanAffinity {
    regions: Regions,
}

impl CustomOp2 for MeanAffinity {
    fn name(&self) -> &'static str {
        "mean_affinity"
    }

    fn cpu_fwd(
        &self,
        storage_l: &CpuStorage,
        layout_l: &Layout,
        storage_k: &CpuStorage,
        layout_k: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (l, k) = ((storage_l, layout_l), (storage_k, layout_k));
        for_real!(self.name(), storage_l.dtype(), forward(&self.regions, l, k))
    }

    fn bwd(
        &self,
        features_l: &Tensor,
        features_k: &Tensor,
        _mean: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let tensors = [features_l, features_k, gradient];
        for_real!(self.name(), features_l.dtype(), backward(&self.regions, tensors))
    }
}

fn forward<T: Real>(
    regions: &Regions,
    (storage_l, layout_l): (&CpuStorage, &Layout),
    (storage_k, layout_k): (&CpuStorage, &Layout),
) -> Result<(CpuStorage, Shape)> {
    let l = Map::new(elements::<T>(storage_l, layout_l)?, layout_l.dims());
    let k = Map::new(elements::<T>(storage_k, layout_k)?, layout_k.dims());
    let means = cpu::forward(l, k, regions);
    Ok((T::to_cpu_storage_owned(means), Shape::from(regions.classes)))
}

fn backward<T: Real>(
    regions: &Regions,
    tensors: [&Tensor; 3],
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let [features_l, features_k, _] = tensors;
    let (of_l, of_k) = with_elements::<T, 3, _>(tensors, |[l, k, gradient]| {
        let l = Map::new(l, features_l.dims());
        let k = Map::new(k, features_k.dims());
        cpu::gradients(l, k, regions, gradient)
    })?;
    let of_l = Tensor::from_vec(of_l, features_l.shape(), features_l.device())?;
    let of_k = Tensor::from_vec(of_k, features_k.shape(), features_k.device())?;
    Ok((Some(of_l), Some(of_k)))
}
