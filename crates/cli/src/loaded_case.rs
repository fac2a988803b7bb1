//! A test case's voxels, as pictures need them.

use std::path::Path;

use anyhow::{Result, ensure};
use duomo_data::{Dataset, Geometry, Orientation, read_image, read_labels};
use duomo_train::CaseScores;

use crate::pictures::{Volumes, reversed_in_plane, slice_name};

/// Image, reference and prediction of one case, the latter two as class indices; all in the plane in which
/// the network sees them.
pub(crate) struct LoadedCase<'a> {
    dataset: &'a Dataset,
    /// As the image is stored.
    geometry: Geometry,
    image: Vec<f32>,
    reference: Vec<u8>,
    prediction: Vec<u8>,
}

impl<'a> LoadedCase<'a> {
    /// Reads the three files of a case.
    ///
    /// # Errors
    ///
    /// A file that can no longer be read, differs from the image in shape, or holds labels that the data set
    /// does not know.
    pub(crate) fn read(case: &CaseScores, dataset: &'a Dataset) -> Result<Self> {
        let image = read_image(&case.image)?;
        let mut loaded = Self {
            dataset,
            geometry: image.geometry,
            image: Vec::new(),
            reference: Vec::new(),
            prediction: Vec::new(),
        };
        loaded.image = loaded.orientation().turn(image.voxels, loaded.geometry.shape);
        loaded.reference = loaded.classes(&case.reference)?;
        loaded.prediction = loaded.classes(&case.prediction)?;
        Ok(loaded)
    }

    /// A label map on the image's grid as class indices, turned like it.
    ///
    /// # Errors
    ///
    /// As [`LoadedCase::read`].
    pub(crate) fn classes(&self, path: &Path) -> Result<Vec<u8>> {
        let labels = read_labels(path)?;
        let [found, shape] = [labels.geometry.shape, self.geometry.shape];
        ensure!(found == shape, "{} has the shape {found:?}, its image {shape:?}", path.display());
        let classes = self.dataset.label_map().classes(&labels, path)?;
        Ok(self.orientation().turn(classes, shape))
    }

    /// The voxels on their grid.
    pub(crate) fn volumes(&self) -> Volumes<'_> {
        let (geometry, orientation) = (&self.geometry, self.orientation());
        Volumes {
            shape: orientation.turned(geometry.shape),
            spacing_mm: orientation.turned(geometry.spacing_mm),
            reversed: reversed_in_plane(&geometry.affine, self.dataset.plane),
            image: Some(&self.image),
            reference: Some(&self.reference),
            prediction: &self.prediction,
        }
    }

    /// What a slice of [`LoadedCase::volumes`] is called.
    pub(crate) fn slice_name(&self, slice: usize) -> String {
        slice_name(self.dataset.plane, slice, self.orientation().turned(self.geometry.shape)[0])
    }

    fn orientation(&self) -> Orientation {
        Orientation::new(&self.geometry.affine, self.dataset.plane)
    }
}

#[cfg(test)]
mod tests {
    use duomo_data::{write_image, write_labels};

    use super::*;

    #[test]
    fn a_case_is_shown_in_the_plane_of_its_data_set() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let dataset = Dataset::load("mmwhs").unwrap();
        // Axial slices, as whole hearts are stored.
        let geometry = Geometry::from_spacing([2, 3, 4], [5.0, 2.0, 1.0]);
        let image: Vec<f32> = (0..24_u8).map(f32::from).collect();
        let classes: Vec<u8> = (0..24).map(|at| u8::from(at >= 12)).collect();
        write_image(&path("image.nii"), &geometry, &image).unwrap();
        let values = dataset.label_map().values(&classes);
        write_labels(&path("labels.nii"), &geometry, &values).unwrap();
        let small = Geometry::from_spacing([1, 3, 4], [5.0, 2.0, 1.0]);
        write_labels(&path("small.nii"), &small, &values[..12]).unwrap();
        let case = |prediction: &str| -> CaseScores {
            serde_json::from_value(serde_json::json!({
                "case": "1", "modality": "CT", "image": path("image.nii"),
                "reference": path("labels.nii"), "prediction": path(prediction),
                "classes": [], "automatic_box_dice": [],
            }))
            .unwrap()
        };

        let labelled = case("labels.nii");
        let loaded = LoadedCase::read(&labelled, &dataset).unwrap();

        let volumes = loaded.volumes();
        assert_eq!((volumes.shape, volumes.spacing_mm), ([3, 2, 4], [2.0, 5.0, 1.0]));
        assert_eq!(
            (volumes.reversed, &loaded.slice_name(1)[..]),
            ([true; 2], "coronal slice 2 of 3")
        );
        let second = 8..16;
        let rows = [4.0, 5.0, 6.0, 7.0, 16.0, 17.0, 18.0, 19.0];
        assert_eq!(volumes.image.unwrap()[second.clone()], rows);
        assert_eq!(volumes.reference.unwrap()[second.clone()], [0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(volumes.prediction[second], [0, 0, 0, 0, 1, 1, 1, 1]);
        let other = LoadedCase::read(&case("small.nii"), &dataset).map(|_| ()).unwrap_err();
        assert!(
            other.to_string().ends_with("has the shape [1, 3, 4], its image [2, 3, 4]"),
            "{other}"
        );
    }
}
