//! Files: names, values, grids, and the same bytes every time.

use std::path::Path;

use duomo_data::{read_image, read_labels};
use duomo_phantom::{Error, Kind, Modality, Options, simulate, write_dataset};

fn small(kind: Kind, patients: Vec<(Modality, usize)>) -> Options {
    Options { patients, matrix_scale: 0.1, ..Options::new(kind, 11) }
}

fn bytes(root: &Path, file: &str) -> Vec<u8> {
    std::fs::read(root.join(file)).unwrap()
}

#[test]
fn short_axis_files_have_official_names_and_labels() {
    let out = tempfile::tempdir().unwrap();
    let patients = vec![(Modality::Lge, 1), (Modality::Bssfp, 2), (Modality::T2, 1)];
    let written = write_dataset(&small(Kind::Mscmr, patients), out.path()).unwrap();

    assert_eq!(written.cases.len(), 4);
    assert_eq!(written.cases[0].image, out.path().join("c0t2lge/patient1_LGE.nii.gz"));
    assert_eq!(written.cases[0].labels, out.path().join("lgegt/patient1_LGE_manual.nii.gz"));
    assert_eq!(written.cases[2].labels, out.path().join("c0gt/patient2_C0_manual.nii.gz"));
    assert_eq!(written.cases[3].labels, out.path().join("t2gt/patient1_T2_manual.nii.gz"));
    for case in &written.cases {
        let (image, labels) =
            (read_image(&case.image).unwrap(), read_labels(&case.labels).unwrap());
        assert_eq!(image.warnings, Vec::<String>::new());
        assert!(image.geometry.max_corner_distance_mm(&labels.geometry) < 1e-9);
        assert_eq!(labels.values.distinct(), [0, 200, 500, 600]);
    }
}

#[test]
fn whole_heart_volumes_are_axial_and_hold_seven_structures() {
    let out = tempfile::tempdir().unwrap();
    let patients = vec![(Modality::Ct, 1), (Modality::Mr, 1)];
    let written = write_dataset(&small(Kind::Mmwhs, patients), out.path()).unwrap();

    assert_eq!(written.cases[0].image, out.path().join("ct_train/ct_train_1001_image.nii.gz"));
    assert_eq!(written.cases[1].labels, out.path().join("mr_train/mr_train_1001_label.nii.gz"));
    for case in &written.cases {
        let labels = read_labels(&case.labels).unwrap();
        let affine = labels.geometry.affine;
        // Slices are stacked head-wards, rows run to the back: a coronal slice must be recut.
        assert!(affine[2][2] > 0.9 * labels.geometry.spacing_mm[0]);
        assert!(affine[1][1] < -0.9 * labels.geometry.spacing_mm[1]);
        assert_eq!(labels.values.distinct(), [0, 205, 420, 500, 550, 600, 820, 850]);
    }
}

#[test]
fn the_same_seed_writes_the_same_bytes_on_any_number_of_threads() {
    let patients = vec![(Modality::Lge, 2), (Modality::Bssfp, 1)];
    let options = small(Kind::Mscmr, patients);
    let [first, second] = [1, 3].map(|threads| {
        let out = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| write_dataset(&options, out.path())).unwrap();
        out
    });

    for file in ["c0t2lge/patient2_LGE.nii.gz", "c0gt/patient1_C0_manual.nii.gz"] {
        assert_eq!(bytes(first.path(), file), bytes(second.path(), file), "{file}");
    }
}

#[test]
fn seeds_patients_and_modalities_have_bodies_of_their_own() {
    let options = small(Kind::Mscmr, vec![]);
    let labels =
        |options: &Options, modality, patient| simulate(options, modality, patient).unwrap().labels;
    let reference = labels(&options, Modality::Lge, 1);

    assert_ne!(reference, labels(&options, Modality::Lge, 2));
    assert_ne!(reference, labels(&options, Modality::Bssfp, 1));
    let other = Options { seed: 12, ..options };
    assert_ne!(reference, labels(&other, Modality::Lge, 1));
}

#[test]
fn the_resolution_changes_the_grid_and_not_the_body() {
    let volume_ml = |matrix_scale: f64| {
        let options = Options { matrix_scale, ..Options::new(Kind::Mscmr, 5) };
        let case = simulate(&options, Modality::Bssfp, 1).unwrap();
        let voxel_ml = case.geometry.spacing_mm.iter().product::<f64>() / 1000.0;
        let cavity = case.labels.iter().filter(|&&label| label == 500).count();
        cavity as f64 * voxel_ml
    };
    let (coarse, fine) = (volume_ml(0.3), volume_ml(1.0));

    assert!((coarse / fine - 1.0).abs() < 0.02, "{coarse} ml against {fine} ml");
}

#[test]
fn refuses_options_that_contradict_themselves() {
    let foreign = Options { patients: vec![(Modality::Ct, 1)], ..Options::new(Kind::Mscmr, 1) };
    let error = write_dataset(&foreign, Path::new("unused")).unwrap_err();
    assert!(matches!(error, Error::ForeignModality { modality: Modality::Ct, .. }));
    assert_eq!(error.to_string(), "Mscmr has no modality Ct, only [Lge, Bssfp, T2]");

    let fine = Options { matrix_scale: 1.5, ..Options::new(Kind::Mscmr, 1) };
    let error = simulate(&fine, Modality::Lge, 1).unwrap_err();
    let expected = "matrix_scale must lie in (0, 1], got 1.5; 1 is the official resolution";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_scale_that_leaves_no_image_is_refused_with_the_smallest_that_does() {
    for (kind, smallest) in [(Kind::Mscmr, 0.0067), (Kind::Mmwhs, 0.0059)] {
        let tiny = Options { matrix_scale: 0.0055, ..Options::new(kind, 1) };
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().join("never");

        let error = write_dataset(&tiny, &folder).unwrap_err();
        let expected = format!(
            "matrix_scale 0.0055 leaves less than 2 voxels along an edge; give {smallest} or more"
        );
        assert_eq!(error.to_string(), expected);
        assert!(!folder.exists());

        for seed in 0..5 {
            let least = Options { matrix_scale: smallest, seed, ..tiny.clone() };
            for &modality in kind.modalities() {
                assert!(
                    simulate(&least, modality, 1).unwrap().geometry.shape.iter().all(|&n| n >= 2)
                );
            }
        }
    }
}
