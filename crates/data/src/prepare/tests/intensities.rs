//! Grey values after cropping, clipping and z-scoring; neighbours as channels.

use super::*;

/// Crop, pad and z-score of one slice as the definition says it, in double precision.
fn slow_slice(plane: &[f32], shape: [usize; 2], starts: [i64; 2], crop: usize) -> Vec<f64> {
    let inside = |row: i64, column: i64| {
        let [rows, columns] = shape.map(|n| i64::try_from(n).unwrap());
        let inside = (0..rows).contains(&row) && (0..columns).contains(&column);
        inside.then(|| f64::from(plane[usize::try_from(row * columns + column).unwrap()]))
    };
    let darkest = plane.iter().copied().fold(f32::INFINITY, f32::min);
    let side = i64::try_from(crop).unwrap();
    let values: Vec<f64> = (0..side)
        .flat_map(|row| (0..side).map(move |column| (row + starts[0], column + starts[1])))
        .map(|(row, column)| inside(row, column).unwrap_or(f64::from(darkest)))
        .collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
    values.iter().map(|v| if deviation > 0.0 { (v - mean) / deviation } else { 0.0 }).collect()
}

#[test]
fn slices_equal_the_definition_for_crops_inside_across_and_around_the_image() {
    let image = slice([13, 10], 1.0, |row, column| ((row * 37 + column * 11) % 29) as f32 - 7.0);
    for crop in [1, 4, 5, 11, 16, 21] {
        for (rows, columns) in [([0, 0], [0, 0]), ([5, 6], [2, 8]), ([12, 12], [9, 9])] {
            let given = CropCentre::Box(PlaneBox { rows, columns });
            let options = preparation(Plane::Stored, crop);
            let found = prepare_volume(&case(), &image, None, &options, given).unwrap();

            let expected = slow_slice(&image.voxels, [13, 10], found.placement.starts, crop);

            assert_eq!(found.images.len(), expected.len());
            for (fast, slow) in found.images.iter().zip(expected) {
                assert!((f64::from(*fast) - slow).abs() < 1e-6, "crop {crop}: {fast} {slow}");
            }
        }
    }
}

#[test]
fn every_slice_is_scored_by_itself_and_a_constant_one_becomes_zeros() {
    let geometry = Geometry::from_spacing([2, 3, 3], [5.0, 1.0, 1.0]);
    // 0.1 has no exact sum, which must not leave a deviation behind.
    let voxels = (0..18).map(|at| if at < 9 { 0.1 } else { 100.0 + at as f32 }).collect();
    let image = Image { geometry, voxels, warnings: Vec::new() };

    let options = preparation(Plane::Stored, 3);
    let found = prepare_volume(&case(), &image, None, &options, CropCentre::Image).unwrap();

    assert_eq!(found.images[..9], [0.0; 9]);
    let second = &found.images[9..];
    let mean = second.iter().sum::<f32>() / 9.0;
    let variance = second.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 9.0;
    assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-6, "{mean} {variance}");
}

#[test]
fn the_brightest_voxels_are_cut_down_to_the_rest() {
    let voxels: Vec<f32> = (0..=100).rev().map(|v| v as f32).collect();

    assert_eq!(intensity::ceiling(&voxels, 0.0).total_cmp(&100.0), std::cmp::Ordering::Equal);
    assert_eq!(intensity::ceiling(&voxels, 2.0).total_cmp(&98.0), std::cmp::Ordering::Equal);
    assert_eq!(intensity::ceiling(&[5.0], 50.0).total_cmp(&5.0), std::cmp::Ordering::Equal);

    // One voxel in a hundred shines; after clipping it equals its brightest neighbours.
    let image =
        slice([10, 10], 1.0, |row, column| if row + column == 0 { 1e6 } else { (row % 2) as f32 });
    let options = Preparation { clip_top_percent: Some(2.0), ..preparation(Plane::Stored, 10) };
    let found = prepare_volume(&case(), &image, None, &options, CropCentre::Image).unwrap();
    assert_eq!(found.images[0].total_cmp(&found.images[10]), std::cmp::Ordering::Equal);
}

#[test]
fn neighbours_become_channels_and_the_ends_repeat() {
    let geometry = Geometry::from_spacing([3, 1, 2], [5.0, 1.0, 1.0]);
    let voxels = vec![0.0; 6];
    let image = Image { geometry, voxels, warnings: Vec::new() };
    let options = preparation(Plane::Stored, 2);
    let mut prepared = prepare_volume(&case(), &image, None, &options, CropCentre::Image).unwrap();
    prepared.images = (0..12).map(|at| at as f32).collect(); // slice n holds 4n, 4n + 1, …

    assert_eq!(prepared.neighbours(1, 1), [4.0, 5.0, 6.0, 7.0]);
    let first = [0.0, 0.0, 4.0, 1.0, 1.0, 5.0, 2.0, 2.0, 6.0, 3.0, 3.0, 7.0];
    assert_eq!(prepared.neighbours(0, 3), first);
    let last = [4.0, 8.0, 8.0, 5.0, 9.0, 9.0, 6.0, 10.0, 10.0, 7.0, 11.0, 11.0];
    assert_eq!(prepared.neighbours(2, 3), last);
    assert_eq!(prepared.neighbours(0, 5)[..5], [0.0, 0.0, 0.0, 4.0, 8.0]);
}

#[test]
#[should_panic(expected = "input_slices must be odd, got 2")]
fn an_even_number_of_input_slices_has_no_middle() {
    let image = slice([2, 2], 1.0, |_, _| 0.0);
    let options = preparation(Plane::Stored, 2);
    prepare_volume(&case(), &image, None, &options, CropCentre::Image).unwrap().neighbours(0, 2);
}

#[test]
fn an_image_without_contrast_is_prepared_with_a_warning() {
    let options = preparation(Plane::Stored, 4);
    let warnings = |value: &dyn Fn(usize) -> f32| {
        let image = slice([4, 4], 1.0, |row, _| value(row));
        prepare_volume(&case(), &image, None, &options, CropCentre::Image).unwrap().warnings
    };

    let expected = "every voxel is 7: nothing is to be seen; export the image again";
    assert_eq!(warnings(&|_| 7.0), [expected]);
    assert_eq!(warnings(&|row| row as f32), [""; 0]);
}
