//! Eq. (1) with known statistics as one affine function per channel and the rectifier, for operations that
//! apply it to what they read or write.
//!
//! ```text
//! z = s (x - E) + t,   s = γ / √(Var + ε),   t = β + s (E - E₀),   y = f(z)
//! ```
//!
//! `E` is the mean rounded to `f32` and `E₀` before: subtracting first keeps what a mean of many deviations
//! would drown in one multiplication and addition.

use super::tables::{repeat, to_f32};
use super::{Moments, NormOptions};
use crate::simd::{MOST_LANES, Simd, Work, dispatch};

/// Least numbers after which the tables repeat: few channels then still fill vectors.
const SPAN: usize = 64;

/// One row of parameters and statistics, each entry repeated over a span of pixels.
#[derive(Clone, Debug)]
pub(crate) struct Affine {
    /// Whole pixels; the tables hold a vector more.
    span: usize,
    mean: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
    slope: f32,
}

impl Affine {
    /// The functions of all rows, given `γ` and `β`.
    pub(super) fn of_rows(
        [gamma, beta]: [&[f64]; 2],
        moments: &Moments,
        options: NormOptions,
        channels: usize,
    ) -> Vec<Self> {
        let inverse = moments.inverse_deviations(options.epsilon);
        let span = SPAN.next_multiple_of(channels.max(1));
        let of_row = |first: usize| {
            let entries = first..first + channels;
            let scale = |c: usize| gamma[c] * inverse[c];
            let rest = |c: usize| f64::from(to_f32(moments.mean[c])) - moments.mean[c];
            let table = |entry: &dyn Fn(usize) -> f64| {
                repeat(entries.clone().map(entry), span + MOST_LANES)
            };
            Self {
                span,
                mean: table(&|c| moments.mean[c]),
                scale: table(&scale),
                shift: table(&|c| beta[c] + scale(c) * rest(c)),
                slope: to_f32(options.slope),
            }
        };
        (0..moments.mean.len()).step_by(channels.max(1)).map(of_row).collect()
    }

    /// Applies the function to whole pixels, in place.
    pub(crate) fn apply(&self, values: &mut [f32]) {
        dispatch(Apply { affine: self, values });
    }

    /// Does what [`Self::apply`] does, on a unit chosen already.
    ///
    /// # Safety
    ///
    /// The unit exists.
    #[inline(always)]
    pub(crate) unsafe fn apply_on<S: Simd>(&self, values: &mut [f32]) {
        for values in values.chunks_mut(self.span) {
            for (first, values) in vectors_of::<S>(values) {
                // SAFETY: by the contract of this function; the numbers are there.
                unsafe {
                    let (at, count) = (values.as_mut_ptr(), values.len());
                    let (z, _) = self.at::<S>(first).in_two_steps(load::<S>(values));
                    S::store_first(at, self.at::<S>(first).rectified(z, z), count);
                }
            }
        }
    }

    /// Makes `δ = G f'(z)` of gradients at whole pixels, in place, and adds `δ` and `δ (x - E)` to the sums of
    /// each channel, `[C]`.
    ///
    /// # Safety
    ///
    /// The unit exists.
    #[inline(always)]
    pub(crate) unsafe fn add_products<S: Simd>(
        &self,
        input: &[f32],
        gradient: &mut [f32],
        [deltas, products]: [&mut [f32]; 2],
    ) {
        let mut sums = [vec![0.0; self.span + MOST_LANES], vec![0.0; self.span + MOST_LANES]];
        for (input, gradient) in input.chunks(self.span).zip(gradient.chunks_mut(self.span)) {
            for (first, gradient) in vectors_of::<S>(gradient) {
                let count = gradient.len();
                // SAFETY: by the contract of this function; the numbers are there, and the sums hold a vector more
                // than the span.
                unsafe {
                    let x = load::<S>(&input[first..first + count]);
                    let (z, centred) = self.at::<S>(first).in_two_steps(x);
                    let delta = self.at::<S>(first).rectified(z, load::<S>(gradient));
                    S::store_first(gradient.as_mut_ptr(), delta, count);
                    let [of_deltas, of_products] =
                        sums.each_mut().map(|sums| sums.as_mut_ptr().add(first));
                    S::store(of_deltas, S::add(S::load(of_deltas), delta));
                    let product = S::multiply_add(delta, centred, S::zero());
                    S::store(of_products, S::add(S::load(of_products), product));
                }
            }
        }
        for (target, sums) in [deltas, products].into_iter().zip(&sums) {
            for pixel in sums[..self.span].chunks_exact(target.len()) {
                target.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
            }
        }
    }

