//! The fast way gives the labels of the straightforward one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::Device;
use duomo_data::{Dataset, Plane};
use duomo_model::{Architecture, Fcn};

use super::*;
use crate::model_file::{FORMAT, Model, ModelCard, Provenance};

const CLASSES: usize = 4;

/// Every value written to a list: the probabilities of a whole case, and the largest of each pixel.
fn probabilities(model: &Model, case: &PreparedCase) -> Vec<f32> {
    let mut probabilities = Vec::new();
    for slice in 0..case.slices {
        let shape = (1, case.side, case.side, 1);
        let image = Tensor::from_vec(case.neighbours(slice, 1), shape, &Device::Cpu).unwrap();
        let logits = model.logits(&image, 0).unwrap();
        for pixel in logits.flatten_to(2).unwrap().to_vec2::<f32>().unwrap() {
            probabilities.extend(softmax_of(&pixel));
        }
    }
    probabilities
}

fn softmax_of(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f32 = exponentials.iter().fold(0.0, |sum, value| sum + value);
    exponentials.iter().map(|value| value / sum).collect()
}

fn index_of_largest(values: &[f32]) -> u8 {
    let mut best = 0;
    for (index, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = index;
        }
    }
    u8::try_from(best).unwrap()
}

/// [`segment_automatically`] with a pass for every look and one more, and whether it came to rest.
fn straightforward(model: &Model, case: &Case, image: &Image) -> (PreparedCase, Vec<u8>, bool) {
    let preparation = &model.card.preparation;
    let whole = Preparation { crop: whole_slice(image, preparation), ..preparation.clone() };
    let mut seen = prepare_volume(case, image, None, &whole, CropCentre::Image).unwrap();
    let mut at_rest = false;
    for _ in 0..LOOKS {
        let found: Vec<u8> =
            probabilities(model, &seen).chunks_exact(CLASSES).map(index_of_largest).collect();
        let found = seen.placement.predicted_box(&found);
        let centre = found.map_or(CropCentre::Image, CropCentre::Box);
        let crop = prepare_volume(case, image, None, preparation, centre).unwrap();
        at_rest = crop.placement == seen.placement;
        if at_rest {
            break;
        }
        seen = crop;
    }
    let classes = seen.placement.paste_probabilities(&probabilities(model, &seen), CLASSES);
    (seen, classes, at_rest)
}

fn model(seed: u64, preparation: Preparation) -> Model {
    let architecture = Architecture { width: 1, blocks: [1; 8], ..Architecture::paper(CLASSES, 2) };
    model_of(architecture, seed, preparation)
}

/// A model of LGE and bSSFP with start values for weights.
pub(crate) fn model_of(architecture: Architecture, seed: u64, preparation: Preparation) -> Model {
    let dataset = Dataset::load("mscmr").unwrap();
    let fcn = Fcn::new(&architecture, seed, DType::F32, &Device::Cpu).unwrap();
    let weights = fcn.parameters().to_tensors().unwrap().into_iter();
    let weights: BTreeMap<_, _> =
        weights.map(|(name, tensor)| (format!("0/{name}"), tensor)).collect();
    let text = String::new;
    let card = ModelCard {
        format: FORMAT.to_owned(),
        architectures: vec![architecture],
        networks: vec![vec![0, 1]],
        modalities: vec!["LGE".to_owned(), "bSSFP".to_owned()],
        labels: dataset.labels,
        preparation,
        postprocessing: crate::PostProcessing::default(),
        provenance: Provenance {
            version: text(),
            commit: text(),
            method: text(),
            schedule: text(),
            seed,
            data_hash: text(),
            step: 0,
        },
    };
    Model::from_parts(card, &weights, &Device::Cpu).unwrap()
}

/// A volume of `slices` slices of 36×44 pixels of 1.5 mm: noise around a bright disc.
fn volume(slices: usize) -> (Case, Image) {
    let geometry = Geometry::from_spacing([slices, 36, 44], [8.0, 1.5, 1.5]);
    let mut voxels = noise(slices * 36 * 44);
    for (at, voxel) in voxels.iter_mut().enumerate() {
        let (row, column) = ((at / 44 % 36) as f64, (at % 44) as f64);
        if (row - 14.0).hypot(column - 25.0) < 6.0 {
            *voxel += 3.0;
        }
    }
    let image = PathBuf::from("volume in memory");
    let case = Case { patient: "p".to_owned(), modality: 0, image, labels: None };
    (case, Image { geometry, voxels, warnings: Vec::new() })
}

