//! A test case's voxels, as pictures need them.

use std::path::Path;

use anyhow::Result;
use duomo_data::{Dataset, Image, read_image, read_labels};
use duomo_train::CaseScores;

use crate::pictures::{Volumes, reversed_axes};

/// Image, reference and prediction of one case, the latter two as class indices.
pub(crate) struct LoadedCase {
    image: Image,
    reference: Vec<u8>,
    prediction: Vec<u8>,
}

impl LoadedCase {
    /// Reads the three files of a case.
    ///
    /// # Errors
    ///
    /// A file that can no longer be read, or holds labels that the data set does not know.
    pub(crate) fn read(case: &CaseScores, dataset: &Dataset) -> Result<Self> {
        Ok(Self {
            image: read_image(&case.image)?,
            reference: classes(&case.reference, dataset)?,
            prediction: classes(&case.prediction, dataset)?,
        })
    }

    /// The voxels on their grid.
    pub(crate) fn volumes(&self) -> Volumes<'_> {
        Volumes {
            shape: self.image.geometry.shape,
            spacing_mm: self.image.geometry.spacing_mm,
            reversed: reversed_axes(&self.image.geometry.affine),
            image: Some(&self.image.voxels),
            reference: Some(&self.reference),
            prediction: &self.prediction,
        }
    }
}

/// A label map as class indices.
///
/// # Errors
///
/// As [`LoadedCase::read`].
pub(crate) fn classes(path: &Path, dataset: &Dataset) -> Result<Vec<u8>> {
    Ok(dataset.label_map().classes(&read_labels(path)?, path)?)
}
