//! Distance from many voxels at once, at any distance, axis by axis.
//!
//! The search of [`near`](super::near) is cubic in the distance, so queries that it does not reach
//! come here. Three passes take one minimum each, over the target's columns, rows and slices:
//!
//! ```text
//! A[d', h', w] = min { (dw·sw)²                 : w' in row (d', h') }
//! B[d', h,  w] = min { A[d', h', w] + (dh·sh)²  : h' in slice d' }
//! C[d,  h,  w] = min { B[d', h,  w] + (dd·sd)²  : d' }                 at the queries only
//! ```
//!
//! Rounded addition is monotonic, so a minimum may be taken before it, and `C` has the bits of a
//! search over every pair.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use rayon::prelude::*;

use super::bits::{count, ranks};
use super::border::Border;
use super::profile::{LANES, Profile, Wanted, skips_rows, smaller};

/// Blocks of [`LANES`] columns in a word.
const BLOCKS: usize = 64 / LANES;

/// A surface, planned for the three passes.
#[derive(Debug)]
pub(super) struct Field<'a> {
    target: &'a Border,
    /// From the first to the last slice that holds a voxel.
    slices: Range<usize>,
    /// Rows that hold a voxel, for each of `slices`.
    rows: Vec<Vec<usize>>,
    /// Squared lengths of whole steps along a row and across rows.
    columns_squared: Vec<f64>,
    rows_squared: Vec<f64>,
    /// Squared lengths of steps across slices, from as far back as the box allows to as far ahead.
    slices_squared: Vec<f64>,
    /// Whether the best row of the second pass is known to move forward.
    skips_rows: bool,
}

impl<'a> Field<'a> {
    /// Plans the passes; `target` must hold a voxel.
    pub(super) fn new(target: &'a Border, spacing: &[f64; 3]) -> Self {
        let [depth, height, words] = target.shape;
        let mut rows: Vec<Vec<usize>> = target
            .bits
            .chunks_exact(height * words)
            .map(|slice| {
                let rows = slice.chunks_exact(words).enumerate();
                rows.filter(|(_, row)| row.iter().any(|&word| word != 0)).map(|(h, _)| h).collect()
            })
            .collect();
        let first = rows.iter().position(|rows| !rows.is_empty()).expect("a target has a voxel");
        let last = rows.iter().rposition(|rows| !rows.is_empty()).expect("a target has a voxel");
        rows.truncate(last + 1);
        rows.drain(..first);

        let squared = |steps: usize, axis: usize| {
            let length = steps as f64 * spacing[axis];
            length * length
        };
        // A column of `B` is read in whole chunks, hence some steps more than the box has.
        let steps = (0..2 * depth + LANES).map(|index| (index + 1).abs_diff(depth));
        Self {
            target,
            slices: first..last + 1,
            rows,
            columns_squared: (0..words * 64).map(|steps| squared(steps, 2)).collect(),
            rows_squared: (0..height).map(|steps| squared(steps, 1)).collect(),
            slices_squared: steps.map(|steps| squared(steps, 0)).collect(),
            skips_rows: skips_rows(target.shape, spacing),
        }
    }

    /// Returns how many voxels the second pass visits at most: the slices of the target in full.
    pub(super) fn work(target: &Border) -> usize {
        let [_, rows, words] = target.shape;
        let slices = target.bits.chunks_exact(rows * words);
        slices.filter(|slice| slice.iter().any(|&word| word != 0)).count() * rows * words * 64
    }

    /// Returns the squared distance to the target from every voxel set in `queries`, a bit plane
    /// of the target's box, in raster order.
    pub(super) fn nearest(&self, queries: &[u64]) -> Vec<f64> {
        let (ranks, count) = (ranks(queries), count(queries));
        // Columns of words are not contiguous in raster order, so all tasks share one list. Each
        // value is written once and read after the last task: no order between tasks is needed.
        let squared: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
        // What a word needs is large; a list that was used before has its memory mapped already.
        let spare = Mutex::new(Vec::new());
        (0..self.target.shape[2]).into_par_iter().for_each(|word| {
            let queries = Queries::new(queries, self.target.shape, word);
            if !queries.rows.is_empty() {
                let mut columns = locked(&spare).pop().unwrap_or_default();
                self.second_pass(&queries, &mut columns);
                self.third_pass(&queries, &columns, &ranks, &squared);
                locked(&spare).push(columns);
            }
        });
        squared.into_iter().map(|bits| f64::from_bits(bits.into_inner())).collect()
    }

