//! The tail of the normal distribution.

use std::f64::consts::{PI, SQRT_2};

/// Below this the power series is used, above it the continued fraction.
const SWITCH: f64 = 2.0;

/// Returns the probability that a standard normal variable exceeds `z`.
pub(super) fn upper_tail(z: f64) -> f64 {
    0.5 * complementary_error_function(z / SQRT_2)
}

/// Returns `erfc(x) = 2/√π · ∫ₓ^∞ exp(−t²) dt` to about 13 digits.
fn complementary_error_function(x: f64) -> f64 {
    if x < 0.0 {
        2.0 - complementary_error_function(-x)
    } else if x < SWITCH {
        1.0 - error_function_series(x)
    } else {
        error_function_fraction(x)
    }
}

/// Returns `erf(x) = 2/√π · exp(−x²) · Σ 2ⁿ·x²ⁿ⁺¹ / (1·3·…·(2n + 1))`.
///
/// All terms are positive, so nothing cancels. Source: Abramowitz & Stegun 7.1.6.
fn error_function_series(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    let mut odd = 1.0;
    while term > sum * f64::EPSILON / 4.0 {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

/// Returns `erfc(x) = exp(−x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …))))`.
///
/// Evaluated from the inside; 120 levels give full precision from `x = 2` on. Source: Abramowitz &
/// Stegun 7.1.14.
fn error_function_fraction(x: f64) -> f64 {
    let fraction = (1..=120).rev().fold(x, |below, level| x + f64::from(level) / 2.0 / below);
    (-x * x).exp() / PI.sqrt() / fraction
}

#[cfg(test)]
mod tests {
    use super::complementary_error_function;

    #[test]
    fn agrees_with_tabulated_values() {
        // From the C library.
        let table = [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (1.999_999, 0.004_677_755_648_073_953),
            (2.0, 0.004_677_734_981_047_266),
            (3.0, 2.209_049_699_858_543_8e-5),
            (6.0, 2.151_973_671_249_891_3e-17),
            (-1.0, 1.842_700_792_949_715),
        ];
        for (x, expected) in table {
            let found = complementary_error_function(x);
            assert!((found - expected).abs() <= 2e-13 * expected, "{x}: {found} {expected}");
        }
    }
}
