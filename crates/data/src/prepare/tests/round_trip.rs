//! What is prepared lies where it should, and goes back where it came from.

use super::*;

/// A class that depends on the place in the patient, and fills every corner.
fn class_at([r, a, s]: [usize; 3]) -> u8 {
    u8::try_from((r * 5 + a * 3 + s * 7 + r * a * s) % 4).unwrap()
}

#[test]
fn slices_run_along_the_planes_axis_for_all_48_ways_to_store_a_volume() {
    // Patient axes (0 right, 1 anterior, 2 superior) of slices, rows and columns.
    let planes =
        [(Plane::Axial, [2, 1, 0]), (Plane::Coronal, [1, 2, 0]), (Plane::Sagittal, [0, 2, 1])];
    for storage in storages() {
        let geometry = stored(storage);
        let code = |[r, a, s]: [usize; 3]| r * 100 + a * 10 + s;
        let voxels: Vec<usize> = places(&geometry).into_iter().map(code).collect();
        for (plane, axes) in planes {
            let orientation = Orientation::new(&geometry.affine, plane);

            let [slices, rows, columns] = orientation.turned(geometry.shape);
            assert_eq!([slices, rows, columns], axes.map(|axis| SIZES[axis]));
            let turned = orientation.turn(voxels.clone(), geometry.shape);
            for slice in 0..slices {
                let found = orientation.plane(&voxels, geometry.shape, slice);
                assert_eq!(found, turned[slice * rows * columns..][..rows * columns]);
                for (at, value) in found.into_iter().enumerate() {
                    let mut place = [0; 3];
                    place[axes[0]] = slice;
                    place[axes[1]] = at / columns;
                    place[axes[2]] = at % columns;
                    assert_eq!(value, code(place), "{storage:?} {plane:?} {slice} {at}");
                }
            }
        }
    }
}

#[test]
fn oblique_axes_go_to_the_patient_axis_they_run_along_best() {
    // A short-axis view: columns of the affine are tilted by 30° about two axes.
    let tilted = [[0.87, 0.25, -0.43, 0.0], [0.0, 0.87, 0.5, 0.0], [0.5, -0.43, 0.75, 0.0]];
    let straight = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    for plane in [Plane::Axial, Plane::Coronal, Plane::Sagittal] {
        assert_eq!(Orientation::new(&tilted, plane), Orientation::new(&straight, plane));
    }
}

#[test]
fn labels_come_back_exactly_from_every_storage_plane_and_odd_crop() {
    for storage in storages() {
        let geometry = stored(storage);
        let image = image(&geometry, |_| 0.0);
        let labels = labels(&geometry, |place| 10 * u16::from(class_at(place)));
        let classes: Vec<u8> = places(&geometry).into_iter().map(class_at).collect();
        for plane in [Plane::Stored, Plane::Axial, Plane::Coronal, Plane::Sagittal] {
            for crop in [7, 8, 9, 11] {
                let centre = CropCentre::Annotation;
                let prepared = prepared(&image, &labels, &preparation(plane, crop), centre);
                let squares = prepared.labels.unwrap();

                assert_eq!(squares.len(), prepared.slices * crop * crop);
                assert_eq!(prepared.placement.paste_labels(&squares), classes, "{storage:?}");
                let probabilities = one_hot(&squares, 4);
                let pasted = prepared.placement.paste_probabilities(&probabilities, 4);
                assert_eq!(pasted, classes, "{storage:?} {plane:?} {crop}");
            }
        }
    }
}

#[test]
fn outside_a_small_crop_is_background_and_inside_nothing_moves() {
    for storage in storages() {
        let geometry = stored(storage);
        let labels = labels(&geometry, |place| 10 * u16::from(class_at(place)));
        let image = image(&geometry, |_| 0.0);
        // Rows 1..=3 (superior) and columns 2..=4 (right) of every coronal slice.
        let given = PlaneBox { rows: [1, 3], columns: [2, 4] };
        let preparation = preparation(Plane::Coronal, 3);
        let prepared = prepared(&image, &labels, &preparation, CropCentre::Box(given));

        let pasted = prepared.placement.paste_labels(&prepared.labels.unwrap());

        for (class, [r, a, s]) in pasted.into_iter().zip(places(&geometry)) {
            let inside = (1..=3).contains(&s) && (2..=4).contains(&r);
            assert_eq!(class, if inside { class_at([r, a, s]) } else { 0 }, "{storage:?}");
        }
    }
}

#[test]
fn labels_resampled_to_half_the_spacing_come_back_exactly() {
    let labels_of = |image: &Image| {
        let values = (0..).take(image.voxels.len()).map(|at: u16| 10 * (at * 7 % 4)).collect();
        Labels { geometry: image.geometry.clone(), values, warnings: Vec::new() }
    };
    for size in [5, 6] {
        let image = slice([size, size + 1], 1.0, |_, _| 0.0);
        let labels = labels_of(&image);
        let fine =
            Preparation { spacing_mm: Some(0.5), ..preparation(Plane::Stored, 2 * size + 3) };
        let prepared = prepared(&image, &labels, &fine, CropCentre::Image);

        let pasted = prepared.placement.paste_labels(&prepared.labels.unwrap());

        assert_eq!(pasted, label_map().classes(&labels, Path::new("x")).unwrap());
    }
}

