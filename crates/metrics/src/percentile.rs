//! Percentiles as numpy computes them, and of values that weigh differently.

/// Returns the value below which the share `fraction` of all values lies, interpolated linearly
/// between neighbouring order statistics. The values are those of all `parts` together.
///
/// # Panics
///
/// If there are no values or `fraction` is not in `0..=1`.
pub(crate) fn percentile(parts: &[&[f64]], fraction: f64) -> f64 {
    let values = parts.concat();
    Rank::new(values.len(), fraction).percentile(values)
}

/// Where a percentile lies among the values in ascending order: at `(count − 1)·fraction`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank {
    count: usize,
    below: usize,
    /// How far from the value of rank `below` to the next.
    weight: f64,
}

impl Rank {
    /// Finds the place of a percentile among `count` values.
    ///
    /// # Panics
    ///
    /// If there are no values or `fraction` is not in `0..=1`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "fraction is in 0..=1, so the rank is in 0..=last"
    )]
    pub(crate) fn new(count: usize, fraction: f64) -> Self {
        assert!(count > 0, "a percentile needs at least one value");
        assert!((0.0..=1.0).contains(&fraction), "fraction must lie in 0..=1, got {fraction}");
        let rank = (count - 1) as f64 * fraction;
        Self { count, below: rank as usize, weight: rank - rank.floor() }
    }

    /// Returns how many of the largest values tell the percentile.
    pub(crate) fn values_needed(&self) -> usize {
        self.count - self.below
    }

    /// Returns the percentile, given at least the [`Self::values_needed`] largest values, in any
    /// order.
    ///
    /// The interpolation runs from the nearer end, which is how `numpy.percentile` rounds.
    pub(crate) fn percentile(&self, mut largest: Vec<f64>) -> f64 {
        let missing = self.count - largest.len();
        let (_, &mut low, above) =
            largest.select_nth_unstable_by(self.below - missing, f64::total_cmp);
        if self.weight == 0.0 {
            return low;
        }
        let high = above.iter().copied().fold(f64::INFINITY, f64::min);
        let step = high - low;
        if self.weight < 0.5 { low + step * self.weight } else { high - step * (1.0 - self.weight) }
    }
}

/// By what share of itself a sum of weights may fall short and still count as reached: more than
/// summing millions of them in any order rounds, and less than any one of them weighs.
const SLACK: f64 = 1e-12;

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
    let wanted = sum(weighted) * fraction * (1.0 - SLACK);
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

    use super::{Rank, percentile, weighted_percentile};

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
            // In whole numbers, where a share that is reached exactly is reached.
            let total: u32 = weighted.iter().map(|&(_, weight)| u32::from(weight)).sum();
            let mut sum = 0;
            let first = weighted.iter().find(|&&(_, weight)| {
                sum += u32::from(weight);
                sum * 100 >= total * u32::from(percent)
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
            let place = Rank::new(values.len(), fraction);
            let largest = values.split_off(values.len() - place.values_needed());
            prop_assert_eq!(place.percentile(largest).to_bits(), expected.to_bits());
        }
    }

    #[test]
    fn weights_that_sum_to_the_share_but_for_rounding_reach_it() {
        // Nineteen twentieths: 1.9000000000000001 of 2, in this order of summing.
        let mut weighted: Vec<(f64, f64)> = (0..20).map(|value| (f64::from(value), 0.1)).collect();

        assert_eq!(weighted_percentile(&mut weighted, 0.95).to_bits(), 18.0f64.to_bits());
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
