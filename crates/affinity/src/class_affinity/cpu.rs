//! The fast path: pixels sorted by region, one matrix product per region over its own pixels.

use rayon::prelude::*;

use crate::{
    norms::{BLOCK, Map, sort_by_region, split_blocks},
    real::{Matrix, Real, product},
    regions::{Block, Regions},
};

/// Rows of an affinity matrix that one task computes: enough that packing the other operand again
/// in every task costs little, few enough that two cores share one large class evenly.
const ROWS: usize = 128;

/// Returns the affinities `[C, M, N]` and the inverse norms `[R, M]`, `[R, N]`.
pub(super) fn forward<T: Real>(
    l: Map<'_, T>,
    k: Map<'_, T>,
    regions: &Regions,
) -> (Vec<T>, [Vec<f64>; 2]) {
    let ((sorted_l, inverse_l), (sorted_k, inverse_k)) =
        rayon::join(|| sort_by_region(l, regions), || sort_by_region(k, regions));
    let (m, n) = (l.channels, k.channels);
    let mut affinity = vec![T::zero(); regions.classes * m * n];
    let sides = [(&sorted_l[..], &inverse_l[..]), (&sorted_k[..], &inverse_k[..])];
    affinity.par_chunks_mut(m * n).enumerate().for_each(|(class, matrix)| {
        matrix.par_chunks_mut(ROWS * n).enumerate().for_each(|(part, rows)| {
            rows_of_class(rows, sides, regions, class, part * ROWS, [m, n]);
        });
    });
    (affinity, [inverse_l, inverse_k])
}

/// Fills `out` with the rows from `first` on of one class, summed over its regions in order.
fn rows_of_class<T: Real>(
    out: &mut [T],
    [(sorted_l, inverse_l), (sorted_k, inverse_k)]: [(&[T], &[f64]); 2],
    regions: &Regions,
    class: usize,
    first: usize,
    [m, n]: [usize; 2],
) {
    let mut dots = vec![T::zero(); out.len()]; // [rows, N]
    let rows = out.len() / n;
    for (index, region) in regions.of_class(class) {
        let pixels = region.rows.len();
        let l = Matrix::new(&sorted_l[region.rows.start * m + first..], pixels, rows, m);
        let k = Matrix::new(&sorted_k[region.rows.start * n..], pixels, n, n);
        product(l.transposed(), k, &mut dots);
        let row_scales = &inverse_l[index * m + first..][..rows];
        let column_scales = cast::<T>(&inverse_k[index * n..][..n], 1.0);
        for ((sums, dots), scale) in
            out.chunks_exact_mut(n).zip(dots.chunks_exact(n)).zip(row_scales)
        {
            let scale = T::from_f64(scale * region.weight);
            for ((sum, &dot), &column) in sums.iter_mut().zip(dots).zip(&column_scales) {
                *sum += dot * scale * column;
            }
        }
    }
}

/// A map with its inverse norms, `[R, channels]`.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a, T> {
    pub(super) map: Map<'a, T>,
    pub(super) inverse: &'a [f64],
}

/// `t` of the gradient, per region: `[C, M]` for l and `[C, N]` for k.
///
/// `None` when a class has several regions: the affinity is then a mean over them and no longer
/// holds each one's cosines, so `t` is found from the region's pixels instead.
type Along = Option<[Vec<f64>; 2]>;

/// Returns the row and column sums of `G ⊙ A` per class, if that is what `t` is.
pub(super) fn along<T: Real>(
    affinity: &[T],
    gradient: &[T],
    regions: &Regions,
    m: usize,
    n: usize,
) -> Along {
    if (0..regions.classes).any(|class| regions.of_class(class).count() > 1) {
        return None;
    }
    let mut sums = [vec![0.0; regions.classes * m], vec![0.0; regions.classes * n]];
    let [rows, columns] = &mut sums;
    rows.par_chunks_mut(m)
        .zip(columns.par_chunks_mut(n))
        .zip(affinity.par_chunks(m * n).zip(gradient.par_chunks(m * n)))
        .for_each(|((rows, columns), (affinity, gradient))| {
            let lines = affinity.chunks_exact(n).zip(gradient.chunks_exact(n));
            for (row, (affinity, gradient)) in rows.iter_mut().zip(lines) {
                for ((column, &a), &g) in columns.iter_mut().zip(affinity).zip(gradient) {
                    let term = (a * g).to_f64();
                    *row += term;
                    *column += term;
                }
            }
        });
    Some(sums)
}

/// The gradient of the loss with respect to the affinities, as one side sees it.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'a, T> {
    /// `[C, other's channels, this one's channels]`.
    pub(super) gradient: &'a [T],
    /// `t` per class and channel of this side, where [`along`] could tell.
    pub(super) along: Option<&'a [f64]>,
}

