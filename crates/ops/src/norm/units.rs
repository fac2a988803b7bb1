//! Sums over small groups of pixels that other operations take while their results are in the cache.
//!
//! A *unit* is a few pixels of one slice: a tile of Winograd's algorithm or a row of the image. Which pixels
//! make a unit follows from shapes alone, and units are added in their order, so the number of threads
//! changes no bit.

use rayon::prelude::*;

use super::cpu::{Sums, block_moments, merge};
use super::tables::to_f32;
use super::{Moments, count_slices};

/// Units that are added one after another.
const GROUP: usize = 64;

/// Two sums of every unit and channel.
#[derive(Debug)]
pub(crate) struct Units {
    /// Pixels of each unit of a slice; all slices are cut alike.
    pub(crate) pixels: Vec<u32>,
    pub(crate) channels: usize,
    /// `[slices, units of a slice, 2, channels]`
    pub(crate) values: Vec<f32>,
}

/// The sums of some units, given their pixels, values and channels.
type OfGroup = fn(&[u32], &[f32], usize) -> Sums;

impl Units {
    /// Places for the sums of the rows of images.
    pub(crate) fn of_rows(slices: usize, (rows, width): (usize, usize), channels: usize) -> Self {
        Self::of_pixels(slices, vec![u32::try_from(width).unwrap_or(u32::MAX); rows], channels)
    }

    /// Places for the sums of units with these pixels.
    pub(crate) fn of_pixels(slices: usize, pixels: Vec<u32>, channels: usize) -> Self {
        let values = vec![0.0; slices * pixels.len() * 2 * channels];
        Self { pixels, channels, values }
    }

    pub(super) fn slices(&self) -> usize {
        self.values.len() / (2 * self.channels * self.pixels.len()).max(1)
    }

    /// Mean and variance of every row, where the sums are those of the values, and of the squared deviations
    /// from their unit's mean.
    pub(crate) fn moments(&self, rows: &[usize], row_count: usize) -> Moments {
        let totals = self.totals(rows, row_count, Self::group_moments, merge);
        let variance = |total: &Sums| {
            let count = total.count.max(1.0);
            total.second.iter().map(|square| square / count).collect::<Vec<_>>()
        };
        Moments {
            variance: totals.iter().flat_map(variance).collect(),
            mean: totals.into_iter().flat_map(|total| total.first).collect(),
            slices: count_slices(rows, row_count),
        }
    }

    /// The plain sums of every row.
    pub(super) fn sums(&self, rows: &[usize], row_count: usize) -> Vec<Sums> {
        self.totals(rows, row_count, Self::group_sums, Sums::add)
    }

    fn totals(
        &self,
        rows: &[usize],
        row_count: usize,
        of_group: OfGroup,
        add: fn(&mut Sums, &Sums),
    ) -> Vec<Sums> {
        let pair = 2 * self.channels;
        let groups: Vec<(usize, Sums)> = self
            .values
            .par_chunks(self.pixels.len() * pair)
            .zip(rows)
            .flat_map_iter(|(slice, &row)| {
                let groups = self.pixels.chunks(GROUP).zip(slice.chunks(GROUP * pair));
                // Tiles beside a small image have no pixels, and nothing has no mean.
                let groups = groups.filter(|(pixels, _)| pixels.iter().any(|&pixels| pixels > 0));
                groups.map(move |(pixels, sums)| (row, of_group(pixels, sums, self.channels)))
            })
            .collect();
        let mut totals: Vec<Sums> = (0..row_count).map(|_| Sums::zero(self.channels)).collect();
        for (row, sums) in &groups {
            add(&mut totals[*row], sums);
        }
        totals
    }

    fn group_sums(pixels: &[u32], values: &[f32], channels: usize) -> Sums {
        let mut group = Sums::zero(channels);
        for (&pixels, unit) in pixels.iter().zip(values.chunks_exact(2 * channels)) {
            group.count += f64::from(pixels);
            let targets = group.first.iter_mut().zip(&mut group.second);
            let (first, second) = unit.split_at(channels);
            for ((sum_1, sum_2), (x_1, x_2)) in targets.zip(first.iter().zip(second)) {
                *sum_1 += f64::from(*x_1);
                *sum_2 += f64::from(*x_2);
            }
        }
        group
    }

    fn group_moments(pixels: &[u32], values: &[f32], channels: usize) -> Sums {
        let mut group = Self::group_sums(pixels, values, channels);
        group.first.iter_mut().for_each(|sum| *sum /= group.count);
        let units = pixels.iter().zip(values.chunks_exact(2 * channels));
        for (&pixels, unit) in units.filter(|(pixels, _)| **pixels > 0) {
            let pixels = f64::from(pixels);
            let targets = group.second.iter_mut().zip(&group.first);
            for ((square, mean), sum) in targets.zip(unit) {
                let gap = f64::from(*sum) / pixels - mean;
                *square += pixels * gap * gap;
            }
        }
        group
    }
}

/// Writes the sum of the values of whole pixels, and that of the squared deviations from their mean, `[C]`.
pub(crate) fn write_moments(values: &[f32], [sums, squares]: [&mut [f32]; 2]) {
    let moments = block_moments(values, sums.len());
    for (target, mean) in sums.iter_mut().zip(&moments.first) {
        *target = to_f32(mean * moments.count);
    }
    squares.iter_mut().zip(&moments.second).for_each(|(target, &square)| *target = to_f32(square));
}