#[test]
fn probabilities_on_a_coarse_grid_give_an_outline_between_its_pixels() {
    // The probability of class 1 rises by 0.2 per coarse pixel of 3 mm and is 0.5 at column 7.5.
    let image = slice([6, 15], 1.0, |_, _| 0.0);
    let coarse = Preparation { spacing_mm: Some(3.0), ..preparation(Plane::Stored, 5) };
    let prepared = prepare_volume(&case(), &image, None, &coarse, CropCentre::Image).unwrap();
    let rising = |at: usize| 0.1 + 0.2 * (at % 5) as f32 + 0.01;
    let probabilities: Vec<f32> = (0..25).flat_map(|at| [1.0 - rising(at), rising(at)]).collect();

    let pasted = prepared.placement.paste_probabilities(&probabilities, 2);

    for line in pasted.chunks_exact(15) {
        assert_eq!(line, [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
    }
}

#[test]
fn class_probabilities_sum_to_one_on_the_inputs_grid() {
    let image = slice([9, 8], 1.0, |_, _| 0.0);
    let options = Preparation { spacing_mm: Some(1.3), ..preparation(Plane::Stored, 4) };
    let prepared = prepare_volume(&case(), &image, None, &options, CropCentre::Image).unwrap();
    let probabilities: Vec<f32> =
        (0..16).flat_map(|at| [0.5, 0.03 * at as f32, 0.5 - 0.03 * at as f32]).collect();

    let pasted: Vec<Vec<f32>> = (0..3)
        .map(|class| prepared.placement.paste_class_probability(&probabilities, 3, class))
        .collect();

    for at in 0..72 {
        let sum: f32 = pasted.iter().map(|class| class[at]).sum();
        assert!((sum - 1.0).abs() < 1e-6, "voxel {at}: {sum}");
    }
    let outside: Vec<f32> = pasted.iter().map(|class| class[0]).collect();
    assert_eq!(outside, [1.0, 0.0, 0.0]);
}

#[test]
fn the_box_around_the_largest_part_of_a_prediction_centres_a_second_crop() {
    let image = slice([40, 40], 1.0, |_, _| 0.0);
    let first =
        prepare_volume(&case(), &image, None, &preparation(Plane::Stored, 30), CropCentre::Image)
            .unwrap();
    let mut squares = vec![0; 900];
    // The square starts at row and column 5.
    for row in 2..=7 {
        squares[row * 30 + 20..row * 30 + 26].fill(1);
    }
    squares[4 * 30 + 26] = 2;
    squares[29 * 30] = 1; // a stray pixel

    let found = first.placement.predicted_box(&squares).unwrap();

    assert_eq!(found, PlaneBox { rows: [7, 12], columns: [25, 31] });
    assert_eq!(first.placement.predicted_box(&[0; 900]), None);
}

#[test]
#[should_panic(expected = "[slices, side, side, 1]")]
fn a_prediction_of_the_wrong_size_is_not_pasted() {
    let image = slice([4, 4], 1.0, |_, _| 0.0);
    let prepared =
        prepare_volume(&case(), &image, None, &preparation(Plane::Stored, 4), CropCentre::Image);
    prepared.unwrap().placement.paste_labels(&[0; 15]);
}

#[test]
fn slices_that_run_along_another_axis_than_the_scanners_are_reported_where_spacings_tell() {
    let warnings = |shape: [usize; 3], spacing_mm, plane| {
        let geometry = Geometry::from_spacing(shape, spacing_mm);
        let voxels = (0..geometry.voxel_count()).map(|at| at as f32).collect();
        let image = Image { geometry, voxels, warnings: Vec::new() };
        let preparation = preparation(plane, 8);
        prepare_volume(&case(), &image, None, &preparation, CropCentre::Image).unwrap().warnings
    };
    let turned = [4, 4, 4];

    // A short-axis scan, and what became of it in tools that turn volumes to RAS.
    assert_eq!(warnings(turned, [8.0, 1.25, 1.25], Plane::Stored), [""; 0]);
    assert_eq!(
        warnings(turned, [1.25, 8.0, 1.25], Plane::Stored),
        [
            "a pixel of the slices as stored is 8 × 1.25 mm, across axis 2 of the file it would be 1.25 × 1.25 mm: something seems to have turned the volume; store it like the images that are trained on"
        ]
    );
    assert!(warnings(turned, [1.25, 1.0, 8.0], Plane::Stored)[0].contains("across axis 1"));
    // Another plane follows the header; one slice has no other plane; anisotropy alone says nothing.
    assert_eq!(warnings(turned, [1.25, 8.0, 1.25], Plane::Axial), [""; 0]);
    assert_eq!(warnings([1, 4, 4], [1.0, 3.0, 1.0], Plane::Stored), [""; 0]);
    assert_eq!(warnings(turned, [8.0, 3.0, 1.0], Plane::Stored), [""; 0]);
    assert_eq!(warnings(turned, [1.0, 2.0, 1.0], Plane::Stored), [""; 0]);
}
