//! Eq. 2 and Eq. 3 against the slow reference, other implementations' values and their own laws.

use candle_core::{DType, Device, Result, Tensor, Var};
use duomo_ops::cuda::runners::{Place, places};

use super::{class_affinity, reference};
use crate::{
    reading::{Reading, Scope, SizeNormalization},
    testing::{
        FIXTURES, Fixture, Noise, central_differences, gradient, moved, numbers,
        relative_difference, tolerance,
    },
};

const SIZES: [(SizeNormalization, &str); 3] = [
    (SizeNormalization::Pixels, "pixels"),
    (SizeNormalization::Fraction, "fraction"),
    (SizeNormalization::None, "none"),
];
const SCOPES: [(Scope, &str); 2] = [(Scope::Batch, "batch"), (Scope::Slice, "slice")];

/// Every reading that changes an affinity.
fn readings() -> Vec<Reading> {
    let mut readings = Vec::new();
    for (scope, _) in SCOPES {
        for (size_normalization, _) in SIZES {
            for (background, class_specific) in [(true, true), (false, true), (true, false)] {
                let consistency = Reading::default().consistency;
                readings.push(Reading {
                    scope,
                    size_normalization,
                    consistency,
                    background,
                    class_specific,
                });
            }
        }
    }
    readings
}

/// `f32` on every device.
fn f32_places() -> impl Iterator<Item = Place> {
    places().into_iter().filter(|place| place.dtype == DType::F32)
}

/// More pixels than a block and more rows than a task, at sizes that nothing divides.
fn large(dtype: DType) -> (Var, Var, Tensor) {
    let mut noise = Noise(1);
    let l = noise.features((3, 19, 23, 150), dtype);
    let k = noise.features((3, 19, 23, 37), dtype);
    (l, k, noise.labels((3, 38, 46), 4))
}

