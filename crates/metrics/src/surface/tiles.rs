//! A surface laid out for looking at 64 voxels near 64 queries at once.
//!
//! A tile is a `u64` of 8 rows and 8 columns: bit `8·row + column`. One row of it is one byte, and
//! bytes of neighbouring rows are adjacent in memory, so a tile may start at any row. Surfaces
//! cross more voxels of a square than of a row of 64, hence fewer tiles than words hold a query.

use super::border::Border;

/// Rows and columns of a tile.
pub(super) const SIDE: usize = 8;

/// Tiles of zeros on either side of a row, so that neighbours of a tile need no bounds.
const MARGIN_TILES: usize = 2;

/// Slices of a block of tiles that share one answer of [`Tiles::may_reach`].
const BLOCK: usize = 8;

/// Rows and slices of zeros around [`Tiles`], so that a search needs no bounds of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Margins {
    pub(super) slices: usize,
    pub(super) rows: usize,
}

/// Bits of a surface as bytes, `[slices + margins, columns of bytes + margins, rows + margins]`.
#[derive(Debug)]
pub(super) struct Tiles {
    bytes: Vec<u8>,
    pub(super) margins: Margins,
    /// Bytes from one column of bytes to the next: all rows, with margins.
    pub(super) column: usize,
    /// Bytes from one slice to the next.
    pub(super) slice: usize,
    blocks: Blocks,
}

impl Tiles {
    /// Lays out `border` with `margins` around it.
    pub(super) fn new(border: &Border, margins: Margins) -> Self {
        let [slices, rows, words] = border.shape;
        let column = rows.next_multiple_of(SIDE) + 2 * margins.rows;
        let slice = (words * 8 + 2 * MARGIN_TILES) * column;
        let blocks = Blocks::reaching(border, margins);
        let bytes = vec![0; (slices + 2 * margins.slices) * slice];
        let mut tiles = Self { bytes, margins, column, slice, blocks };
        for (index, &word) in border.bits.iter().enumerate() {
            if word != 0 {
                let (row, word_of_row) = (index / words, index % words);
                let first = tiles.position([row / rows, row % rows, word_of_row * 8]);
                for (position, byte) in (first..).step_by(column).zip(word.to_le_bytes()) {
                    tiles.bytes[position] = byte;
                }
            }
        }
        tiles
    }

    /// Returns where the tile starts whose first byte is at `[slice, row, column of bytes]`.
    pub(super) fn position(&self, [slice, row, byte]: [usize; 3]) -> usize {
        (slice + self.margins.slices) * self.slice
            + (byte + MARGIN_TILES) * self.column
            + row
            + self.margins.rows
    }

    /// Returns the tile that starts at this position.
    #[inline]
    pub(super) fn load(&self, position: usize) -> u64 {
        let tile = self.bytes[position..].first_chunk().expect("margins hold whole tiles");
        u64::from_le_bytes(*tile)
    }

    /// Returns whether any voxel of the surface may lie within the margins of the tile at `[slice,
    /// row, column of bytes]`.
    pub(super) fn may_reach(&self, [slice, row, byte]: [usize; 3]) -> bool {
        let [_, rows, bytes] = self.blocks.shape;
        self.blocks.reach[(slice / BLOCK * rows + row / SIDE) * bytes + byte]
    }
}

/// Blocks of [`BLOCK`]` × `[`SIDE`]` × `[`SIDE`] voxels from which a search reaches the surface.
///
/// A query in any other block need not be searched for at all.
#[derive(Debug)]
struct Blocks {
    /// Blocks along `[D, H, W]`.
    shape: [usize; 3],
    reach: Vec<bool>,
}

impl Blocks {
    fn reaching(border: &Border, margins: Margins) -> Self {
        let [slices, rows, words] = border.shape;
        let shape = [slices.div_ceil(BLOCK), rows.div_ceil(SIDE), words * 8];
        let mut reach = vec![false; shape.iter().product()];
        for (row, row_words) in border.bits.chunks_exact(words.max(1)).enumerate() {
            let first = (row / rows / BLOCK * shape[1] + row % rows / SIDE) * shape[2];
            for (at, word) in row_words.iter().enumerate().filter(|(_, word)| **word != 0) {
                let blocks = &mut reach[first + at * 8..][..8];
                for (block, byte) in blocks.iter_mut().zip(word.to_le_bytes()) {
                    *block |= byte != 0;
                }
            }
        }
        let steps = [margins.slices.div_ceil(BLOCK), margins.rows.div_ceil(SIDE), MARGIN_TILES];
        let strides = [shape[1] * shape[2], shape[2], 1];
        for axis in 0..3 {
            reach = widen(&reach, shape[axis], strides[axis], steps[axis]);
        }
        Self { shape, reach }
    }
}

/// Sets every flag within `steps` of a set one along an axis of `count` flags, `stride` apart.
fn widen(flags: &[bool], count: usize, stride: usize, steps: usize) -> Vec<bool> {
    let widened = (0..flags.len()).map(|index| {
        let position = index / stride % count;
        let start = index - position * stride;
        let near = position.saturating_sub(steps)..count.min(position + steps + 1);
        near.into_iter().any(|other| flags[start + other * stride])
    });
    widened.collect()
}