/// Numbers in −1..1.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(u16::try_from(state >> 16).unwrap()) / 32768.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

pub(crate) fn preparation(crop: usize, spacing_mm: Option<f64>) -> Preparation {
    let experiment =
        crate::Experiment::load(Dataset::load("mscmr").unwrap(), "csa", "quick", 1, &[]).unwrap();
    Preparation { crop, spacing_mm, plane: Plane::Stored, ..experiment.preparation() }
}

#[test]
fn labels_are_those_of_a_volume_of_probabilities_on_every_grid() {
    let mut at_rest = [0; 2];
    for seed in 0..4 {
        for (resampled, spacing_mm) in [None, Some(2.0)].into_iter().enumerate() {
            for crop in [24, 48] {
                let model = model(seed, preparation(crop, spacing_mm));
                let (case, image) = volume(5);

                let (seen, classes) = segment_automatically(&model, &case, &image, 0).unwrap();

                let (case, expected, rests) = straightforward(&model, &case, &image);
                assert_eq!(seen.placement, case.placement, "{seed} {spacing_mm:?} {crop}");
                assert!(classes == expected, "{seed} {spacing_mm:?} {crop}");
                assert!(segment(&model, &case, 0).unwrap() == expected);
                let squares = probabilities(&model, &case);
                let squares: Vec<u8> =
                    squares.chunks_exact(CLASSES).map(index_of_largest).collect();
                assert!(class_indices(&model, &case, 0).unwrap() == squares);
                at_rest[resampled] += u32::from(rests);
            }
        }
    }
    assert!(at_rest.iter().all(|&count| count > 0), "no crop came to rest: {at_rest:?}");
}

#[test]
fn more_slices_than_go_at_once_come_out_in_order() {
    let model = model(1, preparation(16, None));
    let (case, image) = volume(MOST_SLICES_AT_ONCE + 3);
    let options = &model.card.preparation;
    let case = prepare_volume(&case, &image, None, options, CropCentre::Image).unwrap();

    let classes = segment(&model, &case, 0).unwrap();

    assert!(slices_at_once(&model, 16) < case.slices, "the case goes at once");
    let expected = case.placement.paste_probabilities(&probabilities(&model, &case), CLASSES);
    assert!(classes == expected);
}

#[test]
fn slices_at_once_follow_the_memory_they_take() {
    let model = model(1, preparation(16, None));
    assert_eq!([112, 256, 512, 2048].map(|side| slices_at_once(&model, side)), [32, 8, 2, 1]);
}

#[test]
fn the_class_of_nearly_equal_logits_is_that_of_their_probabilities() {
    let steps = [0.0, 1e-9, 6e-8, 1.2e-7, 3e-7, 9e-7, 1e-6, 2e-6, 1e-5, 0.1, 30.0, 200.0];
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN];
    let mut logits = Vec::new();
    for (at, base) in noise(4000).into_iter().enumerate() {
        let base = base * [0.01, 1.0, 20.0, 1e6][at % 4];
        for class in 0..CLASSES {
            logits.push(match at % 50 {
                49 => odd[(at / 50 + class * (at / 250)) % odd.len()],
                _ => base - steps[(at / 4 * (class + 3) + at / 7 * class) % steps.len()],
            });
        }
    }

    let classes = pixels::classes(&logits, CLASSES);
    let probabilities = pixels::softmax(&logits, CLASSES);

    let pixels = logits.chunks_exact(CLASSES).zip(probabilities.chunks_exact(CLASSES));
    for ((logits, probabilities), class) in pixels.zip(classes) {
        let expected = softmax_of(logits);
        assert_eq!(
            probabilities.iter().map(|p| p.to_bits()).collect::<Vec<_>>(),
            expected.iter().map(|p| p.to_bits()).collect::<Vec<_>>(),
            "{logits:?}"
        );
        assert_eq!(class, index_of_largest(&expected), "{logits:?}");
    }
}
