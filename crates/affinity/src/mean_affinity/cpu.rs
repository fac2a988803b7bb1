//! Both passes over the pixels, region by region in blocks of a fixed size.

use rayon::prelude::*;

use crate::{
    norms::{BLOCK, Map, inverse_norms, split_blocks},
    real::Real,
    regions::{Block, Regions},
};

/// Returns the mean affinity of every class, `[C]`.
pub(super) fn forward<T: Real>(l: Map<'_, T>, k: Map<'_, T>, regions: &Regions) -> Vec<T> {
    let (l, k) = (Summed::new(l, regions), Summed::new(k, regions));
    let mut means = vec![0.0; regions.classes];
    for region in &regions.list {
        let rows = region.rows.clone();
        let dot: f64 = l.sums[rows.clone()].iter().zip(&k.sums[rows]).map(|(u, v)| u * v).sum();
        means[region.class] += region.weight * dot;
    }
    let entries = (l.map.channels * k.map.channels) as f64;
    means.into_iter().map(|mean| T::from_f64(mean / entries)).collect()
}

/// Returns the gradients with respect to both maps for `incoming`, `[C]`.
pub(super) fn gradients<T: Real>(
    l: Map<'_, T>,
    k: Map<'_, T>,
    regions: &Regions,
    incoming: &[T],
) -> (Vec<T>, Vec<T>) {
    let (l, k) = (Summed::new(l, regions), Summed::new(k, regions));
    let entries = (l.map.channels * k.map.channels) as f64;
    let factors: Vec<f64> = regions
        .list
        .iter()
        .map(|region| incoming[region.class].to_f64() * region.weight / entries)
        .collect();
    (l.gradient(&k.sums, regions, &factors), k.gradient(&l.sums, regions, &factors))
}

/// A map with the sum of its unit-length channels.
struct Summed<'a, T> {
    map: Map<'a, T>,
    /// `1/‖X_m‖` per region, `[R, channels]`.
    inverse: Vec<f64>,
    /// `Σ_m x̂_m[p]` per pixel, in region order.
    sums: Vec<f64>,
}

impl<'a, T: Real> Summed<'a, T> {
    fn new(map: Map<'a, T>, regions: &Regions) -> Self {
        let inverse = inverse_norms(map, regions);
        let sum = |block: &Block| {
            let scales = &inverse[block.region * map.channels..][..map.channels];
            let rows = regions.order[block.rows.clone()].iter().map(|&pixel| map.pixel(pixel));
            rows.map(|row| row.iter().zip(scales).map(|(x, scale)| x.to_f64() * scale).sum())
                .collect::<Vec<f64>>()
        };
        let parts: Vec<Vec<f64>> = regions.blocks(BLOCK).par_iter().map(sum).collect();
        Self { map, inverse, sums: parts.concat() }
    }

    /// The gradient with respect to this map; `other` holds the sums of the other one.
    fn gradient(&self, other: &[f64], regions: &Regions, factors: &[f64]) -> Vec<T> {
        let channels = self.map.channels;
        let blocks = regions.blocks(BLOCK);
        let along = self.along(other, regions, &blocks);
        let mut out = vec![T::zero(); regions.pixels * channels];
        let mut rows = regions.rows_mut(&mut out, channels);
        let work: Vec<_> = split_blocks(&mut rows, &blocks, 1).into_iter().zip(&blocks).collect();
        work.into_par_iter().for_each(|(rows, block)| {
            let span = block.region * channels..(block.region + 1) * channels;
            let (inverse, along) = (&self.inverse[span.clone()], &along[span]);
            let factor = factors[block.region];
            for (row, at) in rows.iter_mut().zip(block.rows.clone()) {
                let values = self.map.pixel(regions.order[at]);
                let scales = inverse.iter().zip(along);
                for ((out, value), (inverse, along)) in row.iter_mut().zip(values).zip(scales) {
                    let unit = value.to_f64() * inverse;
                    *out = T::from_f64(factor * inverse * (other[at] - unit * along));
                }
            }
        });
        out
    }

    /// `Σ_p x̂_m[p] v[p]` per region and channel, `[R, channels]`.
    fn along(&self, other: &[f64], regions: &Regions, blocks: &[Block]) -> Vec<f64> {
        let channels = self.map.channels;
        let of_block = |block: &Block| {
            let mut sums = vec![0.0; channels];
            for at in block.rows.clone() {
                let values = self.map.pixel(regions.order[at]);
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += value.to_f64() * other[at];
                }
            }
            sums
        };
        let parts: Vec<Vec<f64>> = blocks.par_iter().map(of_block).collect();
        let mut along = vec![0.0; self.inverse.len()];
        for (part, block) in parts.iter().zip(blocks) {
            for (sum, term) in along[block.region * channels..].iter_mut().zip(part) {
                *sum += term;
            }
        }
        along.iter().zip(&self.inverse).map(|(sum, inverse)| sum * inverse).collect()
    }
}
