//! Where the square is cut, and resampling before it.

use super::*;

fn starts_of(image: &Image, inside: &[(usize, usize)], crop: usize) -> ([i64; 2], Vec<String>) {
    let columns = image.geometry.shape[2];
    let mut values = vec![0; image.voxels.len()];
    for &(row, column) in inside {
        values[row * columns + column] = 10;
    }
    let labels =
        Labels { geometry: image.geometry.clone(), values: values.into(), warnings: Vec::new() };
    let prepared =
        prepared(image, &labels, &preparation(Plane::Stored, crop), CropCentre::Annotation);
    (prepared.placement.starts, prepared.warnings)
}

#[test]
fn what_a_wrong_spacing_makes_too_large_is_refused_before_memory_is_asked_for() {
    let refused = |image: &Image, preparation: &Preparation| {
        prepare_volume(&case(), image, None, preparation, CropCentre::Image).unwrap_err()
    };
    let metres = slice([20, 30], 1e6, |_, _| 0.0);
    let resampled = Preparation { spacing_mm: Some(4.0), ..preparation(Plane::Stored, 8) };
    let long = slice([1, 4097], 1.0, |_, _| 0.0);

    let text = refused(&metres, &resampled).to_string();
    let expected = "p1.nii: at 1000000 × 1000000 mm a pixel, as its header says, its 1 slices would \
                    have 5000000 × 7500000 pixels each; ";
    assert!(text.starts_with(expected), "{text}");
    let native = refused(&long, &preparation(Plane::Stored, 8));
    assert!(matches!(native, Error::TooManyPixels { shape: [1, 1, 4097], .. }), "{native}");
    // Unbelievable, and yet no larger than others.
    let same = Preparation { spacing_mm: Some(1e6), ..resampled };
    prepare_volume(&case(), &metres, None, &same, CropCentre::Image).unwrap();
}

#[test]
fn the_square_is_centred_on_the_annotated_box() {
    let image = slice([20, 30], 1.0, |_, _| 0.0);

    // ⌊(4 + 9 + 1 − 6) / 2⌋ = 4 and ⌊(10 + 20 + 1 − 6) / 2⌋ = 12.
    assert_eq!(starts_of(&image, &[(4, 20), (9, 10)], 6).0, [4, 12]);
    // ⌊(0 + 0 + 1 − 6) / 2⌋ = −3, not −2.
    assert_eq!(starts_of(&image, &[(0, 0)], 6).0, [-3, -3]);
    assert_eq!(starts_of(&image, &[(0, 0)], 7).0, [-3, -3]);
}

#[test]
fn an_annotation_wider_than_the_crop_is_reported() {
    let image = slice([20, 30], 1.0, |row, _| row as f32);

    let (_, warnings) = starts_of(&image, &[(4, 20), (9, 10)], 6);

    assert_eq!(warnings, ["the annotation spans 11 columns, the crop 6: 5 lost"]);
    // A model has found it, and knows no annotation.
    let found = CropCentre::Box(PlaneBox { rows: [4, 9], columns: [10, 20] });
    let prepared =
        prepare_volume(&case(), &image, None, &preparation(Plane::Stored, 6), found).unwrap();
    let expected = "what the network found spans 11 columns, the crop 6: 5 left unsegmented";
    assert_eq!(prepared.warnings, [expected]);
}

#[test]
fn without_annotation_the_square_is_centred_on_the_image() {
    let image = slice([20, 31], 1.0, |row, _| row as f32);

    let (starts, warnings) = starts_of(&image, &[], 8);
    assert_eq!(starts, [6, 11]);
    assert_eq!(warnings, ["no annotated voxel; the crop is centred on the image"]);

    let preparation = preparation(Plane::Stored, 8);
    let unlabelled =
        prepare_volume(&case(), &image, None, &preparation, CropCentre::Image).unwrap();
    assert_eq!(unlabelled.placement.starts, [6, 11]);
    assert_eq!((unlabelled.labels, unlabelled.warnings), (None, Vec::new()));
}

#[test]
fn a_given_box_is_in_pixels_before_resampling() {
    let image = slice([20, 20], 1.0, |_, _| 0.0);
    let given = CropCentre::Box(PlaneBox { rows: [4, 7], columns: [0, 3] });
    let fine = Preparation { spacing_mm: Some(0.5), ..preparation(Plane::Stored, 8) };

    let prepared = prepare_volume(&case(), &image, None, &fine, given).unwrap();

    // Rows 4..=7 of 1 mm are 8..=15 of 0.5 mm, columns 0..=3 are 0..=7.
    assert_eq!(prepared.placement.starts, [8, 0]);
}

