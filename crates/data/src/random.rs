//! Random numbers that are a pure function of what they are drawn for.
//!
//! Every draw names its purpose and its place, so that neither the order of the calls nor the
//! number of threads nor an interruption can change it.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What numbers are drawn for; each purpose has a stream of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Split = 1,
    Epoch = 2,
    Augmentation = 3,
}

/// Returns the generator that belongs to a purpose and its key.
pub(crate) fn keyed(purpose: Purpose, key: [u64; 4]) -> ChaCha8Rng {
    let mut seed = [0; 32];
    for (bytes, word) in seed.chunks_exact_mut(8).zip(key) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    let mut random = ChaCha8Rng::from_seed(seed);
    random.set_stream(purpose as u64);
    random
}

/// Shuffles in place (Fisher–Yates).
pub(crate) fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1, random));
    }
}

/// Returns a number in `0.0..1.0`, one of 2⁵³ evenly spaced ones.
pub(crate) fn uniform(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Returns a number in `-half_width..half_width`.
pub(crate) fn symmetric(half_width: f64, random: &mut ChaCha8Rng) -> f64 {
    half_width * (2.0 * uniform(random) - 1.0)
}

/// Returns a standard normal number (Box–Muller).
pub(crate) fn normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - uniform(random)).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(random)).cos()
}

/// Returns an index in `0..bound`. The bias of the multiplication is below `bound` / 2⁶⁴.
fn below(bound: usize, random: &mut ChaCha8Rng) -> usize {
    let scaled = (u128::from(random.next_u64()) * bound as u128) >> 64;
    usize::try_from(scaled).expect("the product's upper half is below `bound`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_gives_the_same_numbers_and_every_part_of_it_counts() {
        let first = |purpose, key| keyed(purpose, key).next_u64();
        let base = first(Purpose::Epoch, [1, 2, 3, 4]);

        assert_eq!(base, first(Purpose::Epoch, [1, 2, 3, 4]));
        assert_ne!(base, first(Purpose::Split, [1, 2, 3, 4]));
        for place in 0..4 {
            let mut key = [1, 2, 3, 4];
            key[place] += 1;
            assert_ne!(base, first(Purpose::Epoch, key), "word {place}");
        }
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_moves_each_to_each_place() {
        let mut random = keyed(Purpose::Epoch, [0; 4]);
        let mut counts = [[0usize; 4]; 4];
        for _ in 0..4000 {
            let mut items = [0, 1, 2, 3];
            shuffle(&mut items, &mut random);
            items.iter().enumerate().for_each(|(place, &item)| counts[place][item] += 1);
        }

        // 1000 expected; five standard deviations are 137.
        assert!(counts.iter().flatten().all(|&n| n.abs_diff(1000) < 137), "{counts:?}");
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let mut random = keyed(Purpose::Augmentation, [7; 4]);
        let draws: Vec<f64> = (0..20_000).map(|_| normal(&mut random)).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;

        // Five standard errors: 5/√20000 and 5·√(2/20000).
        assert!(mean.abs() < 0.036 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
