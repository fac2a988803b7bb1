//! The queries of a [`Field`](super::field::Field), column by column of words, as its last pass asks
//! them.

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use super::bits::for_each_bit;
use super::border::Border;
use super::profile::{LANES, TOGETHER};

/// Blocks of [`LANES`] columns in a word.
pub(super) const BLOCKS: usize = 64 / LANES;

/// Slices whose queries are looked for at once: those of one block of columns fill a word.
pub(super) const SLICES: usize = 64 / LANES;

/// The queries in one column of words.
pub(super) struct Queries {
    /// Which word of a row.
    pub(super) word: usize,
    /// Rows that hold a query.
    pub(super) rows: Vec<usize>,
    /// The same for each block.
    pub(super) rows_of_block: [Vec<usize>; BLOCKS],
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
        for (at, blocks) in self.in_row(row).iter().enumerate() {
            for (slice, bits) in transposed(*blocks).into_iter().enumerate() {
                if bits != 0 {
                    visit(at * SLICES + slice, bits);
                }
            }
        }
    }

    /// Returns the words of a row, those of all blocks together.
    #[inline(always)]
    fn in_row(&self, row: usize) -> &[[u64; BLOCKS]] {
        self.bits[row * self.words * BLOCKS..][..self.words * BLOCKS].as_chunks().0
    }

    /// Returns the queries of a row in a block, those of [`TOGETHER`] slices at a time with the first
    /// of them: bit `LANES·slice + lane`. Parts without any are left out.
    #[inline(always)]
    pub(super) fn parts_of(&self, block: usize, row: usize) -> impl Iterator<Item = (usize, u64)> {
        let parts = self.in_row(row).iter().flat_map(move |blocks| {
            let word = blocks[block];
            [word & u64::from(u32::MAX), word >> 32]
        });
        parts.enumerate().map(|(at, bits)| (at * TOGETHER, bits)).filter(|&(_, bits)| bits != 0)
    }

    /// Lists the slices of a row that hold a query in a block, and the queries in each as a byte;
    /// bytes of 0 fill the last word.
    #[inline(always)]
    pub(super) fn slices_of(
        &self,
        block: usize,
        row: usize,
        places: &mut Vec<usize>,
        bytes: &mut Vec<u8>,
    ) {
        places.clear();
        bytes.clear();
        for (at, blocks) in self.in_row(row).iter().enumerate() {
            let word = blocks[block];
            let held = bytes_held(word);
            let first = at * SLICES;
            if held == EVERY {
                places.extend(first..first + SLICES);
                bytes.extend(word.to_le_bytes());
            } else if held.count_ones() > FEW {
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

/// Slices of a word up to which they are listed one by one.
const FEW: u32 = 3;

/// Returns a word with the lowest bit of every byte that is not 0.
#[inline(always)]
fn bytes_held(word: u64) -> u64 {
    let pairs = word | word >> 4;
    let pairs = pairs | pairs >> 2;
    (pairs | pairs >> 1) & EVERY
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
