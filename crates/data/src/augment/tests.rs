//! Image and labels move together, grey values keep their scale, and the key decides everything.

use std::f64::consts::FRAC_PI_2;

use expect_test::expect;

use super::*;
use crate::SliceId;

const SIDE: usize = 16;

/// A batch whose labels are 1 exactly where the image is bright.
fn batch(slices: usize, channels: usize) -> Batch {
    let bright = |at: usize| {
        let (row, column) = (at / SIDE, at % SIDE);
        (3..8).contains(&row) && (4..13).contains(&column)
    };
    let pixels = (0..slices).flat_map(|_| 0..SIDE * SIDE);
    Batch {
        images: pixels
            .clone()
            .flat_map(|at| vec![if bright(at) { 2.0 } else { -0.5 }; channels])
            .collect(),
        labels: pixels.map(|at| u8::from(bright(at))).collect(),
        slices: vec![SliceId { case: 0, slice: 0 }; slices],
        side: SIDE,
        input_slices: channels,
    }
}

const KEY: AugmentationKey = AugmentationKey { seed: 5, modality: 1, step: 77 };

fn everything() -> Augmentation {
    Augmentation {
        rotation_degrees: 20.0,
        scale: 0.2,
        shift_pixels: 2.0,
        flip: 0.5,
        gamma: 0.3,
        noise: 0.1,
    }
}

fn moved(movement: Movement, batch: &Batch) -> Batch {
    let mut batch = batch.clone();
    movement.apply(&mut batch.images, &mut batch.labels, SIDE);
    batch
}

const STILL: Movement =
    Movement { angle: 0.0, magnification: 1.0, shift: [0.0; 2], flip: [false; 2] };

#[test]
fn it_is_off_by_default_and_then_changes_nothing() {
    let mut changed = batch(2, 1);

    Augmentation::default().apply(&mut changed, KEY).unwrap();

    assert!(Augmentation::default().is_off() && !everything().is_off());
    assert_eq!(changed, batch(2, 1));
}

#[test]
fn the_key_and_the_place_in_the_batch_decide_and_threads_do_not() {
    let apply = |key| {
        let mut changed = batch(3, 1);
        everything().apply(&mut changed, key).unwrap();
        changed
    };
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();

    assert_eq!(apply(KEY), one_thread.install(|| apply(KEY)));
    for other in [
        AugmentationKey { seed: 6, ..KEY },
        AugmentationKey { modality: 0, ..KEY },
        AugmentationKey { step: 78, ..KEY },
    ] {
        assert_ne!(apply(KEY), apply(other));
    }
    let changed = apply(KEY);
    assert_ne!(changed.images[..SIDE * SIDE], changed.images[SIDE * SIDE..2 * SIDE * SIDE]);
}

#[test]
fn labels_follow_the_image() {
    let spatial = Augmentation { gamma: 0.0, noise: 0.0, ..everything() };
    let mut changed = batch(20, 1);

    spatial.apply(&mut changed, KEY).unwrap();

    // Bilinear and nearest part at edges only: beyond half way both must agree.
    for (value, &label) in changed.images.iter().zip(&changed.labels) {
        let share = (value + 0.5) / 2.5;
        assert!(if label == 1 { share > 0.2 } else { share < 0.8 }, "{value} {label}");
    }
    assert_ne!(changed.labels, batch(20, 1).labels);
}

#[test]
fn a_shift_by_whole_pixels_moves_every_pixel_and_fills_with_the_minimum() {
    let found = moved(Movement { shift: [2.0, -3.0], ..STILL }, &batch(1, 1));

    let label = |row: usize, column: usize| found.labels[row * SIDE + column];
    assert_eq!([label(4, 1), label(5, 1), label(9, 9), label(9, 10)], [0, 1, 1, 0]);
    assert_eq!(found.images.iter().filter(|&&value| value > 0.0).count(), 45);
    assert!(found.images.iter().all(|value| [2.0, -0.5].contains(value)));
}

