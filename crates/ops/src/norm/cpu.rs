//! The `f32` path: two passes over memory forward, two backward.
//!
//! Numbers are handled in *spans*: whole pixels, so many that a span has at least [`SPAN`] numbers, which
//! keeps vectors full however few the channels. Tables of one number per channel are repeated to a span.
//! Sums run in `f32` inside a block that fits the first-level cache and in `f64` beyond.

use std::ops::Range;

use rayon::prelude::*;

use super::tables::{Tables, repeat, to_f32};
use super::{Dims, Moments, Norm, Three, count_slices};
use crate::fill::fill_groups;
use crate::simd::vectorized;

/// Least numbers of a span.
const SPAN: usize = 64;

/// Numbers of a block: each place of a span sums at most `BLOCK / SPAN` = 64 of them in `f32`.
const BLOCK: usize = 1 << 12;

/// Numbers per task.
const TASK: usize = 1 << 15;

/// Pairs of sums per channel, `[C]` each, and the number of values behind them.
#[derive(Debug)]
pub(super) struct Sums {
    pub(super) count: f64,
    pub(super) first: Vec<f64>,
    pub(super) second: Vec<f64>,
}

impl Sums {
    pub(super) fn zero(channels: usize) -> Self {
        Self { count: 0.0, first: vec![0.0; channels], second: vec![0.0; channels] }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.first.iter_mut().zip(&other.first).for_each(|(sum, x)| *sum += x);
        self.second.iter_mut().zip(&other.second).for_each(|(sum, x)| *sum += x);
    }

    /// Both sums divided by the count, repeated to a span.
    fn means(&self, dims: Dims) -> [Vec<f32>; 2] {
        let span = whole_pixels(SPAN, dims.channels);
        let mean = |sums: &[f64]| repeat(sums.iter().map(|sum| sum / self.count.max(1.0)), span);
        [mean(&self.first), mean(&self.second)]
    }
}

pub(super) fn moments(input: &[f32], rows: &[usize], dims: Dims) -> Moments {
    let of_tasks = map_tasks(dims, rows, |_, range| {
        let mut merged = Sums::zero(dims.channels);
        for block in input[range].chunks(whole_pixels(BLOCK, dims.channels)) {
            merge(&mut merged, &block_moments(block, dims.channels));
        }
        merged
    });
    let (mut mean, mut variance) = (vec![], vec![]);
    for row in 0..dims.rows {
        let mut merged = Sums::zero(dims.channels);
        for (_, sums) in of_tasks.iter().filter(|(used, _)| *used == row) {
            merge(&mut merged, sums);
        }
        mean.extend(&merged.first);
        variance.extend(merged.second.iter().map(|square| square / merged.count.max(1.0)));
    }
    Moments { mean, variance, slices: count_slices(rows, dims.rows) }
}

/// Mean and sum of squared deviations of one block, about its own mean.
pub(super) fn block_moments(block: &[f32], channels: usize) -> Sums {
    let span = whole_pixels(SPAN, channels);
    let count = (block.len() / channels) as f64;
    let mut sums = vec![0f32; span];
    vectorized(
        #[inline(always)]
        || {
            for values in block.chunks(span) {
                sums.iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
            }
        },
    );
    let mean = fold(&sums, channels).into_iter().map(|sum| sum / count);
    let shift = repeat(mean, span);

    let (mut sums, mut squares) = (vec![0f32; span], vec![0f32; span]);
    vectorized(
        #[inline(always)]
        || {
            for values in block.chunks(span) {
                let targets = sums.iter_mut().zip(&mut squares);
                for (((sum, square), x), shift) in targets.zip(values).zip(&shift) {
                    let deviation = x - shift;
                    *sum += deviation;
                    *square += deviation * deviation;
                }
            }
        },
    );
    // What rounding the shift to f32 left over is added back.
    let (rest, squares) = (fold(&sums, channels), fold(&squares, channels));
    let mean = shift.iter().zip(&rest).map(|(&shift, rest)| f64::from(shift) + rest / count);
    let square = squares.iter().zip(&rest).map(|(square, rest)| square - rest * rest / count);
    Sums { count, first: mean.collect(), second: square.collect() }
}

/// Joins two groups' means and sums of squared deviations (T. Chan et al., 1979).
pub(super) fn merge(into: &mut Sums, other: &Sums) {
    let count = into.count + other.count;
    let share = other.count / count;
    let merged = into.first.iter_mut().zip(&mut into.second);
    for ((mean, square), (other_mean, other_square)) in
        merged.zip(other.first.iter().zip(&other.second))
    {
        let gap = other_mean - *mean;
        *mean += gap * share;
        *square += other_square + gap * gap * into.count * share;
    }
    into.count = count;
}

