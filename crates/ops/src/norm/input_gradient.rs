//! The end of the norm's backward pass, where `δ = G f'(z)` and its sums are known already.
//!
//! ```text
//! ∂L/∂X = γ / √(Var + ε) · (δ - Σδ / n - x̂ Σ(δ x̂) / n) + O = a δ + b (x - E) + c + O
//! ```
//!
//! `E` is the mean rounded to `f32`, and `O` what other readers of `X` contribute.

use candle_core::{Device, Result, Shape, Tensor};
use rayon::prelude::*;

use super::HostActivation;
use super::cpu::Sums;
use super::tables::{repeat, to_f32};
use super::units::Units;
use crate::simd::vectorized;

/// Least numbers of a table.
const SPAN: usize = 64;

/// Numbers per task.
const TASK: usize = 1 << 15;

/// `Σδ` and `Σ(δ x̂)` of every row.
#[derive(Debug)]
struct ProductSums(Vec<Sums>);

impl ProductSums {
    /// The gradients with respect to `γ` and `β`, `[R, C]`.
    fn table_gradients(&self) -> [Vec<f32>; 2] {
        let flat = |sums: fn(&Sums) -> &Vec<f64>| {
            self.0.iter().flat_map(sums).map(|&sum| to_f32(sum)).collect()
        };
        [flat(|sums| &sums.second), flat(|sums| &sums.first)]
    }
}

/// A map whose pixels may be part of wider ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pixels<'a> {
    /// From the first channel of the first pixel on.
    pub(crate) values: &'a [f32],
    /// Numbers from one pixel to the next.
    pub(crate) step: usize,
}

impl HostActivation {
    /// The gradients with respect to `input`, `γ` and `β`, given `δ` and its sums over units, see [`Affine`].
    ///
    /// [`Affine`]: super::Affine
    pub(crate) fn gradients_of_units(
        &self,
        input: &[f32],
        units: &Units,
        others: Option<Pixels<'_>>,
        (mut delta, shape): (Vec<f32>, &Shape),
    ) -> Result<[Tensor; 3]> {
        let sums = self.product_sums(units);
        self.input_gradient(input, &sums, others, &mut delta);
        let [gamma, beta] = sums.table_gradients();
        let table =
            |numbers| Tensor::from_vec(numbers, (self.row_count(), self.channels()), &Device::Cpu);
        Ok([Tensor::from_vec(delta, shape, &Device::Cpu)?, table(gamma)?, table(beta)?])
    }

    /// The sums of all rows, from those of units of `δ` and `δ (x - E)`.
    fn product_sums(&self, units: &Units) -> ProductSums {
        let inverse = self.moments.inverse_deviations(self.options.epsilon);
        let mut totals = units.sums(&self.rows, self.moments.slices.len());
        for (row, total) in totals.iter_mut().enumerate() {
            let pairs = total.second.iter_mut().zip(&total.first);
            for (index, (product, delta)) in (row * units.channels..).zip(pairs) {
                let mean = self.moments.mean[index];
                *product = (*product + (f64::from(to_f32(mean)) - mean) * delta) * inverse[index];
            }
        }
        ProductSums(totals)
    }

    /// Turns `δ` into the gradient with respect to `input`, in place.
    fn input_gradient(
        &self,
        input: &[f32],
        sums: &ProductSums,
        others: Option<Pixels<'_>>,
        delta: &mut [f32],
    ) {
        let channels = self.channels();
        let tables: Vec<_> =
            sums.0.iter().enumerate().map(|(row, sums)| Tables::new(self, row, sums)).collect();
        let slice = (delta.len() / self.rows.len()).max(1);
        let task = TASK.next_multiple_of(channels);
        delta.par_chunks_mut(slice).enumerate().for_each(|(b, delta)| {
            delta.par_chunks_mut(task).enumerate().for_each(|(index, delta)| {
                let start = b * slice + index * task;
                let input = &input[start..][..delta.len()];
                let tables = &tables[self.rows[b]];
                vectorized(
                    #[inline(always)]
                    || tables.apply(input, delta),
                );
                if let Some(others) = others {
                    others.add(start / channels, channels, delta);
                }
            });
        });
    }
}

impl Pixels<'_> {
    /// Adds the pixels from `first` on to those of `target`.
    fn add(&self, first: usize, channels: usize, target: &mut [f32]) {
        let values = &self.values[first * self.step..];
        vectorized(
            #[inline(always)]
            || {
                if self.step == channels {
                    target.iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
                    return;
                }
                for (target, values) in
                    target.chunks_exact_mut(channels).zip(values.chunks(self.step))
                {
                    target.iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
                }
            },
        );
    }
}

/// `a`, `b`, `c` and `E` of one row, each repeated to a span of whole pixels.
struct Tables([Vec<f32>; 4]);

impl Tables {
    fn new(norm: &HostActivation, row: usize, sums: &Sums) -> Self {
        let channels = norm.channels();
        let inverse = norm.moments.inverse_deviations(norm.options.epsilon);
        let count = sums.count.max(1.0);
        let entries: Vec<[f64; 4]> = (0..channels)
            .map(|c| {
                let (index, mean) = (row * channels + c, norm.moments.mean[row * channels + c]);
                let rest = (f64::from(to_f32(mean)) - mean) * inverse[index];
                let [delta_mean, product_mean] = [&sums.first, &sums.second].map(|s| s[c] / count);
                let a = norm.scales[index];
                [
                    a,
                    -a * inverse[index] * product_mean,
                    -a * (delta_mean + rest * product_mean),
                    mean,
                ]
            })
            .collect();
        let span = SPAN.next_multiple_of(channels);
        Self([0, 1, 2, 3].map(|which| repeat(entries.iter().map(|entry| entry[which]), span)))
    }

    #[inline(always)]
    fn apply(&self, input: &[f32], delta: &mut [f32]) {
        let span = self.0[0].len();
        for (delta, input) in delta.chunks_mut(span).zip(input.chunks(span)) {
            let len = delta.len();
            let [a, b, c, mean] = self.0.each_ref().map(|table| &table[..len]);
            let input = &input[..len];
            for i in 0..len {
                delta[i] = a[i] * delta[i] + (b[i] * (input[i] - mean[i]) + c[i]);
            }
        }
    }
}
