//! Percentiles as numpy computes them, and of values that weigh differently.

use std::ops::Range;

use rayon::prelude::*;

/// Ranges of equal length that values are counted in to find where a rank lies.
const BUCKETS: usize = 4096;

/// Returns the value below which the share `fraction` of all values lies, interpolated linearly
/// between neighbouring order statistics. The values are those of all `parts` together.
///
/// The rank is `(n − 1)·fraction`, and the interpolation runs from the nearer end, which is how
/// `numpy.percentile` rounds.
///
/// # Panics
///
/// If there are no values or `fraction` is not in `0..=1`.
pub(crate) fn percentile(parts: &[&[f64]], fraction: f64) -> f64 {
    let values = || parts.iter().flat_map(|part| part.iter().copied());
    let smallest = values().fold(f64::INFINITY, f64::min);
    let largest = values().fold(f64::NEG_INFINITY, f64::max);
    Counted::new(parts, smallest, largest).percentile(0..parts.len(), fraction)
}

/// Lists of values counted by size, from which several percentiles can be taken.
///
/// Millions of values are counted, not copied: only those near a wanted rank are.
#[derive(Debug)]
pub(crate) struct Counted<'a> {
    parts: &'a [&'a [f64]],
    /// Values of each part in each of [`BUCKETS`].
    counts: Vec<Vec<usize>>,
    smallest: f64,
    scale: f64,
}

impl<'a> Counted<'a> {
    /// Counts values that lie in `smallest..=largest`.
    pub(crate) fn new(parts: &'a [&'a [f64]], smallest: f64, largest: f64) -> Self {
        let scale = (BUCKETS - 1) as f64 / (largest - smallest);
        let mut counted = Self { parts, counts: Vec::new(), smallest, scale };
        let count = |part: &&[f64]| {
            let mut counts = vec![0; BUCKETS];
            for &value in *part {
                counts[counted.bucket(value)] += 1;
            }
            counts
        };
        counted.counts = parts.par_iter().map(count).collect();
        counted
    }

    /// Returns the percentile of all values in some of the parts, as [`percentile`] does.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "fraction is in 0..=1, so the rank is in 0..=last"
    )]
    pub(crate) fn percentile(&self, parts: Range<usize>, fraction: f64) -> f64 {
        let count: usize = self.parts[parts.clone()].iter().map(|part| part.len()).sum();
        assert!(count > 0, "a percentile needs at least one value");
        assert!((0.0..=1.0).contains(&fraction), "fraction must lie in 0..=1, got {fraction}");
        let rank = (count - 1) as f64 * fraction;
        let weight = rank - rank.floor();
        let (low, high) = self.neighbours(parts, rank as usize);
        if weight == 0.0 {
            return low;
        }
        let step = high - low;
        if weight < 0.5 { low + step * weight } else { high - step * (1.0 - weight) }
    }

    /// Returns the value of a rank and that of the next, infinity after the last.
    fn neighbours(&self, parts: Range<usize>, rank: usize) -> (f64, f64) {
        let counts = &self.counts[parts.clone()];
        let in_bucket = |bucket: usize| counts.iter().map(|counts| counts[bucket]).sum::<usize>();
        let (mut first, mut before) = (0, 0);
        while before + in_bucket(first) <= rank {
            before += in_bucket(first);
            first += 1;
        }
        // The next value may be the first of a later bucket.
        let (mut last, mut until) = (first, before + in_bucket(first));
        while until <= rank + 1 && last + 1 < BUCKETS {
            last += 1;
            until += in_bucket(last);
        }
        let mut inside = Vec::with_capacity(until - before);
        for part in &self.parts[parts] {
            let near = part.iter().filter(|&&value| (first..=last).contains(&self.bucket(value)));
            inside.extend(near);
        }
        let (_, &mut low, above) = inside.select_nth_unstable_by(rank - before, f64::total_cmp);
        (low, above.iter().copied().fold(f64::INFINITY, f64::min))
    }

    /// Returns the bucket of a value. Rounding keeps the order: no value comes before the bucket of
    /// a smaller one.
    fn bucket(&self, value: f64) -> usize {
        bucket((value - self.smallest) * self.scale)
    }
}

