//! Eq. 4 in every reading, values and gradients, against another implementation.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor, Var};
use duomo_ops::cuda::runners::{Place, devices, places};

use super::{Side, affinity_loss};
use crate::{
    reading::{Consistency, Reading, Scope, SizeNormalization},
    testing::{
        FIXTURES, Fixture, Noise, central_differences, channels_last, gradient, moved, numbers,
        relative_difference, tolerance,
    },
};

/// The 12 readings × {plain, without background, without masks}, by their names in the fixtures.
fn readings() -> Vec<(String, Reading)> {
    let scopes = [(Scope::Batch, "batch"), (Scope::Slice, "slice")];
    let sizes = [
        (SizeNormalization::Pixels, "pixels"),
        (SizeNormalization::Fraction, "fraction"),
        (SizeNormalization::None, "none"),
    ];
    let consistencies = [
        (Consistency::MeanDifference, "mean-difference"),
        (Consistency::Elementwise, "elementwise"),
    ];
    let masks = [("", true, true), (".foreground", false, true), (".unmasked", true, false)];
    let mut readings = Vec::new();
    for (scope, scope_name) in scopes {
        for (size_normalization, size) in sizes {
            for (consistency, consistency_name) in consistencies {
                for (mask, background, class_specific) in masks {
                    readings.push((
                        format!("{scope_name}.{size}.{consistency_name}{mask}"),
                        Reading {
                            scope,
                            size_normalization,
                            consistency,
                            background,
                            class_specific,
                        },
                    ));
                }
            }
        }
    }
    readings
}

/// The maps of a fixture's modalities, as groups 1 (layer l) and 2 (layer k).
struct Sides {
    vars: Vec<[Var; 2]>,
    features: Vec<BTreeMap<usize, Tensor>>,
    labels: Vec<Tensor>,
}

impl Sides {
    fn new(vars: Vec<[Var; 2]>, labels: Vec<Tensor>) -> Self {
        let map = |[l, k]: &[Var; 2]| {
            BTreeMap::from([(1, l.as_tensor().clone()), (2, k.as_tensor().clone())])
        };
        Self { features: vars.iter().map(map).collect(), vars, labels }
    }

    fn of(fixture: &Fixture, place: &Place) -> Self {
        let modalities = 0..fixture.modalities();
        let vars =
            modalities.clone().map(|m| ["l", "k"].map(|layer| fixture.features(m, layer, place)));
        Self::new(vars.collect(), modalities.map(|m| fixture.labels(m).clone()).collect())
    }

    fn loss(&self, pairs: &[(usize, usize)], classes: usize, reading: Reading) -> Result<Tensor> {
        let sides: Vec<Side<'_>> = self
            .features
            .iter()
            .zip(&self.labels)
            .map(|(features, labels)| Side { features, labels })
            .collect();
        affinity_loss(&sides, pairs, classes, &reading)
    }
}

/// Two modalities of different batch size, three classes.
fn noise_sides(seed: u64, dtype: DType) -> Sides {
    let mut noise = Noise(seed);
    let mut maps = |b| [noise.features((b, 4, 3, 2), dtype), noise.features((b, 4, 3, 3), dtype)];
    let vars = vec![maps(2), maps(1)];
    let labels = vec![noise.labels((2, 8, 6), 3), noise.labels((1, 8, 6), 3)];
    Sides::new(vars, labels)
}

#[test]
fn equals_pytorch_under_every_reading_of_every_fixture() -> Result<()> {
    let mut compared = (0, 0);
    for name in FIXTURES {
        let fixture = Fixture::load(name);
        for place in places() {
            let tolerance = tolerance(&place, 1e-9);
            let sides = Sides::of(&fixture, &place);
            for (reading_name, reading) in readings() {
                let loss = sides.loss(&[(1, 2)], fixture.classes(), reading)?;

                let expected = fixture.get(&format!("loss.{reading_name}")).unwrap();
                let difference = relative_difference(&numbers(&loss), &numbers(expected));
                assert!(difference < tolerance, "{name} {reading_name} {place:?}: {difference:e}");
                compared.0 += 1;

                for (modality, vars) in sides.vars.iter().enumerate() {
                    for (var, layer) in vars.iter().zip(["l", "k"]) {
                        let key = format!("m{modality}.grad_{layer}.{reading_name}");
                        let Some(expected) = fixture.get(&key) else { continue };
                        let expected = numbers(&channels_last(expected));
                        let difference = relative_difference(&gradient(&loss, var), &expected);
                        assert!(difference < tolerance, "{name} {key} {place:?}: {difference:e}");
                        compared.1 += 1;
                    }
                }
            }
        }
    }
    // 9 files x 36 losses, and 14 gradients for each map of their 19 modalities.
    let places = places().len();
    assert_eq!(compared, (places * 9 * 36, places * 14 * 2 * 19));
    Ok(())
}

#[test]
fn gradient_equals_central_differences_under_every_reading() -> Result<()> {
    let sides = noise_sides(31, DType::F64);
    for (name, reading) in readings() {
        let pairs = [(1, 2), (2, 2)];
        let loss = || sides.loss(&pairs, 3, reading)?.affine(1e3, 0.0);

        for var in sides.vars.iter().flatten() {
            let expected = central_differences(var, loss);
            let difference = relative_difference(&gradient(&loss()?, var), &expected);
            assert!(difference < 1e-5, "{name}: {difference:e}");
        }
    }
    Ok(())
}

