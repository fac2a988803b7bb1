//! From a prepared case to class indices on its own grid.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use duomo_data::{
    Case, CropCentre, Geometry, Image, Plane, Preparation, PreparedCase, prepare_volume,
};

use crate::model_file::Model;

/// Slices that go through the network at once.
const SLICES_AT_ONCE: usize = 8;

/// Crops that [`segment_automatically`] may look at before the one it segments. What the whole slice
/// shows is coarse: its surroundings are unlike what the network was trained on.
const LOOKS: usize = 3;

/// Class probabilities `[D, S, S, C]` of a prepared case.
///
/// # Errors
///
/// A modality or shape that the model cannot take.
pub(crate) fn probabilities(
    model: &Model,
    case: &PreparedCase,
    modality: usize,
) -> Result<Vec<f32>> {
    let side = case.side;
    let channels = model.card.architectures[0].input_slices;
    let slices: Vec<usize> = (0..case.slices).collect();
    let mut probabilities = Vec::new();
    for chunk in slices.chunks(SLICES_AT_ONCE) {
        let images: Vec<f32> =
            chunk.iter().flat_map(|&slice| case.neighbours(slice, channels)).collect();
        let images = Tensor::from_vec(images, (chunk.len(), side, side, channels), &Device::Cpu)?;
        let logits = model.logits(&images, modality)?;
        probabilities.extend(softmax(&logits)?);
    }
    Ok(probabilities)
}

/// Class indices `[D, H, W]` on the grid of the case's own image.
///
/// # Errors
///
/// A modality or shape that the model cannot take.
pub fn segment(model: &Model, case: &PreparedCase, modality: usize) -> Result<Vec<u8>> {
    let classes = model.card.labels.len() + 1;
    let probabilities = probabilities(model, case, modality)?;
    Ok(case.placement.paste_probabilities(&probabilities, classes))
}

/// Prepares and segments an image without an annotation: a coarse pass over the whole slice finds
/// the structures, further passes look at a crop centred on what the pass before found.
///
/// `image` is the volume of `case`, whose paths are only for messages.
///
/// # Errors
///
/// An image that cannot be prepared, or a modality that the model does not serve.
pub fn segment_automatically(
    model: &Model,
    case: &Case,
    image: &Image,
    modality: usize,
) -> Result<(PreparedCase, Vec<u8>)> {
    let case = Case { labels: None, ..case.clone() };
    let preparation = &model.card.preparation;
    let whole = Preparation { crop: whole_slice(image, preparation), ..preparation.clone() };
    let mut seen = prepare_volume(&case, image, None, &whole, CropCentre::Image)?;
    for _ in 0..LOOKS {
        let found = class_indices(model, &seen, modality)?;
        let centre =
            seen.placement.predicted_box(&found).map_or(CropCentre::Image, CropCentre::Box);
        let crop = prepare_volume(&case, image, None, preparation, centre)?;
        if crop.placement == seen.placement {
            break;
        }
        seen = crop;
    }
    let classes = segment(model, &seen, modality)?;
    Ok((seen, classes))
}

/// Class indices `[D, S, S]` on the prepared grid.
///
/// # Errors
///
/// A modality or shape that the model cannot take.
pub(crate) fn class_indices(
    model: &Model,
    case: &PreparedCase,
    modality: usize,
) -> Result<Vec<u8>> {
    let classes = model.card.labels.len() + 1;
    let probabilities = probabilities(model, case, modality)?;
    Ok(probabilities.chunks_exact(classes).map(largest).collect())
}

/// Index of the largest value, the lower of two equal ones.
fn largest(values: &[f32]) -> u8 {
    let first = (0u8, f32::NEG_INFINITY);
    let larger = |best: (u8, f32), other: (u8, f32)| if other.1 > best.1 { other } else { best };
    (0u8..).zip(values.iter().copied()).fold(first, larger).0
}

/// Side of a square that holds a whole slice and that the network can take.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a side is at most the 32,767 pixels of a header times the ratio of two spacings"
)]
fn whole_slice(image: &Image, preparation: &Preparation) -> usize {
    let Geometry { shape, spacing_mm, .. } = &image.geometry;
    let side = |axis: usize| match preparation.spacing_mm {
        Some(target) => (shape[axis] as f64 * spacing_mm[axis] / target).ceil() as usize,
        None => shape[axis],
    };
    // Which axes lie in the plane depends on the orientation; the longest two always suffice.
    let axes = if preparation.plane == Plane::Stored { [1, 2].as_slice() } else { &[0, 1, 2] };
    let longest = axes.iter().map(|&axis| side(axis)).max().unwrap_or(preparation.crop);
    longest.max(preparation.crop).next_multiple_of(8)
}

fn softmax(logits: &Tensor) -> Result<Vec<f32>> {
    let classes = logits.dim(3)?;
    let mut values = logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    for pixel in values.chunks_exact_mut(classes) {
        let largest = pixel.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for value in &mut *pixel {
            *value = (*value - largest).exp();
            sum += *value;
        }
        for value in pixel {
            *value /= sum;
        }
    }
    Ok(values)
}
