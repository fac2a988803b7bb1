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

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use rayon::prelude::*;

use super::bits::{count, for_each_bit, ranks};
use super::border::Border;
use super::profile::{LANES, Profile, Scratch, moves_forward, smaller};
use super::row::{Row, first_column, last_column};

/// Blocks of [`LANES`] columns in a word.
const BLOCKS: usize = 64 / LANES;

/// A surface, planned for the three passes.
#[derive(Debug)]
pub(super) struct Field<'a> {
    target: &'a Border,
    /// Slices that hold a voxel.
    slices: Vec<usize>,
    /// Rows that hold a voxel, for each of `slices`.
    rows: Vec<Vec<usize>>,
    /// Squared lengths of whole steps along `[D, H]`.
    steps_squared: [Vec<f64>; 2],
    /// Length of a step along `W`.
    column_length: f64,
    /// Whether the best place along `[D, H]` is known to move forward.
    moves_forward: [bool; 2],
}

impl<'a> Field<'a> {
    /// Plans the passes; `target` must hold a voxel.
    pub(super) fn new(target: &'a Border, spacing: &[f64; 3]) -> Self {
        let [depth, height, words] = target.shape;
        let (mut slices, mut rows) = (Vec::new(), Vec::new());
        for (d, slice) in target.bits.chunks_exact(height * words).enumerate() {
            let in_slice = slice.chunks_exact(words).enumerate();
            let in_slice = in_slice.filter(|(_, row)| row.iter().any(|&word| word != 0));
            let in_slice: Vec<usize> = in_slice.map(|(h, _)| h).collect();
            if !in_slice.is_empty() {
                slices.push(d);
                rows.push(in_slice);
            }
        }
        let squared = |steps: usize, axis: usize| {
            let length = steps as f64 * spacing[axis];
            length * length
        };
        let in_slice = squared(words * 64, 2) + squared(height, 1);
        Self {
            target,
            slices,
            rows,
            steps_squared: [
                (0..depth).map(|steps| squared(steps, 0)).collect(),
                (0..height).map(|steps| squared(steps, 1)).collect(),
            ],
            column_length: spacing[2],
            moves_forward: [
                moves_forward(in_slice + squared(depth, 0), spacing[0]),
                moves_forward(in_slice, spacing[1]),
            ],
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
        let vectors = pulp::Arch::new();
        // What a block needs is large; memory that was used before is mapped already.
        let spare = Mutex::new(Vec::new());
        (0..self.target.shape[2]).into_par_iter().for_each(|word| {
            let queries = &Queries::new(queries, self.target.shape, word);
            if queries.rows.is_empty() {
                return;
            }
            let rows = &self.rows_from(word);
            let search = |block| {
                let mut scratch = locked(&spare).pop().unwrap_or_default();
                let search = Search { field: self, rows, queries, block, scratch: &mut scratch };
                let found = vectors.dispatch(search);
                locked(&spare).push(scratch);
                found
            };
            let found: Vec<Vec<f64>> = (0..BLOCKS).into_par_iter().map(search).collect();
            self.put_in_raster_order(queries, &found, &ranks, &squared);
        });
        squared.into_iter().map(|bits| f64::from_bits(bits.into_inner())).collect()
    }

    /// Moves `C` of the queries of a word of columns, listed by block, to the queries' ranks.
    ///
    /// Writing a value as soon as it is known would touch another page of memory each time.
    fn put_in_raster_order(
        &self,
        queries: &Queries,
        found: &[Vec<f64>],
        ranks: &[usize],
        squared: &[AtomicU64],
    ) {
        let [depth, height, words] = self.target.shape;
        let mut next = [0; BLOCKS];
        for &h in &queries.rows {
            for (d, &bits) in queries.bits[h * depth..][..depth].iter().enumerate() {
                if bits == 0 {
                    continue;
                }
                let mut rank = ranks[(d * height + h) * words + queries.word];
                for_each_bit(bits, |column| {
                    let block = column / LANES;
                    squared[rank].store(found[block][next[block]].to_bits(), Ordering::Relaxed);
                    next[block] += 1;
                    rank += 1;
                });
            }
        }
    }

    /// Returns the rows of the target, slice by slice, as a word of columns sees them.
    fn rows_from(&self, word: usize) -> Vec<Row> {
        let [_, height, words] = self.target.shape;
        let rows = self.slices.iter().zip(&self.rows);
        let rows = rows.flat_map(|(d, rows)| rows.iter().map(move |h| (d * height + h) * words));
        rows.map(|start| Row::new(&self.target.bits[start..][..words], word)).collect()
    }
}

/// A search for the queries in a block of columns.
struct Search<'a> {
    field: &'a Field<'a>,
    /// [`Field::rows_from`] the queries' word.
    rows: &'a [Row],
    queries: &'a Queries,
    /// Which block of the queries' word.
    block: usize,
    scratch: &'a mut Scratch,
}

