//! The second and the third pass of a [`Field`] in one block of columns.

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use std::ops::Range;

use super::field::Field;
use super::profile::{GROUP, LANES, TOGETHER, enclosing};
use super::queries::{Queries, SLICES};
use super::receiver::Receiver;
use super::row::Row;

/// Values of `B` that are held at once, `LANES` each: half of a usual second-level cache.
const HELD: usize = 4096;

/// Memory for a block of columns to work in.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// `A` of the rows of all slices.
    squared: Vec<[f64; LANES]>,
    /// `B` of some rows, `[row, slice]`.
    columns: Vec<[f64; LANES]>,
    /// `C` of one row.
    lowest: Vec<[f64; LANES]>,
    /// `C` of the queries of one row, or of some.
    found: Vec<f64>,
    /// Positions of best places.
    spans: Vec<Range<usize>>,
    /// The same for the last row of each batch, `[slice, batch]`.
    ends: Vec<Vec<Range<usize>>>,
    /// Slices of a row that hold queries, and their queries.
    places: Vec<usize>,
    bytes: Vec<u8>,
}

/// A search for the queries in a block of columns.
pub(super) struct Passes<'a, R> {
    pub(super) field: &'a Field<'a>,
    /// The target's rows as the queries' word sees them.
    pub(super) rows: &'a [Row],
    pub(super) queries: &'a Queries,
    /// Rows that hold a query of the block, at least one.
    pub(super) wanted: &'a [usize],
    /// Which block of the queries' word.
    pub(super) block: usize,
    pub(super) scratch: &'a mut Scratch,
    /// Takes the squared distances.
    pub(super) receiver: &'a mut R,
}

impl<R: Receiver> pulp::WithSimd for Passes<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(mut self, _: S) {
        self.first();
        let slices = self.field.slices.len();
        let batch = (HELD / slices).next_multiple_of(GROUP);
        self.plan(batch);
        for (index, wanted) in self.wanted.chunks(batch).enumerate() {
            self.second(index, wanted);
            if slices > GROUP {
                self.third(wanted);
            } else {
                self.third_of_few(wanted);
            }
        }
        self.receiver.finish(&mut self.scratch.found);
    }
}

impl<R: Receiver> Passes<'_, R> {
    /// Fills the scratch with `A` of all rows.
    #[inline(always)]
    fn first(&mut self) {
        let squared = &mut self.scratch.squared;
        squared.resize(self.rows.len(), [0.0; LANES]);
        for (squared, row) in squared.iter_mut().zip(self.rows) {
            *squared = row.squared(self.block, self.field.column_length);
        }
    }

    /// Finds the best places of the last row of each batch, so that batches can be worked on one by
    /// one.
    #[inline(always)]
    fn plan(&mut self, batch: usize) {
        let Scratch { squared, ends, .. } = &mut *self.scratch;
        let count = (self.wanted.len() - 1) / batch;
        ends.resize_with(self.field.slices.len(), Vec::new);
        let mut rest = squared.as_slice();
        for (places, ends) in self.field.rows.iter().zip(ends) {
            let profile = self.field.of_rows(places, &mut rest);
            let last = |index: usize| self.wanted[index * batch + batch - 1];
            profile.spans(count, last, &(0..places.len()), ends, |_, _| ());
        }
    }

    /// Fills the scratch with `B` of a batch of rows.
    #[inline(always)]
    fn second(&mut self, batch: usize, wanted: &[usize]) {
        let Scratch { squared, columns, spans, ends, .. } = &mut *self.scratch;
        let slices = self.field.slices.len();
        // All of it is written below.
        columns.resize(wanted.len() * slices, [0.0; LANES]);
        let mut rest = squared.as_slice();
        for (slice, (places, ends)) in self.field.rows.iter().zip(ends).enumerate() {
            let profile = self.field.of_rows(places, &mut rest);
            let within = enclosing(ends, &(0..places.len()), batch.checked_sub(1), batch);
            profile.lowest(wanted, within, spans, |position, least| {
                columns[position * slices + slice] = least;
            });
        }
    }

    /// Passes `C` of every query in a batch of rows to the receiver, by row, slice and column.
    #[inline(always)]
    fn third(&mut self, wanted: &[usize]) {
        let Scratch { columns, spans, lowest, found, places, bytes, .. } = &mut *self.scratch;
        let slices = self.field.slices.len();
        for (&h, squared) in wanted.iter().zip(columns.chunks_exact(slices)) {
            self.queries.slices_of(self.block, h, places, bytes);
            let profile = self.field.of_slices(squared);
            lowest.resize(bytes.len(), [0.0; LANES]);
            profile.lowest(places, 0..slices, spans, |position, least| lowest[position] = least);
            let words = bytes.as_chunks::<SLICES>().0;
            let (lowest, _) = lowest.as_flattened().as_chunks::<64>();
            for (lowest, &bytes) in lowest.iter().zip(words) {
                let mut rest = u64::from_le_bytes(bytes);
                found.extend((0..rest.count_ones()).map(|_| {
                    let lane = rest.trailing_zeros() as usize % 64;
                    rest &= rest.wrapping_sub(1);
                    lowest[lane]
                }));
            }
            self.receiver.row(h, found);
        }
    }

    /// Does what [`Self::third`] does where so few slices hold the target that it does not help to
    /// look up the best of them: queries are taken as they lie.
    #[inline(always)]
    fn third_of_few(&mut self, wanted: &[usize]) {
        let Scratch { columns, found, .. } = &mut *self.scratch;
        let slices = self.field.slices.len();
        let [depth, ..] = self.field.target.shape;
        for (&h, squared) in wanted.iter().zip(columns.chunks_exact(slices)) {
            let profile = self.field.of_slices(squared);
            for (first, bits) in self.queries.parts_of(self.block, h) {
                // The last slice stands in for what a part lacks.
                let at: [usize; TOGETHER] =
                    std::array::from_fn(|slice| (first + slice).min(depth - 1));
                let lowest = profile.least(at, 0..slices);
                let mut rest = bits;
                while rest != 0 {
                    let bit = rest.trailing_zeros() as usize % (TOGETHER * LANES);
                    found.push(lowest.as_flattened()[bit]);
                    rest &= rest - 1;
                }
            }
            self.receiver.row(h, found);
        }
    }
}
