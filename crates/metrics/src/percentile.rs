//! Percentiles as numpy computes them, and of values that weigh differently.

/// Returns the value below which the share `fraction` of `values` lies, interpolated linearly
/// between neighbouring order statistics. Reorders `values`.
///
/// The rank is `(n − 1)·fraction`, and the interpolation runs from the nearer end, which is how
/// `numpy.percentile` rounds.
///
/// # Panics
///
/// If `values` is empty or `fraction` is not in `0..=1`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "fraction is in 0..=1, so the rank is in 0..=last"
)]
pub(crate) fn percentile(values: &mut [f64], fraction: f64) -> f64 {
    assert!(!values.is_empty(), "a percentile needs at least one value");
    assert!((0.0..=1.0).contains(&fraction), "fraction must lie in 0..=1, got {fraction}");
    let rank = (values.len() - 1) as f64 * fraction;
    let weight = rank - rank.floor();
    let (_, &mut low, above) = values.select_nth_unstable_by(rank as usize, f64::total_cmp);
    if weight == 0.0 {
        return low;
    }
    let high = above.iter().copied().fold(f64::INFINITY, f64::min);
    let step = high - low;
    if weight < 0.5 { low + step * weight } else { high - step * (1.0 - weight) }
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

    #[test]
    fn follows_numpy() {
        assert_eq!(percentile(&mut [3.0, 1.0, 2.0, 4.0], 0.5).to_bits(), 2.5f64.to_bits());
        assert_eq!(percentile(&mut [1.0, 3.0], 0.95).to_bits(), 2.9f64.to_bits());
        assert_eq!(percentile(&mut [7.0], 0.95).to_bits(), 7.0f64.to_bits());
        assert_eq!(percentile(&mut [2.0, 0.0, 1.0], 1.0).to_bits(), 2.0f64.to_bits());
        assert_eq!(percentile(&mut [-2.0, 0.0, -1.0], 0.0).to_bits(), (-2.0f64).to_bits());
    }
}
