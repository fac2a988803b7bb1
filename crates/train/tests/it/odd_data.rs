//! Cases that are rare, and no reason to stop.

use std::fs;
use std::path::Path;

use duomo_data::{Geometry, GeometryCheck, read_image, read_labels, write_image, write_labels};
use duomo_phantom::{Kind, Modality, Options, write_dataset};
use duomo_train::{Event, Observer, Silent, train, voxel_mm3};

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

#[test]
fn where_voxels_are_trusted_millimetres_are_those_of_the_image() {
    let data = phantom(&[Modality::Lge]);
    for patient in 1..=4 {
        let path = data.path().join(format!("lgegt/patient{patient}_LGE_manual.nii.gz"));
        let labels = read_labels(&path).unwrap();
        let wrong = Geometry::from_spacing(labels.geometry.shape, [1.0, 1.0, 1.0]);
        write_labels(&path, &wrong, &labels.values.to_vec()).unwrap();
    }
    let out = tempfile::tempdir().unwrap();
    let mut run = request("joint", &["LGE"], data.path(), out.path().join("run"));
    run.experiment.dataset.geometry = GeometryCheck::TrustVoxels;
    run.experiment.schedule.steps = 2;

    let summary = train(&run, &mut Silent).unwrap();

    for case in &summary.cases {
        let (image, prediction) =
            (read_image(&case.image).unwrap(), read_labels(&case.prediction).unwrap());
        assert!(image.geometry.max_corner_distance_mm(&prediction.geometry) < 1e-4);
        let reference = read_labels(&case.reference).unwrap().values.to_vec();
        let voxels = reference.iter().filter(|&&value| value == 500).count();
        let expected_ml = voxels as f64 * voxel_mm3(&image.geometry) / 1000.0;
        let found_ml = case.classes[0].volume_reference_ml;
        assert!((found_ml - expected_ml).abs() < 1e-3 * expected_ml, "{found_ml} {expected_ml}");
    }
}

#[test]
fn the_only_patient_of_a_modality_trains() {
    let data = tempfile::tempdir().unwrap();
    let patients = vec![(Modality::Lge, 6), (Modality::Bssfp, 1)];
    let options = Options { kind: Kind::Mscmr, seed: 3, patients, matrix_scale: 0.2 };
    write_dataset(&options, data.path()).unwrap();
    for name in ["c0t2lge/patient1_LGE.nii.gz", "lgegt/patient1_LGE_manual.nii.gz"] {
        fs::remove_file(data.path().join(name)).unwrap();
    }
    let out = tempfile::tempdir().unwrap();
    let mut run = request("csa", &PAIR, data.path(), out.path().join("run"));
    run.experiment.schedule.steps = 2;

    let summary = train(&run, &mut Silent).unwrap();

    let cases: Vec<usize> = summary.modalities.iter().map(|modality| modality.cases).collect();
    assert_eq!(cases, [1, 0]);

    run.experiment.schedule.split.test_patients = vec!["1".to_owned()];
    run.out = out.path().join("named");
    let refused = train(&run, &mut Silent).unwrap_err().to_string();
    assert!(refused.starts_with("all patients of modality bSSFP (1) below "), "{refused}");
    assert!(refused.contains("are in schedule.split.test_patients"), "{refused}");
}

#[derive(Default)]
struct Warned(Vec<String>);

impl Observer for Warned {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Warning(text) = event {
            self.0.push((*text).to_owned());
        }
    }
}

#[test]
fn the_log_of_a_run_has_every_oddity_and_who_watches_is_told_a_few() {
    let data = phantom(&[Modality::Lge]);
    let odd = (1..=6).map(|number| format!("scout{number}.nii.gz")).collect::<Vec<_>>();
    for name in &odd {
        fs::write(data.path().join(name), "").unwrap();
    }
    let out = tempfile::tempdir().unwrap();
    let mut run = request("joint", &["LGE"], data.path(), out.path().join("run"));
    run.experiment.schedule.steps = 2;

    let mut warned = Warned::default();
    train(&run, &mut warned).unwrap();

    let told = warned.0.iter().filter(|text| text.contains("scout")).count();
    assert_eq!(told, 4, "{:?}", warned.0);
    let rest = "6 files are left out in all; log.txt in the run folder lists every one";
    assert!(warned.0.iter().any(|text| text == rest), "{:?}", warned.0);
    let log = fs::read_to_string(run.out.join("log.txt")).unwrap();
    assert!(odd.iter().all(|name| log.contains(name.as_str())), "{log}");
}
