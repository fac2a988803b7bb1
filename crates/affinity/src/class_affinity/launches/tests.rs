//! Eqs. 2 and 3 and their gradient by the CUDA kernels, run on the CPU, against the slow reference.

use std::io::Write as _;

use candle_core::{DType, Device, Result, Tensor, Var};
use duomo_ops::cuda::emulator;

use super::{backward, forward, has_shares};
use crate::{
    class_affinity::reference,
    reading::{Reading, Scope, SizeNormalization},
    regions::Regions,
    testing::{Noise, numbers, relative_difference},
};

/// Slices, rows, columns, M, N, classes.
type Case = [usize; 6];

/// Whether the tests below can run; says so if not, also where a passing test's output is hidden.
fn there_is_a_compiler() -> bool {
    let found = emulator::compiler().is_some();
    if !found {
        let _ = writeln!(std::io::stderr(), "skipped: no C++ compiler; set CXX or install g++");
    }
    found
}

fn noise(case: Case, seed: u64) -> (Var, Var, Tensor) {
    let [b, h, w, m, n, classes] = case;
    let mut noise = Noise(seed);
    let (l, k) =
        (noise.features((b, h, w, m), DType::F32), noise.features((b, h, w, n), DType::F32));
    (l, k, noise.labels((b, h, w), u8::try_from(classes).unwrap()))
}

/// The affinity and both gradients for the gradient `incoming`, all by the kernels.
fn emulated(l: &Var, k: &Var, regions: &Regions, incoming: &[f32]) -> Result<[Vec<f64>; 3]> {
    let channels = [l.dim(3)?, k.dim(3)?];
    let (l, k) = (l.flatten_all()?.to_vec1()?, k.flatten_all()?.to_vec1()?);
    let outputs = emulator::run(&forward(regions, channels)?, &[&l, &k]);
    let [affinity, inverse_l, inverse_k, ..] = &outputs[..] else { panic!("three outputs") };
    let cosines = if has_shares(regions) { &outputs[3] } else { affinity };
    let inputs: [&[f32]; 6] = [&l, &k, inverse_l, inverse_k, incoming, cosines];
    let both = emulator::run(&backward(regions, channels, [true, true])?, &inputs);
    let of_k = emulator::run(&backward(regions, channels, [false, true])?, &inputs);
    assert_eq!(of_k, [both[1].clone()], "a gradient does not depend on which are wanted");
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect();
    Ok([wide(affinity), wide(&both[0]), wide(&both[1])])
}

fn assert_equals_reference(
    (l, k, labels): &(Var, Var, Tensor),
    classes: usize,
    reading: Reading,
) -> Result<()> {
    let (b, h, w, _) = l.dims4()?;
    let regions = Regions::new(labels, [b, h, w], classes, reading)?;
    let entries = regions.classes * l.dim(3)? * k.dim(3)?;
    let incoming = numbers(&Noise(9).features(entries, DType::F32));
    #[expect(clippy::cast_possible_truncation, reason = "these were f32 before")]
    let narrow: Vec<f32> = incoming.iter().map(|&value| value as f32).collect();

    let [affinity, of_l, of_k] = emulated(l, k, &regions, &narrow)?;

    let expected = reference::affinity(l, k, labels, classes, &reading)?;
    let gradients = reference::gradients([l, k], labels, classes, &reading, &incoming)?;
    let pairs = [(affinity, &expected), (of_l, &gradients[0]), (of_k, &gradients[1])];
    for (what, (actual, expected)) in ["affinity", "of l", "of k"].into_iter().zip(pairs) {
        let difference = relative_difference(&actual, expected);
        assert!(difference < 1e-5, "{:?} {reading:?} {what}: {difference:e}", l.dims());
    }
    Ok(())
}

#[test]
fn equals_the_reference_at_every_kind_of_border() -> Result<()> {
    let cases: [Case; 9] = [
        [1, 1, 1, 1, 1, 1],      // less than one of everything
        [2, 5, 7, 3, 5, 4],      // less than a tile, a region without 16 pixels
        [1, 8, 8, 64, 64, 1],    // exactly one tile each way
        [1, 4, 16, 64, 16, 2],   // pixels of a class below a tile, channels at one
        [2, 13, 11, 65, 63, 5],  // one above and one below
        [1, 16, 32, 9, 80, 1],   // exactly one segment
        [1, 19, 27, 70, 2, 1],   // one pixel more than a segment
        [3, 19, 23, 130, 70, 4], // several tiles and tiles of tiles
        [2, 30, 31, 17, 129, 2], // several segments in every class
    ];
    for (seed, case) in cases.into_iter().enumerate().filter(|_| there_is_a_compiler()) {
        for scope in [Scope::Batch, Scope::Slice] {
            let reading = Reading { scope, ..Reading::default() };
            assert_equals_reference(&noise(case, seed as u64), case[5], reading)?;
        }
    }
    Ok(())
}

