//! The surface elements of both sides of one label, ready to be searched from either.

use super::super::border::Border;
use super::super::{Pair, Planes};
use super::ElementDistances;
use super::areas::areas;
use super::grid::{Elements, shape};
use crate::{Mode, Status};

/// Surface elements of prediction and reference in one box.
#[derive(Debug)]
pub(crate) struct ElementPair {
    pair: Pair,
    mode: Mode,
    prediction_codes: Vec<u8>,
    reference_codes: Vec<u8>,
}

impl ElementPair {
    /// Cuts out the elements of a label for searches with any of `spacings`; `None` if a side is
    /// empty.
    pub(crate) fn new(
        planes: &Planes,
        label: usize,
        mode: Mode,
        spacings: &[[f64; 3]],
    ) -> Option<Self> {
        let extent = &planes.extent(label);
        if Status::of(&planes.confusion[label]) != Status::Ok {
            return None;
        }
        let (prediction, reference) = rayon::join(
            || Elements::of(planes, &planes.prediction, label, mode),
            || Elements::of(planes, &planes.reference, label, mode),
        );
        let shape = shape(extent, mode);
        let border = |bits: Vec<u64>| Border::new(shape, bits);
        Some(Self {
            pair: Pair::between(border(prediction.bits), border(reference.bits), spacings),
            mode,
            prediction_codes: prediction.codes,
            reference_codes: reference.codes,
        })
    }

    /// Returns the distances and areas of both directions, in the unit of `spacing`.
    pub(crate) fn distances(&self, spacing: &[f64; 3]) -> ElementDistances {
        let [_, height, width] = *spacing;
        let areas = areas(match self.mode {
            Mode::Volume => *spacing,
            // What separates two equal squares of pixels, one unit apart, stands upright on the
            // contour that separates the pixels: its area is the contour's length.
            Mode::Slice => [1.0, height, width],
        });
        let areas_of = |codes: &[u8]| codes.iter().map(|&code| areas[usize::from(code)]).collect();
        ElementDistances {
            distances: self.pair.distances(spacing),
            prediction_areas: areas_of(&self.prediction_codes),
            reference_areas: areas_of(&self.reference_codes),
        }
    }

    /// Returns the Hausdorff distance in the unit of `spacing`; `hint` is what [`Self::distances`]
    /// returned for `hint_spacing`.
    pub(crate) fn hausdorff(
        &self,
        spacing: &[f64; 3],
        hint: &ElementDistances,
        hint_spacing: &[f64; 3],
    ) -> f64 {
        self.pair.hausdorff(spacing, &hint.distances, hint_spacing)
    }
}
