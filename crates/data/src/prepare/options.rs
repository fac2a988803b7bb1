//! How volumes become slices: the part of a data set that a trained model must remember.

use serde::{Deserialize, Serialize};

use crate::Error;

/// How volumes become slices.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Preparation {
    /// Which way slices are cut.
    #[serde(default)]
    pub plane: Plane,
    /// Side of the square cut from every slice, in pixels.
    pub crop: usize,
    /// Edge of a pixel after in-plane resampling, in millimetres; none keeps the file's own grid.
    #[serde(default)]
    pub spacing_mm: Option<f64>,
    /// How label maps follow an in-plane resampling.
    #[serde(default)]
    pub label_resampling: LabelResampling,
    /// Share of the volume's brightest voxels that is cut down to the rest, in percent.
    #[serde(default)]
    pub clip_top_percent: Option<f64>,
    /// Whether an image and its labels must lie at the same place.
    #[serde(default)]
    pub geometry: GeometryCheck,
    /// Distance between corresponding volume corners up to which two grids count as one.
    #[serde(default = "tolerance_mm")]
    pub geometry_tolerance_mm: f64,
}

/// Which way slices are cut.
///
/// Except for `stored`, the volume is first turned to the closest axes of the patient (RAS+), so
/// rows and columns run from left to right, back to front, or feet to head.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plane {
    /// Along the last axis of the file, whatever it is.
    #[default]
    Stored,
    /// Slices from feet to head; rows towards the front, columns towards the right.
    Axial,
    /// Slices from back to front; rows towards the head, columns towards the right.
    Coronal,
    /// Slices from left to right; rows towards the head, columns towards the front.
    Sagittal,
}

/// How label maps follow an in-plane resampling.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelResampling {
    /// The label of the nearest pixel.
    #[default]
    Nearest,
    /// The label with the largest bilinear weight, the lower class index if two are equal.
    LinearOneHot,
}

/// Whether an image and its labels must lie at the same place in the patient.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GeometryCheck {
    /// Corresponding corners of the two volumes must agree within the tolerance.
    #[default]
    Match,
    /// Equal shapes suffice: the labels' header is known to be wrong, the voxels to be right.
    TrustVoxels,
}

impl Preparation {
    /// Default of `geometry_tolerance_mm`. Rounding in headers moves the corners of a heart scan by
    /// less than 0.1 mm; a flipped or swapped axis moves them by many.
    pub const TOLERANCE_MM: f64 = 1.0;

    /// Returns whether every value can be.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] naming the key.
    pub fn validate(&self) -> Result<(), Error> {
        self.check().map_err(|(key, problem)| Error::InvalidOption { key, problem })
    }

    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if self.crop == 0 {
            return Err(("crop", "expected at least 1 pixel, got 0".to_owned()));
        }
        if let Some(spacing) = self.spacing_mm.filter(|&spacing| !positive(spacing)) {
            return Err(("spacing_mm", format!("expected a positive length, got {spacing}")));
        }
        if let Some(top) = self.clip_top_percent.filter(|top| !(0.0..100.0).contains(top)) {
            let problem = format!("expected at least 0 and less than 100, got {top}");
            return Err(("clip_top_percent", problem));
        }
        let tolerance = self.geometry_tolerance_mm;
        if !positive(tolerance) {
            let problem = format!("expected a positive length, got {tolerance}");
            return Err(("geometry_tolerance_mm", problem));
        }
        Ok(())
    }
}

fn tolerance_mm() -> f64 {
    Preparation::TOLERANCE_MM
}