impl pulp::WithSimd for Search<'_> {
    /// `C` of every query, by row, slice and column.
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(mut self, _: S) -> Vec<f64> {
        let wanted = self.queries.rows_of_block(self.block);
        if wanted.is_empty() {
            return Vec::new();
        }
        self.second_pass(&wanted);
        self.third_pass(&wanted)
    }
}

impl Search<'_> {
    /// Fills the scratch's columns with `B` of the rows `wanted`.
    #[inline(always)]
    fn second_pass(&mut self, wanted: &[usize]) {
        let Field { slices, column_length, .. } = self.field;
        let Scratch { squared, columns, spans, .. } = self.scratch;
        let mut rest = self.rows;
        // All of it is written below.
        columns.resize(wanted.len() * slices.len(), [0.0; LANES]);
        for (slice, places) in self.field.rows.iter().enumerate() {
            let (rows, after) = rest.split_at(places.len());
            rest = after;
            squared.clear();
            squared.extend(rows.iter().map(|row| row.squared(self.block, *column_length)));
            let profile = Profile {
                places,
                squared,
                steps_squared: &self.field.steps_squared[1],
                moves_forward: self.field.moves_forward[1],
            };
            profile.lowest(wanted, spans, |position, least| {
                columns[position * slices.len() + slice] = least;
            });
        }
    }

    /// Returns `C` of every query in the rows `wanted`.
    #[inline(always)]
    fn third_pass(&mut self, wanted: &[usize]) -> Vec<f64> {
        let Field { target, slices, .. } = self.field;
        let depth = target.shape[0];
        let Scratch { columns, spans, lowest, .. } = self.scratch;
        let mut found = Vec::with_capacity(self.queries.count / BLOCKS);
        let mut places = vec![0; depth];
        for (&h, squared) in wanted.iter().zip(columns.chunks_exact(slices.len())) {
            let in_row = &self.queries.bits[h * depth..][..depth];
            let byte = |d: usize| in_row[d].to_le_bytes()[self.block];
            let mut count = 0;
            for d in 0..depth {
                // No branch: whether a byte of noise is empty cannot be predicted.
                places[count] = d;
                count += usize::from(byte(d) != 0);
            }
            let places = &places[..count];
            let profile = Profile {
                places: slices,
                squared,
                steps_squared: &self.field.steps_squared[0],
                moves_forward: self.field.moves_forward[0],
            };
            lowest.resize(count, [0.0; LANES]);
            profile.lowest(places, spans, |position, least| lowest[position] = least);
            for (&d, lowest) in places.iter().zip(&*lowest) {
                for_each_bit(byte(d).into(), |lane| found.push(lowest[lane]));
            }
        }
        found
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
    count: usize,
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
        let count = count(&bits);
        Self { word, rows, bits, seen, count }
    }

    /// Returns the rows that hold a query in one block of columns.
    fn rows_of_block(&self, block: usize) -> Vec<usize> {
        let rows = self.rows.iter().zip(&self.seen);
        rows.filter(|(_, seen)| seen.to_le_bytes()[block] != 0).map(|(&row, _)| row).collect()
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

/// Returns `((dw·sw)² + (dh·sh)²) + (dd·sd)²` for whole steps `[dd, dh, dw]`.
pub(super) fn squared(steps: [f64; 3], spacing: &[f64; 3]) -> f64 {
    let [d, h, w] = [0, 1, 2].map(|axis| {
        let distance = steps[axis] * spacing[axis];
        distance * distance
    });
    w + h + d
}
