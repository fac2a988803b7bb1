use candle_core::{DType, Device, Tensor};

use super::dropout;
use crate::cuda::runners::{Place, places};
use crate::testing::{assert_fast_equals_reference, assert_gradients, random, values};

const F32: Place = Place { dtype: DType::F32, device: Device::Cpu };

fn ones(count: usize, place: &Place) -> Tensor {
    Tensor::ones(count, place.dtype, &place.device).unwrap()
}

#[test]
fn draws_are_those_of_split_mix_64() {
    // The published test vector: the first outputs for seed 1234567.
    let expected =
        [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
    for (draw, expected) in expected.into_iter().enumerate() {
        assert_eq!(super::split_mix(1_234_567, draw as u64), expected);
    }
}

#[test]
fn drops_the_share_that_was_asked_for_and_keeps_the_mean() {
    for probability in [0.25, 0.5, 0.75] {
        let kept = values(&dropout(&ones(1 << 18, &F32), probability, 3).unwrap());
        let dropped = kept.iter().filter(|&&x| x == 0.0).count() as f64 / kept.len() as f64;
        // Five standard deviations of a share among 2¹⁸ draws.
        assert!((dropped - probability).abs() < 5.0 * 0.5 / 512.0, "{dropped}");
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        assert!((mean - 1.0).abs() < 5.0 / 512.0 * 2.0, "{mean}");
    }
}

#[test]
fn neighbours_are_dropped_independently() {
    let kept = values(&dropout(&ones(1 << 18, &F32), 0.5, 11).unwrap());
    for distance in 1..9 {
        let both = kept.iter().zip(&kept[distance..]).filter(|(a, b)| **a == 0.0 && **b == 0.0);
        let share = both.count() as f64 / (kept.len() - distance) as f64;
        assert!((share - 0.25).abs() < 0.005, "at distance {distance}: {share}");
    }
}

#[test]
fn the_mask_is_a_function_of_seed_and_position() {
    let mask = |count: usize, seed: u64, place: &Place| {
        values(&dropout(&ones(count, place), 0.5, seed).unwrap())
    };
    let long = mask(200_000, 5, &F32);
    assert_eq!(long[..1000], mask(1000, 5, &F32));
    for place in places() {
        assert_eq!(long, mask(200_000, 5, &place), "{place:?}");
        assert_ne!(long, mask(200_000, 6, &place), "{place:?}");
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    assert_eq!(long, pool.install(|| mask(200_000, 5, &F32)));
}

#[test]
fn gradients_are_central_differences() {
    assert_gradients(&[random((2, 3, 5), 1)], &|t| dropout(&t[0], 0.3, 4));
    assert_fast_equals_reference(&[random((2, 3, 5, 7), 1)], &|t| dropout(&t[0], 0.3, 4));
    assert_gradients(&[random((5, 3), 1)], &|t| dropout(&t[0].t()?, 0.3, 4)?.t());
}

#[test]
fn nothing_happens_at_probability_zero() {
    let input = random((3, 3), 1);
    for place in places() {
        let dropped = dropout(&place.put(&input).unwrap(), 0.0, 1).unwrap();
        assert_eq!(values(&dropped), values(&input), "{place:?}");
    }
}

#[test]
fn a_probability_of_one_is_an_error() {
    let message = dropout(&random(3, 1), 1.0, 0).unwrap_err().to_string();
    assert!(message.contains("got probability 1, expected one in [0, 1)"), "{message}");
}
