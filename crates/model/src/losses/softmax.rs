//! The probabilities that the losses are made of.

use candle_core::WithDType;
use duomo_ops::vectorized;

/// Writes the probabilities of the logits `[n, C]` of some pixels, `exp(z_c) / Σ_k exp(z_k)`, in `f64`.
///
/// Fast where the probabilities stay in a first-level cache: a few hundred pixels.
pub(super) fn softmax<T: WithDType>(logits: &[T], classes: usize, probabilities: &mut [f64]) {
    for (p, z) in probabilities.chunks_exact_mut(classes).zip(logits.chunks_exact(classes)) {
        let largest = z.iter().map(|z| z.to_f64()).fold(f64::NEG_INFINITY, f64::max);
        p.iter_mut().zip(z).for_each(|(p, z)| *p = z.to_f64() - largest);
    }
    vectorized(
        #[inline(always)]
        || probabilities.iter_mut().for_each(|p| *p = exponential(*p)),
    );
    for p in probabilities.chunks_exact_mut(classes) {
        let scale = 1.0 / p.iter().sum::<f64>();
        for p in p {
            *p *= scale;
        }
    }
}

/// `exp(x)` of `x ≤ 0` to two units in the last place, without a branch, so that the compiler can fill
/// its vectors; below -708, where the result would not be a normal number, that of -708.
///
/// `x = n ln 2 + r` with a whole `n` and `|r| ≤ ½ ln 2`; `exp(r)` is its Taylor polynomial, whose next term
/// is below 5e-18, and `2ⁿ` is put together bit by bit.
#[inline(always)]
fn exponential(x: f64) -> f64 {
    /// Added to a small number, leaves it rounded to a whole one in the lowest bits.
    const ROUNDING: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²
    /// ln 2 with so many trailing zeros that `n` times it is exact, and what is missing.
    const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
    /// `1 / k!` from `k = 13` down to 0.
    const FACTORS: [f64; 14] = [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        1.0 / 2.0,
        1.0,
        1.0,
    ];
    // Not `max`, which would make a number of what is none.
    let x = if x < -708.0 { -708.0 } else { x };
    let shifted = x * std::f64::consts::LOG2_E + ROUNDING;
    let n = shifted - ROUNDING;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let polynomial = FACTORS.into_iter().fold(0.0, |sum, factor| sum * r + factor);
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52); // 2ⁿ
    polynomial * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_the_standard_library() {
        for step in 0..=708_000 {
            let x = -f64::from(step) / 1000.0;
            let (actual, expected) = (exponential(x), x.exp());
            assert!(
                (actual - expected).abs() <= 4.5e-16 * expected,
                "{x}: {actual:e} {expected:e}"
            );
        }
        let bits = [0.0, -708.0, -800.0, f64::NEG_INFINITY].map(|x| exponential(x).to_bits());
        assert_eq!(bits[0], 1f64.to_bits());
        assert_eq!(bits[1..], [bits[1]; 3]);
        assert!(exponential(f64::NAN).is_nan());
    }

    #[test]
    fn probabilities_follow_the_definition() {
        for (logits, expected) in [
            (vec![0.0, 0.0], vec![0.5, 0.5]),
            (vec![3f64.ln(), 0.0, 0.0], vec![0.6, 0.2, 0.2]),
            (vec![1000.0, 0.0], vec![1.0, 0.0]),
        ] {
            let mut probabilities = vec![f64::NAN; logits.len()];
            softmax(&logits, logits.len(), &mut probabilities);
            for (p, expected) in probabilities.iter().zip(expected) {
                assert!((p - expected).abs() < 1e-15, "{logits:?}: {probabilities:?}");
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_visible() {
        for wrong in [f64::NAN, f64::INFINITY] {
            let mut probabilities = [0.0; 3];
            softmax(&[0.0, wrong, 1.0], 3, &mut probabilities);
            assert!(probabilities.iter().any(|p| p.is_nan()), "{wrong}: {probabilities:?}");
        }
    }
}
