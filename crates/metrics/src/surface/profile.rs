//! The second pass of a [`Field`](super::field::Field) in one slice: `B` from `A`.
//!
//! It need not try every row, because the best row moves forward with `h`. For `h < k` and rows
//! `a < b`, with `V[h, a] = A[a] + ((h − a)·sh)²`,
//!
//! ```text
//! V[h, a] + V[k, b] = V[h, b] + V[k, a] − 2·sh²·(k − h)·(b − a)
//! ```
//!
//! So if `b` is no worse than `a` at `h`, it is better at every `k > h`, by at least `2·sh²`: a row
//! before the best one of `h` is of no use after `h`, nor is a later one before it. Rounding cannot
//! change that while it stays below this gap, see [`skips_rows`].

use std::ops::Range;

/// Columns that go through the passes together: one byte of a word.
pub(super) const LANES: usize = 8;

/// Returns whether the best row is certain to move forward with `h`, whatever is rounded.
///
/// `V` is the result of at most four roundings, so the four values of `V` in the proof are off by
/// less than `16·2⁻⁵³·V` together. With `V` up to `2⁴⁸·sh²` that is half a `sh²`.
pub(super) fn skips_rows([_, height, words]: [usize; 3], [_, sh, sw]: &[f64; 3]) -> bool {
    let squared = |steps: usize, edge: f64| (steps as f64 * edge).powi(2);
    let largest = squared(words * 64, *sw) + squared(height, *sh);
    largest <= squared(1, *sh) * (1u64 << 48) as f64
}

/// A row whose `B` is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) row: usize,
    /// Position in the list of rows that hold a query.
    pub(super) position: usize,
}

/// `A` of one slice of the target in one block of columns.
#[derive(Debug)]
pub(super) struct Profile<'a> {
    /// Rows that hold a voxel of the target.
    pub(super) rows: &'a [usize],
    /// `A` of each of them.
    pub(super) squared: &'a [[f64; LANES]],
    /// Squared length of whole steps across rows.
    pub(super) rows_squared: &'a [f64],
    /// What [`skips_rows`] says.
    pub(super) skips_rows: bool,
}

impl Profile<'_> {
    /// Passes `B` of each of the rows `wanted` to `put`, with the row's position.
    ///
    /// Only the rows at `candidates` can be best for any of them.
    pub(super) fn lower(
        &self,
        wanted: &[Wanted],
        candidates: Range<usize>,
        put: &mut impl FnMut(usize, [f64; LANES]),
    ) {
        let (before, rest) = wanted.split_at(wanted.len() / 2);
        let Some((middle, after)) = rest.split_first() else {
            return;
        };
        let (mut first, mut last) = (candidates.start, candidates.end - 1);
        if self.skips_rows && wanted.len() > 1 {
            let (best, at) = self.best_rows(middle.row, candidates.clone());
            put(middle.position, best);
            (first, last) = span(at);
        } else {
            put(middle.position, self.best(middle.row, candidates.clone()));
        }
        self.lower(before, candidates.start..last + 1, put);
        self.lower(after, first..candidates.end, put);
    }

    /// Returns `B` of row `h`.
    fn best(&self, h: usize, candidates: Range<usize>) -> [f64; LANES] {
        let mut best = [f64::INFINITY; LANES];
        for position in candidates {
            let across = self.rows_squared[self.rows[position].abs_diff(h)];
            for (best, squared) in best.iter_mut().zip(&self.squared[position]) {
                *best = smaller(squared + across, *best);
            }
        }
        best
    }

    /// Returns `B` of row `h`, and for each lane the position of the row that it comes from: a
    /// float, because that is chosen by the same vector instructions.
    fn best_rows(&self, h: usize, candidates: Range<usize>) -> ([f64; LANES], [f64; LANES]) {
        let mut best = [f64::INFINITY; LANES];
        let mut at = [candidates.start as f64; LANES];
        for position in candidates {
            let across = self.rows_squared[self.rows[position].abs_diff(h)];
            for lane in 0..LANES {
                let value = self.squared[position][lane] + across;
                let better = value < best[lane];
                best[lane] = if better { value } else { best[lane] };
                at[lane] = if better { position as f64 } else { at[lane] };
            }
        }
        (best, at)
    }
}

/// Returns the smallest and the largest of some positions.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the values were positions before"
)]
fn span(at: [f64; LANES]) -> (usize, usize) {
    let first = at.into_iter().fold(f64::INFINITY, f64::min);
    let last = at.into_iter().fold(0.0, f64::max);
    (first as usize, last as usize)
}

/// Returns the smaller of two numbers, neither of them NaN, by one vector instruction.
pub(super) fn smaller(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}
