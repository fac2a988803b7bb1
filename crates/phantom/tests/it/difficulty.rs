//! A data set that a linear classifier can solve would test nothing.
//!
//! Linear discriminant analysis, fitted per modality, sees what a pixel alone can tell: its
//! z-scored intensity, its position in the box around the annotation, and their squares. On the
//! real data it reaches a mean Dice of about 0.45.

use duomo_phantom::{Kind, Modality, Options, simulate};

const FEATURES: usize = 6;
const CLASSES: usize = 4;
const TRAIN: usize = 5;
const PATIENTS: usize = 8;
/// Half edge of the box around the annotation, which is what a network is given.
const HALF_BOX_MM: f64 = 72.0;

type Pixel = ([f64; FEATURES], usize);

#[test]
fn a_linear_classifier_stays_below_three_fifths() {
    for modality in [Modality::Lge, Modality::Bssfp] {
        let patients: Vec<Vec<Pixel>> = (1..=PATIENTS).map(|n| pixels(modality, n)).collect();
        let train: Vec<Pixel> = patients[..TRAIN].concat();
        for priors in [Priors::Counted, Priors::Equal] {
            let classifier = Classifier::fit(&train, priors);
            let tests = patients[TRAIN..].iter();
            let dice: f64 = tests.map(|pixels| mean_dice(&classifier, pixels)).sum::<f64>()
                / (PATIENTS - TRAIN) as f64;
            assert!(dice < 0.6, "{modality:?}, {priors:?} priors: {dice}");
            // A classifier that learnt nothing would make this test pass for the wrong reason.
            assert!(dice > 0.15, "{modality:?}, {priors:?} priors: {dice}");
        }
    }
}

#[test]
fn no_intensity_band_separates_a_class() {
    for modality in [Modality::Lge, Modality::Bssfp] {
        let all: Vec<Pixel> = (1..=4).flat_map(|n| pixels(modality, n)).collect();
        for class in 1..CLASSES {
            let best = best_band_dice(&all, class);
            assert!(best < 0.6, "{modality:?}, class {class}: {best}");
        }
    }
}

/// Pixels of the box around the annotation of one patient.
fn pixels(modality: Modality, patient: usize) -> Vec<Pixel> {
    let options = Options { matrix_scale: 0.25, ..Options::new(Kind::Mscmr, 31) };
    let case = simulate(&options, modality, patient).unwrap();
    let [_, rows, columns] = case.geometry.shape;
    let place = |index: usize| [index / columns % rows, index % columns];
    let labelled = || (0..case.labels.len()).filter(|&index| case.labels[index] > 0).map(place);
    let centre: [f64; 2] = std::array::from_fn(|axis| {
        let low = labelled().map(|p| p[axis]).min().unwrap();
        let high = labelled().map(|p| p[axis]).max().unwrap();
        (low + high) as f64 / 2.0
    });
    let scale = case.geometry.spacing_mm[1] / HALF_BOX_MM;
    let position = |index: usize| -> [f64; 2] {
        std::array::from_fn(|axis| (place(index)[axis] as f64 - centre[axis]) * scale)
    };
    let inside: Vec<usize> = (0..case.labels.len())
        .filter(|&index| position(index).iter().all(|p| p.abs() <= 1.0))
        .collect();
    let values = || inside.iter().map(|&index| f64::from(case.voxels[index]));
    let mean = values().sum::<f64>() / inside.len() as f64;
    let variance = values().map(|v| (v - mean).powi(2)).sum::<f64>() / inside.len() as f64;
    inside
        .iter()
        .map(|&index| {
            let [y, x] = position(index);
            let z = (f64::from(case.voxels[index]) - mean) / variance.sqrt();
            let class = match case.labels[index] {
                200 => 1,
                500 => 2,
                600 => 3,
                _ => 0,
            };
            ([z, x, y, z * z, x * x, y * y], class)
        })
        .collect()
}

#[derive(Clone, Copy, Debug)]
enum Priors {
    Counted,
    Equal,
}

/// Linear discriminants `w·f + b`, one per class.
struct Classifier([([f64; FEATURES], f64); CLASSES]);

impl Classifier {
    fn fit(pixels: &[Pixel], priors: Priors) -> Self {
        let mut counts = [0.0; CLASSES];
        let mut means = [[0.0; FEATURES]; CLASSES];
        for (features, class) in pixels {
            counts[*class] += 1.0;
            for (sum, feature) in means[*class].iter_mut().zip(features) {
                *sum += feature;
            }
        }
        for (mean, count) in means.iter_mut().zip(counts) {
            for sum in mean {
                *sum /= count;
            }
        }
        let mut covariance = [[0.0; FEATURES]; FEATURES];
        for (features, class) in pixels {
            let off: [f64; FEATURES] = std::array::from_fn(|i| features[i] - means[*class][i]);
            for (row, a) in covariance.iter_mut().zip(off) {
                for (sum, b) in row.iter_mut().zip(off) {
                    *sum += a * b / pixels.len() as f64;
                }
            }
        }
        Self(std::array::from_fn(|class| {
            let weights = solve(covariance, means[class]);
            let half: f64 = weights.iter().zip(means[class]).map(|(w, m)| w * m / 2.0).sum();
            let prior = match priors {
                Priors::Counted => (counts[class] / pixels.len() as f64).ln(),
                Priors::Equal => 0.0,
            };
            (weights, prior - half)
        }))
    }

    fn predict(&self, features: &[f64; FEATURES]) -> usize {
        let score = |class: usize| {
            let (weights, bias) = self.0[class];
            bias + weights.iter().zip(features).map(|(w, f)| w * f).sum::<f64>()
        };
        (0..CLASSES).max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap()
    }
}

/// Gaussian elimination with row pivoting.
fn solve(mut matrix: [[f64; FEATURES]; FEATURES], mut right: [f64; FEATURES]) -> [f64; FEATURES] {
    for column in 0..FEATURES {
        let pivot = (column..FEATURES)
            .max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()))
            .unwrap();
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        for row in (0..FEATURES).filter(|&row| row != column) {
            let factor = matrix[row][column] / matrix[column][column];
            let source = matrix[column];
            for (target, value) in matrix[row].iter_mut().zip(source) {
                *target -= factor * value;
            }
            right[row] -= factor * right[column];
        }
    }
    std::array::from_fn(|i| right[i] / matrix[i][i])
}

fn mean_dice(classifier: &Classifier, pixels: &[Pixel]) -> f64 {
    let predicted: Vec<usize> = pixels.iter().map(|(f, _)| classifier.predict(f)).collect();
    let dice = (1..CLASSES).map(|class| {
        dice(pixels.iter().zip(&predicted).map(|((_, c), p)| (*p == class, *c == class)))
    });
    dice.sum::<f64>() / (CLASSES - 1) as f64
}

fn best_band_dice(pixels: &[Pixel], class: usize) -> f64 {
    let mut best: f64 = 0.0;
    for low in 0..20 {
        for high in low + 1..=20 {
            let band = |z: f64| {
                let edge = |step: i32| f64::from(step) * 0.25 - 1.5;
                z >= edge(low) && (high == 20 || z < edge(high))
            };
            best = best.max(dice(pixels.iter().map(|(f, c)| (band(f[0]), *c == class))));
        }
    }
    best
}

fn dice(pairs: impl Iterator<Item = (bool, bool)>) -> f64 {
    let (mut both, mut either) = (0, 0);
    for (predicted, truth) in pairs {
        both += usize::from(predicted && truth);
        either += usize::from(predicted) + usize::from(truth);
    }
    2.0 * both as f64 / either.max(1) as f64
}
