//! Cases on disk: grids that differ, values without a class, many cases at once.

use expect_test::expect;

use super::*;
use crate::{write_image, write_labels};

fn refusal(image: &Image, labels: &Labels, options: &Preparation) -> String {
    let labels = Some((labels, &label_map()));
    prepare_volume(&case(), image, labels, options, CropCentre::Annotation).unwrap_err().to_string()
}

#[test]
fn labels_at_another_place_are_refused_in_millimetres_unless_voxels_are_trusted() {
    let stored_one_way = stored(([0, 1, 2], [false; 3]));
    let image = image(&stored_one_way, |_| 0.0);
    let mut labels = labels(&stored_one_way, |_| 10);
    labels.geometry = Geometry::from_affine(
        stored_one_way.shape,
        [[-1.0, 0.0, 0.0, 6.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]],
    );
    let strict = preparation(Plane::Axial, 8);

    expect![[r#"p1.nii and its labels p1_seg.nii lie 7.0 mm apart at a corner of the volume (tolerance 1 mm): correct the wrong header, or set geometry = "trust-voxels" if the voxels do match"#]].assert_eq(&refusal(&image, &labels, &strict));

    let trusting = Preparation { geometry: GeometryCheck::TrustVoxels, ..strict.clone() };
    let found = prepared(&image, &labels, &trusting, CropCentre::Annotation);
    assert_eq!(found.labels.unwrap().iter().filter(|&&class| class > 0).count(), 7 * 6 * 5);
    let tolerant = Preparation { geometry_tolerance_mm: 7.5, ..strict };
    assert_eq!(prepared(&image, &labels, &tolerant, CropCentre::Image).slices, 5);
}

#[test]
fn headers_that_differ_by_rounding_are_one_grid() {
    let image = slice([4, 4], 1.0, |_, _| 0.0);
    let mut moved = image.geometry.affine;
    moved[0][3] += 0.9;
    let geometry = Geometry::from_affine(image.geometry.shape, moved);
    let labels = Labels { geometry, values: vec![10; 16].into(), warnings: Vec::new() };

    let found = prepared(&image, &labels, &preparation(Plane::Stored, 4), CropCentre::Annotation);

    assert_eq!(found.labels.unwrap(), [1; 16]);
}

#[test]
fn labels_of_another_shape_are_refused() {
    let image = slice([4, 5], 1.0, |_, _| 0.0);
    let geometry = Geometry::from_spacing([1, 5, 4], [5.0, 1.0, 1.0]);
    let labels = Labels { geometry, values: vec![10; 20].into(), warnings: Vec::new() };

    expect!["p1.nii has shape [1, 4, 5] but its labels p1_seg.nii have [1, 5, 4] ([D, H, W]); resample the labels onto the image's grid"].assert_eq(&refusal(&image, &labels, &preparation(Plane::Stored, 4)));
}

#[test]
fn options_that_cannot_be_are_refused_with_the_key() {
    let image = slice([2, 2], 1.0, |_, _| 0.0);
    let options = Preparation { spacing_mm: Some(f64::NAN), ..preparation(Plane::Stored, 4) };

    let error = prepare_volume(&case(), &image, None, &options, CropCentre::Image).unwrap_err();

    expect!["`spacing_mm`: expected a positive length, got NaN"].assert_eq(&error.to_string());
}

#[test]
fn many_cases_are_read_in_order_and_each_failure_names_its_patient() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: String| folder.path().join(name);
    let geometry = Geometry::from_spacing([2, 3, 3], [5.0, 1.0, 1.0]);
    let mut cases = Vec::new();
    for patient in 0..6_u16 {
        let (image, labels) =
            (file(format!("{patient}.nii.gz")), file(format!("{patient}_seg.nii.gz")));
        let voxels: Vec<f32> = (0..18).map(|v| f32::from(v * (patient + 1))).collect();
        write_image(&image, &geometry, &voxels).unwrap();
        let value = if patient == 4 { 1220 } else { 20 };
        write_labels(&labels, &geometry, &[value; 18]).unwrap();
        cases.push(Case { patient: patient.to_string(), modality: 0, image, labels: Some(labels) });
    }
    std::fs::remove_file(&cases[2].image).unwrap();

    let options = preparation(Plane::Stored, 4);
    let found = prepare_all(&cases, &label_map(), &options, CropCentre::Annotation);

    let message = |at: usize| {
        let text = found[at].as_ref().unwrap_err().to_string();
        text.replace(folder.path().to_str().unwrap(), "ROOT")
    };
    assert!(message(2).starts_with("cannot prepare patient 2: cannot read ROOT/2.nii.gz"));
    expect![[r#"cannot prepare patient 4: ROOT/4_seg.nii.gz holds label values that no class names: 1220 in 18 voxels; the classes have 10, 20, 30: add the values to a class, or set unknown_labels = "background""#]].assert_eq(&message(4));
    for at in [0, 1, 3, 5] {
        let prepared = found[at].as_ref().unwrap();
        assert_eq!(prepared.case, cases[at]);
        let alone = prepare(&cases[at], &label_map(), &options, CropCentre::Annotation).unwrap();
        assert_eq!((&prepared.images, &prepared.labels), (&alone.images, &alone.labels));
    }
}
