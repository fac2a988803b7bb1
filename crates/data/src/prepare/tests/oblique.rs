//! A ball in the patient stays that ball, on any grid: 48 axis orientations, tilted, with any spacing, from files and back.
//!
//! The ball is drawn and looked for by the affine alone, voxel by voxel; nothing here knows of orientations.

use proptest::prelude::*;

use super::*;
use crate::{read_labels, write_image, write_labels};

/// A scan and a ball in it.
#[derive(Clone, Debug)]
struct Scan {
    geometry: Geometry,
    centre_mm: [f64; 3],
    radius_mm: f64,
}

impl Scan {
    /// How deep inside the ball each voxel's centre lies, in millimetres; negative outside.
    fn depths_mm(&self) -> Vec<f64> {
        let [depth, height, width] = self.geometry.shape;
        let places = (0..depth * height * width).map(|at| {
            [at % width, at / width % height, at / width / height].map(|index| index as f64)
        });
        let depth_at = |[i, j, k]: [f64; 3]| {
            let squares = self.geometry.affine.iter().zip(self.centre_mm).map(|(row, centre)| {
                (row[0] * i + row[1] * j + row[2] * k + row[3] - centre).powi(2)
            });
            self.radius_mm - squares.sum::<f64>().sqrt()
        };
        places.map(depth_at).collect()
    }

    /// The scan and its label map as files, read again by `prepare`.
    fn prepared(&self, preparation: &Preparation) -> PreparedCase {
        let folder = tempfile::tempdir().unwrap();
        let [image, labels] = ["a.nii.gz", "b.nii.gz"].map(|name| folder.path().join(name));
        let inside: Vec<u16> =
            self.depths_mm().iter().map(|&depth| if depth > 0.0 { 10 } else { 0 }).collect();
        let grey: Vec<f32> = inside.iter().map(|&value| f32::from(value)).collect();
        write_image(&image, &self.geometry, &grey).unwrap();
        write_labels(&labels, &self.geometry, &inside).unwrap();
        let case = Case { patient: "1".into(), modality: 0, image, labels: Some(labels) };
        prepare(&case, &label_map(), preparation, CropCentre::Annotation).unwrap()
    }
}

/// `Rz(γ)·Ry(β)·Rx(α)`.
fn rotation([alpha, beta, gamma]: [f64; 3]) -> [[f64; 3]; 3] {
    let [(sa, ca), (sb, cb), (sc, cc)] = [alpha, beta, gamma].map(f64::sin_cos);
    [
        [cc * cb, cc * sb * sa - sc * ca, cc * sb * ca + sc * sa],
        [sc * cb, sc * sb * sa + cc * ca, sc * sb * ca - cc * sa],
        [-sb, cb * sa, cb * ca],
    ]
}

/// A grid whose axes run along the patient's as `storage` says, then tilted; the ball lies in its middle half.
fn scan(
    (axes, flipped): ([usize; 3], [bool; 3]),
    angles: [f64; 3],
    (shape, spacing): ([usize; 3], [f64; 3]),
    (place, radius): ([f64; 3], f64),
) -> Scan {
    let turn = rotation(angles);
    let mut affine = [[0.0; 4]; 3];
    for column in 0..3 {
        let sign = if flipped[column] { -1.0 } else { 1.0 };
        for (row, turned) in affine.iter_mut().zip(turn) {
            row[column] = turned[axes[column]] * sign * spacing[column];
        }
    }
    [affine[0][3], affine[1][3], affine[2][3]] = [-40.0, 25.0, 310.0];
    let lengths = [shape[2], shape[1], shape[0]].map(|length| length as f64 - 1.0);
    let geometry = Geometry::from_affine(shape, affine);
    let centre_mm = geometry.affine.map(|row| {
        row[3] + (0..3).map(|n| row[n] * lengths[n] * (0.25 + 0.5 * place[n])).sum::<f64>()
    });
    // At least two voxels along the coarsest axis, or no voxel might be inside.
    let radius_mm = spacing.iter().copied().fold(0.0, f64::max) * (1.0 + radius);
    Scan { geometry, centre_mm, radius_mm }
}

