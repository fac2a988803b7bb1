//! Sums of distances that come out the same in any order.
//!
//! Every value is rounded to a multiple of `2⁻⁵⁶` and the multiples are added up as integers, so a
//! sum does not depend on which thread found which distance first. The least spacing, `10⁻⁶`,
//! keeps 36 binary digits that way, and a distance from a sixteenth on all of its own 53.

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use super::profile::{LANES, larger};

/// Binary digits that are kept after the point.
const DIGITS: u32 = 56;

/// Binary digits after the point of the coarse part of a value.
const COARSE_DIGITS: u32 = 11;

/// Values whose coarse parts may be added up in 64 bits, if each is below [`LARGE`].
const PIECE: usize = 1024;

/// From here on a value is rounded on its own.
const LARGE: f64 = (1u64 << 40) as f64;

/// A sum of values that are 0 or more.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Total {
    multiples: i128,
}

impl Total {
    /// Adds values, eight at a time.
    #[inline(always)]
    pub(super) fn add(&mut self, values: &[f64]) {
        for piece in values.chunks(PIECE) {
            let (chunks, rest) = piece.as_chunks::<LANES>();
            let mut largest = [0.0; LANES];
            for chunk in chunks {
                for lane in 0..LANES {
                    largest[lane] = larger(chunk[lane], largest[lane]);
                }
            }
            if largest.iter().all(|&largest| largest < LARGE) {
                self.multiples += multiples_of(chunks);
            } else {
                chunks.as_flattened().iter().for_each(|&value| self.add_times(value, 1));
            }
            for &value in rest {
                self.add_times(value, 1);
            }
        }
    }

    /// Adds one value several times.
    pub(super) fn add_times(&mut self, value: f64, times: usize) {
        #[expect(clippy::cast_possible_truncation, reason = "rounded before")]
        let multiple = (value * (1u64 << DIGITS) as f64).round_ties_even() as i128;
        self.multiples = self.multiples.saturating_add(multiple.saturating_mul(times as i128));
    }

    /// Adds another sum.
    pub(super) fn add_total(&mut self, other: Self) {
        self.multiples = self.multiples.saturating_add(other.multiples);
    }

    /// Returns the sum, rounded once.
    pub(super) fn sum(self) -> f64 {
        self.multiples as f64 / (1u64 << DIGITS) as f64
    }
}

/// Returns the sum of at most [`PIECE`] values below [`LARGE`] as a multiple of `2⁻⁵⁶`.
///
/// Adding `1.5·2⁵²·u` to a value rounds it to a multiple of `u`, whose integer then sits in the
/// last bits of the sum. What that rounding leaves of the value is exact, and is rounded in turn.
#[inline(always)]
fn multiples_of(chunks: &[[f64; LANES]]) -> i128 {
    const COARSE: f64 = 1.5 * (1u64 << (52 - COARSE_DIGITS)) as f64;
    const FINE: f64 = 1.5 / (1u64 << (DIGITS - 52)) as f64;
    let (mut coarse, mut fine) = ([0u64; LANES], [0u64; LANES]);
    for chunk in chunks {
        for lane in 0..LANES {
            let rounded = chunk[lane] + COARSE;
            coarse[lane] = coarse[lane].wrapping_add(rounded.to_bits());
            let left = chunk[lane] - (rounded - COARSE) + FINE;
            fine[lane] = fine[lane].wrapping_add(left.to_bits());
        }
    }
    let sum = |lanes: [u64; LANES], zero: f64| {
        let sum = lanes.iter().fold(0u64, |sum, lane| sum.wrapping_add(*lane));
        let zeros = zero.to_bits().wrapping_mul((LANES * chunks.len()) as u64);
        i128::from(sum.wrapping_sub(zeros).cast_signed())
    };
    (sum(coarse, COARSE) << (DIGITS - COARSE_DIGITS)) + sum(fine, FINE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn eight_at_a_time_is_one_at_a_time_in_any_order(
            mut values in prop::collection::vec(
                prop_oneof![0.0..1e3f64, 0.0..1e-6f64, 0.0..2e12f64, Just(0.5), Just(1.25e-17)],
                0..2100,
            ),
        ) {
            let mut at_once = Total::default();
            at_once.add(&values);
            values.reverse();
            let mut one_by_one = Total::default();
            for &value in &values {
                one_by_one.add_times(value, 1);
            }
            prop_assert_eq!(at_once, one_by_one);
        }
    }

    #[test]
    fn a_sum_is_that_of_exact_arithmetic_rounded_once() {
        let mut total = Total::default();
        total.add(&[0.1; 10]);
        total.add_times(0.1, 10);
        // 0.1 is 3602879701896397 / 2⁵⁵.
        assert_eq!(
            total.sum().to_bits(),
            (20.0 * 3_602_879_701_896_397.0 / 2f64.powi(55)).to_bits()
        );
    }
}
