//! One task per slice: a slice's windows and pixels belong to no other.

use std::ops::Range;

use rayon::prelude::*;

use crate::real::Real;

/// The two grids and the channels of each pixel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    /// `[H, W]`.
    pub(super) fine: [usize; 2],
    /// `[h, w]`.
    pub(super) coarse: [usize; 2],
    pub(super) channels: usize,
}

/// Returns the averages, `[B, h, w, M]`.
pub(super) fn average<T: Real>(features: &[T], tiling: Tiling) -> Vec<T> {
    let (fine, coarse) = tiling.slice_lengths();
    let mut out = vec![T::zero(); features.len() / fine * coarse];
    out.par_chunks_mut(coarse).zip(features.par_chunks(fine)).for_each(|(out, features)| {
        tiling.for_each_window(|cell, pixel, share| {
            let share = T::from_f64(share);
            for (sum, &value) in out[cell..].iter_mut().zip(&features[pixel..][..tiling.channels]) {
                *sum += value * share;
            }
        });
    });
    out
}

/// Returns the gradient with respect to the finer map, `[B, H, W, M]`.
pub(super) fn spread<T: Real>(gradient: &[T], tiling: Tiling) -> Vec<T> {
    let (fine, coarse) = tiling.slice_lengths();
    let mut out = vec![T::zero(); gradient.len() / coarse * fine];
    out.par_chunks_mut(fine).zip(gradient.par_chunks(coarse)).for_each(|(out, gradient)| {
        tiling.for_each_window(|cell, pixel, share| {
            let share = T::from_f64(share);
            for (sum, &value) in out[pixel..].iter_mut().zip(&gradient[cell..][..tiling.channels]) {
                *sum += value * share;
            }
        });
    });
    out
}

impl Tiling {
    /// Numbers in a slice of the finer and of the coarser map.
    fn slice_lengths(self) -> (usize, usize) {
        let length = |[rows, columns]: [usize; 2]| rows * columns * self.channels;
        (length(self.fine), length(self.coarse))
    }

    /// Calls `visit` with the offset of a coarse cell, of a fine pixel in its window, and the
    /// pixel's share in the window.
    fn for_each_window(self, mut visit: impl FnMut(usize, usize, f64)) {
        let ([height, width], [h, w]) = (self.fine, self.coarse);
        for i in 0..h {
            let rows = window(i, height, h);
            for j in 0..w {
                let columns = window(j, width, w);
                let share = 1.0 / (rows.len() * columns.len()) as f64;
                for y in rows.clone() {
                    for x in columns.clone() {
                        let (cell, pixel) = (i * w + j, y * width + x);
                        visit(cell * self.channels, pixel * self.channels, share);
                    }
                }
            }
        }
    }
}

/// The fine positions that cell `i` of `coarse` covers, whole or in part.
fn window(i: usize, fine: usize, coarse: usize) -> Range<usize> {
    i * fine / coarse..((i + 1) * fine).div_ceil(coarse)
}
