//! Volumes made so that every voxel tells where in the patient it lies.

mod files;
mod intensities;
mod oblique;
mod round_trip;
mod windows;

use super::*;
use crate::{LabelClass, UnknownLabels};

/// Voxels of the made-up patient towards right, anterior and superior.
const SIZES: [usize; 3] = [7, 6, 5];

/// Edge of a voxel towards right, anterior and superior, in millimetres.
const SPACING_MM: [f64; 3] = [1.0, 2.0, 3.0];

/// All 48 ways to store a volume: which patient axis each voxel axis `(W, H, D)` runs along, and
/// whether against it.
fn storages() -> impl Iterator<Item = ([usize; 3], [bool; 3])> {
    let permutations = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let flips = |bits: u32| [0, 1, 2].map(|axis| bits >> axis & 1 == 1);
    permutations.into_iter().flat_map(move |axes| (0..8).map(move |bits| (axes, flips(bits))))
}

/// The grid of the made-up patient when stored so.
fn stored((axes, flipped): ([usize; 3], [bool; 3])) -> Geometry {
    let mut affine = [[0.0; 4]; 3];
    for (column, &patient) in axes.iter().enumerate() {
        let far = (SIZES[patient] - 1) as f64 * SPACING_MM[patient];
        affine[patient][column] = SPACING_MM[patient] * if flipped[column] { -1.0 } else { 1.0 };
        affine[patient][3] = if flipped[column] { far } else { 0.0 };
    }
    let [w, h, d] = axes.map(|patient| SIZES[patient]);
    Geometry::from_affine([d, h, w], affine)
}

/// Where each voxel lies towards right, anterior and superior, in voxels, by its affine: slow, and
/// knows nothing of orientations.
fn places(geometry: &Geometry) -> Vec<[usize; 3]> {
    let [depth, height, width] = geometry.shape;
    let mut places = Vec::new();
    for k in 0..depth {
        for j in 0..height {
            for i in 0..width {
                let voxel = [i as f64, j as f64, k as f64, 1.0];
                places.push([0, 1, 2].map(|patient| {
                    let row = &geometry.affine[patient];
                    let mm: f64 = row.iter().zip(voxel).map(|(a, v)| a * v).sum();
                    whole((mm / SPACING_MM[patient]).round())
                }));
            }
        }
    }
    places
}

fn image(geometry: &Geometry, value: impl Fn([usize; 3]) -> f32) -> Image {
    let voxels = places(geometry).into_iter().map(value).collect();
    Image { geometry: geometry.clone(), voxels, warnings: Vec::new() }
}

fn labels(geometry: &Geometry, value: impl Fn([usize; 3]) -> u16) -> Labels {
    let values = places(geometry).into_iter().map(value).collect();
    Labels { geometry: geometry.clone(), values, warnings: Vec::new() }
}

fn case() -> Case {
    let labels = Some("p1_seg.nii".into());
    Case { patient: "1".to_owned(), modality: 0, image: "p1.nii".into(), labels }
}

/// Classes 1, 2, 3 with values 10, 20, 30.
fn label_map() -> LabelMap {
    let class = |n: u16| LabelClass { name: n.to_string(), values: vec![10 * n], role: None };
    LabelMap::new(&[1, 2, 3].map(class), UnknownLabels::Error)
}

fn preparation(plane: Plane, crop: usize) -> Preparation {
    Preparation {
        plane,
        crop,
        spacing_mm: None,
        label_resampling: LabelResampling::Nearest,
        clip_top_percent: None,
        geometry: GeometryCheck::Match,
        geometry_tolerance_mm: Preparation::TOLERANCE_MM,
    }
}

/// Prepares with labels, which must succeed.
fn prepared(
    image: &Image,
    labels: &Labels,
    preparation: &Preparation,
    centre: CropCentre,
) -> PreparedCase {
    let labels = Some((labels, &label_map()));
    prepare_volume(&case(), image, labels, preparation, centre).unwrap()
}

/// A flat image of one slice on an axis-aligned grid, `[rows, columns]`.
fn slice(shape: [usize; 2], spacing_mm: f64, value: impl Fn(usize, usize) -> f32) -> Image {
    let [rows, columns] = shape;
    let geometry = Geometry::from_spacing([1, rows, columns], [5.0, spacing_mm, spacing_mm]);
    let voxels = (0..rows * columns).map(|at| value(at / columns, at % columns)).collect();
    Image { geometry, voxels, warnings: Vec::new() }
}

fn one_hot(classes: &[u8], count: usize) -> Vec<f32> {
    let row = |&class: &u8| {
        (0..count).map(move |other| if usize::from(class) == other { 1.0 } else { 0.0 })
    };
    classes.iter().flat_map(row).collect()
}
