//! Eq. (1), its moments and its gradients, row by row and channel by channel in `f64`.

use super::{Dims, Moments, Norm, Three, count_slices};

pub(super) fn moments(input: &[f64], rows: &[usize], dims: Dims) -> Moments {
    let slices = count_slices(rows, dims.rows);
    let (mut mean, mut variance) = (vec![], vec![]);
    for (row, row_slices) in slices.iter().enumerate() {
        for c in 0..dims.channels {
            let values = || places(rows, row, c, dims).map(|place| input[place]);
            let count = (row_slices * dims.pixels).max(1) as f64;
            let average = values().sum::<f64>() / count;
            mean.push(average);
            variance.push(values().map(|x| (x - average).powi(2)).sum::<f64>() / count);
        }
    }
    Moments { mean, variance, slices }
}

pub(super) fn forward([input, gamma, beta]: Three<'_, f64>, norm: &Norm) -> Vec<f64> {
    let mut output = vec![0.0; input.len()];
    for_each_channel(norm, |entry, places| {
        for &place in places {
            let normalized = entry.normalize(input[place]);
            let z = gamma[entry.index] * normalized + beta[entry.index];
            output[place] = z * slope(z, norm);
        }
    });
    output
}

pub(super) fn backward(
    [input, gamma, beta]: Three<'_, f64>,
    gradient: &[f64],
    norm: &Norm,
) -> [Vec<f64>; 3] {
    let mut by_input = vec![0.0; input.len()];
    let (mut by_gamma, mut by_beta) = (vec![0.0; gamma.len()], vec![0.0; beta.len()]);
    for_each_channel(norm, |entry, places| {
        let index = entry.index;
        let pair = |place: usize| {
            let normalized = entry.normalize(input[place]);
            let z = gamma[index] * normalized + beta[index];
            (gradient[place] * slope(z, norm), normalized)
        };
        by_beta[index] = places.iter().map(|&place| pair(place).0).sum();
        by_gamma[index] = places.iter().map(|&place| pair(place).0 * pair(place).1).sum();
        let count = places.len() as f64;
        for &place in places {
            let (delta, normalized) = pair(place);
            let centred = delta - by_beta[index] / count - normalized * by_gamma[index] / count;
            by_input[place] = gamma[index] * entry.inverse_deviation * centred;
        }
    });
    [by_input, by_gamma, by_beta]
}

/// One entry of the `[R, C]` tables.
struct Entry {
    index: usize,
    mean: f64,
    inverse_deviation: f64,
}

impl Entry {
    fn normalize(&self, x: f64) -> f64 {
        (x - self.mean) * self.inverse_deviation
    }
}

/// Visits every row and channel with the places of its elements.
fn for_each_channel(norm: &Norm, mut visit: impl FnMut(&Entry, &[usize])) {
    let inverse_deviations = norm.moments.inverse_deviations(norm.dims.options.epsilon);
    for (index, inverse_deviation) in inverse_deviations.into_iter().enumerate() {
        let (row, c) = (index / norm.dims.channels, index % norm.dims.channels);
        let places: Vec<usize> = places(&norm.rows, row, c, norm.dims).collect();
        visit(&Entry { index, mean: norm.moments.mean[index], inverse_deviation }, &places);
    }
}

/// Where the elements of channel `c` lie in the slices of `row`.
fn places(rows: &[usize], row: usize, c: usize, dims: Dims) -> impl Iterator<Item = usize> {
    let slices = rows.iter().enumerate().filter(move |&(_, &used)| used == row);
    slices.flat_map(move |(b, _)| {
        (0..dims.pixels).map(move |n| b * dims.slice() + n * dims.channels + c)
    })
}

/// `f'(z)`, and `f(z) / z`.
fn slope(z: f64, norm: &Norm) -> f64 {
    if z > 0.0 { 1.0 } else { norm.dims.options.slope }
}
