//! Which of the three forms places the voxels, and what is said about the others.

use super::*;
use crate::nifti::Geometry;

/// Largest difference between two affines.
fn difference(a: &[[f64; 4]; 3], b: &[[f64; 4]; 3]) -> f64 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn assert_affine(geometry: &Geometry, expected: [[f64; 4]; 3]) {
    let difference = difference(&geometry.affine, &expected);
    assert!(difference < 1e-5, "{:?} is not {expected:?}", geometry.affine);
}

#[test]
fn takes_the_qform_with_qfac_minus_one_when_there_is_no_sform() {
    let file = sample()
        .short(SFORM_CODE, 0)
        .short(QFORM_CODE, 1)
        .reals(PIXDIM, &[-1.0, 1.25, 1.5, 5.0])
        .reals(QUATERN, &[0.0, 1.0, 0.0])
        .reals(QOFFSET, &[90.0, -126.0, -72.0])
        .build();

    let image = image(&file);

    // Half a turn around y is diag(-1, 1, -1); qfac turns the third axis back.
    let expected = [[-1.25, 0.0, 0.0, 90.0], [0.0, 1.5, 0.0, -126.0], [0.0, 0.0, 5.0, -72.0]];
    assert_affine(&image.geometry, expected);
    assert_eq!(image.geometry.spacing_mm, [5.0, 1.5, 1.25]);
    assert!(image.warnings.is_empty(), "{:?}", image.warnings);
}

#[test]
fn takes_an_oblique_qform_as_the_specification_defines_it() {
    // 120° around (1, 1, 1): a = b = c = d = 1/2, which maps i to y, j to z, k to x.
    let file =
        sample().short(SFORM_CODE, 0).short(QFORM_CODE, 1).reals(QUATERN, &[0.5, 0.5, 0.5]).build();

    let expected = [[0.0, 0.0, 5.0, 0.0], [1.25, 0.0, 0.0, 0.0], [0.0, 1.5, 0.0, 0.0]];
    assert_affine(&image(&file).geometry, expected);
}

#[test]
fn takes_the_sform_when_both_are_set_and_agree() {
    let file = sample().short(QFORM_CODE, 1).reals(QOFFSET, &[-10.0, -20.0, -30.0]).build();

    let image = image(&file);

    let expected = [[1.25, 0.0, 0.0, -10.0], [0.0, 1.5, 0.0, -20.0], [0.0, 0.0, 5.0, -30.0]];
    assert_affine(&image.geometry, expected);
    assert!(image.warnings.is_empty(), "{:?}", image.warnings);
}

#[test]
fn warns_when_sform_and_qform_disagree() {
    let file = sample().short(QFORM_CODE, 2).reals(QOFFSET, &[-10.0, -17.0, -26.0]).build();

    let image = image(&file);

    assert_eq!(image.geometry.affine[1][3], -20.0);
    assert_eq!(
        image.warnings,
        [
            "sform (code 1) and qform (code 2) place a corner of the volume 5.000 mm apart; the sform is used"
        ]
    );
}

#[test]
fn warns_when_pixdim_contradicts_a_lone_sform() {
    let image = image(&sample().reals(PIXDIM, &[1.0, 1.0, 1.5, 5.0]).build());

    assert_eq!(image.geometry.spacing_mm, [5.0, 1.5, 1.25]);
    assert_eq!(
        image.warnings,
        [
            "pixdim says spacings of [1.0, 1.5, 5.0] but the sform [1.25, 1.5, 5.0]; the sform is used"
        ]
    );
}

#[test]
fn takes_pixdim_when_neither_form_is_set() {
    let image = image(&sample().short(SFORM_CODE, 0).build());

    let expected = [[1.25, 0.0, 0.0, 0.0], [0.0, 1.5, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0]];
    assert_affine(&image.geometry, expected);
    assert_eq!(image.warnings.len(), 1);
}