#[test]
fn equals_the_reference_under_every_reading() -> Result<()> {
    let case = [3, 13, 11, 7, 5, 4];
    for scope in [Scope::Batch, Scope::Slice].into_iter().filter(|_| there_is_a_compiler()) {
        for size_normalization in
            [SizeNormalization::Pixels, SizeNormalization::Fraction, SizeNormalization::None]
        {
            for (background, class_specific) in [(true, true), (false, true), (true, false)] {
                let reading = Reading {
                    scope,
                    size_normalization,
                    background,
                    class_specific,
                    ..Reading::default()
                };
                assert_equals_reference(&noise(case, 20), 4, reading)?;
            }
        }
    }
    Ok(())
}

#[test]
fn absent_classes_and_slices_without_a_class_count_as_in_the_reference() -> Result<()> {
    let (l, k, _) = noise([3, 6, 7, 5, 4, 1], 30);
    // Classes 1 and 4 are nowhere, class 2 in the first slice only, 0 in all but the first.
    let label = |slice: usize, pixel: usize| [[2u8, 3], [0, 3], [0, 0]][slice][pixel % 2];
    let labels: Vec<u8> = (0..3).flat_map(|s| (0..42).map(move |p| label(s, p))).collect();
    let labels = Tensor::from_vec(labels, (3, 6, 7), &Device::Cpu)?;
    let maps = (l, k, labels);
    for scope in [Scope::Batch, Scope::Slice].into_iter().filter(|_| there_is_a_compiler()) {
        for background in [true, false] {
            let reading = Reading { scope, background, ..Reading::default() };
            assert_equals_reference(&maps, 5, reading)?;
        }
    }
    Ok(())
}

#[test]
fn without_any_pixel_in_a_class_all_is_zero() -> Result<()> {
    if !there_is_a_compiler() {
        return Ok(());
    }
    let (l, k, _) = noise([1, 3, 4, 5, 4, 1], 40);
    let labels = Tensor::zeros((1, 3, 4), DType::U8, &Device::Cpu)?;
    let reading = Reading { background: false, ..Reading::default() };
    let regions = Regions::new(&labels, [1, 3, 4], 3, reading)?;

    let [affinity, of_l, of_k] = emulated(&l, &k, &regions, &[1.0; 2 * 5 * 4])?;

    assert_eq!([affinity.len(), of_l.len(), of_k.len()], [40, 60, 48]);
    assert!([affinity, of_l, of_k].iter().flatten().all(|&value| value == 0.0));
    Ok(())
}

#[test]
fn a_zero_vector_has_affinity_exactly_zero_and_no_gradient() -> Result<()> {
    if !there_is_a_compiler() {
        return Ok(());
    }
    let (l, k, labels) = noise([1, 5, 8, 3, 2, 2], 50);
    let mask = Tensor::new(&[1f32, 0.0, 1e-10], &Device::Cpu)?;
    let l = Var::from_tensor(&l.broadcast_mul(&mask)?)?;
    let regions = Regions::new(&labels, [1, 5, 8], 2, Reading::default())?;

    let [affinity, of_l, _] = emulated(&l, &k, &regions, &[1.0; 12])?;

    assert!(affinity.chunks(6).all(|class| class[2..].iter().all(|&a| a == 0.0)));
    assert!(affinity.chunks(6).all(|class| class[..2].iter().all(|&a| a != 0.0)));
    assert!(of_l.chunks(3).all(|pixel| pixel[1] == 0.0 && pixel[2] == 0.0));
    assert!(of_l.iter().any(|&value| value != 0.0));
    Ok(())
}

#[test]
fn refuses_counts_beyond_the_kernels_integers() -> Result<()> {
    let labels = Tensor::zeros((1, 1, 1), DType::U8, &Device::Cpu)?;
    let regions = Regions::new(&labels, [1, 1, 1], 1, Reading::default())?;

    let error = forward(&regions, [1 << 16, 1 << 15]).unwrap_err().to_string();

    assert!(
        error.starts_with("class_affinity: 1 pixels in 1 regions with 65536 and 32768"),
        "{error}"
    );
    Ok(())
}
