//! Wilcoxon's signed-rank test for paired samples.

use super::differences;
use super::normal::upper_tail;
use crate::Error;

/// Largest sample without ties and zeros that [`Method::Auto`] treats exactly.
const EXACT_MAX: usize = 50;

/// Largest sample with ties or zeros that [`Method::Auto`] treats exactly.
const EXACT_WITH_TIES_MAX: usize = 13;

/// How to test; the default is that of scipy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WilcoxonOptions {
    /// What to do with pairs that do not differ.
    pub zero_method: ZeroMethod,
    /// What to find evidence for.
    pub alternative: Alternative,
    /// Where the p-value comes from.
    pub method: Method,
}

/// What to do with pairs that do not differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroMethod {
    /// Drop them.
    #[default]
    Wilcox,
    /// Rank them with the others, then drop their ranks.
    Pratt,
    /// Rank them with the others and give half of their ranks to either sign.
    ZeroSplit,
}

/// What to find evidence for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alternative {
    /// The differences are not centred on 0.
    #[default]
    TwoSided,
    /// The first sample is smaller.
    Less,
    /// The first sample is larger.
    Greater,
}

/// Where a p-value comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Exact up to 50 pairs without ties and zeros and up to 13 with them, else normal.
    #[default]
    Auto,
    /// The distribution over all sign flips of the ranks found, ties included.
    Exact,
    /// The normal approximation with tie correction, without continuity correction.
    Normal,
}

/// Outcome of a signed-rank test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wilcoxon {
    /// Two-sided: the smaller of the rank sums of positive and negative differences. One-sided:
    /// the rank sum of the positive ones.
    pub statistic: f64,
    /// Chance of ranks at least this one-sided if signs were coin flips. `None` if the normal
    /// approximation has no spread: all differences are 0.
    pub p_value: Option<f64>,
    /// Standardised rank sum, of the normal approximation only; not positive if two-sided.
    pub z: Option<f64>,
    /// [`Method::Exact`] or [`Method::Normal`], whichever was used.
    pub method: Method,
}

/// Returns Wilcoxon's signed-rank test of `first − second`.
///
/// Differences are ranked by magnitude, ties sharing their mean rank, and the rank sum `W` of the
/// positive ones is compared with its distribution when every sign is a coin flip. Equal to
/// `scipy.stats.wilcoxon` 1.17 with `method="auto"`. Differences tie only if they are equal as
/// `f64`: `0.8 − 0.7` and `0.4 − 0.3` do not, here as in scipy.
///
/// # Errors
///
/// [`Error::UnpairedSamples`], [`Error::EmptySample`], [`Error::NotFinite`] if the samples cannot
/// be compared.
///
/// # Source
///
/// Wilcoxon 1945, Individual comparisons by ranking methods; Pratt 1959; Cureton 1967 for the
/// normal approximation with zeros.
///
/// # Examples
///
/// ```
/// use duomo_metrics::{WilcoxonOptions, wilcoxon};
///
/// // Better in all six cases: of 64 sign patterns only this one and its opposite are as extreme.
/// let ours = [0.81, 0.85, 0.92, 0.74, 0.88, 0.90];
/// let theirs = [0.80, 0.83, 0.89, 0.70, 0.83, 0.84];
/// let test = wilcoxon(&ours, &theirs, WilcoxonOptions::default())?;
/// assert_eq!((test.statistic, test.p_value), (0.0, Some(2.0 / 64.0)));
/// # Ok::<(), duomo_metrics::Error>(())
/// ```
pub fn wilcoxon(
    first: &[f64],
    second: &[f64],
    options: WilcoxonOptions,
) -> Result<Wilcoxon, Error> {
    let differences = differences(first, second)?;
    let ranks = SignedRanks::of(&differences, options.zero_method);
    let has_ties_or_zeros = ranks.zeros > 0 || ranks.ties.iter().any(|&size| size > 1.0);
    let exact_max = if has_ties_or_zeros { EXACT_WITH_TIES_MAX } else { EXACT_MAX };
    let method = match options.method {
        Method::Auto if differences.len() <= exact_max => Method::Exact,
        Method::Auto => Method::Normal,
        chosen => chosen,
    };

    let alternative = options.alternative;
    let (p_value, z) = match method {
        Method::Exact | Method::Auto => (Some(exact_p_value(&ranks, alternative)), None),
        Method::Normal => normal_p_value(&ranks, options.zero_method, alternative).unzip(),
    };
    let (positive, negative) = ranks.sums(options.zero_method);
    let statistic = match alternative {
        Alternative::TwoSided => positive.min(negative),
        Alternative::Less | Alternative::Greater => positive,
    };
    Ok(Wilcoxon { statistic, p_value, z, method })
}