    /// Returns `A` of one row of the target, given by its words, for the block of columns that
    /// starts at `first`.
    fn first_pass(&self, row: &[u64], first: usize) -> [f64; LANES] {
        let byte = row[first / 64] >> (first % 64) & 0xff;
        let before = last_column(row, first);
        let after = first_column(row, first + LANES);
        let mut steps = [usize::MAX; LANES];
        let mut nearest = before;
        for (lane, steps) in steps.iter_mut().enumerate() {
            if byte >> lane & 1 != 0 {
                nearest = Some(first + lane);
            }
            *steps = nearest.map_or(usize::MAX, |column| first + lane - column);
        }
        nearest = after;
        for (lane, steps) in steps.iter_mut().enumerate().rev() {
            if byte >> lane & 1 != 0 {
                nearest = Some(first + lane);
            }
            *steps = nearest.map_or(*steps, |column| (*steps).min(column - first - lane));
        }
        steps.map(|steps| self.columns_squared[steps])
    }

    /// Fills `columns` with `B` for the rows that hold a query: `[block, row, lane, slice]`, with the
    /// slices of the target filled up to [`Field::depth`] by infinity.
    fn second_pass(&self, queries: &Queries, columns: &mut Vec<f64>) {
        let block_len = queries.rows.len() * LANES * self.depth();
        columns.clear();
        columns.resize(BLOCKS * block_len, f64::INFINITY);
        let blocks = columns.par_chunks_exact_mut(block_len).enumerate();
        blocks.for_each(|(block, columns)| {
            let wanted = queries.rows_of_block(block);
            if !wanted.is_empty() {
                self.second_pass_of_block(&wanted, queries.word * 64 + block * LANES, columns);
            }
        });
    }

    /// Writes `B` of the rows `wanted` for the block of columns that starts at `first`.
    fn second_pass_of_block(&self, wanted: &[Wanted], first: usize, columns: &mut [f64]) {
        let [_, height, words] = self.target.shape;
        let depth = self.depth();
        let mut squared = Vec::new();
        for (slice, rows) in self.rows.iter().enumerate() {
            if rows.is_empty() {
                continue;
            }
            let start = (self.slices.start + slice) * height;
            squared.clear();
            squared.extend(rows.iter().map(|row| {
                let row = &self.target.bits[(start + row) * words..][..words];
                self.first_pass(row, first)
            }));
            let profile = Profile {
                rows,
                squared: &squared,
                rows_squared: &self.rows_squared,
                skips_rows: self.skips_rows,
            };
            profile.lower(wanted, 0..rows.len(), &mut |position, best| {
                for (lane, best) in best.into_iter().enumerate() {
                    columns[(position * LANES + lane) * depth + slice] = best;
                }
            });
        }
    }

    /// Writes `C` of every query of a column of words to its rank in `squared`.
    fn third_pass(
        &self,
        queries: &Queries,
        columns: &[f64],
        ranks: &[usize],
        squared: &[AtomicU64],
    ) {
        let [slices, height, words] = self.target.shape;
        let depth = self.depth();
        queries.rows.par_iter().enumerate().for_each(|(row, &h)| {
            for d in 0..slices {
                let mut bits = queries.bits[h * slices + d];
                if bits == 0 {
                    continue;
                }
                let mut rank = ranks[(d * height + h) * words + queries.word];
                let across = &self.slices_squared[slices + self.slices.start - d - 1..][..depth];
                while bits != 0 {
                    let column = bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    let block = column / LANES * queries.rows.len();
                    let start = ((block + row) * LANES + column % LANES) * depth;
                    let value = smallest_sum(&columns[start..start + depth], across);
                    squared[rank].store(value.to_bits(), Ordering::Relaxed);
                    rank += 1;
                }
            }
        });
    }

    /// Slices of the target, rounded up to whole chunks of the third pass.
    fn depth(&self) -> usize {
        self.rows.len().next_multiple_of(LANES)
    }
}

/// The queries in one column of words.
struct Queries {
    /// Which word of a row.
    word: usize,
    /// Rows that hold a query.
    rows: Vec<usize>,
    /// Queries of each row and slice of the box, `[row, slice]`.
    bits: Vec<u64>,
    /// Queries of each of `rows`, of all slices together.
    seen: Vec<u64>,
}