#[test]
fn refuses_a_sform_that_is_flat_or_not_made_of_numbers() {
    for value in [0.0, f32::NAN, f32::INFINITY] {
        let file = sample().reals(SROW + 40, &[value]).build();
        let message = image_refused(&file);
        assert!(message.contains("the sform does not map voxels to space"), "{message}");

        let with_qform = sample().reals(SROW + 40, &[value]).short(QFORM_CODE, 1).build();
        let image = image(&with_qform);
        assert_eq!(image.geometry.spacing_mm, [5.0, 1.5, 1.25]);
        assert!(image.warnings[0].ends_with("does not span space; the qform is used"));
    }
}

#[test]
fn keeps_the_sform_beside_a_qform_that_is_not_made_of_numbers() {
    let file = sample().short(QFORM_CODE, 1).reals(QUATERN, &[f32::NAN]).build();

    let image = image(&file);

    assert_eq!(image.geometry.affine[0], [1.25, 0.0, 0.0, -10.0]);
    assert_eq!(image.warnings.len(), 1);
    assert!(image.warnings[0].ends_with("does not span space; the sform is used"));
}

#[test]
fn names_a_spacing_that_is_zero_unless_there_is_one_voxel() {
    let broken = sample().short(SFORM_CODE, 0).reals(PIXDIM, &[1.0, 0.0]).build();
    let flat = sample().short(SFORM_CODE, 0).short(DIM, 2).reals(PIXDIM, &[1.0, 1.0, 1.0, 0.0]);

    assert!(image_refused(&broken).contains("field pixdim[1] is 0, expected a positive spacing"));
    assert_eq!(image(&flat.build()).geometry.spacing_mm, [1.0, 1.0, 1.0]);
}

#[test]
fn converts_other_units_to_millimetres() {
    for (unit, expected) in [(0, 5.0), (1, 5000.0), (2, 5.0), (3, 0.005), (2 | 8, 5.0), (6, 5.0)] {
        let image = image(&sample().byte(XYZT_UNITS, unit).build());
        assert!((image.geometry.spacing_mm[0] - expected).abs() < 1e-9, "unit {unit}");
        assert_eq!(image.warnings.len(), usize::from(matches!(unit, 1 | 3 | 6)), "unit {unit}");
    }
}

#[test]
fn the_distance_of_sform_and_qform_is_in_millimetres_whatever_the_unit() {
    let file = sample().short(QFORM_CODE, 2).reals(QOFFSET, &[-10.0, -17.0, -26.0]);

    let metres = image(&file.clone().byte(XYZT_UNITS, 1).build()).warnings;
    assert!(metres[1].contains("a corner of the volume 5000.000 mm apart"), "{metres:?}");
    // 5 µm are no disagreement.
    let micrometres = image(&file.byte(XYZT_UNITS, 3).build()).warnings;
    assert_eq!(micrometres, ["field xyzt_units says micrometres; converted to millimetres"]);
}

#[test]
fn measures_how_far_apart_two_grids_are() {
    // Identity-like RAS labels on a PSR image of the same shape.
    let image = Geometry::from_affine(
        [10, 20, 30],
        [[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0]],
    );
    let labels = Geometry::from_spacing([10, 20, 30], [1.0, 1.0, 1.0]);

    let distance = image.max_corner_distance_mm(&labels);

    // The farthest is (29.5, 19.5, -0.5), which the image has at (-0.5, -29.5, -19.5).
    let expected = (30.0_f64.powi(2) + 49.0_f64.powi(2) + 19.0_f64.powi(2)).sqrt();
    assert!((distance - expected).abs() < 1e-9, "{distance} is not {expected}");
    assert_eq!(image.max_corner_distance_mm(&image), 0.0);
}

#[test]
fn sees_a_single_slice_turned_over() {
    let slice = Geometry::from_spacing([1, 4, 4], [8.0, 1.0, 1.0]);
    let mut affine = slice.affine;
    affine[2][2] = -8.0;

    assert_eq!(slice.max_corner_distance_mm(&Geometry::from_affine([1, 4, 4], affine)), 8.0);
}

#[test]
#[should_panic(expected = "the affine must span space")]
fn refuses_to_make_a_flat_grid() {
    let flat = [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]];
    let _ = Geometry::from_affine([1, 1, 1], flat);
}
