//! The class-specific affinity loss, Eq. (4), over layer pairs and modality pairs.
//!
//! ```text
//! L_CSA = mean over layer pairs (l, k), mean over modality pairs i < j, of
//!         (1/C) Σ_c ‖ (1/P) Σ (A^{c,i}(l, k) − A^{c,j}(l, k)) ‖²          (4)
//! ```
//!
//! The paper has two modalities and one pair of layers; the means over pairs are the plain
//! extension. Each modality's affinity is computed once per layer pair.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, bail};

use crate::{
    align::{Aligned, align},
    class_affinity,
    consistency::consistency,
    mean_affinity,
    reading::{Consistency, Reading},
};

/// What one modality brings to the comparison.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Feature map of each convolutional group by the group's number, `[B, h, w, channels]`.
    pub features: &'a BTreeMap<usize, Tensor>,
    /// Class indices, `u8` `[B, H, W]`; `B` may differ between modalities.
    pub labels: &'a Tensor,
}

/// Returns how far the modalities' affinities are apart, Eq. (4), a scalar of the features' type.
///
/// Differentiable in every feature map. A class that is absent from either modality of a pair
/// contributes 0 and no gradient; the divisor stays `C`.
///
/// # Shapes
///
/// - `sides`: two or more modalities
/// - `pairs`: group numbers `(l, k)`; a group may be in several pairs, and be paired with itself
/// - result: `[]`
///
/// # Errors
///
/// If there are fewer than two sides or no pairs, a side lacks a group, modalities differ in a
/// group's channels, or a shape, type or label is not as in
/// [`class_affinity`](fn@crate::class_affinity).
///
/// # Source
///
/// \[Chen2020\] Eq. (4); what it leaves open is a [`Reading`].
///
/// # Examples
///
/// ```
/// # use std::collections::BTreeMap;
/// # use candle_core::{Device, Result, Tensor};
/// use duomo_affinity::{Reading, Side, affinity_loss};
///
/// # fn main() -> Result<()> {
/// // One class, two pixels, one channel: a cosine of 24/25 against one of 1.
/// let map = |values: [f32; 2]| Tensor::new(&values, &Device::Cpu)?.reshape((1, 1, 2, 1));
/// let ct = BTreeMap::from([(5, map([3.0, 4.0])?), (6, map([4.0, 3.0])?)]);
/// let mr = BTreeMap::from([(5, map([3.0, 4.0])?), (6, map([6.0, 8.0])?)]);
/// let labels = Tensor::new(&[[[0u8, 0]]], &Device::Cpu)?;
/// let sides = [Side { features: &ct, labels: &labels }, Side { features: &mr, labels: &labels }];
///
/// let loss = affinity_loss(&sides, &[(5, 6)], 1, &Reading::default())?;
///
/// assert!((loss.to_scalar::<f32>()? - 0.04f32.powi(2)).abs() < 1e-7);
/// # Ok(())
/// # }
/// ```
pub fn affinity_loss(
    sides: &[Side<'_>],
    pairs: &[(usize, usize)],
    classes: usize,
    reading: &Reading,
) -> Result<Tensor> {
    if sides.len() < 2 {
        bail!("affinity_loss: got {} modalities, expected two or more to compare", sides.len());
    }
    if pairs.is_empty() {
        bail!("affinity_loss: got no pair of layers, expected at least one, such as (5, 6)");
    }
    let mut terms = Vec::new();
    for &pair in pairs {
        let described = sides
            .iter()
            .enumerate()
            .map(|(modality, side)| describe(modality, side, pair, classes, *reading))
            .collect::<Result<Vec<_>>>()?;
        for (i, one) in described.iter().enumerate() {
            for other in &described[i + 1..] {
                let both = one.present.iter().zip(&other.present).map(|(a, b)| *a && *b).collect();
                terms.push(consistency(&one.affinity, &other.affinity, both)?);
            }
        }
    }
    Tensor::stack(&terms, 0)?.mean_all()
}

/// A modality's affinity for one layer pair, and which classes it has.
struct Description {
    affinity: Tensor,
    present: Vec<bool>,
}

fn describe(
    modality: usize,
    side: &Side<'_>,
    (l, k): (usize, usize),
    classes: usize,
    reading: Reading,
) -> Result<Description> {
    let group = |number: usize| match side.features.get(&number) {
        Some(features) => Ok(features),
        None => bail!(
            "affinity_loss: modality {modality} has no features of group {number} for pair ({l}, {k}), \
             expected one of {:?}",
            side.features.keys().collect::<Vec<_>>()
        ),
    };
    let Aligned { features_l, features_k, regions } =
        align(group(l)?, group(k)?, side.labels, classes, reading)?;
    let present = regions.present();
    let affinity = match reading.consistency {
        Consistency::Elementwise => class_affinity::of_regions(&features_l, &features_k, regions)?,
        Consistency::MeanDifference => {
            mean_affinity::of_regions(&features_l, &features_k, regions)?
        }
    };
    Ok(Description { affinity, present })
}
