//! The maxima and where they were, one image row of the output at a time.
//!
//! Few channels get their own copy of the loops: only a length known beforehand fills vectors then.

use candle_core::WithDType;

use super::Dims;
use crate::fill::{fill_groups, fill_pair};
use crate::simd::vectorized;

/// Returns the maxima and the place of each in its window.
pub(super) fn forward<T: WithDType>(input: &[T], dims: Dims) -> (Vec<T>, Vec<u8>) {
    let outputs = dims.output_shape().elem_count();
    let row = dims.width / 2 * dims.channels;
    fill_pair(outputs, row, |start, output, winners| {
        let [above, below] = input_rows(dims, start / row)
            .map(|start| &input[start..start + dims.width * dims.channels]);
        vectorized(
            #[inline(always)]
            || match dims.channels {
                4 => pool_row((above, below), 4, (output, winners)),
                8 => pool_row((above, below), 8, (output, winners)),
                channels => pool_row((above, below), channels, (output, winners)),
            },
        );
    })
}

/// Sends every gradient to the pixel that won.
pub(super) fn backward<T: WithDType>(gradient: &[T], winners: &[u8], dims: Dims) -> Vec<T> {
    let row = dims.width * dims.channels;
    let image = dims.height * row;
    fill_groups(dims.batch * image, (image, 2 * row), |start, rows| {
        if rows.len() < 2 * row {
            // An odd last row was dropped: it has no gradient.
            return;
        }
        let pooled = dims.width / 2 * dims.channels;
        let start = (start / image * (dims.height / 2) + start % image / (2 * row)) * pooled;
        let (gradient, winners) = (&gradient[start..][..pooled], &winners[start..][..pooled]);
        let (above, below) = rows.split_at_mut(row);
        vectorized(
            #[inline(always)]
            || match dims.channels {
                4 => scatter_row((gradient, winners), 4, (above, below)),
                8 => scatter_row((gradient, winners), 8, (above, below)),
                channels => scatter_row((gradient, winners), channels, (above, below)),
            },
        );
    })
}

/// Where the two input rows of output row `index` start.
fn input_rows(dims: Dims, index: usize) -> [usize; 2] {
    let (b, i) = (index / (dims.height / 2), index % (dims.height / 2));
    let row = dims.width * dims.channels;
    [(b * dims.height + 2 * i) * row, (b * dims.height + 2 * i + 1) * row]
}

#[inline(always)]
fn pool_row<T: WithDType>(
    (above, below): (&[T], &[T]),
    channels: usize,
    (output, winners): (&mut [T], &mut [u8]),
) {
    let windows = above.chunks_exact(2 * channels).zip(below.chunks_exact(2 * channels));
    let results = output.chunks_exact_mut(channels).zip(winners.chunks_exact_mut(channels));
    for ((above, below), (output, winners)) in windows.zip(results) {
        let (above, below) = (above.split_at(channels), below.split_at(channels));
        for c in 0..channels {
            let (mut best, mut winner) = (above.0[c], 0);
            for (place, value) in [(1, above.1[c]), (2, below.0[c]), (3, below.1[c])] {
                let wins = value > best || is_nan(value);
                best = if wins { value } else { best };
                winner = if wins { place } else { winner };
            }
            output[c] = best;
            winners[c] = winner;
        }
    }
}

#[inline(always)]
fn scatter_row<T: WithDType>(
    (gradient, winners): (&[T], &[u8]),
    channels: usize,
    (above, below): (&mut [T], &mut [T]),
) {
    let windows = above.chunks_exact_mut(2 * channels).zip(below.chunks_exact_mut(2 * channels));
    let results = gradient.chunks_exact(channels).zip(winners.chunks_exact(channels));
    for ((above, below), (gradient, winners)) in windows.zip(results) {
        let (above, below) = (above.split_at_mut(channels), below.split_at_mut(channels));
        for (place, target) in [above.0, above.1, below.0, below.1].into_iter().enumerate() {
            for c in 0..channels {
                let wins = usize::from(winners[c]) == place;
                target[c] = if wins { gradient[c] } else { T::zero() };
            }
        }
    }
}

#[inline(always)]
#[expect(clippy::eq_op, reason = "only a NaN differs from itself")]
fn is_nan<T: WithDType>(value: T) -> bool {
    value != value
}