#[test]
fn equals_pytorch_in_every_fixture() -> Result<()> {
    for name in FIXTURES {
        let fixture = Fixture::load(name);
        for modality in 0..fixture.modalities() {
            for ((scope, scope_name), (size_normalization, size_name)) in
                SCOPES.into_iter().flat_map(|scope| SIZES.map(|size| (scope, size)))
            {
                let reading = Reading { scope, size_normalization, ..Reading::default() };
                let key = format!("m{modality}.affinity.{scope_name}.{size_name}");
                let expected = fixture.get(&key).unwrap();
                for place in places() {
                    let affinity = class_affinity(
                        &fixture.features(modality, "l", &place),
                        &fixture.features(modality, "k", &place),
                        fixture.labels(modality),
                        fixture.classes(),
                        &reading,
                    )?;
                    assert_eq!(affinity.dims(), expected.dims());
                    let difference = relative_difference(&numbers(&affinity), &numbers(expected));
                    let is_close = difference < tolerance(&place, 1e-9);
                    assert!(is_close, "{name} {key} {place:?}: {difference:e}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn equals_the_reference_forward_and_backward_under_every_reading() -> Result<()> {
    for place in places() {
        let tolerance = tolerance(&place, 1e-11);
        let mut noise = Noise(2);
        let mut map = |shape| moved(&noise.features(shape, DType::F64), &place);
        let (l, k) = (map((3, 13, 11, 7)), map((3, 13, 11, 5)));
        let labels = noise.labels((3, 26, 22), 4);
        for reading in readings() {
            let affinity = class_affinity(&l, &k, &labels, 4, &reading)?;
            let incoming = moved(&noise.features(affinity.shape(), DType::F64), &place);
            let loss = (&affinity * incoming.as_tensor())?.sum_all()?;

            let expected = reference::affinity(&l, &k, &labels, 4, &reading)?;
            let weights = numbers(&incoming);
            let expected_gradients =
                reference::gradients([&l, &k], &labels, 4, &reading, &weights)?;

            assert!(relative_difference(&numbers(&affinity), &expected) < tolerance, "{reading:?}");
            for (var, expected) in [&l, &k].into_iter().zip(&expected_gradients) {
                let difference = relative_difference(&gradient(&loss, var), expected);
                assert!(difference < tolerance, "{reading:?} {place:?}: {difference:e}");
            }
        }
    }
    Ok(())
}

#[test]
fn equals_the_reference_beyond_one_block_and_one_task() -> Result<()> {
    let (wide_l, wide_k, labels) = large(DType::F64);
    for (place, (scope, _)) in
        f32_places().flat_map(|place| SCOPES.map(|scope| (place.clone(), scope)))
    {
        let (l, k) = (moved(&wide_l, &place), moved(&wide_k, &place));
        let reading = Reading { scope, ..Reading::default() };

        let affinity = class_affinity(&l, &k, &labels, 4, &reading)?;
        let loss = affinity.sqr()?.sum_all()?;

        let expected = reference::affinity(&l, &k, &labels, 4, &reading)?;
        assert!(relative_difference(&numbers(&affinity), &expected) < 1e-5);
        let incoming: Vec<f64> = expected.iter().map(|a| 2.0 * a).collect();
        let gradients = reference::gradients([&l, &k], &labels, 4, &reading, &incoming)?;
        for (var, expected) in [&l, &k].into_iter().zip(&gradients) {
            let difference = relative_difference(&gradient(&loss, var), expected);
            assert!(difference < 1e-4, "{scope:?} {place:?}: {difference:e}");
        }
    }
    Ok(())
}

#[test]
fn gradient_equals_central_differences() -> Result<()> {
    let mut noise = Noise(3);
    // Maps of different resolution, so that the averaging is part of the chain.
    let (l, k) =
        (noise.features((2, 4, 6, 2), DType::F64), noise.features((2, 2, 3, 3), DType::F64));
    let labels = noise.labels((2, 8, 6), 2);
    for reading in readings() {
        let loss = || class_affinity(&l, &k, &labels, 2, &reading)?.sqr()?.sum_all();

        for var in [&l, &k] {
            let expected = central_differences(var, loss);
            let difference = relative_difference(&gradient(&loss()?, var), &expected);
            assert!(difference < 1e-6, "{reading:?}: {difference:e}");
        }
    }
    Ok(())
}

#[test]
fn ignores_where_pixels_are() -> Result<()> {
    let mut noise = Noise(4);
    let (l, k) =
        (noise.features((1, 6, 5, 4), DType::F64), noise.features((1, 6, 5, 3), DType::F64));
    let labels = noise.labels((1, 6, 5), 3);
    let order = noise.shuffle(30);
    let shuffled = |map: &Tensor| map.flatten(1, 2)?.index_select(&order, 1)?.reshape(map.shape());

    let original = class_affinity(&l, &k, &labels, 3, &Reading::default())?;
    let moved = class_affinity(
        &shuffled(&l)?,
        &shuffled(&k)?,
        &shuffled(&labels)?,
        3,
        &Reading::default(),
    )?;

    assert!(relative_difference(&numbers(&moved), &numbers(&original)) < 1e-13);
    Ok(())
}

#[test]
fn ignores_the_scale_of_each_channel() -> Result<()> {
    let mut noise = Noise(5);
    let (l, k) =
        (noise.features((2, 4, 5, 3), DType::F64), noise.features((2, 4, 5, 2), DType::F64));
    let labels = noise.labels((2, 4, 5), 3);
    let scales_l = Tensor::new(&[1e-3f64, 2.0, 5e4], &Device::Cpu)?;
    let scales_k = Tensor::new(&[0.25f64, 31.0], &Device::Cpu)?;
    for (scope, _) in SCOPES {
        let reading = Reading { scope, ..Reading::default() };

        let original = class_affinity(&l, &k, &labels, 3, &reading)?;
        let scaled = class_affinity(
            &l.broadcast_mul(&scales_l)?,
            &k.broadcast_mul(&scales_k)?,
            &labels,
            3,
            &reading,
        )?;

        assert!(relative_difference(&numbers(&scaled), &numbers(&original)) < 1e-12);
    }
    Ok(())
}

#[test]
fn swapping_the_layers_transposes_the_matrix() -> Result<()> {
    let (l, k, labels) = large(DType::F64);
    for reading in readings() {
        let forward = class_affinity(&l, &k, &labels, 4, &reading)?;
        let swapped = class_affinity(&k, &l, &labels, 4, &reading)?;

        let difference =
            relative_difference(&numbers(&swapped.transpose(1, 2)?), &numbers(&forward));
        assert!(difference < 1e-12, "{reading:?}: {difference:e}");
    }
    Ok(())
}

#[test]
fn a_layer_beside_itself_has_ones_on_the_diagonal_and_no_gradient_there() -> Result<()> {
    let mut noise = Noise(6);
    let l = noise.features((2, 5, 4, 3), DType::F64);
    let labels = noise.labels((2, 5, 4), 2);

    let affinity = class_affinity(&l, &l, &labels, 2, &Reading::default())?;
    let diagonal =
        (&affinity * Tensor::eye(3, DType::F64, &Device::Cpu)?.broadcast_as((2, 3, 3))?)?;

    assert!((diagonal.sum_all()?.to_scalar::<f64>()? - 6.0).abs() < 1e-12);
    assert!(gradient(&diagonal.sum_all()?, &l).iter().all(|value| value.abs() < 1e-12));
    Ok(())
}

#[test]
fn a_zero_vector_has_affinity_exactly_zero_and_no_gradient() -> Result<()> {
    for place in places() {
        let mut noise = Noise(7);
        let k = moved(&noise.features((1, 3, 4, 2), DType::F64), &place);
        let labels = noise.labels((1, 3, 4), 2);
        let mask = Tensor::new(&[1f64, 0.0, 1e-10], &Device::Cpu)?;
        let l = noise.features((1, 3, 4, 3), DType::F64);
        let l = moved(&l.broadcast_mul(&mask)?, &place);
        for (scope, _) in SCOPES {
            let reading = Reading { scope, ..Reading::default() };

            let affinity = class_affinity(&l, &k, &labels, 2, &reading)?;
            let of_l = gradient(&affinity.sum_all()?, &l);

            let rows = numbers(&affinity); // [C, 3, 2]; channels 1 and 2 are no longer than 1e-8
            assert!(rows.chunks(6).all(|class| class[2..].iter().all(|&a| a == 0.0)));
            assert!(rows.chunks(6).all(|class| class[..2].iter().all(|&a| a != 0.0)));
            assert!(of_l.chunks(3).all(|pixel| pixel[1] == 0.0 && pixel[2] == 0.0));
            assert!(of_l.iter().any(|&value| value != 0.0));
        }
    }
    Ok(())
}

#[test]
fn pixels_outside_every_class_get_no_gradient() -> Result<()> {
    for place in f32_places() {
        let mut noise = Noise(8);
        let mut map = |shape| moved(&noise.features(shape, DType::F64), &place);
        let (l, k) = (map((1, 4, 4, 3)), map((1, 4, 4, 2)));
        let labels = noise.labels((1, 4, 4), 3);
        let reading = Reading { background: false, ..Reading::default() };

        let affinity = class_affinity(&l, &k, &labels, 3, &reading)?;
        let of_l = gradient(&affinity.sum_all()?, &l);

        assert_eq!(affinity.dims(), [2, 3, 2]);
        for (pixel, label) in of_l.chunks(3).zip(numbers(&labels)) {
            assert_eq!(pixel.iter().all(|&value| value == 0.0), label == 0.0, "{place:?}");
        }
    }
    Ok(())
}

#[test]
fn one_thread_and_many_give_the_same_bits() {
    let (l, k, labels) = large(DType::F32);
    for (scope, _) in SCOPES {
        let reading = Reading { scope, ..Reading::default() };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let affinity = class_affinity(&l, &k, &labels, 4, &reading).unwrap();
                let loss = affinity.sqr().unwrap().sum_all().unwrap();
                (numbers(&affinity), gradient(&loss, &l), gradient(&loss, &k))
            })
        };

        assert_eq!(run(1), run(5));
    }
}

#[test]
fn reads_maps_that_are_views() -> Result<()> {
    let mut noise = Noise(9);
    let stored = noise.features((3, 4, 5, 6), DType::F64); // [B, M, h, w]
    let labels = noise.labels((3, 5, 6), 2);
    let view = stored.permute((0, 2, 3, 1))?.narrow(0, 1, 2)?;
    let labels = labels.narrow(0, 1, 2)?;

    let of_view = class_affinity(&view, &view, &labels, 2, &Reading::default())?;
    let of_copy = class_affinity(
        &view.force_contiguous()?,
        &view.force_contiguous()?,
        &labels.force_contiguous()?,
        2,
        &Reading::default(),
    )?;

    assert_eq!(numbers(&of_view), numbers(&of_copy));
    Ok(())
}

#[test]
fn checks_labels_also_where_no_region_asks_for_them() {
    let mut noise = Noise(11);
    let features = noise.features((2, 4, 4, 3), DType::F32);
    let of_one_slice = noise.labels((1, 8, 8), 3);
    let unmasked = Reading { class_specific: false, ..Reading::default() };

    assert!(class_affinity(&features, &features, &of_one_slice, 3, &unmasked).is_err());
}

#[test]
fn says_what_is_wrong_with_its_arguments() -> Result<()> {
    let mut noise = Noise(10);
    let l = noise.features((2, 4, 4, 3), DType::F32);
    let labels = noise.labels((2, 8, 8), 3);
    let fails = |k: &Tensor, labels: &Tensor, classes, background: bool, expected: &str| {
        let reading = Reading { background, ..Reading::default() };
        let error = class_affinity(&l, k, labels, classes, &reading).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };

    fails(
        &l,
        &labels,
        2,
        true,
        "affinity: labels hold the value 2, expected class indices below 2",
    );
    fails(
        &l,
        &labels.narrow(0, 0, 1)?,
        3,
        true,
        "affinity: labels have shape [1, 8, 8] beside feature maps [2, 4, 4, channels], expected [2, H, W]",
    );
    fails(
        &l,
        &labels.to_dtype(DType::U32)?,
        3,
        true,
        "affinity: labels have type U32, expected U8",
    );
    fails(
        &l.narrow(0, 0, 1)?,
        &labels,
        3,
        true,
        "affinity: feature maps have shapes [2, 4, 4, 3] and [1, 4, 4, 3], expected the same batch",
    );
    fails(
        &l.flatten(1, 2)?,
        &labels,
        3,
        true,
        "affinity: feature maps have shapes [2, 4, 4, 3] and [2, 16, 3], expected [B, h, w, M] and [B, h', w', N]",
    );
    fails(
        &l.to_dtype(DType::F64)?,
        &labels,
        3,
        true,
        "affinity: feature maps have types F32 and F64, expected the same",
    );
    fails(&l, &labels.zeros_like()?, 1, false, "affinity: no class is left to compare");
    let half = l.to_dtype(DType::F16)?;
    let error = class_affinity(&half, &half, &labels, 3, &Reading::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("class_affinity: features have type F16, expected F32 or F64")
    );
    Ok(())
}
