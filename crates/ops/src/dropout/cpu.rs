//! Recomputes the mask from the position of each element.

use candle_core::WithDType;

use crate::fill::fill;
use crate::simd::vectorized;

/// Elements that share one 64-bit draw.
const ELEMENTS_PER_DRAW: usize = 4;

/// Elements per task; a multiple of [`ELEMENTS_PER_DRAW`].
const TASK: usize = 1 << 15;

/// Draws whose elements are handled together, so that the compiler can fill its vectors.
const DRAWS: usize = 16;

/// Elements that are handled together.
const GROUP: usize = DRAWS * ELEMENTS_PER_DRAW;

/// Drops and scales, Eq. (1) of the module.
pub(super) fn mask<T: WithDType>(input: &[T], probability: f64, seed: u64) -> Vec<T> {
    let scale = T::from_f64(1.0 / (1.0 - probability));
    let threshold = threshold(probability);
    fill(input.len(), TASK, |start, output| {
        let input = &input[start..][..output.len()];
        let first_draw = (start / ELEMENTS_PER_DRAW) as u64;
        vectorized(
            #[inline(always)]
            || mask_task((output, input), scale, threshold, (seed, first_draw)),
        );
    })
}

/// The mask of some layer, for operations that apply it to what they write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask {
    threshold: u32,
    scale: f32,
    seed: u64,
}

impl Mask {
    /// The mask of a probability in `(0, 1)`.
    pub(crate) fn new(probability: f64, seed: u64) -> Self {
        let scale = f32::from_f64(1.0 / (1.0 - probability));
        Self { threshold: threshold(probability), scale, seed }
    }

    /// Multiplies the elements from `start` on by their factors.
    #[inline(always)]
    pub(crate) fn apply(&self, start: usize, values: &mut [f32]) {
        let ahead = (start.next_multiple_of(ELEMENTS_PER_DRAW) - start).min(values.len());
        let (head, values) = values.split_at_mut(ahead);
        for (index, value) in (start..).zip(head) {
            *value *= self.factors::<1, ELEMENTS_PER_DRAW>(index)[index % ELEMENTS_PER_DRAW];
        }
        for (start, values) in (start + ahead..).step_by(GROUP).zip(values.chunks_mut(GROUP)) {
            let factors = self.factors::<DRAWS, GROUP>(start);
            values.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
        }
    }

    /// The factors of all `N` elements of `D` draws, the first of which is that of element `start`.
    #[inline(always)]
    pub(crate) fn factors<const D: usize, const N: usize>(&self, start: usize) -> [f32; N] {
        let bits = bits::<D, N>(self.seed, (start / ELEMENTS_PER_DRAW) as u64);
        bits.map(|bits| if bits >= self.threshold { self.scale } else { 0.0 })
    }
}

#[inline(always)]
fn mask_task<T: WithDType>(
    (output, input): (&mut [T], &[T]),
    scale: T,
    threshold: u32,
    (seed, first_draw): (u64, u64),
) {
    let groups = output.chunks_mut(GROUP).zip(input.chunks(GROUP));
    for (group, (output, input)) in groups.enumerate() {
        let bits = bits::<DRAWS, GROUP>(seed, first_draw + (group * DRAWS) as u64);
        for ((y, &x), bits) in output.iter_mut().zip(input).zip(bits) {
            *y = if bits >= threshold { x * scale } else { T::zero() };
        }
    }
}

/// The 16 bits of each of the `N` elements of `D` draws, given the first draw's number.
///
/// Taken apart as bytes, since that is how a compiler fills vectors of 32 bits in place of 64.
#[inline(always)]
fn bits<const D: usize, const N: usize>(seed: u64, first: u64) -> [u32; N] {
    const { assert!(N == D * ELEMENTS_PER_DRAW) };
    let draws: [_; D] = std::array::from_fn(|draw| {
        let draw = split_mix(seed, first + draw as u64);
        draw.to_le_bytes()
    });
    let (of_elements, _) = draws.as_flattened().as_chunks();
    std::array::from_fn(|i| u32::from(u16::from_le_bytes(of_elements[i])))
}

/// How many of the 2¹⁶ values of a draw's 16 bits mean "drop".
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the probability is in [0, 1), so the product is in 0..=65536"
)]
fn threshold(probability: f64) -> u32 {
    (probability * 65536.0).round() as u32
}

/// Returns draw number `draw`, counted from 0, of the generator `SplitMix64` started at `seed`.
///
/// Draws of one seed are unrelated, so they serve as seeds: `split_mix(split_mix(seed, layer), step)`. Streams of
/// seeds that differ by a multiple of the generator's increment are shifted copies of each other.
///
/// # Source
///
/// G. Steele et al., *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014.
///
/// # Examples
///
/// ```
/// assert_eq!(duomo_ops::split_mix(1_234_567, 0), 6_457_827_717_110_365_317);
/// ```
#[inline(always)]
pub fn split_mix(seed: u64, draw: u64) -> u64 {
    let mut z = seed.wrapping_add(draw.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
