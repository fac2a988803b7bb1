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
use crate::simd::{MOST_LANES, Simd};

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
    #[inline(always)]
    pub(crate) fn apply(&self, values: &mut [f32]) {
        for values in values.chunks_mut(self.span) {
            let len = values.len();
            let (mean, scale) = (&self.mean[..len], &self.scale[..len]);
            let shift = &self.shift[..len];
            for i in 0..len {
                let z = scale[i] * (values[i] - mean[i]) + shift[i];
                values[i] = if z > 0.0 { z } else { self.slope * z };
            }
        }
    }

    /// Makes `δ = G f'(z)` of gradients at whole pixels, in place, and adds `δ` and `δ (x - E)` to the sums of
    /// each channel, `[C]`.
    #[inline(always)]
    pub(crate) fn add_products(
        &self,
        input: &[f32],
        gradient: &mut [f32],
        [deltas, products]: [&mut [f32]; 2],
    ) {
        let mut sums = [vec![0.0; self.span], vec![0.0; self.span]];
        for (input, gradient) in input.chunks(self.span).zip(gradient.chunks_mut(self.span)) {
            let len = gradient.len();
            let (mean, scale, shift) = (&self.mean[..len], &self.scale[..len], &self.shift[..len]);
            let [of_deltas, of_products] = &mut sums;
            let (of_deltas, of_products) = (&mut of_deltas[..len], &mut of_products[..len]);
            let input = &input[..len];
            for i in 0..len {
                let centred = input[i] - mean[i];
                let positive = scale[i] * centred + shift[i] > 0.0;
                gradient[i] = if positive { gradient[i] } else { self.slope * gradient[i] };
                of_deltas[i] += gradient[i];
                of_products[i] += gradient[i] * centred;
            }
        }
        for (target, sums) in [deltas, products].into_iter().zip(&sums) {
            for pixel in sums.chunks_exact(target.len()) {
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
            S::where_positive(z, z, S::multiply_add(self.slope, z, S::zero()))
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
            (S::where_positive(z, g, S::multiply_add(self.slope, g, S::zero())), centred)
        }
    }
}
