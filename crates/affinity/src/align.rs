//! Brings two feature maps and the labels to one grid.

use candle_core::{Result, Tensor, bail};

use crate::{area_average::area_average, reading::Reading, regions::Regions};

/// Two maps on the coarser grid, `[B, h, w, M]` and `[B, h, w, N]`, and their regions.
#[derive(Debug)]
pub(crate) struct Aligned {
    pub(crate) features_l: Tensor,
    pub(crate) features_k: Tensor,
    pub(crate) regions: Regions,
}

/// Averages the finer map over areas and bins the pixels of the coarser grid.
pub(crate) fn align(
    features_l: &Tensor,
    features_k: &Tensor,
    labels: &Tensor,
    classes: usize,
    reading: Reading,
) -> Result<Aligned> {
    let (&[b, h_l, w_l, m], &[b_k, h_k, w_k, n]) = (features_l.dims(), features_k.dims()) else {
        bail!(
            "affinity: feature maps have shapes {:?} and {:?}, expected [B, h, w, M] and [B, h', w', N]",
            features_l.dims(),
            features_k.dims()
        );
    };
    if b != b_k || [b, h_l, w_l, m, h_k, w_k, n].contains(&0) {
        bail!(
            "affinity: feature maps have shapes {:?} and {:?}, expected the same batch and no empty axis",
            features_l.dims(),
            features_k.dims()
        );
    }
    if features_l.dtype() != features_k.dtype() {
        bail!(
            "affinity: feature maps have types {:?} and {:?}, expected the same",
            features_l.dtype(),
            features_k.dtype()
        );
    }
    let (h, w) = (h_l.min(h_k), w_l.min(w_k));
    Ok(Aligned {
        features_l: area_average(features_l, h, w)?.contiguous()?,
        features_k: area_average(features_k, h, w)?.contiguous()?,
        regions: Regions::new(labels, [b, h, w], classes, reading)?,
    })
}
