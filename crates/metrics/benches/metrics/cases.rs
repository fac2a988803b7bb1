//! The label maps that are timed: three ordinary cases, and what goes wrong with one.

use std::path::Path;

use nifti::{NiftiObject as _, ReaderOptions};
use serde_json::Value;

use crate::random::Random;

/// Labels of every case.
pub(crate) const LABELS: [u16; 4] = [1, 2, 3, 4];

/// Two label maps `[D, H, W]` on one grid.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) shape: [usize; 3],
    pub(crate) spacing_mm: [f64; 3],
    pub(crate) prediction: Vec<u8>,
    pub(crate) reference: Vec<u8>,
}

impl Case {
    /// Reads a case of `tests/fixtures/metrics/perf_cases.json`.
    pub(crate) fn read(id: &str) -> Self {
        let folder =
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/metrics"));
        let text =
            std::fs::read(folder.join("perf_cases.json")).expect("the fixtures are in the tree");
        let cases: Value = serde_json::from_slice(&text).expect("the fixtures are JSON");
        let cases = cases["cases"].as_array().expect("the fixtures list cases");
        let case = cases.iter().find(|case| case["id"] == id).expect("the case is listed");
        let axes = [2, 1, 0];
        let mask = |side: &str| {
            let name = case[side].as_str().expect("a file name");
            let volume = ReaderOptions::new().read_file(folder.join(name)).expect("a NIfTI file");
            volume.into_volume().raw_data().to_vec()
        };
        Self {
            name: id.trim_start_matches("perf_").to_owned(),
            shape: axes.map(|axis| {
                let size = case["shape_xyz"][axis].as_u64().expect("a size");
                usize::try_from(size).expect("a volume that fits into memory")
            }),
            spacing_mm: axes.map(|axis| case["spacing_xyz"][axis].as_f64().expect("a length")),
            prediction: mask("pred"),
            reference: mask("ref"),
        }
    }

    /// Makes a CT-sized case: four bumpy ellipsoids, and a prediction with other bumps, a small
    /// shift and an island per label.
    pub(crate) fn large() -> Self {
        let shape = [300, 512, 512];
        let mut case = Self {
            name: "ct512".into(),
            shape,
            spacing_mm: [f64::from(0.6f32), 0.5, 0.5],
            prediction: vec![0; shape.iter().product()],
            reference: vec![0; shape.iter().product()],
        };
        let organs = [
            ([150.0, 230.0, 220.0], [52.0, 58.0, 57.0]),
            ([120.0, 300.0, 330.0], [40.0, 50.0, 62.0]),
            ([195.0, 340.0, 230.0], [38.0, 46.0, 48.0]),
            ([205.0, 190.0, 330.0], [44.0, 36.0, 40.0]),
        ];
        let mut random = Random::new(512);
        for ((centre, radii), label) in organs.into_iter().zip(1..) {
            paint(&mut case.reference, shape, centre, radii, &mut random, label);
            let shifted = centre.map(|position| position + 4.0 * random.unit() - 2.0);
            paint(&mut case.prediction, shape, shifted, radii, &mut random, label);
            let island = [0, 1, 2].map(|axis| centre[axis] + [60.0, 90.0, 110.0][axis]);
            paint(&mut case.prediction, shape, island, [4.0; 3], &mut random, label);
        }
        case
    }

    /// Returns the cases that a search tuned to good segmentations may be slow on.
    pub(crate) fn spoiled(&self) -> Vec<Self> {
        let voxels = self.prediction.len();
        let [depth, height, width] = self.shape;
        let spoil = |what: &str, prediction: Vec<u8>| Self {
            name: format!("{} {what}", self.name),
            prediction,
            ..self.clone()
        };
        let noise = |share: f64| {
            let mut random = Random::new(1);
            let voxel = |&label: &u8| if random.unit() < share { random.label() } else { label };
            self.prediction.iter().map(voxel).collect()
        };
        let other_label = |&label: &u8| if label == 0 { 0 } else { label % 4 + 1 };
        let shift = (depth / 2 * height + height / 3) * width + width / 3;
        let moved = (0..voxels).map(|at| self.prediction[(at + shift) % voxels]).collect();
        let mut strays = self.prediction.clone();
        for label in 1..=4 {
            strays[voxels - usize::from(label)] = label;
        }
        let square = |at: usize| at / (height * width) + at / width % height + at % width;
        let checkers = (0..voxels).map(|at| [0, 1, 2, 3, 4][square(at) % 5]).collect();
        vec![
            spoil("noise 5 %", noise(0.05)),
            spoil("noise 50 %", noise(0.5)),
            spoil("wrong labels", self.prediction.iter().map(other_label).collect()),
            spoil("shifted far", moved),
            spoil("far strays", strays),
            spoil("whole image", vec![1; voxels]),
            spoil("checkerboard", checkers),
        ]
    }
}

/// Fills an ellipsoid whose radius swells and shrinks with the direction.
fn paint(
    map: &mut [u8],
    [_, height, width]: [usize; 3],
    centre: [f64; 3],
    radii: [f64; 3],
    random: &mut Random,
    label: u8,
) {
    let phases =
        [random.unit(), random.unit(), random.unit()].map(|unit| std::f64::consts::TAU * unit);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "all organs lie well inside the volume"
    )]
    let span = |axis: usize| {
        (centre[axis] - 1.2 * radii[axis]) as usize..(centre[axis] + 1.2 * radii[axis]) as usize
    };
    for d in span(0) {
        for h in span(1) {
            for w in span(2) {
                let at = [d, h, w];
                let offset = [0, 1, 2].map(|axis| (at[axis] as f64 - centre[axis]) / radii[axis]);
                let length = offset.iter().map(|part| part * part).sum::<f64>().sqrt();
                let bumps: f64 = (0..3).map(|axis| (5.0 * offset[axis] + phases[axis]).sin()).sum();
                if length < 1.0 + 0.05 * bumps {
                    map[(d * height + h) * width + w] = label;
                }
            }
        }
    }
}
