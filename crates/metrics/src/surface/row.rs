//! The first pass of a [`Field`](super::field::Field): how far along a row its nearest voxel is.

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use super::profile::LANES;

/// One row of the target, seen from a word of columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The word itself.
    bits: u64,
    /// Columns from its first back to the last voxel before it.
    before: i32,
    /// Columns from its first ahead to the first voxel after it.
    after: i32,
}

impl Row {
    /// Looks at a row of words, which must hold a voxel, from one of them.
    pub(super) fn new(row: &[u64], word: usize) -> Self {
        let start = word * 64;
        let steps = |steps: usize| i32::try_from(steps).unwrap_or(FAR);
        let before = last_column(row, start).map_or(FAR, |column| steps(start - column));
        let after = first_column(row, start + 64).map_or(FAR, |column| steps(column - start));
        Self { bits: row[word], before, after }
    }

    /// Returns `A`, the squared distance along the row to its nearest voxel, for the lanes of a block.
    #[inline(always)]
    pub(super) fn squared(&self, block: usize, column_length: f64) -> [f64; LANES] {
        self.steps(block).map(|steps| {
            let length = f64::from(steps) * column_length;
            length * length
        })
    }

    /// Returns the number of columns from each lane of a block to the nearest voxel of the row.
    #[inline(always)]
    fn steps(&self, block: usize) -> [i32; LANES] {
        let start = block * LANES;
        let (low, high) = (self.bits & ((1 << start) - 1), self.bits >> start >> LANES);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "at most 64"
        )]
        let start = start as i32;
        let before = if low == 0 { start + self.before } else { start - low.ilog2().cast_signed() };
        let after =
            if high == 0 { self.after - start } else { 8 + high.trailing_zeros().cast_signed() };
        let mut steps = IN_BYTE[usize::from(self.bits.to_le_bytes()[block])];
        for (lane, steps) in (0..).zip(&mut steps) {
            *steps = (*steps).min(before + lane).min(after - lane);
        }
        steps
    }
}

/// More columns than any image has, and few enough to add to.
const FAR: i32 = i32::MAX / 2;

/// Columns from each bit of a byte to the nearest one that is set, [`FAR`] if none is.
const IN_BYTE: [[i32; LANES]; 256] = {
    let mut steps = [[FAR; LANES]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 64 {
            let (from, to) = (bit / LANES, bit % LANES);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_possible_wrap,
                reason = "below 8"
            )]
            let apart = from.abs_diff(to) as i32;
            if byte >> to & 1 == 1 && apart < steps[byte][from] {
                steps[byte][from] = apart;
            }
            bit += 1;
        }
        byte += 1;
    }
    steps
};

/// Returns the last column before `end` whose bit is set.
pub(super) fn last_column(row: &[u64], end: usize) -> Option<usize> {
    let in_word = row.get(end / 64).map_or(0, |word| word & ((1 << (end % 64)) - 1));
    if in_word != 0 {
        return Some(end / 64 * 64 + in_word.ilog2() as usize);
    }
    let at = row[..end / 64].iter().rposition(|&word| word != 0)?;
    Some(at * 64 + row[at].ilog2() as usize)
}

/// Returns the first column from `start` on whose bit is set.
pub(super) fn first_column(row: &[u64], start: usize) -> Option<usize> {
    let in_word = row.get(start / 64)? & u64::MAX << (start % 64);
    if in_word != 0 {
        return Some(start / 64 * 64 + in_word.trailing_zeros() as usize);
    }
    let rest = &row[start / 64 + 1..];
    let at = rest.iter().position(|&word| word != 0)?;
    Some((start / 64 + 1 + at) * 64 + rest[at].trailing_zeros() as usize)
}
