//! Many cases in a few numbers, with every missed structure accounted for.

use crate::percentile::percentile;
use crate::{ClassResult, Status};

/// One number of a [`ClassResult`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// [`ClassResult::dice`].
    Dice,
    /// [`ClassResult::jaccard`].
    Jaccard,
    /// [`ClassResult::sensitivity`].
    Sensitivity,
    /// [`ClassResult::precision`].
    Precision,
    /// [`ClassResult::specificity`].
    Specificity,
    /// [`ClassResult::hausdorff_mm`].
    HausdorffMm,
    /// [`ClassResult::hausdorff95_mm`].
    Hausdorff95Mm,
    /// [`ClassResult::hausdorff95_pooled_mm`].
    Hausdorff95PooledMm,
    /// [`ClassResult::assd_mm`].
    AssdMm,
    /// [`ClassResult::masd_mm`].
    MasdMm,
    /// [`ClassResult::nsd`] at the tolerance with this position in
    /// [`Options::tolerances_mm`](crate::Options::tolerances_mm).
    Nsd(usize),
    /// [`ClassResult::hausdorff_voxels`].
    HausdorffVoxels,
    /// [`ClassResult::hausdorff_volume_mm`].
    HausdorffVolumeMm,
}

impl Metric {
    /// Every metric that [`evaluate()`](crate::evaluate()) measures once per class: without
    /// [`Metric::Nsd`], of which there is one per tolerance, and [`Metric::HausdorffVolumeMm`],
    /// which has to be asked for.
    pub const ALL: [Self; 11] = [
        Self::Dice,
        Self::Jaccard,
        Self::Sensitivity,
        Self::Precision,
        Self::Specificity,
        Self::HausdorffMm,
        Self::Hausdorff95Mm,
        Self::Hausdorff95PooledMm,
        Self::AssdMm,
        Self::MasdMm,
        Self::HausdorffVoxels,
    ];

    /// Returns the name used in reports, the same as the field of [`ClassResult`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dice => "dice",
            Self::Jaccard => "jaccard",
            Self::Sensitivity => "sensitivity",
            Self::Precision => "precision",
            Self::Specificity => "specificity",
            Self::HausdorffMm => "hausdorff_mm",
            Self::Hausdorff95Mm => "hausdorff95_mm",
            Self::Hausdorff95PooledMm => "hausdorff95_pooled_mm",
            Self::AssdMm => "assd_mm",
            Self::MasdMm => "masd_mm",
            Self::Nsd(_) => "nsd",
            Self::HausdorffVoxels => "hausdorff_voxels",
            Self::HausdorffVolumeMm => "hausdorff_volume_mm",
        }
    }

    /// Returns the value of this metric, `None` where it is undefined.
    pub fn of(self, result: &ClassResult) -> Option<f64> {
        match self {
            Self::Dice => result.dice,
            Self::Jaccard => result.jaccard,
            Self::Sensitivity => result.sensitivity,
            Self::Precision => result.precision,
            Self::Specificity => result.specificity,
            Self::HausdorffMm => result.hausdorff_mm,
            Self::Hausdorff95Mm => result.hausdorff95_mm,
            Self::Hausdorff95PooledMm => result.hausdorff95_pooled_mm,
            Self::AssdMm => result.assd_mm,
            Self::MasdMm => result.masd_mm,
            Self::Nsd(tolerance) => result.nsd.get(tolerance).copied().flatten(),
            Self::HausdorffVoxels => result.hausdorff_voxels,
            Self::HausdorffVolumeMm => result.hausdorff_volume_mm,
        }
    }

    /// Returns the largest value if the metric is a distance, `None` if it is a ratio.
    fn largest_distance(self, result: &ClassResult) -> Option<f64> {
        match self {
            Self::HausdorffMm
            | Self::Hausdorff95Mm
            | Self::Hausdorff95PooledMm
            | Self::AssdMm
            | Self::MasdMm
            | Self::HausdorffVolumeMm => Some(result.diagonal_mm),
            Self::HausdorffVoxels => Some(result.diagonal_voxels),
            Self::Dice
            | Self::Jaccard
            | Self::Sensitivity
            | Self::Precision
            | Self::Specificity
            | Self::Nsd(_) => None,
        }
    }
}

/// What an undefined value of a missed or spurious class counts as.
///
/// A class that is absent on both sides is never penalised; it has nothing to be measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Penalty {
    /// Nothing: the case is left out of the mean. A method that misses more can look better.
    #[default]
    None,
    /// The worst value there is: the image diagonal for a distance, 0 for a ratio.
    WorstCase,
    /// This value for a distance, in its own unit; 0 for a ratio.
    Fixed(f64),
}

