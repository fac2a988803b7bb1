//! Moves elements; one row of coarse pixels, which is `factor` rows of fine ones, per task.

use candle_core::WithDType;

use super::Dims;
use crate::fill::fill;

pub(super) fn shuffle<T: WithDType>(coarse: &[T], dims: Dims) -> Vec<T> {
    fill(coarse.len(), dims.row(), |start, fine| {
        let row = coarse[start..].chunks_exact(dims.depth()).take(dims.width);
        row.enumerate().for_each(|(column, pixel)| shuffle_pixel(pixel, column, fine, dims));
    })
}

pub(super) fn unshuffle<T: WithDType>(fine: &[T], dims: Dims) -> Vec<T> {
    fill(fine.len(), dims.row(), |start, coarse| unshuffle_row(&fine[start..], coarse, dims))
}

/// Writes one coarse pixel to the fine rows that its row makes.
#[inline]
pub(crate) fn shuffle_pixel<T: WithDType>(pixel: &[T], column: usize, fine: &mut [T], dims: Dims) {
    for (run, at) in dims.runs(column).enumerate() {
        let channels = pixel[run..].iter().step_by(dims.factor * dims.factor);
        fine[at..][..dims.channels].iter_mut().zip(channels).for_each(|(f, c)| *f = *c);
    }
}

/// Writes a row of coarse pixels, given the fine rows that it makes.
#[inline]
pub(crate) fn unshuffle_row<T: WithDType>(fine: &[T], coarse: &mut [T], dims: Dims) {
    for (column, pixel) in coarse.chunks_exact_mut(dims.depth()).enumerate() {
        for (run, at) in dims.runs(column).enumerate() {
            let channels = pixel[run..].iter_mut().step_by(dims.factor * dims.factor);
            channels.zip(&fine[at..][..dims.channels]).for_each(|(c, f)| *c = *f);
        }
    }
}

impl Dims {
    /// Where the channels of each fine pixel that the coarse one at `column` makes start in the fine rows. There
    /// they are adjacent; in the coarse pixel they start at the run's number and are `factor²` apart.
    fn runs(self, column: usize) -> impl Iterator<Item = usize> {
        let fine_row = self.width * self.factor * self.channels;
        (0..self.factor * self.factor).map(move |run| {
            let (a, b) = (run / self.factor, run % self.factor);
            a * fine_row + (column * self.factor + b) * self.channels
        })
    }
}
