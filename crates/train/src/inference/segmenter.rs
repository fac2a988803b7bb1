//! What turns slices into logits.

use std::fmt::Debug;

use anyhow::Result;
use candle_core::Tensor;

use crate::model_file::ModelCard;

/// A model, or several that speak with one voice.
pub trait Segmenter: Debug + Send + Sync {
    /// Labels, modalities and preparation.
    fn card(&self) -> &ModelCard;

    /// Logits `[B, H, W, C]` of `[B, H, W, s]` images of one modality, an index into the card's, on the images'
    /// device, wherever the weights are.
    ///
    /// # Errors
    ///
    /// Shapes that the architecture cannot take, or a modality that is not served.
    fn logits(&self, images: &Tensor, modality: usize) -> Result<Tensor>;
}
