//! Percentiles as numpy computes them.

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

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn follows_numpy() {
        assert_eq!(percentile(&mut [3.0, 1.0, 2.0, 4.0], 0.5).to_bits(), 2.5f64.to_bits());
        assert_eq!(percentile(&mut [1.0, 3.0], 0.95).to_bits(), 2.9f64.to_bits());
        assert_eq!(percentile(&mut [7.0], 0.95).to_bits(), 7.0f64.to_bits());
        assert_eq!(percentile(&mut [2.0, 0.0, 1.0], 1.0).to_bits(), 2.0f64.to_bits());
        assert_eq!(percentile(&mut [-2.0, 0.0, -1.0], 0.0).to_bits(), (-2.0f64).to_bits());
    }
}
