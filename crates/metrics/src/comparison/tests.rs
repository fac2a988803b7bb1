use super::bootstrap::Random;
use super::*;

fn p_value(first: &[f64], second: &[f64], options: WilcoxonOptions) -> f64 {
    wilcoxon(first, second, options).unwrap().p_value.unwrap()
}

/// Samples with ties, zeros and both signs.
fn samples(seed: u64, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut random = Random(seed);
    let mut sample = || (0..n).map(|_| random.below(6) as f64).collect::<Vec<_>>();
    (sample(), sample())
}

/// One-sided p-value by trying every sign pattern.
fn greater_by_enumeration(differences: &[f64]) -> f64 {
    let magnitudes: Vec<f64> =
        differences.iter().map(|d| d.abs()).filter(|&magnitude| magnitude > 0.0).collect();
    let rank = |magnitude: f64| {
        let below = magnitudes.iter().filter(|&&other| other < magnitude).count();
        let equal = magnitudes.iter().filter(|&&other| other <= magnitude).count() - below;
        below as f64 + (equal + 1) as f64 / 2.0
    };
    let ranks: Vec<f64> = magnitudes.iter().map(|&magnitude| rank(magnitude)).collect();
    let observed: f64 =
        differences.iter().filter(|&&d| d > 0.0).map(|&difference| rank(difference)).sum();
    let patterns = 1u32 << ranks.len();
    let extreme = (0..patterns).filter(|pattern| {
        let sum: f64 = (0..ranks.len()).filter(|i| pattern >> i & 1 == 1).map(|i| ranks[i]).sum();
        sum >= observed
    });
    extreme.count() as f64 / f64::from(patterns)
}

#[test]
fn the_exact_p_value_counts_sign_patterns() {
    for seed in 0..40 {
        let (first, second) = samples(seed, 9);
        let differences: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a - b).collect();
        let options =
            WilcoxonOptions { alternative: Alternative::Greater, ..WilcoxonOptions::default() };

        let found = p_value(&first, &second, options);

        let expected = greater_by_enumeration(&differences);
        assert!((found - expected).abs() < 1e-15, "seed {seed}: {found} {expected}");
    }
}

#[test]
fn swapping_the_samples_swaps_the_alternatives() {
    for n in [5, 13, 14, 60] {
        let (first, second) = samples(n as u64, n);
        let one_sided = |alternative| WilcoxonOptions { alternative, ..WilcoxonOptions::default() };

        let less = p_value(&first, &second, one_sided(Alternative::Less));
        let greater = p_value(&second, &first, one_sided(Alternative::Greater));

        assert!((less - greater).abs() < 1e-14, "n {n}: {less} {greater}");
    }
}

#[test]
fn samples_that_do_not_differ_have_no_normal_p_value() {
    let normal = WilcoxonOptions { method: Method::Normal, ..WilcoxonOptions::default() };
    let test = wilcoxon(&[1.0, 2.0], &[1.0, 2.0], normal).unwrap();
    assert_eq!((test.p_value, test.z), (None, None));
    let exact = wilcoxon(&[1.0, 2.0], &[1.0, 2.0], WilcoxonOptions::default()).unwrap();
    assert_eq!((exact.p_value, exact.method), (Some(1.0), Method::Exact));
}

#[test]
fn says_why_samples_cannot_be_compared() {
    let message = |first: &[f64], second: &[f64]| {
        wilcoxon(first, second, WilcoxonOptions::default()).unwrap_err().to_string()
    };
    assert_eq!(
        message(&[1.0], &[1.0, 2.0]),
        "paired samples must be equally long, got 1 and 2 values"
    );
    assert_eq!(message(&[], &[]), "a sample needs at least one value, got none");
    assert_eq!(
        message(&[1.0, 2.0], &[1.0, f64::NAN]),
        "every value must be finite, got NaN at position 1; drop the pair first"
    );
}

#[test]
fn holm_agrees_with_a_worked_example() {
    // Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1; the last is lifted to the one before.
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]).unwrap();
    for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        assert!((found - expected).abs() < 1e-15, "{adjusted:?}");
    }
    assert_eq!(holm(&[]).unwrap(), Vec::<f64>::new());
    assert_eq!(holm(&[0.7, 0.9]).unwrap(), [1.0, 1.0]);
    assert_eq!(holm(&[1.5]).unwrap_err(), Error::PValue(1.5));
    assert!(holm(&[f64::NAN]).is_err());
}

#[test]
fn one_seed_gives_one_interval() {
    let first: Vec<f64> = (0..20).map(|i| f64::from(i).sqrt()).collect();
    let second = vec![2.0; 20];
    let interval = |seed| {
        let options = Bootstrap { seed, ..Bootstrap::default() };
        bootstrap_mean_difference(&first, &second, options).unwrap()
    };
    assert_eq!(interval(7), interval(7));
    assert_ne!(interval(7), interval(8));
}

#[test]
fn the_interval_of_many_cases_is_that_of_the_normal_distribution() {
    let (first, second) = samples(11, 400);
    let differences: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a - b).collect();
    let mean = differences.iter().sum::<f64>() / 400.0;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 400.0;
    let half = 1.959_964 * (variance / 400.0).sqrt();

    let interval = bootstrap_mean_difference(&first, &second, Bootstrap::default()).unwrap();

    assert!((interval.mean - mean).abs() < 1e-12);
    // 10 000 resamples place an end of the interval to about 2 % of its half width.
    assert!((interval.low - (mean - half)).abs() < 0.06 * half, "{interval:?} {half}");
    assert!((interval.high - (mean + half)).abs() < 0.06 * half, "{interval:?} {half}");
}

#[test]
fn refuses_a_bootstrap_that_makes_no_sense() {
    let refuse = |options: Bootstrap| {
        bootstrap_mean_difference(&[1.0], &[2.0], options).unwrap_err().to_string()
    };
    assert_eq!(
        refuse(Bootstrap { confidence: 95.0, ..Bootstrap::default() }),
        "confidence must lie strictly between 0 and 1, got 95; 0.95 is usual"
    );
    assert_eq!(
        refuse(Bootstrap { resamples: 0, ..Bootstrap::default() }),
        "a bootstrap needs at least one resample, got 0; 10000 is usual"
    );
}
