//! Eqs. 2 and 3 and their gradient by the CUDA kernels, run on the CPU and on a card where there is one, against
//! the slow reference.

use candle_core::{DType, Device, Result, Tensor, Var};
use duomo_ops::cuda::{
    Precision,
    runners::{Place, Runner, runners},
    with_precision,
};

use super::{backward, forward, has_shares};
use crate::{
    class_affinity::{class_affinity, reference},
    reading::{Reading, Scope, SizeNormalization},
    regions::Regions,
    testing::{Noise, gradient, moved, numbers, relative_difference},
};

/// Slices, rows, columns, M, N, classes.
type Case = [usize; 6];

const ALL: [Precision; 3] = [Precision::F32, Precision::Tf32, Precision::Bf16];

fn noise(case: Case, seed: u64) -> (Var, Var, Tensor) {
    let [b, h, w, m, n, classes] = case;
    let mut noise = Noise(seed);
    let (l, k) =
        (noise.features((b, h, w, m), DType::F32), noise.features((b, h, w, n), DType::F32));
    (l, k, noise.labels((b, h, w), u8::try_from(classes).unwrap()))
}

/// The affinity and both gradients for the gradient `incoming`, all by the kernels.
fn computed(
    runner: &Runner,
    [l, k]: [&Var; 2],
    regions: &Regions,
    precision: Precision,
    incoming: &[f32],
) -> Result<[Vec<f64>; 3]> {
    let channels = [l.dim(3)?, k.dim(3)?];
    let (l, k) = (l.flatten_all()?.to_vec1()?, k.flatten_all()?.to_vec1()?);
    let outputs = runner.run(&forward(regions, channels, precision)?, &[&l, &k]);
    let [affinity, inverse_l, inverse_k, ..] = &outputs[..] else { panic!("three outputs") };
    let cosines = if has_shares(regions) { &outputs[3] } else { affinity };
    let inputs: [&[f32]; 6] = [&l, &k, inverse_l, inverse_k, incoming, cosines];
    let both = runner.run(&backward(regions, channels, precision, [true, true])?, &inputs);
    let of_k = runner.run(&backward(regions, channels, precision, [false, true])?, &inputs);
    assert_eq!(of_k, [both[1].clone()], "a gradient does not depend on which are wanted");
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect();
    Ok([wide(affinity), wide(&both[0]), wide(&both[1])])
}

/// How far the kernels are from the reference on every runner: affinity, gradient of l, of k.
fn differences(
    (l, k, labels): &(Var, Var, Tensor),
    classes: usize,
    reading: Reading,
    precision: Precision,
    incoming: &[f64],
) -> Result<Vec<[f64; 3]>> {
    let (b, h, w, _) = l.dims4()?;
    let regions = Regions::new(labels, [b, h, w], classes, reading)?;
    #[expect(clippy::cast_possible_truncation, reason = "these were f32 before")]
    let narrow: Vec<f32> = incoming.iter().map(|&value| value as f32).collect();
    let affinity = reference::affinity(l, k, labels, classes, &reading)?;
    let [of_l, of_k] = reference::gradients([l, k], labels, classes, &reading, incoming)?;
    let expected = [affinity, of_l, of_k];
    let difference = |runner: Runner| {
        let actual = computed(&runner, [l, k], &regions, precision, &narrow)?;
        Ok([0, 1, 2].map(|at| relative_difference(&actual[at], &expected[at])))
    };
    runners().into_iter().map(difference).collect()
}

fn assert_equals_reference(
    maps: &(Var, Var, Tensor),
    classes: usize,
    reading: Reading,
) -> Result<()> {
    let incoming = incoming(maps, classes, reading)?;
    for off in differences(maps, classes, reading, Precision::F32, &incoming)? {
        let shape = maps.0.dims();
        assert!(off.iter().all(|&off| off < 1e-5), "{shape:?} {reading:?}: {off:?}");
    }
    Ok(())
}

