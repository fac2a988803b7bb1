//! From a prepared case to class indices on its own grid.

mod ensemble;
mod pixels;
mod segmenter;

use anyhow::{Result, bail};
use candle_core::{DType, Device, Storage, Tensor};
use duomo_data::{
    Case, CropCentre, Geometry, Image, Placement, Plane, Preparation, PreparedCase, prepare_volume,
};
use duomo_model::Architecture;
use rayon::prelude::*;

pub use ensemble::{Ensemble, Mirroring};
pub use segmenter::Segmenter;

/// Most memory for a pass's largest maps, while a single slice does not need more. Weights and the
/// convolutions' tiles come on top.
///
/// More slices at once share the transforms of the kernels but leave the cache: on crops of 112 the
/// quick network takes a fifth less time with 32 slices than with 8, on 224 it gains nothing.
const MAPS_BYTES_MAX: usize = 192 << 20;

/// Maps that are held at once: an operation's input and output, and a skip.
const MAPS: usize = 3;

/// More slices than this share nothing that is worth their memory.
const MOST_SLICES_AT_ONCE: usize = 32;

/// Crops that [`segment_automatically`] may look at before the one it segments. What the whole slice
/// shows is coarse: its surroundings are unlike what the network was trained on.
const LOOKS: usize = 3;

/// Class indices `[D, H, W]` on the grid of the case's own image.
///
/// # Errors
///
/// A modality or shape that the model cannot take.
pub fn segment(model: &dyn Segmenter, case: &PreparedCase, modality: usize) -> Result<Vec<u8>> {
    Ok(segment_both(model, case, modality)?.pasted)
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
    model: &dyn Segmenter,
    case: &Case,
    image: &Image,
    modality: usize,
) -> Result<(PreparedCase, Vec<u8>)> {
    let case = Case { labels: None, ..case.clone() };
    let preparation = &model.card().preparation;
    let whole = Preparation { crop: whole_slice(image, preparation), ..preparation.clone() };
    let mut seen = prepare_volume(&case, image, None, &whole, CropCentre::Image)?;
    for _ in 0..LOOKS {
        // Only a square of the final size can turn out to be the one that is wanted.
        let (found, pasted) = if seen.side == preparation.crop {
            let Segmented { squares, pasted } = segment_both(model, &seen, modality)?;
            (squares, Some(pasted))
        } else {
            (class_indices(model, &seen, modality)?, None)
        };
        let centre =
            seen.placement.predicted_box(&found).map_or(CropCentre::Image, CropCentre::Box);
        let crop = prepare_volume(&case, image, None, preparation, centre)?;
        match pasted {
            Some(pasted) if crop.placement == seen.placement => return Ok((seen, pasted)),
            _ => seen = crop,
        }
    }
    let classes = segment(model, &seen, modality)?;
    Ok((seen, classes))
}

/// The probabilities of all classes of a case, and its classes by them, `[D, H, W]` on the grid of the
/// case's own image: those of [`segment`].
///
/// # Errors
///
/// A modality or shape that the model cannot take.
pub fn segment_with_probabilities(
    model: &dyn Segmenter,
    case: &PreparedCase,
    modality: usize,
) -> Result<(Vec<u8>, Probabilities)> {
    let classes = model.card().labels.len() + 1;
    let mut squares = Vec::with_capacity(case.images.len() * classes);
    let mut planes = Vec::new();
    for_each_chunk(model, case, modality, |logits, classes| {
        let probabilities = pixels::softmax(logits, classes);
        planes.extend(case.placement.most_probable(&probabilities, classes));
        squares.extend(probabilities);
    })?;
    let placement = case.placement.clone();
    Ok((placement.turn_back(&planes), Probabilities { squares, placement, classes }))
}

/// The probabilities of one case, held once and on the network's squares.
#[derive(Clone, Debug)]
pub struct Probabilities {
    /// `[D, S, S, C]`.
    squares: Vec<f32>,
    placement: Placement,
    classes: usize,
}

