//! How sure is a mean difference? The percentile bootstrap.

use super::differences;
use crate::Error;
use crate::percentile::percentile;

/// How to resample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// Share of resampled means inside the interval, strictly between 0 and 1.
    pub confidence: f64,
    /// Number of resamples.
    pub resamples: usize,
    /// The same seed gives the same interval.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 95 % from 10 000 resamples with seed 0.
    fn default() -> Self {
        Self { confidence: 0.95, resamples: 10_000, seed: 0 }
    }
}

/// A mean and the interval it may well lie in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Mean difference of the sample.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Returns the mean of `first − second` over pairs, with a bootstrap confidence interval.
///
/// Pairs are drawn with replacement, as many as there are; the interval runs between the
/// `(1 − confidence) / 2` and `(1 + confidence) / 2` percentiles of the resampled means. With fewer
/// than about ten cases the interval is too narrow; the exact [`wilcoxon`](crate::wilcoxon) test is
/// then the better witness.
///
/// # Errors
///
/// - [`Error::UnpairedSamples`], [`Error::EmptySample`], [`Error::NotFinite`] if the samples cannot
///   be compared
/// - [`Error::Confidence`] if `confidence` is not strictly between 0 and 1
/// - [`Error::NoResamples`] if `resamples` is 0
///
/// # Source
///
/// Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.
///
/// # Examples
///
/// ```
/// use duomo_metrics::{Bootstrap, bootstrap_mean_difference};
///
/// let ours = [0.80, 0.85, 0.90, 0.75];
/// let theirs = [0.70, 0.80, 0.85, 0.75];
/// let interval = bootstrap_mean_difference(&ours, &theirs, Bootstrap::default())?;
/// assert!((interval.mean - 0.05).abs() < 1e-12);
/// assert!(interval.low >= 0.0 && interval.high <= 0.1 + 1e-12);
/// # Ok::<(), duomo_metrics::Error>(())
/// ```
pub fn bootstrap_mean_difference(
    first: &[f64],
    second: &[f64],
    options: Bootstrap,
) -> Result<Interval, Error> {
    let differences = differences(first, second)?;
    if !(options.confidence > 0.0 && options.confidence < 1.0) {
        return Err(Error::Confidence(options.confidence));
    }
    if options.resamples == 0 {
        return Err(Error::NoResamples);
    }

    let n = differences.len();
    let mut random = Random(options.seed);
    let means: Vec<f64> = (0..options.resamples)
        .map(|_| (0..n).map(|_| differences[random.below(n)]).sum::<f64>() / n as f64)
        .collect();
    let tail = (1.0 - options.confidence) / 2.0;
    Ok(Interval {
        mean: differences.iter().sum::<f64>() / n as f64,
        low: percentile(&[&means], tail),
        high: percentile(&[&means], 1.0 - tail),
    })
}

/// The generator `SplitMix64`: 64 bits of state, one addition and one mix per number.
///
/// Source: Steele, Lea & Flood 2014, Fast splittable pseudorandom number generators.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    /// Returns the next 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Returns a number below `n`; the bias, below `n / 2^64`, is far too small to show.
    pub(super) fn below(&mut self, n: usize) -> usize {
        let scaled = (u128::from(self.bits()) * n as u128) >> 64;
        usize::try_from(scaled).expect("the product of a fraction and n is below n")
    }
}