impl Queries {
    /// Gathers one column of words from a bit plane of `[slices, rows, words]`.
    fn new(plane: &[u64], [slices, height, words]: [usize; 3], word: usize) -> Self {
        let mut bits = vec![0; slices * height];
        for (index, row) in plane.chunks_exact(words).enumerate() {
            if row[word] != 0 {
                bits[index % height * slices + index / height] = row[word];
            }
        }
        let (mut rows, mut seen) = (Vec::new(), Vec::new());
        for (row, bits) in bits.chunks_exact(slices).enumerate() {
            let all = bits.iter().fold(0, |all, bits| all | bits);
            if all != 0 {
                rows.push(row);
                seen.push(all);
            }
        }
        Self { word, rows, bits, seen }
    }

    /// Returns the rows that hold a query in one block of columns.
    fn rows_of_block(&self, block: usize) -> Vec<Wanted> {
        let rows = self.rows.iter().zip(&self.seen).enumerate();
        rows.filter(|(_, (_, seen))| seen.to_le_bytes()[block] != 0)
            .map(|(position, (&row, _))| Wanted { row, position })
            .collect()
    }
}

/// Returns the list of spare memory.
fn locked<T>(spare: &Mutex<T>) -> MutexGuard<'_, T> {
    spare.lock().expect("no one panics while it is locked")
}

/// Returns the squared distance from one voxel to the nearest of `target`, at any distance.
///
/// Slices, and the rows of a slice, are visited from the query outwards until they are too far.
pub(super) fn nearest_of_one(target: &Border, query: [usize; 3], spacing: &[f64; 3]) -> f64 {
    let [slices, rows, words] = target.shape;
    let [d, h, w] = query;
    let length = |steps: [usize; 3]| squared(steps.map(|steps| steps as f64), spacing);
    let mut best = f64::INFINITY;
    for slice in outwards(d, slices) {
        let dd = slice.abs_diff(d);
        if length([dd, 0, 0]) >= best {
            break;
        }
        for row in outwards(h, rows) {
            let dh = row.abs_diff(h);
            if length([dd, dh, 0]) >= best {
                break;
            }
            let row = &target.bits[(slice * rows + row) * words..][..words];
            let columns = [last_column(row, w), first_column(row, w)];
            for column in columns.into_iter().flatten() {
                best = smaller(length([dd, dh, column.abs_diff(w)]), best);
            }
        }
    }
    best
}

/// Returns the positions below `count` in the order of their distance from `start`.
fn outwards(start: usize, count: usize) -> impl Iterator<Item = usize> {
    let steps = 1..count;
    let sides = steps.flat_map(move |step| [start.checked_sub(step), Some(start + step)]);
    std::iter::once(start).chain(sides.flatten().filter(move |&position| position < count))
}

/// Returns the last column before `end` whose bit is set.
fn last_column(row: &[u64], end: usize) -> Option<usize> {
    let in_word = row.get(end / 64).map_or(0, |word| word & ((1 << (end % 64)) - 1));
    if in_word != 0 {
        return Some(end / 64 * 64 + in_word.ilog2() as usize);
    }
    let at = row[..end / 64].iter().rposition(|&word| word != 0)?;
    Some(at * 64 + row[at].ilog2() as usize)
}

/// Returns the first column from `start` on whose bit is set.
fn first_column(row: &[u64], start: usize) -> Option<usize> {
    let in_word = row.get(start / 64)? & u64::MAX << (start % 64);
    if in_word != 0 {
        return Some(start / 64 * 64 + in_word.trailing_zeros() as usize);
    }
    let rest = &row[start / 64 + 1..];
    let at = rest.iter().position(|&word| word != 0)?;
    Some((start / 64 + 1 + at) * 64 + rest[at].trailing_zeros() as usize)
}

/// Returns the smallest sum of two values at the same place; both lists hold whole chunks.
fn smallest_sum(a: &[f64], b: &[f64]) -> f64 {
    let mut best = [f64::INFINITY; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            best[lane] = smaller(a[lane] + b[lane], best[lane]);
        }
    }
    best.into_iter().fold(f64::INFINITY, f64::min)
}

/// Returns `((dw·sw)² + (dh·sh)²) + (dd·sd)²` for whole steps `[dd, dh, dw]`.
pub(super) fn squared(steps: [f64; 3], spacing: &[f64; 3]) -> f64 {
    let [d, h, w] = [0, 1, 2].map(|axis| {
        let distance = steps[axis] * spacing[axis];
        distance * distance
    });
    w + h + d
}