/// Returns `[C, N, M]` of a `[C, M, N]`: products with a row-major operand are a third faster.
pub(super) fn transpose<T: Real>(matrices: &[T], m: usize, n: usize) -> Vec<T> {
    const LINES: usize = 16; // a cache line of `f32` is read whole
    let mut out = vec![T::zero(); matrices.len()];
    out.par_chunks_mut(m * n).zip(matrices.par_chunks(m * n)).for_each(|(out, matrix)| {
        out.par_chunks_mut(LINES * m).enumerate().for_each(|(part, lines)| {
            for (at, row) in matrix.chunks_exact(n).enumerate() {
                for (line, &value) in lines.chunks_exact_mut(m).zip(&row[part * LINES..]) {
                    line[at] = value;
                }
            }
        });
    });
    out
}

/// Returns the gradient of the loss with respect to `this` map, `[B, h, w, channels]`.
///
/// Pixels outside every class stay 0.
pub(super) fn gradient<T: Real>(
    this: Operand<'_, T>,
    other: Operand<'_, T>,
    regions: &Regions,
    incoming: Incoming<'_, T>,
) -> Vec<T> {
    // Without `along`, a block sums over its pixels and must therefore be the whole region.
    let blocks = regions.blocks(if incoming.along.is_some() { BLOCK } else { usize::MAX });
    let mut out = vec![T::zero(); regions.pixels * this.map.channels];
    let mut rows = regions.rows_mut(&mut out, this.map.channels);
    let work: Vec<_> = split_blocks(&mut rows, &blocks, 1).into_iter().zip(&blocks).collect();
    work.into_par_iter().for_each_init(Scratch::default, |scratch, (rows, block)| {
        gradient_of_block(rows, block, [this, other], regions, incoming, scratch);
    });
    out
}

/// Buffers of a task, kept from block to block.
#[derive(Default)]
struct Scratch<T> {
    unit: Vec<T>,
    pulled: Vec<T>,
}

fn gradient_of_block<T: Real>(
    rows: &mut [&mut [T]],
    block: &Block,
    [this, other]: [Operand<'_, T>; 2],
    regions: &Regions,
    incoming: Incoming<'_, T>,
    scratch: &mut Scratch<T>,
) {
    let region = &regions.list[block.region];
    let (own, across) = (this.map.channels, other.map.channels);
    let pixels = &regions.order[block.rows.clone()];
    let scales = cast::<T>(&other.inverse[block.region * across..][..across], 1.0);
    scratch.unit.clear(); // [pixels, across]
    for &pixel in pixels {
        let row = other.map.pixel(pixel).iter().zip(&scales);
        scratch.unit.extend(row.map(|(&value, &scale)| value * scale));
    }
    scratch.pulled.resize(pixels.len() * own, T::zero()); // [pixels, own]
    let gradient = &incoming.gradient[region.class * own * across..][..own * across];
    product(
        Matrix::new(&scratch.unit, pixels.len(), across, across),
        Matrix::new(gradient, across, own, own),
        &mut scratch.pulled,
    );

    let inverse = &this.inverse[block.region * own..][..own];
    let along = match incoming.along {
        Some(sums) => sums[region.class * own..][..own].to_vec(),
        None => along_of_block(&scratch.pulled, pixels, this.map, inverse, region.weight),
    };
    let pull = cast::<T>(inverse, region.weight);
    let push: Vec<T> =
        along.iter().zip(inverse).map(|(t, inverse)| T::from_f64(t * inverse * inverse)).collect();
    for ((row, &pixel), pulled) in rows.iter_mut().zip(pixels).zip(scratch.pulled.chunks_exact(own))
    {
        let scales = pull.iter().zip(&push);
        let values = this.map.pixel(pixel).iter().zip(pulled);
        for ((out, (&value, &pulled)), (&pull, &push)) in row.iter_mut().zip(values).zip(scales) {
            *out = pull * pulled - push * value;
        }
    }
}

/// `t_m = Σ_p x̂_m[p] · w Σ_n G_mn ŷ_n[p]` over the pixels of a region.
fn along_of_block<T: Real>(
    pulled: &[T],
    pixels: &[usize],
    map: Map<'_, T>,
    inverse: &[f64],
    weight: f64,
) -> Vec<f64> {
    let mut sums = vec![0.0; map.channels];
    for (&pixel, pulled) in pixels.iter().zip(pulled.chunks_exact(map.channels)) {
        for ((sum, &value), &pulled) in sums.iter_mut().zip(map.pixel(pixel)).zip(pulled) {
            *sum += value.to_f64() * pulled.to_f64();
        }
    }
    sums.iter().zip(inverse).map(|(sum, inverse)| sum * inverse * weight).collect()
}

fn cast<T: Real>(values: &[f64], factor: f64) -> Vec<T> {
    values.iter().map(|value| T::from_f64(value * factor)).collect()
}
