//! Moves elements; one row of coarse pixels, which is `factor` rows of fine ones, per task.

use candle_core::WithDType;

use super::Dims;
use crate::fill::fill;

pub(super) fn shuffle<T: WithDType>(coarse: &[T], dims: Dims) -> Vec<T> {
    let row = dims.width * dims.depth();
    fill(coarse.len(), row, |start, fine| {
        let coarse = &coarse[start..][..row];
        for_each_run(dims, |at_coarse, at_fine| {
            let stride = dims.factor * dims.factor;
            let run = coarse[at_coarse..].iter().step_by(stride);
            fine[at_fine..][..dims.channels].iter_mut().zip(run).for_each(|(f, c)| *f = *c);
        });
    })
}

pub(super) fn unshuffle<T: WithDType>(fine: &[T], dims: Dims) -> Vec<T> {
    let row = dims.width * dims.depth();
    fill(fine.len(), row, |start, coarse| {
        let fine = &fine[start..][..row];
        for_each_run(dims, |at_coarse, at_fine| {
            let stride = dims.factor * dims.factor;
            let run = coarse[at_coarse..].iter_mut().step_by(stride);
            run.zip(&fine[at_fine..][..dims.channels]).for_each(|(c, f)| *c = *f);
        });
    })
}

/// Visits, for every fine pixel that one coarse row makes, where its channels start in the coarse row
/// (there `factor²` apart) and in the fine rows (there adjacent).
fn for_each_run(dims: Dims, mut visit: impl FnMut(usize, usize)) {
    let fine_row = dims.width * dims.factor * dims.channels;
    for j in 0..dims.width {
        for a in 0..dims.factor {
            for b in 0..dims.factor {
                visit(
                    j * dims.depth() + a * dims.factor + b,
                    a * fine_row + (j * dims.factor + b) * dims.channels,
                );
            }
        }
    }
}