impl Probabilities {
    /// The number of classes, the background at index 0 included.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// One class's probabilities on the grid of the case's own image, `[D, H, W]`.
    ///
    /// # Panics
    ///
    /// If there is no such class.
    pub fn of_class(&self, class: usize) -> Vec<f32> {
        self.placement.paste_class_probability(&self.squares, self.classes, class)
    }
}

/// Class indices `[D, S, S]` on the prepared grid.
///
/// # Errors
///
/// A modality or shape that the model cannot take.
pub(crate) fn class_indices(
    model: &dyn Segmenter,
    case: &PreparedCase,
    modality: usize,
) -> Result<Vec<u8>> {
    let mut indices = Vec::with_capacity(case.images.len());
    for_each_chunk(model, case, modality, |logits, classes| {
        indices.extend(pixels::classes(logits, classes));
    })?;
    Ok(indices)
}

/// Class indices of a case on both of its grids.
struct Segmented {
    /// `[D, S, S]` on the prepared grid.
    squares: Vec<u8>,
    /// `[D, H, W]` on the grid of the case's own image.
    pasted: Vec<u8>,
}

/// One pass over a case for both of its grids.
fn segment_both(model: &dyn Segmenter, case: &PreparedCase, modality: usize) -> Result<Segmented> {
    let placement = &case.placement;
    if placement.keeps_pixels() {
        // Probabilities would only be moved, and the largest stays the largest.
        let squares = class_indices(model, case, modality)?;
        let pasted = placement.paste_labels(&squares);
        return Ok(Segmented { squares, pasted });
    }
    let (mut squares, mut planes) = (Vec::with_capacity(case.images.len()), Vec::new());
    for_each_chunk(model, case, modality, |logits, classes| {
        squares.extend(pixels::classes(logits, classes));
        let probabilities = pixels::softmax(logits, classes);
        planes.extend(placement.most_probable(&probabilities, classes));
    })?;
    Ok(Segmented { squares, pasted: placement.turn_back(&planes) })
}

/// Hands `take` the logits `[n, S, S, C]` of the first `n` slices, then of the next, with `C`.
fn for_each_chunk(
    model: &dyn Segmenter,
    case: &PreparedCase,
    modality: usize,
    mut take: impl FnMut(&[f32], usize),
) -> Result<()> {
    let side = case.side;
    let channels = model.card().architectures[0].input_slices;
    let slices: Vec<usize> = (0..case.slices).collect();
    for chunk in slices.chunks(slices_at_once(model, side)) {
        let mut images = vec![0.0; chunk.len() * side * side * channels];
        let places = images.par_chunks_exact_mut(side * side * channels).zip(chunk);
        places.for_each(|(place, &slice)| case.write_neighbours(slice, channels, place));
        let images = Tensor::from_vec(images, (chunk.len(), side, side, channels), &Device::Cpu)?;
        let logits = model.logits(&images, modality)?.to_dtype(DType::F32)?.contiguous()?;
        let classes = logits.dim(3)?;
        let (storage, layout) = logits.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { bail!("logits are on a GPU") };
        take(
            &storage.as_slice::<f32>()?[layout.start_offset()..][..layout.shape().elem_count()],
            classes,
        );
    }
    Ok(())
}

/// Slices of this side that go through the network at once: as many as [`MAPS_BYTES_MAX`] holds.
fn slices_at_once(model: &dyn Segmenter, side: usize) -> usize {
    let slice_bytes = maps_bytes(&model.card().architectures[0], side);
    (MAPS_BYTES_MAX / slice_bytes).clamp(1, MOST_SLICES_AT_ONCE)
}

/// Bytes of the largest maps that a slice of this side needs at once.
pub(crate) fn maps_bytes(architecture: &Architecture, side: usize) -> usize {
    let Architecture { width, classes, .. } = *architecture;
    // Full resolution is where maps are largest: `width` channels at first, eight per class at last.
    MAPS * side * side * width.max(8 * classes) * size_of::<f32>()
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
    // What is too large to be prepared is refused there.
    longest.max(preparation.crop).min(1 << 20).next_multiple_of(8)
}

#[cfg(test)]
pub(crate) mod tests;