pub(super) fn forward([input, gamma, beta]: Three<'_, f32>, norm: &Norm) -> Vec<f32> {
    let tables = tables_of_rows([gamma, beta], norm);
    fill_tasks(norm, input.len(), |row, range, output| {
        vectorized(
            #[inline(always)]
            || tables[row].normalize(&input[range], output),
        );
    })
}

pub(super) fn backward(
    [input, gamma, beta]: Three<'_, f32>,
    gradient: &[f32],
    norm: &Norm,
) -> [Vec<f32>; 3] {
    let dims = norm.dims;
    let tables = tables_of_rows([gamma, beta], norm);
    let of_tasks = map_tasks(dims, &norm.rows, |row, range| {
        let mut total = Sums::zero(dims.channels);
        let block = whole_pixels(BLOCK, dims.channels);
        let blocks = input[range.clone()].chunks(block).zip(gradient[range].chunks(block));
        for block in blocks {
            total.add(&block_products(block, &tables[row], dims));
        }
        total
    });
    let mut totals: Vec<Sums> = (0..dims.rows).map(|_| Sums::zero(dims.channels)).collect();
    for (row, sums) in &of_tasks {
        totals[*row].add(sums);
    }

    let means: Vec<[Vec<f32>; 2]> = totals.iter().map(|total| total.means(dims)).collect();
    let by_input = fill_tasks(norm, input.len(), |row, range, target| {
        let sources = (&input[range.clone()], &gradient[range]);
        vectorized(
            #[inline(always)]
            || tables[row].input_gradient(sources, &means[row], target),
        );
    });
    let flat = |sums: fn(&Sums) -> &Vec<f64>| {
        totals.iter().flat_map(sums).map(|&sum| to_f32(sum)).collect::<Vec<f32>>()
    };
    [by_input, flat(|sums| &sums.second), flat(|sums| &sums.first)]
}

/// `Σ δ` and `Σ δ x̂` of one block of inputs and gradients.
fn block_products(block: (&[f32], &[f32]), tables: &Tables, dims: Dims) -> Sums {
    let span = whole_pixels(SPAN, dims.channels);
    let (mut deltas, mut products) = (vec![0f32; span], vec![0f32; span]);
    vectorized(
        #[inline(always)]
        || tables.add_products(block, (&mut deltas, &mut products)),
    );
    let count = (block.0.len() / dims.channels) as f64;
    Sums { count, first: fold(&deltas, dims.channels), second: fold(&products, dims.channels) }
}

fn tables_of_rows(tables: [&[f32]; 2], norm: &Norm) -> Vec<Tables> {
    let span = whole_pixels(SPAN, norm.dims.channels);
    (0..norm.dims.rows).map(|row| Tables::new(tables, norm, row, span)).collect()
}

/// Sums a span's numbers per channel.
fn fold(span: &[f32], channels: usize) -> Vec<f64> {
    let mut sums = vec![0.0; channels];
    for pixel in span.chunks_exact(channels) {
        sums.iter_mut().zip(pixel).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    sums
}

/// Applies `work` to the row and the range of every task, in parallel, and keeps the order.
fn map_tasks(
    dims: Dims,
    rows: &[usize],
    work: impl Fn(usize, Range<usize>) -> Sums + Sync,
) -> Vec<(usize, Sums)> {
    let task = whole_pixels(TASK, dims.channels);
    let tasks: Vec<(usize, Range<usize>)> = rows
        .iter()
        .enumerate()
        .flat_map(|(b, &row)| {
            let end = (b + 1) * dims.slice();
            (b * dims.slice()..end).step_by(task).map(move |at| (row, at..end.min(at + task)))
        })
        .collect();
    tasks.into_par_iter().map(|(row, range)| (row, work(row, range))).collect()
}

/// Returns what `work` wrote, called with the row, the range and the output of every task, in parallel.
fn fill_tasks(
    norm: &Norm,
    len: usize,
    work: impl Fn(usize, Range<usize>, &mut [f32]) + Sync,
) -> Vec<f32> {
    let (slice, task) = (norm.dims.slice(), whole_pixels(TASK, norm.dims.channels));
    fill_groups(len, (slice, task), |start, output| {
        work(norm.rows[start / slice], start..start + output.len(), output);
    })
}

/// The least numbers that make whole pixels and are at least `numbers`.
fn whole_pixels(numbers: usize, channels: usize) -> usize {
    numbers.next_multiple_of(channels.max(1))
}