    /// The function of a vector of channels from `first` on.
    ///
    /// # Safety
    ///
    /// The unit exists, and `first` is a channel.
    #[inline(always)]
    pub(crate) unsafe fn at<S: Simd>(&self, first: usize) -> AffineVectors<S> {
        assert!(first < self.span, "the channel exists, and a vector from it on");
        // SAFETY: the tables hold a vector from every channel on.
        unsafe {
            AffineVectors {
                mean: S::load(self.mean.as_ptr().add(first)),
                scale: S::load(self.scale.as_ptr().add(first)),
                shift: S::load(self.shift.as_ptr().add(first)),
                slope: S::splat(&raw const self.slope),
            }
        }
    }
}

struct Apply<'a> {
    affine: &'a Affine,
    values: &'a mut [f32],
}

impl Work for Apply<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        // SAFETY: `Work::run` runs where the unit exists.
        unsafe { self.affine.apply_on::<S>(self.values) }
    }
}

/// The numbers cut into vectors, the last of which may be shorter, and where each starts.
#[inline(always)]
fn vectors_of<S: Simd>(values: &mut [f32]) -> impl Iterator<Item = (usize, &mut [f32])> {
    (0..).step_by(S::LANES).zip(values.chunks_mut(S::LANES))
}

/// At most a vector of numbers, the other lanes zero.
///
/// # Safety
///
/// The unit exists.
#[inline(always)]
unsafe fn load<S: Simd>(values: &[f32]) -> S::Vector {
    // SAFETY: by the contract of this function; the numbers are there.
    unsafe {
        if values.len() < S::LANES {
            S::load_first(values.as_ptr(), values.len())
        } else {
            S::load(values.as_ptr())
        }
    }
}

/// The functions of one vector of channels.
#[derive(Clone, Copy)]
pub(crate) struct AffineVectors<S: Simd> {
    mean: S::Vector,
    scale: S::Vector,
    shift: S::Vector,
    slope: S::Vector,
}

impl<S: Simd> AffineVectors<S> {
    /// `f(z)` of one vector.
    ///
    /// # Safety
    ///
    /// The unit exists.
    #[inline(always)]
    pub(crate) unsafe fn apply(&self, x: S::Vector) -> S::Vector {
        // SAFETY: by the contract of this function.
        unsafe {
            let z = S::multiply_add(self.scale, S::subtract(x, self.mean), self.shift);
            self.rectified(z, z)
        }
    }

    /// `δ` of one vector of inputs and gradients, and `x - E`.
    ///
    /// # Safety
    ///
    /// The unit exists.
    #[inline(always)]
    pub(crate) unsafe fn delta(&self, x: S::Vector, g: S::Vector) -> (S::Vector, S::Vector) {
        // SAFETY: by the contract of this function.
        unsafe {
            let centred = S::subtract(x, self.mean);
            let z = S::multiply_add(self.scale, centred, self.shift);
            (self.rectified(z, g), centred)
        }
    }

    /// `z` and `x - E`, product and sum rounded one after the other: the same bits on every unit.
    ///
    /// # Safety
    ///
    /// The unit exists.
    #[inline(always)]
    unsafe fn in_two_steps(&self, x: S::Vector) -> (S::Vector, S::Vector) {
        // SAFETY: by the contract of this function.
        unsafe {
            let centred = S::subtract(x, self.mean);
            (S::add(S::multiply_add(self.scale, centred, S::zero()), self.shift), centred)
        }
    }

    /// `x f'(z)`.
    ///
    /// # Safety
    ///
    /// The unit exists.
    #[inline(always)]
    unsafe fn rectified(&self, z: S::Vector, x: S::Vector) -> S::Vector {
        // SAFETY: by the contract of this function.
        unsafe { S::where_positive(z, x, S::multiply_add(self.slope, x, S::zero())) }
    }
}