impl Penalty {
    /// Returns the value of `metric` after this penalty, `None` if the case has to be left out.
    ///
    /// # Examples
    ///
    /// ```
    /// use duomo_metrics::{Metric, Options, Penalty, evaluate};
    ///
    /// let missed = evaluate(&[0u8; 5], &[0, 1, 0, 0, 0], [1, 1, 5], &[1], &Options::new([1.0; 3]))?;
    /// assert_eq!(Penalty::None.apply(Metric::AssdMm, &missed[0]), None);
    /// assert_eq!(Penalty::WorstCase.apply(Metric::AssdMm, &missed[0]), Some(4.0));
    /// assert_eq!(Penalty::Fixed(50.0).apply(Metric::AssdMm, &missed[0]), Some(50.0));
    /// assert_eq!(Penalty::Fixed(50.0).apply(Metric::Nsd(0), &missed[0]), Some(0.0));
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn apply(self, metric: Metric, result: &ClassResult) -> Option<f64> {
        let value = metric.of(result);
        if value.is_some() || !matches!(result.status, Status::Missed | Status::Spurious) {
            return value;
        }
        let largest = metric.largest_distance(result);
        match self {
            Self::None => None,
            Self::WorstCase => Some(largest.unwrap_or(0.0)),
            Self::Fixed(distance) => Some(largest.map_or(0.0, |_| distance)),
        }
    }
}

/// Centre and spread of one metric over cases.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Arithmetic mean; `None` without a value.
    pub mean: Option<f64>,
    /// Standard deviation with `n − 1` in the denominator; `None` below two values.
    pub sd: Option<f64>,
    /// Median, the mean of the middle two if `n` is even; `None` without a value.
    pub median: Option<f64>,
    /// Number of values.
    pub n: usize,
}

impl Summary {
    /// Returns mean, standard deviation and median of values that are all defined.
    ///
    /// # Examples
    ///
    /// ```
    /// let summary = duomo_metrics::Summary::of(&[1.0, 2.0, 6.0]);
    /// assert_eq!((summary.mean, summary.median, summary.n), (Some(3.0), Some(2.0), 3));
    /// assert_eq!(summary.sd, Some(7.0f64.sqrt()));
    /// ```
    pub fn of(values: &[f64]) -> Self {
        let n = values.len();
        if n == 0 {
            return Self::default();
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let sd = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        Self { mean: Some(mean), sd, median: Some(percentile(&[values], 0.5)), n }
    }
}

/// Returns mean, standard deviation and median of one metric over the cases of one class.
///
/// Print [`count_statuses`] beside it: `n` alone does not tell why a case is left out.
///
/// # Examples
///
/// ```
/// use duomo_metrics::{Metric, Options, Penalty, evaluate, summarize};
///
/// let options = Options::new([1.0; 3]);
/// let mut results = Vec::new();
/// for prediction in [[1u8, 1, 0], [0, 1, 0], [0, 0, 1]] {
///     results.extend(evaluate(&prediction, &[0, 1, 0], [1, 1, 3], &[1], &options)?);
/// }
/// let summary = summarize(&results, Metric::HausdorffMm, Penalty::None);
/// assert_eq!((summary.median, summary.n), (Some(1.0), 3));
/// assert_eq!(summary.mean, Some(2.0 / 3.0));
/// # Ok::<(), duomo_metrics::Error>(())
/// ```
pub fn summarize<'a>(
    results: impl IntoIterator<Item = &'a ClassResult>,
    metric: Metric,
    penalty: Penalty,
) -> Summary {
    let values: Vec<f64> =
        results.into_iter().filter_map(|result| penalty.apply(metric, result)).collect();
    Summary::of(&values)
}

/// Number of cases per [`Status`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusCounts {
    /// Cases with [`Status::Ok`].
    pub ok: usize,
    /// Cases with [`Status::Missed`].
    pub missed: usize,
    /// Cases with [`Status::Spurious`].
    pub spurious: usize,
    /// Cases with [`Status::AbsentBoth`].
    pub absent_both: usize,
}

/// Returns how many cases of one class have each status.
///
/// # Examples
///
/// ```
/// use duomo_metrics::{Options, StatusCounts, count_statuses, evaluate};
///
/// let results = evaluate(&[1u8, 0], &[1, 2], [1, 1, 2], &[1, 2, 3], &Options::new([1.0; 3]))?;
/// let counts = StatusCounts { ok: 1, missed: 1, spurious: 0, absent_both: 1 };
/// assert_eq!(count_statuses(&results), counts);
/// # Ok::<(), duomo_metrics::Error>(())
/// ```
pub fn count_statuses<'a>(results: impl IntoIterator<Item = &'a ClassResult>) -> StatusCounts {
    let mut counts = StatusCounts::default();
    for result in results {
        match result.status {
            Status::Ok => counts.ok += 1,
            Status::Missed => counts.missed += 1,
            Status::Spurious => counts.spurious += 1,
            Status::AbsentBoth => counts.absent_both += 1,
        }
    }
    counts
}