#[test]
fn flips_mirror_rows_and_columns() {
    let original = batch(1, 1);
    let found = moved(Movement { flip: [true, false], ..STILL }, &original);

    let rows: Vec<_> = original.labels.chunks_exact(SIDE).rev().flatten().copied().collect();
    assert_eq!(found.labels, rows);
    let both = Movement { flip: [true, true], ..STILL };
    assert_eq!(moved(both, &moved(both, &original)), original);
}

#[test]
fn four_quarter_turns_are_none_and_one_goes_from_rows_to_columns() {
    let original = batch(1, 1);
    let quarter = Movement { angle: FRAC_PI_2, ..STILL };

    let once = moved(quarter, &original);
    let label = |row: usize, column: usize| once.labels[row * SIDE + column];
    // Row 3..8 becomes column 3..8, and column 4..13 row 15 − 12..=15 − 4.
    let in_box = (0..SIDE * SIDE).filter(|&at| label(at / SIDE, at % SIDE) > 0).count();
    assert_eq!(in_box, 45);
    assert_eq!([label(2, 5), label(3, 5), label(11, 5), label(12, 5)], [0, 1, 1, 0]);

    let four = (0..4).fold(original.clone(), |batch, _| moved(quarter, &batch));
    assert_eq!(four.labels, original.labels);
}

#[test]
fn magnification_grows_things() {
    let found = moved(Movement { magnification: 1.5, ..STILL }, &batch(1, 1));

    let area = found.labels.iter().filter(|&&label| label > 0).count();
    // 45 pixels × 1.5²; the box's outline may round either way.
    assert!(area.abs_diff(101) < 20, "{area}");
}

#[test]
fn gamma_keeps_mean_and_deviation_of_every_channel() {
    let mut image: Vec<f32> = (0..512).map(|at| ((at * 7) % 41) as f32 - 11.0).collect();
    let before = image.clone();
    let channel = |image: &[f32], c: usize| -> (f64, f64) {
        moments(&image.iter().skip(c).step_by(2).map(|&v| f64::from(v)).collect::<Vec<_>>())
    };

    gamma(&mut image, 2, 0, 1.7);

    let ((mean, deviation), (old_mean, old_deviation)) = (channel(&image, 0), channel(&before, 0));
    assert!((mean - old_mean).abs() < 1e-5 && (deviation - old_deviation).abs() < 1e-5);
    assert_ne!(image, before);
    assert_eq!(channel(&image, 1), channel(&before, 1));
    let mut constant = vec![3.0; 8];
    gamma(&mut constant, 1, 0, 1.7);
    assert_eq!(constant, [3.0; 8]);
}

#[test]
fn noise_changes_grey_values_and_no_label() {
    let noisy = Augmentation { noise: 0.5, ..Augmentation::default() };
    let mut changed = batch(8, 3);

    noisy.apply(&mut changed, KEY).unwrap();

    let original = batch(8, 3);
    let differences: Vec<f64> =
        changed.images.iter().zip(&original.images).map(|(a, b)| f64::from(a - b)).collect();
    let (mean, deviation) = moments(&differences);
    assert!(mean.abs() < 0.02 && deviation > 0.05 && deviation < 0.5, "{mean} {deviation}");
    assert_eq!(changed.labels, original.labels);
}

#[test]
fn amounts_that_cannot_be_are_refused_with_the_key() {
    let message = |text: &str| match toml::from_str::<Augmentation>(text) {
        Ok(augmentation) => augmentation.validate().unwrap_err().to_string(),
        Err(error) => error.message().to_owned(),
    };

    expect!["`flip`: expected a number in 0..=1, got 1.5"].assert_eq(&message("flip = 1.5"));
    expect!["`noise`: expected a number in 0..=10, got NaN"].assert_eq(&message("noise = nan"));
    expect!["`scale`: expected a number in 0..=1, got -0.1"].assert_eq(&message("scale = -0.1"));
    expect!["unknown field `rotation`, expected one of `rotation_degrees`, `scale`, `shift_pixels`, `flip`, `gamma`, `noise`"].assert_eq(&message("rotation = 3.0"));
}