#[test]
fn is_the_mean_over_layer_pairs_and_over_modality_pairs() -> Result<()> {
    let two = noise_sides(32, DType::F64);
    let third = noise_sides(33, DType::F64);
    let all = Sides::new(
        two.vars.iter().chain(&third.vars[..1]).cloned().collect(),
        two.labels.iter().chain(&third.labels[..1]).cloned().collect(),
    );
    let reading = Reading::default();
    let of = |sides: [usize; 2], pair| {
        let vars = sides.map(|side| all.vars[side].clone()).to_vec();
        let labels = sides.map(|side| all.labels[side].clone()).to_vec();
        Sides::new(vars, labels).loss(&[pair], 3, reading).unwrap().to_scalar::<f64>().unwrap()
    };

    let loss = all.loss(&[(1, 2), (1, 1)], 3, reading)?.to_scalar::<f64>()?;

    let modality_pairs = [[0, 1], [0, 2], [1, 2]];
    let terms = modality_pairs.map(|sides| of(sides, (1, 2)) + of(sides, (1, 1)));
    assert!((loss - terms.iter().sum::<f64>() / 6.0).abs() < 1e-14);
    Ok(())
}

#[test]
fn modalities_that_agree_cost_nothing() -> Result<()> {
    let sides = noise_sides(34, DType::F32);
    for device in devices() {
        let place = Place { dtype: DType::F32, device };
        let vars = sides.vars[0].each_ref().map(|var| moved(var, &place));
        let twice = Sides::new(vec![vars; 2], vec![sides.labels[0].clone(); 2]);
        for (name, reading) in readings() {
            let loss = twice.loss(&[(1, 2)], 3, reading)?;

            assert_eq!(numbers(&loss), vec![0.0], "{name} {place:?}");
        }
    }
    Ok(())
}

#[test]
fn a_class_that_one_side_lacks_costs_nothing_but_stays_in_the_divisor() -> Result<()> {
    let sides = noise_sides(35, DType::F64);
    // Without class 2 on one side, the other's pixels of class 2 count for nothing.
    let lacking = sides.labels[1].minimum(&sides.labels[1].ones_like()?)?;
    let without = Sides::new(sides.vars.clone(), vec![sides.labels[0].clone(), lacking]);
    let reading = Reading::default();

    let of_three = without.loss(&[(1, 2)], 3, reading)?;
    let of_four = without.loss(&[(1, 2)], 4, reading)?;

    let ratio = of_three.to_scalar::<f64>()? / of_four.to_scalar::<f64>()?;
    assert!((ratio - 4.0 / 3.0).abs() < 1e-12);
    let of_l = gradient(&of_three, &without.vars[0][0]);
    let classes = without.labels[0].flatten_all()?.to_vec1::<u8>()?;
    for (pixel, values) in of_l.chunks(2).enumerate() {
        let (slice, row, column) = (pixel / 12, pixel / 3 % 4, pixel % 3);
        let label = classes[slice * 48 + row * 2 * 6 + column * 2];
        assert_eq!(values.iter().all(|&value| value == 0.0), label == 2, "{pixel}");
    }
    Ok(())
}

#[test]
fn without_class_masks_label_values_play_no_part() -> Result<()> {
    let sides = noise_sides(36, DType::F64);
    let zeros = sides.labels.iter().map(|labels| labels.zeros_like().unwrap()).collect();
    let blank = Sides::new(sides.vars.clone(), zeros);
    let unmasked = Reading { class_specific: false, ..Reading::default() };

    let loss = numbers(&sides.loss(&[(1, 2)], 3, unmasked)?);
    let of_one_class = numbers(&blank.loss(&[(1, 2)], 1, Reading::default())?);

    assert_eq!(loss, of_one_class);
    assert!(loss[0] > 0.0);
    Ok(())
}

#[test]
fn says_what_is_missing() {
    let sides = noise_sides(37, DType::F32);
    let one = Sides::new(sides.vars[..1].to_vec(), sides.labels[..1].to_vec());
    let reading = Reading::default();
    let message = |result: Result<Tensor>| result.unwrap_err().to_string();

    let alone = message(one.loss(&[(1, 2)], 3, reading));
    let no_pairs = message(sides.loss(&[], 3, reading));
    let no_group = message(sides.loss(&[(1, 7)], 3, reading));

    let starts = |text: &str, start: &str| assert!(text.starts_with(start), "{text}");
    starts(&alone, "affinity_loss: got 1 modalities, expected two or more to compare");
    starts(
        &no_pairs,
        "affinity_loss: got no pair of layers, expected at least one, such as (5, 6)",
    );
    starts(
        &no_group,
        "affinity_loss: modality 0 has no features of group 7 for pair (1, 7), expected one of [1, 2]",
    );
}

#[test]
fn modalities_must_have_the_same_channels() -> Result<()> {
    let mut sides = noise_sides(38, DType::F32);
    let narrow = sides.features[1][&2].narrow(3, 0, 2)?;
    sides.features[1].insert(2, narrow);

    let error = sides.loss(&[(1, 2)], 3, Reading::default()).unwrap_err().to_string();

    let expected =
        "affinity_loss: affinities of two modalities have shapes [3, 2, 3] and [3, 2, 2]";
    assert!(error.starts_with(expected), "{error}");
    Ok(())
}
