//! One row of parameters as tables over a span of pixels, and the inner loops that use them.

use super::Norm;

/// What Eq. (1) needs of one row, each repeated to a span.
pub(super) struct Tables {
    mean: Vec<f32>,
    /// What rounding the mean left over, in deviations: without it, a mean of thousands of deviations
    /// would shift the result by a visible part of one.
    rest: Vec<f32>,
    /// `1 / √(Var + ε)`
    inverse_deviation: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    slope: f32,
}

impl Tables {
    pub(super) fn new([gamma, beta]: [&[f32]; 2], norm: &Norm, row: usize, span: usize) -> Self {
        let entries = row * norm.dims.channels..(row + 1) * norm.dims.channels;
        let inverse = norm.moments.inverse_deviations(norm.dims.options.epsilon);
        let means = norm.moments.mean[entries.clone()].iter();
        let rest = means
            .clone()
            .zip(&inverse[entries.clone()])
            .map(|(mean, inverse)| (f64::from(to_f32(*mean)) - mean) * inverse);
        let as_f64 = |table: &[f32]| repeat(table[entries.clone()].iter().map(|&x| x.into()), span);
        Self {
            mean: repeat(means.copied(), span),
            rest: repeat(rest, span),
            inverse_deviation: repeat(inverse[entries.clone()].iter().copied(), span),
            gamma: as_f64(gamma),
            beta: as_f64(beta),
            slope: to_f32(norm.dims.options.slope),
        }
    }

    /// Writes Eq. (1).
    #[inline(always)]
    pub(super) fn normalize(&self, input: &[f32], output: &mut [f32]) {
        let span = self.mean.len();
        for (output, input) in output.chunks_mut(span).zip(input.chunks(span)) {
            for i in self.indices(output.len(), [input.len(); 2]) {
                let z = self.gamma[i] * self.normalized(i, input[i]) + self.beta[i];
                output[i] = if z > 0.0 { z } else { self.slope * z };
            }
        }
    }

    /// Adds `δ` and `δ x̂` to the sums of each place of a span.
    #[inline(always)]
    pub(super) fn add_products(
        &self,
        (input, gradient): (&[f32], &[f32]),
        (deltas, products): (&mut [f32], &mut [f32]),
    ) {
        let span = self.mean.len();
        for (input, gradient) in input.chunks(span).zip(gradient.chunks(span)) {
            for i in self.indices(input.len(), [gradient.len(), deltas.len().min(products.len())]) {
                let (delta, normalized) = self.delta(i, input[i], gradient[i]);
                deltas[i] += delta;
                products[i] += delta * normalized;
            }
        }
    }

    /// Writes the gradient with respect to the input, given the means of `δ` and `δ x̂`.
    #[inline(always)]
    pub(super) fn input_gradient(
        &self,
        (input, gradient): (&[f32], &[f32]),
        [delta_mean, product_mean]: &[Vec<f32>; 2],
        target: &mut [f32],
    ) {
        let span = self.mean.len();
        let (delta_mean, product_mean) = (&delta_mean[..span], &product_mean[..span]);
        let sources = input.chunks(span).zip(gradient.chunks(span));
        for (target, (input, gradient)) in target.chunks_mut(span).zip(sources) {
            for i in self.indices(target.len(), [input.len(), gradient.len()]) {
                let (delta, normalized) = self.delta(i, input[i], gradient[i]);
                let centred = delta - delta_mean[i] - normalized * product_mean[i];
                target[i] = self.gamma[i] * self.inverse_deviation[i] * centred;
            }
        }
    }

    /// `x̂` of one number.
    #[inline(always)]
    fn normalized(&self, i: usize, x: f32) -> f32 {
        (x - self.mean[i]) * self.inverse_deviation[i] + self.rest[i]
    }

    /// `δ` and `x̂` of one number.
    #[inline(always)]
    fn delta(&self, i: usize, x: f32, gradient: f32) -> (f32, f32) {
        let normalized = self.normalized(i, x);
        let z = self.gamma[i] * normalized + self.beta[i];
        (if z > 0.0 { gradient } else { self.slope * gradient }, normalized)
    }

    /// The places of a span, proven to lie in all tables so that the loops need no checks.
    #[inline(always)]
    fn indices(&self, len: usize, others: [usize; 2]) -> std::ops::Range<usize> {
        let span = self.mean.len();
        assert!(self.inverse_deviation.len() == span && self.gamma.len() == span);
        assert!(
            self.beta.len() == span
                && self.rest.len() == span
                && len <= span
                && others.iter().all(|&o| len <= o)
        );
        0..len
    }
}

/// The entries over and over, `span` in all, rounded to `f32`.
pub(super) fn repeat(entries: impl Iterator<Item = f64>, span: usize) -> Vec<f32> {
    let entries: Vec<f32> = entries.map(to_f32).collect();
    entries.iter().copied().cycle().take(span).collect()
}

/// The nearest `f32`.
#[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
pub(super) fn to_f32(x: f64) -> f32 {
    x as f32
}
