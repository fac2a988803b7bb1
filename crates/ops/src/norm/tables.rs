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
            let len = output.len();
            let (cut, input) = (self.cut(len), &input[..len]);
            for i in 0..len {
                let z = cut.gamma[i] * cut.normalized(i, input[i]) + cut.beta[i];
                output[i] = if z > 0.0 { z } else { cut.slope * z };
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
            let len = input.len();
            let (cut, gradient) = (self.cut(len), &gradient[..len]);
            let (deltas, products) = (&mut deltas[..len], &mut products[..len]);
            for i in 0..len {
                let (delta, normalized) = cut.delta(i, input[i], gradient[i]);
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
        let sources = input.chunks(span).zip(gradient.chunks(span));
        for (target, (input, gradient)) in target.chunks_mut(span).zip(sources) {
            let len = target.len();
            let (cut, input, gradient) = (self.cut(len), &input[..len], &gradient[..len]);
            let (delta_mean, product_mean) = (&delta_mean[..len], &product_mean[..len]);
            for i in 0..len {
                let (delta, normalized) = cut.delta(i, input[i], gradient[i]);
                let centred = delta - delta_mean[i] - normalized * product_mean[i];
                target[i] = cut.gamma[i] * cut.inverse_deviation[i] * centred;
            }
        }
    }

    /// The first `len` entries of every table: equal lengths let the compiler drop all checks.
    #[inline(always)]
    fn cut(&self, len: usize) -> Cut<'_> {
        Cut {
            mean: &self.mean[..len],
            rest: &self.rest[..len],
            inverse_deviation: &self.inverse_deviation[..len],
            gamma: &self.gamma[..len],
            beta: &self.beta[..len],
            slope: self.slope,
        }
    }
}

/// Tables cut to the length of a span that may be the last.
struct Cut<'a> {
    mean: &'a [f32],
    rest: &'a [f32],
    inverse_deviation: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    slope: f32,
}

impl Cut<'_> {
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