/// Some gradient of the affinity.
fn incoming(
    (l, k, labels): &(Var, Var, Tensor),
    classes: usize,
    reading: Reading,
) -> Result<Vec<f64>> {
    let (b, h, w, m) = l.dims4()?;
    let regions = Regions::new(labels, [b, h, w], classes, reading)?;
    Ok(numbers(&Noise(9).features(regions.classes * m * k.dim(3)?, DType::F32)))
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
    for (seed, case) in cases.into_iter().enumerate() {
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
    for scope in [Scope::Batch, Scope::Slice] {
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
    for scope in [Scope::Batch, Scope::Slice] {
        for background in [true, false] {
            let reading = Reading { scope, background, ..Reading::default() };
            assert_equals_reference(&maps, 5, reading)?;
        }
    }
    Ok(())
}

#[test]
fn without_any_pixel_in_a_class_all_is_zero() -> Result<()> {
    let (l, k, _) = noise([1, 3, 4, 5, 4, 1], 40);
    let labels = Tensor::zeros((1, 3, 4), DType::U8, &Device::Cpu)?;
    let reading = Reading { background: false, ..Reading::default() };
    let regions = Regions::new(&labels, [1, 3, 4], 3, reading)?;

    for (runner, precision) in runners().iter().flat_map(|runner| ALL.map(|each| (runner, each))) {
        let [affinity, of_l, of_k] =
            computed(runner, [&l, &k], &regions, precision, &[1.0; 2 * 5 * 4])?;

        assert_eq!([affinity.len(), of_l.len(), of_k.len()], [40, 60, 48]);
        assert!([affinity, of_l, of_k].iter().flatten().all(|&value| value == 0.0));
    }
    Ok(())
}

#[test]
fn a_zero_vector_has_affinity_exactly_zero_and_no_gradient() -> Result<()> {
    let (l, k, labels) = noise([1, 5, 8, 3, 2, 2], 50);
    let mask = Tensor::new(&[1f32, 0.0, 1e-10], &Device::Cpu)?;
    let l = Var::from_tensor(&l.broadcast_mul(&mask)?)?;
    let regions = Regions::new(&labels, [1, 5, 8], 2, Reading::default())?;

    for (runner, precision) in runners().iter().flat_map(|runner| ALL.map(|each| (runner, each))) {
        let [affinity, of_l, _] = computed(runner, [&l, &k], &regions, precision, &[1.0; 12])?;

        assert!(affinity.chunks(6).all(|class| class[2..].iter().all(|&a| a == 0.0)));
        assert!(affinity.chunks(6).all(|class| class[..2].iter().all(|&a| a != 0.0)));
        assert!(of_l.chunks(3).all(|pixel| pixel[1] == 0.0 && pixel[2] == 0.0));
        assert!(of_l.iter().any(|&value| value != 0.0));
    }
    Ok(())
}

/// ±1, ±2 and ±4: bf16 holds them, and, with 64 pixels in every class, their vectors at unit length.
fn exact(case: Case) -> Result<(Var, Var, Tensor)> {
    let [b, h, w, m, n, classes] = case;
    let map = |channels: usize, seed| {
        let noise = numbers(&Noise(seed).features((b * h * w, channels), DType::F32));
        let value = |(at, x): (usize, &f64)| x.signum() * f64::from(1 << (at % channels % 3));
        let values: Vec<f64> = noise.iter().enumerate().map(value).collect();
        Var::from_tensor(&Tensor::new(values, &Device::Cpu)?.reshape((b, h, w, channels))?)
    };
    let narrow = |map: Var| Var::from_tensor(&map.to_dtype(DType::F32)?);
    let class = |at: u32| u8::try_from(at as usize * 5 % classes).expect("classes are few");
    let labels: Vec<u8> = (0..b * h * w).map(|at| class(u32::try_from(at).unwrap())).collect();
    Ok((
        narrow(map(m, 60)?)?,
        narrow(map(n, 61)?)?,
        Tensor::new(labels, &Device::Cpu)?.reshape((b, h, w))?,
    ))
}

#[test]
fn tensor_cores_are_exact_where_their_operands_are() -> Result<()> {
    for case in [[1, 16, 16, 70, 65, 4], [3, 8, 8, 17, 9, 3]] {
        let maps = exact(case)?;
        let reading = Reading::default();
        // Multiples of 1/64 up to 1.
        let noise = incoming(&maps, case[5], reading)?;
        let incoming: Vec<f64> = noise.iter().map(|x| (x * 50.0).round() / 64.0).collect();
        for precision in [Precision::Tf32, Precision::Bf16] {
            for off in differences(&maps, case[5], reading, precision, &incoming)? {
                assert!(off.iter().all(|&off| off < 1e-6), "{case:?} {precision:?}: {off:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn tensor_cores_round_their_operands_and_nothing_else() -> Result<()> {
    let cases: [Case; 3] = [
        [2, 5, 7, 3, 5, 4],     // odd numbers of pixels and channels
        [2, 13, 11, 65, 63, 5], // one above and one below a tile
        [1, 19, 27, 70, 2, 1],  // one pixel more than a segment
    ];
    for (precision, bound) in [(Precision::Tf32, 1e-3), (Precision::Bf16, 8e-3)] {
        let mut largest = 0.0f64;
        for (seed, case) in cases.into_iter().enumerate() {
            for (scope, background) in [(Scope::Batch, true), (Scope::Slice, case[5] == 1)] {
                let reading = Reading { scope, background, ..Reading::default() };
                let maps = noise(case, seed as u64);
                let incoming = incoming(&maps, case[5], reading)?;
                for off in differences(&maps, case[5], reading, precision, &incoming)? {
                    assert!(
                        off.iter().all(|&off| off < bound),
                        "{case:?} {reading:?} {precision:?}: {off:?}"
                    );
                    largest = off.into_iter().fold(largest, f64::max);
                }
            }
        }
        assert!(runners().is_empty() || largest > bound / 50.0, "{precision:?}: {largest:e}");
    }
    Ok(())
}

#[test]
fn the_operation_multiplies_in_the_precision_that_was_chosen() -> Result<()> {
    let (l, k, labels) = noise([1, 6, 7, 5, 4, 3], 70);
    for runner in runners() {
        let on = |device: &Device| -> Result<[Vec<f64>; 2]> {
            let place = Place { dtype: DType::F32, device: device.clone() };
            let (l, k) = (moved(&l, &place), moved(&k, &place));
            let affinity = class_affinity(&l, &k, &labels, 3, &Reading::default())?;
            Ok([numbers(&affinity), gradient(&affinity.sqr()?.sum_all()?, &l)])
        };
        let [exact, tf32, bf16] =
            ALL.map(|precision| with_precision(precision, || runner.compute(on)));
        let (exact, tf32, bf16) = (exact?, tf32?, bf16?);

        for at in 0..2 {
            let [tf32, bf16] = [&tf32, &bf16].map(|of| relative_difference(&of[at], &exact[at]));
            assert!((1e-5..1e-3).contains(&tf32), "{runner:?} {tf32:e}");
            assert!((1e-4..8e-3).contains(&bf16) && bf16 > tf32, "{runner:?} {bf16:e}");
        }
    }
    Ok(())
}

#[test]
fn refuses_counts_beyond_the_kernels_integers() -> Result<()> {
    let labels = Tensor::zeros((1, 1, 1), DType::U8, &Device::Cpu)?;
    let regions = Regions::new(&labels, [1, 1, 1], 1, Reading::default())?;

    let error = forward(&regions, [1 << 16, 1 << 15], Precision::F32).unwrap_err().to_string();

    assert!(
        error.starts_with("class_affinity: 1 pixels in 1 regions with 65536 and 32768"),
        "{error}"
    );
    Ok(())
}