/// Ranks of the magnitudes of the differences.
struct SignedRanks {
    /// Ranks of positive differences.
    positive: Vec<f64>,
    /// Ranks of negative differences.
    negative: Vec<f64>,
    /// Ranks of differences of 0, unless those were dropped before ranking.
    zero: Vec<f64>,
    /// Sizes of groups of equal magnitudes other than 0.
    ties: Vec<f64>,
    /// Differences of 0.
    zeros: usize,
}

impl SignedRanks {
    fn of(differences: &[f64], zero_method: ZeroMethod) -> Self {
        let mut sorted: Vec<f64> = differences.to_vec();
        sorted.retain(|&difference| difference != 0.0 || zero_method != ZeroMethod::Wilcox);
        sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
        let zeros = differences.iter().filter(|&&difference| difference == 0.0).count();
        let (positive, negative, zero) = (Vec::new(), Vec::new(), Vec::new());
        let mut ranks = Self { positive, negative, zero, ties: Vec::new(), zeros };

        let mut before = 0;
        for equal in sorted.chunk_by(|a, b| a.abs().to_bits() == b.abs().to_bits()) {
            let mean_rank = before as f64 + (equal.len() + 1) as f64 / 2.0;
            for &difference in equal {
                if difference > 0.0 {
                    ranks.positive.push(mean_rank);
                } else if difference < 0.0 {
                    ranks.negative.push(mean_rank);
                } else {
                    ranks.zero.push(mean_rank);
                }
            }
            if equal[0] != 0.0 {
                ranks.ties.push(equal.len() as f64);
            }
            before += equal.len();
        }
        ranks
    }

    /// Returns the rank sums of positive and negative differences.
    fn sums(&self, zero_method: ZeroMethod) -> (f64, f64) {
        let half_of_zeros = match zero_method {
            ZeroMethod::Wilcox | ZeroMethod::Pratt => 0.0,
            ZeroMethod::ZeroSplit => self.zero.iter().sum::<f64>() / 2.0,
        };
        let sum = |ranks: &[f64]| ranks.iter().sum::<f64>() + half_of_zeros;
        (sum(&self.positive), sum(&self.negative))
    }

    /// Number of differences that were ranked.
    fn count(&self) -> usize {
        self.positive.len() + self.negative.len() + self.zero.len()
    }
}

/// Returns the p-value over all sign flips of the ranks of differences other than 0.
///
/// Mean ranks are multiples of 1/2, so the distribution of twice the rank sum is a table over whole
/// numbers. It is built rank by rank: `P'(s) = (P(s) + P(s − 2·rank)) / 2`.
fn exact_p_value(ranks: &SignedRanks, alternative: Alternative) -> f64 {
    let mut chances = vec![1.0];
    for &rank in ranks.positive.iter().chain(&ranks.negative) {
        let shift = doubled(rank);
        let mut next = vec![0.0; chances.len() + shift];
        for (sum, chance) in chances.iter().enumerate() {
            next[sum] += chance / 2.0;
            next[sum + shift] += chance / 2.0;
        }
        chances = next;
    }
    let observed: usize = ranks.positive.iter().map(|&rank| doubled(rank)).sum();
    let at_most = chances[..=observed].iter().sum::<f64>().min(1.0);
    let at_least = chances[observed..].iter().sum::<f64>().min(1.0);
    match alternative {
        Alternative::Less => at_most,
        Alternative::Greater => at_least,
        Alternative::TwoSided => (2.0 * at_most.min(at_least)).min(1.0),
    }
}

/// Returns p-value and standardised rank sum of the normal approximation, `None` without spread.
fn normal_p_value(
    ranks: &SignedRanks,
    zero_method: ZeroMethod,
    alternative: Alternative,
) -> Option<(f64, f64)> {
    let mean = |n: f64| n * (n + 1.0) / 4.0;
    let spread = |n: f64| n * (n + 1.0) * (2.0 * n + 1.0);
    let correction = |size: f64| (size * size * size - size) / 2.0;
    let n = ranks.count() as f64;
    let zeros = ranks.zero.len() as f64;
    let ties: f64 = ranks.ties.iter().map(|&size| correction(size)).sum();
    let (expected, variance) = match zero_method {
        ZeroMethod::Wilcox => (mean(n), spread(n) - ties),
        ZeroMethod::Pratt => (mean(n) - mean(zeros), spread(n) - spread(zeros) - ties),
        ZeroMethod::ZeroSplit => (mean(n), spread(n) - ties - correction(zeros)),
    };
    if variance <= 0.0 {
        return None;
    }
    let z = (ranks.sums(zero_method).0 - expected) / (variance / 24.0).sqrt();
    Some(match alternative {
        Alternative::Less => (upper_tail(-z), z),
        Alternative::Greater => (upper_tail(z), z),
        Alternative::TwoSided => ((2.0 * upper_tail(z.abs())).min(1.0), -z.abs()),
    })
}

/// Returns twice a mean rank, a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "mean ranks are positive multiples of 1/2 and far below 2^52"
)]
fn doubled(rank: f64) -> usize {
    (rank * 2.0) as usize
}
