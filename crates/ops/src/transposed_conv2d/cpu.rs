//! Matrix products with the stamped patches, one image per task.
//!
//! With the patches `P[pixel, (r, s, k)]` of one image, `[h w, R S K]`,
//!
//! ```text
//! P = X · W      Y = Σ patches      ∂X = G_P · Wᵀ      ∂W = Σ_b Xᵀ · G_P
//! ```
//!
//! where `G_P` holds the gradient of `Y` under each patch. Patches are handled a row of pixels at a time.

use std::cell::RefCell;
use std::ops::Range;

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

use super::Dims;
use crate::fill::fill;

thread_local! {
    /// One row of patches per thread, kept between calls.
    static PATCHES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn forward(input: &[f32], kernel: &[f32], dims: &Dims) -> Vec<f32> {
    let image = dims.out_height() * dims.out_width() * dims.outputs;
    let pixels = dims.width * dims.channels;
    fill(dims.output_shape().elem_count(), image, |start, output| {
        let b = start / image;
        with_patches(dims, |patches| {
            for i in 0..dims.height {
                let row = &input[(b * dims.height + i) * pixels..][..pixels];
                let shape = [dims.width, dims.channels, dims.patch()];
                product(
                    shape,
                    Matrix::rows(row, shape[1]),
                    Matrix::rows(kernel, shape[2]),
                    patches,
                );
                for_each_run(dims, i, |patch, target| {
                    let sums = output[target].iter_mut();
                    sums.zip(&patches[patch]).for_each(|(sum, x)| *sum += x);
                });
            }
        });
    })
}

pub(super) fn backward_input(gradient: &[f32], kernel: &[f32], dims: &Dims) -> Vec<f32> {
    let pixels = dims.width * dims.channels;
    fill(dims.input_shape().elem_count(), pixels, |start, target| {
        let row = start / pixels;
        with_patches(dims, |patches| {
            gather(gradient, dims, (row / dims.height, row % dims.height), patches);
            let shape = [dims.width, dims.patch(), dims.channels];
            let turned = Matrix::rows(kernel, dims.patch()).transposed();
            add_product(shape, Matrix::rows(patches, shape[1]), turned, target);
        });
    })
}

pub(super) fn backward_kernel(gradient: &[f32], input: &[f32], dims: &Dims) -> Vec<f32> {
    let pixels = dims.width * dims.channels;
    let of_images: Vec<Vec<f32>> = (0..dims.batch)
        .into_par_iter()
        .map(|b| {
            let mut sums = vec![0.0; dims.kernel_shape().elem_count()];
            with_patches(dims, |patches| {
                for i in 0..dims.height {
                    gather(gradient, dims, (b, i), patches);
                    let row = &input[(b * dims.height + i) * pixels..][..pixels];
                    let turned = Matrix::rows(row, dims.channels).transposed();
                    let shape = [dims.channels, dims.width, dims.patch()];
                    add_product(shape, turned, Matrix::rows(patches, shape[2]), &mut sums);
                }
            });
            sums
        })
        .collect();
    let mut total = vec![0.0; dims.kernel_shape().elem_count()];
    for sums in of_images {
        total.par_iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    total
}

impl Dims {
    /// Numbers of one patch.
    fn patch(&self) -> usize {
        self.kernel_rows * self.kernel_columns * self.outputs
    }
}

/// Lends a row of patches, with whatever it held before.
fn with_patches(dims: &Dims, work: impl FnOnce(&mut [f32])) {
    PATCHES.with_borrow_mut(|patches| {
        let needed = dims.width * dims.patch();
        patches.resize(patches.len().max(needed), 0.0);
        work(&mut patches[..needed]);
    });
}

/// Copies the gradient under each patch of input row `i`; zero where a patch leaves the output.
fn gather(gradient: &[f32], dims: &Dims, (b, i): (usize, usize), patches: &mut [f32]) {
    let image = dims.out_height() * dims.out_width() * dims.outputs;
    let gradient = &gradient[b * image..][..image];
    patches.fill(0.0);
    for_each_run(dims, i, |patch, source| patches[patch].copy_from_slice(&gradient[source]));
}

/// Visits the runs of numbers that are adjacent both in the patches of input row `i` and in the output.
fn for_each_run(dims: &Dims, i: usize, mut visit: impl FnMut(Range<usize>, Range<usize>)) {
    let (stride, padding) = (dims.steps.stride, dims.steps.padding);
    for (j, r) in (0..dims.width).flat_map(|j| (0..dims.kernel_rows).map(move |r| (j, r))) {
        let Some(y) = (i * stride + r).checked_sub(padding).filter(|&y| y < dims.out_height())
        else {
            continue;
        };
        // The columns s of the patch with 0 ≤ j · stride + s - padding < width of the output.
        let first = padding.saturating_sub(j * stride);
        let end = (dims.out_width() + padding).saturating_sub(j * stride).min(dims.kernel_columns);
        if first < end {
            let patch = (j * dims.kernel_rows + r) * dims.kernel_columns;
            let x = y * dims.out_width() + j * stride + first - padding;
            let len = (end - first) * dims.outputs;
            let (patch, x) = ((patch + first) * dims.outputs, x * dims.outputs);
            visit(patch..patch + len, x..x + len);
        }
    }
}

/// A matrix in memory.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    row_step: usize,
    column_step: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major, with `columns` columns.
    fn rows(values: &'a [f32], columns: usize) -> Self {
        Self { values, row_step: columns, column_step: 1 }
    }

    fn transposed(self) -> Self {
        Self { values: self.values, row_step: self.column_step, column_step: self.row_step }
    }

    /// Whether an element of a matrix of this size would lie outside.
    fn exceeds(&self, rows: usize, columns: usize) -> bool {
        (rows - 1) * self.row_step + (columns - 1) * self.column_step >= self.values.len()
    }
}

/// `target = a · b` for `[m, k] · [k, n]`, `target` row-major.
fn product(shape: [usize; 3], a: Matrix<'_>, b: Matrix<'_>, target: &mut [f32]) {
    target.fill(0.0);
    add_product(shape, a, b, target);
}

/// `target += a · b` for `[m, k] · [k, n]`, `target` row-major.
fn add_product([m, k, n]: [usize; 3], a: Matrix<'_>, b: Matrix<'_>, target: &mut [f32]) {
    if m * k * n == 0 {
        return;
    }
    assert!(!a.exceeds(m, k) && !b.exceeds(k, n) && target.len() >= m * n, "matrices are whole");
    let step = |step: usize| step.cast_signed();
    // SAFETY: all elements that the sizes and steps name lie in their slices, as just asserted, and
    // `target` is borrowed for writing alone.
    unsafe {
        gemm(
            m,
            n,
            k,
            target.as_mut_ptr(),
            1,
            step(n),
            true,
            a.values.as_ptr(),
            step(a.column_step),
            step(a.row_step),
            b.values.as_ptr(),
            step(b.column_step),
            step(b.row_step),
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
