//! The second and the third pass of a [`Field`] in one block of columns.

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use std::ops::Range;

use super::bits::for_each_bit;
use super::border::Border;
use super::field::Field;
use super::profile::{GROUP, LANES, TOGETHER, enclosing};
use super::receiver::Receiver;
use super::row::Row;

/// Blocks of [`LANES`] columns in a word.
pub(super) const BLOCKS: usize = 64 / LANES;

/// Slices whose queries are looked for at once: those of one block of columns fill a word.
const SLICES: usize = 64 / LANES;

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
            let profile = self.field.of_slices(squared);
            self.queries.slices_of(self.block, h, places, bytes);
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
                    found.push(lowest.as_flattened()[rest.trailing_zeros() as usize]);
                    rest &= rest - 1;
                }
            }
            self.receiver.row(h, found);
        }
    }
}

/// The queries in one column of words.
pub(super) struct Queries {
    /// Which word of a row.
    pub(super) word: usize,
    /// Rows that hold a query.
    pub(super) rows: Vec<usize>,
    /// The same for each block.
    pub(super) rows_of_block: [Vec<usize>; BLOCKS],
    slices: usize,
    /// Words of [`SLICES`] slices in a row of a block.
    words: usize,
    /// Queries of each row and block, `[row, word, block]`.
    bits: Vec<u64>,
}

impl Queries {
    /// Gathers one column of words of a box of `shape`, in memory that may have been used before.
    pub(super) fn new(
        queries: &Border,
        [slices, height, _]: [usize; 3],
        word: usize,
        mut memory: Vec<u64>,
    ) -> Self {
        let words = slices.div_ceil(SLICES);
        memory.clear();
        memory.resize(height * words * BLOCKS, 0);
        let mut found = Self {
            word,
            rows: Vec::new(),
            rows_of_block: std::array::from_fn(|_| Vec::new()),
            slices,
            words,
            bits: memory,
        };
        let hull = &queries.hull;
        let mut seen = vec![0; height];
        for at in hull.slices.start / SLICES..hull.slices.end.div_ceil(SLICES) {
            for row in hull.rows.clone() {
                let in_slice = |slice: usize| {
                    let slice = at * SLICES + slice;
                    let is_held = hull.slices.contains(&slice);
                    if is_held { queries.bits[queries.index([slice, row, word])] } else { 0 }
                };
                let bits: [u64; SLICES] = std::array::from_fn(in_slice);
                seen[row] |= bits.iter().fold(0, |seen, bits| seen | bits);
                let target = &mut found.bits[(row * words + at) * BLOCKS..][..BLOCKS];
                target.copy_from_slice(&transposed(bits));
            }
        }
        for (row, seen) in seen.into_iter().enumerate().filter(|&(_, seen)| seen != 0) {
            found.rows.push(row);
            for (rows, byte) in found.rows_of_block.iter_mut().zip(seen.to_le_bytes()) {
                if byte != 0 {
                    rows.push(row);
                }
            }
        }
        found
    }

    /// Returns the memory.
    pub(super) fn into_memory(self) -> Vec<u64> {
        self.bits
    }

    /// Visits the slices of a row that hold a query, with these queries as a word of columns.
    pub(super) fn for_each_slice(&self, row: usize, mut visit: impl FnMut(usize, u64)) {
        let in_row = &self.bits[row * self.words * BLOCKS..][..self.words * BLOCKS];
        for (at, blocks) in in_row.as_chunks::<BLOCKS>().0.iter().enumerate() {
            for (slice, bits) in transposed(*blocks).into_iter().enumerate() {
                if bits != 0 {
                    visit(at * SLICES + slice, bits);
                }
            }
        }
    }

