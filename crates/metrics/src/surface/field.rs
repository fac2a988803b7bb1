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

use super::bits::{for_each_bit, ranks};
use super::border::Border;
use super::groups::{Groups, Stretch};
use super::passes::Passes;
use super::profile::{LANES, Profile, Steps, moves_forward, smaller};
use super::queries::{BLOCKS, Queries};
use super::receiver::{Counting, Farthest, Listing, Receiver};
use super::row::{Row, first_column, last_column};
use super::tally::{Question, Tally};

/// A surface, planned for the three passes.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) target: &'a Border,
    /// Slices that hold a voxel.
    pub(super) slices: Vec<usize>,
    /// Rows that hold a voxel, for each of `slices`.
    pub(super) rows: Vec<Vec<usize>>,
    /// Squared lengths of steps along `[D, H]`.
    pub(super) steps: [Steps; 2],
    /// Length of a step along `W`.
    pub(super) column_length: f64,
    /// Whether the best place along `[D, H]` is known to move forward.
    pub(super) moves_forward: [bool; 2],
}

impl<'a> Field<'a> {
    /// Plans the passes; `target` must hold a voxel.
    pub(super) fn new(target: &'a Border, spacing: &[f64; 3]) -> Self {
        let [depth, height, words] = target.shape;
        let (mut slices, mut rows) = (Vec::new(), Vec::new());
        for slice in target.hull.slices.clone() {
            let holds_voxel = |row: &usize| {
                let row = &target.bits[(slice * height + row) * words..][..words];
                row.iter().any(|&word| word != 0)
            };
            let in_slice: Vec<usize> = target.hull.rows.clone().filter(holds_voxel).collect();
            if !in_slice.is_empty() {
                slices.push(slice);
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
            steps: [Steps::new(depth, spacing[0]), Steps::new(height, spacing[1])],
            column_length: spacing[2],
            moves_forward: [
                moves_forward(in_slice + squared(depth, 0), spacing[0]),
                moves_forward(in_slice, spacing[1]),
            ],
        }
    }

    /// Returns how many voxels the second pass visits at most: those of the target's slices among
    /// the rows and columns of the queries.
    pub(super) fn work(target: &Border, queries: &Border) -> usize {
        target.hull.slices.len() * queries.hull.rows.len() * queries.hull.words.len() * 64
    }

    /// Returns the squared distance to the target from every voxel set in `queries`, in the
    /// target's box, in raster order.
    pub(super) fn nearest(&self, queries: &Border) -> Vec<f64> {
        let ranks = ranks(&queries.bits);
        let rank = |place| ranks[queries.index(place)];
        // Columns of words are not contiguous in raster order, so all tasks share one list. Each
        // value is written once and read after the last task: no order between tasks is needed.
        let squared: Vec<AtomicU64> = (0..queries.count).map(|_| AtomicU64::new(0)).collect();
        self.search(
            queries,
            |_| Listing::default(),
            |queries, found| put_in_raster_order(queries, &found, rank, &squared),
        );
        squared.into_iter().map(|bits| f64::from_bits(bits.into_inner())).collect()
    }

    /// Counts what is asked about the distances of `queries`, and finds those that may be the
    /// farthest with another spacing.
    pub(super) fn tally<'q>(
        &self,
        queries: &Border,
        question: &'q Question<'q>,
        stretch: Stretch,
    ) -> (Tally<'q>, Groups) {
        let start = || (Tally::new(question), Groups::new(stretch));
        let all = Mutex::new(vec![start()]);
        let counting = |byte| Counting::new(Tally::new(question), Groups::new(stretch), byte);
        self.search(queries, counting, |_, found| {
            let found = found.into_iter().flatten().map(Counting::into_parts);
            locked(&all).extend(found);
        });
        let all = all.into_inner().expect("no one panics while it is locked");
        all.into_iter().fold(start(), |(tally, groups), (more, others)| {
            (tally.join(more), groups.join(others))
        })
    }

