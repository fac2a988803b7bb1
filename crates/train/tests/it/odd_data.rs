//! Cases that are rare, and no reason to stop.

use std::path::Path;

use duomo_data::{Geometry, read_image, read_labels, write_image, write_labels};
use duomo_phantom::Modality;
use duomo_train::{Silent, train};

use crate::{PAIR, phantom, request};

/// Keeps the first slices of a patient's LGE scan.
#[expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]
fn keep_slices(data: &Path, patient: usize, slices: usize) {
    let image_path = data.join(format!("c0t2lge/patient{patient}_LGE.nii.gz"));
    let labels_path = data.join(format!("lgegt/patient{patient}_LGE_manual.nii.gz"));
    let (image, labels) = (read_image(&image_path).unwrap(), read_labels(&labels_path).unwrap());
    let [_, height, width] = image.geometry.shape;
    let geometry = Geometry::from_affine([slices, height, width], image.geometry.affine);
    let kept = slices * height * width;
    write_image(&image_path, &geometry, &image.voxels[..kept]).unwrap();
    write_labels(&labels_path, &geometry, &labels.values.to_vec()[..kept]).unwrap();
}

/// Replaces values of a patient's LGE label map by background.
#[expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]
fn erase(data: &Path, patient: usize, erased: impl Fn(u16) -> bool) {
    let path = data.join(format!("lgegt/patient{patient}_LGE_manual.nii.gz"));
    let labels = read_labels(&path).unwrap();
    let values = labels.values.map(|value| if erased(value) { 0 } else { value });
    write_labels(&path, &labels.geometry, &values).unwrap();
}

#[test]
fn odd_volumes_are_trained_on_like_others() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    erase(data.path(), 1, |_| true);
    erase(data.path(), 2, |value| value == 600);
    keep_slices(data.path(), 3, 1);
    let out = tempfile::tempdir().unwrap();
    let mut run = request("csa", &PAIR, data.path(), out.path().join("run"));
    // Wider than any of the slices, so that every crop is padded.
    run.experiment.schedule.preparation.crop = Some(96);
    run.experiment.schedule.steps = 2;

    let summary = train(&run, &mut Silent).unwrap();

    assert_eq!(summary.modalities.len(), 2);
    for case in &summary.cases {
        assert!(case.classes.iter().all(|class| class.dice.is_none_or(f64::is_finite)));
    }
}