    /// Returns the queries of a row in a block, those of [`TOGETHER`] slices at a time with the first
    /// of them: bit `LANES·slice + lane`. Parts without any are left out.
    #[inline(always)]
    fn parts_of(&self, block: usize, row: usize) -> impl Iterator<Item = (usize, u32)> {
        let in_row = &self.bits[row * self.words * BLOCKS..][..self.words * BLOCKS];
        let words = in_row.as_chunks::<BLOCKS>().0.iter().map(move |blocks| blocks[block]);
        let parts = words.flat_map(|word| {
            let halves = word.to_le_bytes();
            let half = |at: usize| {
                u32::from_le_bytes(std::array::from_fn(|byte| halves[at * TOGETHER + byte]))
            };
            [half(0), half(1)]
        });
        parts.enumerate().map(|(at, bits)| (at * TOGETHER, bits)).filter(|&(_, bits)| bits != 0)
    }

    /// Lists the slices of a row that hold a query in a block, and the queries in each as a byte.
    ///
    /// Some slices without any may be listed; bytes of 0 fill the last word.
    #[inline(always)]
    fn slices_of(&self, block: usize, row: usize, places: &mut Vec<usize>, bytes: &mut Vec<u8>) {
        places.clear();
        bytes.clear();
        let in_row = &self.bits[row * self.words * BLOCKS..][..self.words * BLOCKS];
        for (at, blocks) in in_row.as_chunks::<BLOCKS>().0.iter().enumerate() {
            let word = blocks[block];
            let held = bytes_held(word);
            let first = at * SLICES;
            if held == EVERY && first + SLICES <= self.slices {
                places.extend(first..first + SLICES);
                bytes.extend(word.to_le_bytes());
            } else if held.count_ones() > DENSE {
                // Which slices of noise hold none cannot be predicted: each is written, and those
                // without are written over.
                let mut count = places.len();
                places.resize(count + SLICES, 0);
                bytes.resize(count + SLICES, 0);
                for (slice, byte) in (first..).zip(word.to_le_bytes()) {
                    places[count] = slice;
                    bytes[count] = byte;
                    count += usize::from(byte != 0);
                }
                places.truncate(count);
                bytes.truncate(count);
            } else {
                for_each_bit(held, |bit| {
                    places.push(first + bit / LANES);
                    bytes.push(word.to_le_bytes()[bit / LANES]);
                });
            }
        }
        bytes.resize(bytes.len().next_multiple_of(SLICES), 0);
    }
}

/// What [`bytes_held`] returns if every byte holds a bit.
const EVERY: u64 = 0x0101_0101_0101_0101;

/// Slices of a word from which on all of them are listed.
const DENSE: u32 = 3;

/// Returns a word with the lowest bit of every byte that is not 0.
#[inline(always)]
fn bytes_held(word: u64) -> u64 {
    let pairs = word | word >> 4;
    let pairs = pairs | pairs >> 2;
    (pairs | pairs >> 1) & 0x0101_0101_0101_0101
}

/// Exchanges byte `j` of word `i` with byte `i` of word `j`.
#[inline(always)]
fn transposed(mut words: [u64; 8]) -> [u64; 8] {
    for (distance, mask) in
        [(4, 0xffff_ffff), (2, 0x0000_ffff_0000_ffff), (1, 0x00ff_00ff_00ff_00ff_u64)]
    {
        for first in (0..8).filter(|at| at & distance == 0) {
            let exchanged = (words[first] >> (8 * distance) ^ words[first + distance]) & mask;
            words[first + distance] ^= exchanged;
            words[first] ^= exchanged << (8 * distance);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_transposed() {
        let words: [u64; 8] = std::array::from_fn(|at| 0x0123_4567_89ab_cdef * (3 * at as u64 + 1));
        let expected: [u64; 8] = std::array::from_fn(|byte| {
            u64::from_le_bytes(words.map(|word| word.to_le_bytes()[byte]))
        });
        assert_eq!(transposed(words), expected);
    }

    #[test]
    fn bytes_that_hold_a_bit_are_found() {
        assert_eq!(bytes_held(0x8000_0100_ff00_0010), 0x0100_0100_0100_0001);
    }
}
