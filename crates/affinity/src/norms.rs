//! The lengths of the vectors of Eq. (3), one per region and channel.

use rayon::prelude::*;

use crate::{
    real::Real,
    regions::{Block, Regions},
};

/// A vector this short counts as zero: its cosines are 0 and it gets no gradient.
///
/// Longer ones are divided by their exact length. `max(length, ε)` in the denominator would give
/// gradients of order `1/ε` to vectors near zero instead.
pub(crate) const EPSILON: f64 = 1e-8;

/// Pixels that one task takes: with 512 channels in `f32` half a megabyte, so that a block of
/// either map stays in a core's own cache.
///
/// Fixed, and sums go block by block in order, so the bits do not depend on the number of threads.
pub(crate) const BLOCK: usize = 256;

/// A feature map `[B, h, w, channels]`, channels last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Map<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) channels: usize,
}

impl<'a, T> Map<'a, T> {
    /// The map whose elements are `values` and whose last axis is its channels.
    pub(crate) fn new(values: &'a [T], dims: &[usize]) -> Self {
        Self { values, channels: dims.last().copied().unwrap_or(1) }
    }

    /// The channels of one pixel.
    pub(crate) fn pixel(&self, pixel: usize) -> &'a [T] {
        &self.values[pixel * self.channels..][..self.channels]
    }
}

/// `1/‖F^c_m‖` per region and channel, `[R, channels]`; 0 for a zero vector.
pub(crate) fn inverse_norms<T: Real>(map: Map<'_, T>, regions: &Regions) -> Vec<f64> {
    let blocks = regions.blocks(BLOCK);
    let squares: Vec<Vec<f64>> = blocks
        .par_iter()
        .map(|block| {
            let rows = regions.order[block.rows.clone()].iter().map(|&pixel| map.pixel(pixel));
            sum_of_squares(rows, map.channels)
        })
        .collect();
    invert(&squares, &blocks, regions, map.channels)
}

/// The map's pixels in the order of their regions, and [`inverse_norms`] from the same pass.
pub(crate) fn sort_by_region<T: Real>(map: Map<'_, T>, regions: &Regions) -> (Vec<T>, Vec<f64>) {
    let blocks = regions.blocks(BLOCK);
    let mut sorted = vec![T::zero(); regions.order.len() * map.channels];
    let squares: Vec<Vec<f64>> = split_blocks(&mut sorted, &blocks, map.channels)
        .into_par_iter()
        .zip(&blocks)
        .map(|(rows, block)| {
            for (row, &pixel) in
                rows.chunks_exact_mut(map.channels).zip(&regions.order[block.rows.clone()])
            {
                row.copy_from_slice(map.pixel(pixel));
            }
            sum_of_squares(rows.chunks_exact(map.channels), map.channels)
        })
        .collect();
    let inverse = invert(&squares, &blocks, regions, map.channels);
    (sorted, inverse)
}

/// Cuts `values`, `width` per pixel in region order, into one slice per block.
pub(crate) fn split_blocks<'a, V>(
    mut values: &'a mut [V],
    blocks: &[Block],
    width: usize,
) -> Vec<&'a mut [V]> {
    let mut parts = Vec::with_capacity(blocks.len());
    for block in blocks {
        let (part, rest) = values.split_at_mut(block.rows.len() * width);
        parts.push(part);
        values = rest;
    }
    parts
}

fn sum_of_squares<'a, T: Real>(rows: impl Iterator<Item = &'a [T]>, channels: usize) -> Vec<f64> {
    let mut sums = vec![0.0; channels];
    for row in rows {
        for (sum, value) in sums.iter_mut().zip(row) {
            let value = value.to_f64();
            *sum += value * value;
        }
    }
    sums
}

fn invert(squares: &[Vec<f64>], blocks: &[Block], regions: &Regions, channels: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; regions.list.len() * channels];
    for (squares, block) in squares.iter().zip(blocks) {
        for (sum, square) in inverse[block.region * channels..].iter_mut().zip(squares) {
            *sum += square;
        }
    }
    for value in &mut inverse {
        *value = if *value > EPSILON * EPSILON { 1.0 / value.sqrt() } else { 0.0 };
    }
    inverse
}