    /// Returns the largest squared distance to the target from any of `queries`.
    pub(super) fn farthest(&self, queries: &Border) -> f64 {
        let largest = Mutex::new(0.0);
        self.search(
            queries,
            |_| Farthest::default(),
            |_, found| {
                let found = found.into_iter().flatten().map(|farthest| farthest.squared);
                let mut largest = locked(&largest);
                *largest = found.fold(*largest, f64::max);
            },
        );
        largest.into_inner().expect("no one panics while it is locked")
    }

    /// Passes the squared distances of every block of columns to a receiver, which is made for the
    /// byte of a row that holds these columns, and the receivers of a word to `done`.
    fn search<R: Receiver>(
        &self,
        queries: &Border,
        receiver: impl Fn(usize) -> R + Sync,
        done: impl Fn(&Queries, Vec<Option<R>>) + Sync,
    ) {
        let vectors = pulp::Arch::new();
        // What a task needs is large; memory that was used before is mapped already.
        let (spare, spare_queries) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        queries.hull.words.clone().into_par_iter().for_each(|word| {
            let memory = locked(&spare_queries).pop().unwrap_or_default();
            let queries = Queries::new(queries, self.target.shape, word, memory);
            let rows = &self.rows_from(word);
            let search = |block: usize| {
                let wanted = &queries.rows_of_block[block];
                if wanted.is_empty() {
                    return None;
                }
                let mut scratch = locked(&spare).pop().unwrap_or_default();
                let mut receiver = receiver(word * BLOCKS + block);
                vectors.dispatch(Passes {
                    field: self,
                    rows,
                    queries: &queries,
                    wanted,
                    block,
                    scratch: &mut scratch,
                    receiver: &mut receiver,
                });
                locked(&spare).push(scratch);
                Some(receiver)
            };
            done(&queries, (0..BLOCKS).into_par_iter().map(search).collect());
            locked(&spare_queries).push(queries.into_memory());
        });
    }

    /// Returns the second pass in one slice with these rows, whose `A` comes first in `rest`.
    #[inline(always)]
    pub(super) fn of_rows<'p>(
        &'p self,
        places: &'p [usize],
        rest: &mut &'p [[f64; LANES]],
    ) -> Profile<'p> {
        let (squared, after) = rest.split_at(places.len());
        *rest = after;
        Profile { places, squared, steps: &self.steps[1], moves_forward: self.moves_forward[1] }
    }

    /// Returns the third pass along one line with this `B`.
    #[inline(always)]
    pub(super) fn of_slices<'p>(&'p self, squared: &'p [[f64; LANES]]) -> Profile<'p> {
        let [steps, _] = &self.steps;
        Profile { places: &self.slices, squared, steps, moves_forward: self.moves_forward[0] }
    }

    /// Returns the rows of the target, slice by slice, as a word of columns sees them.
    fn rows_from(&self, word: usize) -> Vec<Row> {
        let [_, height, words] = self.target.shape;
        let rows = self.slices.iter().zip(&self.rows);
        let rows = rows.flat_map(|(d, rows)| rows.iter().map(move |h| (d * height + h) * words));
        rows.map(|start| Row::new(&self.target.bits[start..][..words], word)).collect()
    }
}

/// Moves `C` of the queries of a word of columns, listed by block, to their ranks; `rank` tells that of
/// the first query of a word.
///
/// Writing a value as soon as it is known would touch another page of memory each time.
fn put_in_raster_order(
    queries: &Queries,
    found: &[Option<Listing>],
    rank: impl Fn([usize; 3]) -> usize,
    squared: &[AtomicU64],
) {
    let found: Vec<&[f64]> =
        found.iter().map(|list| list.as_ref().map_or(&[][..], Listing::squared)).collect();
    let mut next = [0; BLOCKS];
    for &h in &queries.rows {
        queries.for_each_slice(h, |d, bits| {
            let mut rank = rank([d, h, queries.word]);
            for_each_bit(bits, |column| {
                let block = column / LANES;
                squared[rank].store(found[block][next[block]].to_bits(), Ordering::Relaxed);
                next[block] += 1;
                rank += 1;
            });
        });
    }
}

/// Returns what a mutex guards.
fn locked<T>(guarded: &Mutex<T>) -> MutexGuard<'_, T> {
    guarded.lock().expect("no one panics while it is locked")
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
