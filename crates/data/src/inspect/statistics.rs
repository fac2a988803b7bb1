//! Robust statistics of one volume, and how far one case lies from the others.

/// Voxels that quantiles are taken of; more would tell no more.
const SAMPLE: usize = 100_000;

/// Cases from which on one can be unlike the others.
const ENOUGH: usize = 6;

/// Deviations, in units of the others' spread, that do not happen by chance.
const DEVIATIONS_MAX: f64 = 6.0;

/// Quantiles of the voxels that are brighter than the darkest: padding says nothing about a scanner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Intensities {
    /// At 1, 5, 25, 50, 75, 95 and 99 %.
    pub(super) quantiles: [f64; 7],
    /// Different values among those looked at.
    pub(super) distinct: usize,
}

impl Intensities {
    /// `None` for a volume in which every voxel is alike.
    pub(super) fn of(voxels: &[f32]) -> Option<Self> {
        let darkest = voxels.iter().copied().fold(f32::INFINITY, f32::min);
        let bright = voxels.iter().copied().filter(|&voxel| voxel > darkest);
        let step = (voxels.len() / SAMPLE).max(1);
        let mut sample: Vec<f32> = bright.step_by(step).collect();
        sample.sort_by(f32::total_cmp);
        let last = sample.len().checked_sub(1)?;
        let at = |percent: usize| f64::from(sample[last * percent / 100]);
        let quantiles = [1, 5, 25, 50, 75, 95, 99].map(at);
        sample.dedup();
        // The darkest value counts, too.
        Some(Self { quantiles, distinct: sample.len() + 1 })
    }

    /// What two scanners of one modality have in common, each with the least difference that is worth a word: where 0 lies,
    /// how the values are spread whatever their unit, and, with much room, the unit itself.
    ///
    /// The range is that from the 5 to the 95 % quantile.
    pub(super) fn features(&self) -> [(&'static str, f64, f64); 6] {
        let [first, low, quarter, middle, three_quarters, high, last] = self.quantiles;
        let range = (high - low).max(f64::MIN_POSITIVE);
        let share = |value: f64| (value - low) / range;
        [
            ("the 1 % quantile, in ranges above 0,", first / range, 0.5),
            ("the place of the 25 % quantile in the range", share(quarter), 0.25),
            ("the place of the median in the range", share(middle), 0.25),
            ("the place of the 75 % quantile in the range", share(three_quarters), 0.25),
            ("the place of the 99 % quantile over the range", share(last), 0.75),
            ("the logarithm of the range", range.ln(), 10_f64.ln()),
        ]
    }
}

/// Returns which values lie farther from the median than chance and `least` allow, with that median; none if there are too
/// few to judge by.
pub(super) fn outliers(values: &[f64], least: f64) -> Vec<(usize, f64)> {
    if values.len() < ENOUGH {
        return Vec::new();
    }
    let median = median(values.to_vec());
    let distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    // 1.4826 makes the median of distances the standard deviation of a normal distribution.
    let spread = 1.4826 * self::median(distances.clone());
    let limit = least.max(DEVIATIONS_MAX * spread);
    let far = distances.iter().enumerate().filter(|&(_, &distance)| distance > limit);
    far.map(|(at, _)| (at, median)).collect()
}

/// The middle value, of an even number the lower one; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_leave_padding_out() {
        let mut voxels = vec![-1.0_f32; 500];
        voxels.extend((1..=101_u16).map(f32::from));

        let found = Intensities::of(&voxels).unwrap();

        assert_eq!(format!("{:.0?}", found.quantiles), "[2, 6, 26, 51, 76, 96, 100]");
        assert_eq!(found.distinct, 102);
        assert_eq!(Intensities::of(&[3.0; 9]), None);
    }

    #[test]
    fn features_do_not_depend_on_the_unit_except_the_range() {
        let grey = |scale: f32| -> Vec<f32> {
            (0..1000_u16).map(|at| scale * f32::from(at * 7 % 1000)).collect()
        };
        let features = |scale| Intensities::of(&grey(scale)).unwrap().features();

        for (one, other) in features(1.0).into_iter().zip(features(0.01)).take(5) {
            assert!((one.1 - other.1).abs() < 1e-6, "{one:?} {other:?}");
        }
    }

    #[test]
    fn an_outlier_is_far_in_units_of_the_spread_and_in_its_own() {
        let values = [1.0, 1.1, 0.9, 1.05, 0.95, 1.0, 2.0];

        assert_eq!(outliers(&values, 0.5), [(6, 1.0)]);
        assert_eq!(outliers(&values, 1.5), []);
        assert_eq!(outliers(&values[2..], 0.5), [], "too few to judge");
        let wide = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 9.0];
        assert_eq!(outliers(&wide, 0.1), [], "within the spread");
    }
}