/// Returns the bucket of a value scaled to `0..BUCKETS`; if all values are equal, none has a scale.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast takes NaN to 0, and what exceeds the last bucket by rounding is in it"
)]
fn bucket(scaled: f64) -> usize {
    (scaled as u32 as usize).min(BUCKETS - 1)
}

/// Returns the smallest value up to which the weights sum to the share `fraction` of all weights.
/// Reorders `weighted`, which holds `(value, weight)`.
///
/// # Panics
///
/// If `weighted` is empty or `fraction` is not in `0..=1`.
pub(crate) fn weighted_percentile(weighted: &mut [(f64, f64)], fraction: f64) -> f64 {
    assert!(!weighted.is_empty(), "a percentile needs at least one value");
    assert!((0.0..=1.0).contains(&fraction), "fraction must lie in 0..=1, got {fraction}");
    let sum = |part: &[(f64, f64)]| part.iter().map(|(_, weight)| weight).sum::<f64>();
    let wanted = sum(weighted) * fraction;
    let (mut below, mut rest) = (0.0, weighted);
    // Halving what is left until one value is costs a few passes; sorting would cost more.
    while rest.len() > 1 {
        let middle = (rest.len() - 1) / 2;
        rest.select_nth_unstable_by(middle, |(a, _), (b, _)| a.total_cmp(b));
        let (low, high) = rest.split_at_mut(middle + 1);
        let with_low = below + sum(low);
        if with_low >= wanted {
            rest = low;
        } else {
            (below, rest) = (with_low, high);
        }
    }
    rest[0].0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{percentile, weighted_percentile};

    proptest! {
        #[test]
        fn a_weighted_percentile_is_that_of_the_sorted_list(
            mut weighted in prop::collection::vec((0..20u8, 1..9u8), 1..60),
            percent in 0..=100u8,
        ) {
            let fraction = f64::from(percent) / 100.0;
            let mut shuffled: Vec<_> =
                weighted.iter().map(|&(value, weight)| (value.into(), weight.into())).collect();
            let found = weighted_percentile(&mut shuffled, fraction);

            weighted.sort_unstable();
            // Whole weights add up without rounding, in any order.
            let total: f64 = weighted.iter().map(|&(_, weight)| f64::from(weight)).sum();
            let mut sum = 0.0;
            let first = weighted.iter().find(|&&(_, weight)| {
                sum += f64::from(weight);
                sum >= total * fraction
            });
            prop_assert_eq!(Some(found), first.map(|&(value, _)| f64::from(value)));
        }
    }

    proptest! {
        #[test]
        fn a_percentile_is_that_of_the_sorted_list(
            mut values in prop::collection::vec(
                prop_oneof![Just(0.0), Just(1.5), 0.0..3.0f64, 0.0..1e-300f64, 1e5..1e9f64],
                1..80,
            ),
            at in 0..80usize,
            percent in 0..=100u8,
        ) {
            let fraction = f64::from(percent) / 100.0;
            let (one, other) = values.split_at(at.min(values.len()));
            let found = percentile(&[one, other], fraction);

            values.sort_by(f64::total_cmp);
            let rank = (values.len() - 1) as f64 * fraction;
            let position = (0..values.len()).rfind(|&position| position as f64 <= rank).unwrap();
            let (low, weight) = (values[position], rank - position as f64);
            let high = values.get(position + 1).copied().unwrap_or(low);
            let expected = if weight < 0.5 {
                low + (high - low) * weight
            } else {
                high - (high - low) * (1.0 - weight)
            };
            prop_assert_eq!(found.to_bits(), expected.to_bits());
        }
    }

    #[test]
    fn follows_numpy() {
        assert_eq!(percentile(&[&[3.0, 1.0, 2.0, 4.0]], 0.5).to_bits(), 2.5f64.to_bits());
        assert_eq!(percentile(&[&[1.0, 3.0]], 0.95).to_bits(), 2.9f64.to_bits());
        assert_eq!(percentile(&[&[7.0]], 0.95).to_bits(), 7.0f64.to_bits());
        assert_eq!(percentile(&[&[2.0, 0.0, 1.0]], 1.0).to_bits(), 2.0f64.to_bits());
        assert_eq!(percentile(&[&[-2.0, 0.0, -1.0]], 0.0).to_bits(), (-2.0f64).to_bits());
    }
}
