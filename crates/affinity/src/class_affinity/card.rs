//! The affinity of maps on a card: the CUDA twin of [`super::cpu`], in the precision chosen for cards.

#[cfg(all(test, feature = "cuda"))]
mod tests;

use candle_core::{Result, Shape, Tensor};
use duomo_ops::cuda::{self, Precision};

use super::launches;
use crate::regions::Regions;

const NAME: &str = "class_affinity";

/// Returns the affinities `[C, M, N]`, Eqs. (2) and (3), differentiable in both maps.
pub(super) fn of_regions(
    features_l: &Tensor,
    features_k: &Tensor,
    regions: Regions,
) -> Result<Tensor> {
    let (m, n, count) = (features_l.dim(3)?, features_k.dim(3)?, regions.list.len());
    let precision = cuda::precision_on(features_l)?;
    let program = launches::forward(&regions, [m, n], precision)?;
    let maps = [features_l.detach(), features_k.detach()];
    let matrices = Shape::from((regions.classes, m, n));
    let [of_l, of_k] = [m, n].map(|channels| Shape::from((count, channels)));
    // The emulator runs these launches between guards, at every kind of border; the maps are `[pixels, M]` and
    // `[pixels, N]`, as `align` made them.
    let (affinity, norms, cosines) = if launches::has_shares(&regions) {
        let shapes = [&matrices, &of_l, &of_k, &Shape::from((count, m, n))];
        // SAFETY: as said above.
        let [affinity, of_l, of_k, of_regions] =
            unsafe { cuda::tensors(NAME, &program, &maps.each_ref(), shapes)? };
        (affinity, [of_l, of_k], of_regions)
    } else {
        let shapes = [&matrices, &of_l, &of_k];
        // SAFETY: as said above.
        let [affinity, of_l, of_k] =
            unsafe { cuda::tensors(NAME, &program, &maps.each_ref(), shapes)? };
        (affinity.clone(), [of_l, of_k], affinity)
    };
    let backward = move |maps: [&Tensor; 2], gradient: &Tensor| {
        let wanted = maps.map(Tensor::track_op);
        let [l, k] = maps;
        let inputs = [l, k, &norms[0], &norms[1], gradient, &cosines];
        gradients(&regions, inputs, precision, wanted)
    };
    cuda::function_of_two(NAME, [features_l, features_k], affinity, backward)
}

/// Returns the gradients of those maps that are `wanted`.
///
/// `inputs` are both maps, their inverse norms, the gradient of the affinity, and the cosines.
fn gradients(
    regions: &Regions,
    inputs: [&Tensor; 6],
    precision: Precision,
    wanted: [bool; 2],
) -> Result<[Option<Tensor>; 2]> {
    let [l, k, ..] = inputs;
    let channels = [l.dim(3)?, k.dim(3)?];
    let program = launches::backward(regions, channels, precision, wanted)?;
    // The launches are tested as those of `of_regions`; norms and cosines are those that the forward pass left, and candle hands over
    // a gradient of the affinity's shape.
    Ok(match wanted {
        [true, true] => {
            let shapes = [l.shape(), k.shape()];
            // SAFETY: as said above.
            unsafe { cuda::tensors(NAME, &program, &inputs, shapes)? }.map(Some)
        }
        [true, false] => {
            // SAFETY: as said above.
            let [of_l] = unsafe { cuda::tensors(NAME, &program, &inputs, [l.shape()])? };
            [Some(of_l), None]
        }
        [false, true] => {
            // SAFETY: as said above.
            let [of_k] = unsafe { cuda::tensors(NAME, &program, &inputs, [k.shape()])? };
            [None, Some(of_k)]
        }
        [false, false] => [None, None],
    })
}