fn scans() -> impl Strategy<Value = Scan> {
    let tilt = || -0.6_f64..0.6;
    let mm = || 0.6_f64..3.0;
    let share = || 0.0_f64..1.0;
    (
        0_usize..48,
        [tilt(), tilt(), tilt()],
        ([8_usize..24, 8_usize..24, 8_usize..24], [mm(), mm(), mm()]),
        ([share(), share(), share()], 0.5_f64..3.0),
    )
        .prop_map(|(storage, angles, grid, ball)| {
            let storage = storages().nth(storage).expect("there are 48");
            scan(storage, angles, grid, ball)
        })
}

fn planes() -> impl Strategy<Value = Plane> {
    prop_oneof![
        Just(Plane::Stored),
        Just(Plane::Axial),
        Just(Plane::Coronal),
        Just(Plane::Sagittal)
    ]
}

/// A scan, a way to prepare it, and a prediction that equals the prepared labels, written and read again.
fn written_back(scan: &Scan, preparation: &Preparation) -> (Vec<u16>, Geometry) {
    let prepared = scan.prepared(preparation);
    let squares = prepared.labels.as_ref().expect("there is a label map");
    let pasted = prepared.placement.paste_probabilities(&one_hot(squares, 4), 4);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prediction.nii.gz");
    write_labels(&path, &scan.geometry, &label_map().values(&pasted)).unwrap();
    let prediction = read_labels(&path).unwrap();
    (prediction.values.to_vec(), prediction.geometry)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_ball_is_found_where_it_is_after_reading_turning_cropping_and_writing(
        scan in scans(), plane in planes(), crop in prop_oneof![Just(64_usize), 5_usize..24],
    ) {
        let (prediction, geometry) = written_back(&scan, &preparation(plane, crop));

        prop_assert_eq!(geometry.affine, scan.geometry.affine);
        prop_assert_eq!(geometry.shape, scan.geometry.shape);
        for (value, depth) in prediction.into_iter().zip(scan.depths_mm()) {
            prop_assert!(value == 0 || depth > 0.0, "{depth} mm outside the ball is {value}");
            prop_assert!(value == 10 || depth <= 0.0 || crop < 64, "{depth} mm inside is {value}");
        }
    }

    #[test]
    fn a_ball_resampled_to_the_models_spacing_comes_back_within_a_pixel(
        scan in scans(), plane in planes(), spacing_mm in 0.5_f64..3.0, linear in any::<bool>(),
    ) {
        let label_resampling =
            if linear { LabelResampling::LinearOneHot } else { LabelResampling::Nearest };
        let preparation = Preparation {
            spacing_mm: Some(spacing_mm), label_resampling, ..preparation(plane, 160)
        };
        let (prediction, geometry) = written_back(&scan, &preparation);

        prop_assert_eq!(geometry.affine, scan.geometry.affine);
        // There and back each move an outline by half the diagonal of the coarser of the two pixels, at most.
        let coarsest = scan.geometry.spacing_mm.into_iter().fold(spacing_mm, f64::max);
        let tolerance = coarsest * std::f64::consts::SQRT_2;
        for (value, depth) in prediction.into_iter().zip(scan.depths_mm()) {
            prop_assert!(value == 0 || depth > -tolerance, "{depth} mm outside is {value}");
            prop_assert!(value == 10 || depth < tolerance, "{depth} mm inside is {value}");
        }
    }
}

#[test]
fn every_orientation_is_drawn_from() {
    let corner = |storage| scan(storage, [0.0; 3], ([3, 4, 5], [1.0, 2.0, 3.0]), ([0.5; 3], 1.0));
    let mut affines: Vec<String> =
        storages().map(|storage| format!("{:?}", corner(storage).geometry.affine)).collect();
    affines.sort();
    affines.dedup();
    assert_eq!(affines.len(), 48);
}
