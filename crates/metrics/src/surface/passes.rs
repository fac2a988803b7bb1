//! The second and the third pass of a [`Field`] in one block of columns.

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use super::border::Border;
use super::field::Field;
use super::profile::{LANES, Profile, Scratch};
use super::receiver::Receiver;
use super::row::Row;

/// Blocks of [`LANES`] columns in a word.
pub(super) const BLOCKS: usize = 64 / LANES;

/// Slices whose queries are looked for at once: those of one block of columns fill a word.
const SLICES: usize = 64 / LANES;

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
        self.second();
        self.third();
    }
}

impl<R: Receiver> Passes<'_, R> {
    /// Fills the scratch's columns with `B` of the rows wanted.
    #[inline(always)]
    fn second(&mut self) {
        let Field { slices, column_length, .. } = self.field;
        let Scratch { squared, columns, spans, .. } = self.scratch;
        let mut rest = self.rows;
        // All of it is written below.
        columns.resize(self.wanted.len() * slices.len(), [0.0; LANES]);
        for (slice, places) in self.field.rows.iter().enumerate() {
            let (rows, after) = rest.split_at(places.len());
            rest = after;
            squared.clear();
            squared.extend(rows.iter().map(|row| row.squared(self.block, *column_length)));
            let profile = Profile {
                places,
                squared,
                steps: &self.field.steps[1],
                moves_forward: self.field.moves_forward[1],
            };
            profile.lowest(self.wanted, spans, |position, least| {
                columns[position * slices.len() + slice] = least;
            });
        }
    }

    /// Passes `C` of every query to the receiver, by row, slice and column.
    #[inline(always)]
    fn third(&mut self) {
        let Field { target, slices, .. } = self.field;
        let depth = target.shape[0];
        let Scratch { columns, spans, lowest, found, .. } = self.scratch;
        found.clear();
        let (mut places, mut bytes) = (vec![0; depth], vec![0; depth + SLICES]);
        for (&h, squared) in self.wanted.iter().zip(columns.chunks_exact(slices.len())) {
            let in_row = &self.queries.bits[h * depth..][..depth];
            let mut count = 0;
            for (d, word) in in_row.iter().enumerate() {
                // No branch: whether a byte of noise is empty cannot be predicted.
                let byte = word.to_le_bytes()[self.block];
                places[count] = d;
                bytes[count] = byte;
                count += usize::from(byte != 0);
            }
            bytes[count..count + SLICES].fill(0);
            let places = &places[..count];
            let profile = Profile {
                places: slices,
                squared,
                steps: &self.field.steps[0],
                moves_forward: self.field.moves_forward[0],
            };
            lowest.resize(count.next_multiple_of(SLICES), [0.0; LANES]);
            profile.lowest(places, spans, |position, least| lowest[position] = least);
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
        self.receiver.finish(found);
    }
}

/// The queries in one column of words.
pub(super) struct Queries {
    /// Which word of a row.
    pub(super) word: usize,
    /// Rows that hold a query.
    pub(super) rows: Vec<usize>,
    /// Queries of each row and slice of the box, `[row, slice]`.
    pub(super) bits: Vec<u64>,
    /// Queries of each of `rows`, of all slices together.
    seen: Vec<u64>,
}

impl Queries {
    /// Gathers one column of words.
    pub(super) fn new(queries: &Border, word: usize) -> Self {
        let [slices, height, words] = queries.shape;
        let mut bits = vec![0; slices * height];
        let mut seen = vec![0; height];
        for slice in queries.hull.slices.clone() {
            for row in queries.hull.rows.clone() {
                let in_row = queries.bits[(slice * height + row) * words + word];
                bits[row * slices + slice] = in_row;
                seen[row] |= in_row;
            }
        }
        let rows: Vec<usize> = (0..height).filter(|&row| seen[row] != 0).collect();
        let seen = rows.iter().map(|&row| seen[row]).collect();
        Self { word, rows, bits, seen }
    }

    /// Returns the rows that hold a query in one block of columns.
    pub(super) fn rows_of_block(&self, block: usize) -> Vec<usize> {
        let rows = self.rows.iter().zip(&self.seen);
        rows.filter(|(_, seen)| seen.to_le_bytes()[block] != 0).map(|(&row, _)| row).collect()
    }
}
