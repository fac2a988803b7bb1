use super::start_values;
use crate::Init;
use crate::layers::{ParameterSpec, Role};

#[test]
fn he_values_have_the_variance_of_the_fan_in() {
    let values = start_values(&kernel("a", 256), Init::He, 1);

    let (mean, variance) = moments(&values);
    let expected = 2.0 / (1.04 * 256.0);
    // A mean of n normal numbers strays by σ/√n, their variance by σ²√(2/n); allow four times that.
    let n = values.len() as f64;
    assert!(mean.abs() < 4.0 * (expected / n).sqrt(), "mean {mean}");
    assert!((variance / expected - 1.0).abs() < 4.0 * (2.0 / n).sqrt(), "variance {variance}");
}

#[test]
fn truncated_values_stay_within_two_sigma() {
    let values = start_values(&kernel("a", 256), Init::TruncatedNormal, 1);

    let (mean, variance) = moments(&values);
    assert!(values.iter().all(|value| value.abs() <= 0.02));
    // Four times σ/√n, as above.
    assert!(mean.abs() < 2.5e-4, "mean {mean}");
    // Cutting a normal distribution at 2σ leaves 0.7737 of its variance.
    assert!((variance / 0.7737e-4 - 1.0).abs() < 0.03, "variance {variance}");
}

#[test]
fn values_depend_on_seed_and_name_only() {
    let values = |name: &str, seed| start_values(&kernel(name, 9), Init::He, seed);

    assert_eq!(values("a", 1), values("a", 1));
    assert_ne!(values("a", 1), values("a", 2));
    assert_ne!(values("a", 1), values("b", 1));
}

#[test]
fn norms_start_as_the_identity() {
    let start = |role| start_values(&ParameterSpec { role, ..kernel("a", 1) }, Init::He, 1);

    for role in [Role::Gamma, Role::RunningVariance] {
        assert_eq!(start(role), vec![1.0; 200 * 101]);
    }
    for role in [Role::Beta, Role::RunningMean] {
        assert_eq!(start(role), vec![0.0; 200 * 101]);
    }
}

fn kernel(name: &str, fan_in: usize) -> ParameterSpec {
    ParameterSpec { name: name.to_owned(), shape: vec![200, 101], role: Role::Kernel { fan_in } }
}

fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n)
}