#[test]
fn all_slices_share_the_square_around_the_volumes_annotation() {
    let geometry = Geometry::from_spacing([2, 10, 10], [5.0, 1.0, 1.0]);
    let mut values = vec![0; 200];
    values[11] = 10; // slice 0, row 1, column 1
    values[100 + 88] = 20; // slice 1, row 8, column 8
    let voxels = vec![0.0; 200];
    let image = Image { geometry: geometry.clone(), voxels, warnings: Vec::new() };
    let labels = Labels { geometry, values: values.into(), warnings: Vec::new() };

    let prepared =
        prepared(&image, &labels, &preparation(Plane::Stored, 8), CropCentre::Annotation);

    assert_eq!(prepared.placement.starts, [1, 1]);
    let squares = prepared.labels.unwrap();
    assert_eq!((squares[0], squares[127]), (1, 2));
}

#[test]
fn linear_resampling_keeps_a_ramp_wherever_the_new_pixel_has_neighbours() {
    let axes = [Axis::resampled(12, 1.0, 0.7), Axis::resampled(9, 1.0, 1.9)];
    let plane = (0..108).map(|at| (2 * (at / 9) + 5 * (at % 9)) as f32).collect();

    let fine = resample::image(plane, axes);

    assert_eq!([axes[0].size, axes[1].size], [18, 5]);
    for (at, value) in fine.into_iter().enumerate() {
        let row = axes[0].native_position((at / 5) as f64);
        let column = axes[1].native_position((at % 5) as f64);
        let expected = 2.0 * row.clamp(0.0, 11.0) + 5.0 * column.clamp(0.0, 8.0);
        assert!((f64::from(value) - expected).abs() < 1e-4, "{at}: {value} {expected}");
    }
}

#[test]
fn the_resampled_grid_covers_the_native_one_and_shares_its_centre() {
    for (size, target) in [(10, 2.9), (10, 3.0), (10, 2.5), (7, 0.4), (1, 3.0), (224, 1.25)] {
        let axis = Axis::resampled(size, 1.0, target);
        let centre = |size: usize| (size as f64 - 1.0) / 2.0;

        let covered = axis.resampled_position(-0.5) >= -0.5 - 1e-2
            && axis.resampled_position(size as f64 - 0.5) <= axis.size as f64 - 0.5 + 1e-2;
        assert!(covered, "{axis:?}");
        assert!((axis.native_position(centre(axis.size)) - centre(size)).abs() < 1e-9);
        assert!((axis.resampled_position(axis.native_position(3.3)) - 3.3).abs() < 1e-9);
    }
    assert!(Axis::resampled(10, 1.0, 1.000_01).is_native());
}

#[test]
fn label_resampling_is_nearest_or_by_the_largest_bilinear_weight() {
    let axes = [Axis::native(2), Axis::resampled(3, 1.0, 0.75)];
    let plane = vec![1, 0, 2, 1, 2, 2];
    let sampled = |how| resample::labels(plane.clone(), axes, how);

    // New pixels lie at −0.125, 0.625, 1.375 and 2.125 of the old ones.
    assert_eq!(sampled(LabelResampling::Nearest), [1, 0, 0, 2, 1, 2, 2, 2]);
    assert_eq!(sampled(LabelResampling::LinearOneHot), [1, 0, 0, 2, 1, 2, 2, 2]);

    // At the middle of four pixels two of a class outweigh one nearest; equal weights go low.
    let centre = [Axis::resampled(2, 1.0, 2.0), Axis::resampled(2, 1.0, 2.0)];
    let middle = |plane: [u8; 4], how| resample::labels(plane.to_vec(), centre, how);
    assert_eq!(middle([1, 1, 1, 3], LabelResampling::LinearOneHot), [1]);
    assert_eq!(middle([1, 1, 1, 3], LabelResampling::Nearest), [3]);
    assert_eq!(middle([2, 1, 1, 2], LabelResampling::LinearOneHot), [1]);
}

#[test]
fn slices_are_resampled_to_the_wanted_spacing_in_their_plane() {
    // Coronal: rows run towards superior (3 mm), columns towards right (1 mm).
    let geometry = stored(([2, 0, 1], [true, false, true]));
    let image = image(&geometry, |_| 0.0);
    let options = Preparation { spacing_mm: Some(1.5), ..preparation(Plane::Coronal, 4) };

    let prepared = prepare_volume(&case(), &image, None, &options, CropCentre::Image).unwrap();

    let [rows, columns] = prepared.placement.axes.map(|axis| axis.size);
    assert_eq!((prepared.slices, rows, columns), (6, 10, 5));
}
