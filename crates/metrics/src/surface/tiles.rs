//! A surface laid out for looking at 64 voxels near 64 queries at once.
//!
//! A tile is a `u64` of 8 rows and 8 columns: bit `8·row + column`. One row of it is one byte, and
//! bytes of neighbouring rows are adjacent in memory, so a tile may start at any row. Surfaces
//! cross more voxels of a square than of a row of 64, hence fewer tiles than words hold a query.

use std::ops::Range;

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
///
/// Slices, rows and columns of bytes are those from which a query can reach the surface.
#[derive(Debug)]
pub(super) struct Tiles {
    bytes: Vec<u8>,
    pub(super) margins: Margins,
    /// Bytes from one column of bytes to the next: all rows, with margins.
    pub(super) column: usize,
    /// Bytes from one slice to the next.
    pub(super) slice: usize,
    /// Blocks of [`BLOCK`]` × `[`SIDE`]` × `[`SIDE`] voxels that hold queries and may reach the
    /// surface, along `[D, H, W]`.
    region: [Range<usize>; 3],
    /// Whether each of these blocks does.
    reach: Vec<bool>,
}

impl Tiles {
    /// Lays out `border` for `queries`, with `margins` around it.
    pub(super) fn new(border: &Border, queries: &Border, margins: Margins) -> Self {
        let steps = [margins.slices.div_ceil(BLOCK), margins.rows.div_ceil(SIDE), MARGIN_TILES];
        let [held, asked] = [border, queries].map(blocks_of);
        let region: [Range<usize>; 3] = std::array::from_fn(|axis| {
            let near = held[axis].start.saturating_sub(steps[axis])..held[axis].end + steps[axis];
            let start = near.start.max(asked[axis].start);
            start..near.end.min(asked[axis].end).max(start)
        });
        let [slices, rows, bytes] = [0, 1, 2].map(|axis| region[axis].len());
        let column = rows * SIDE + 2 * margins.rows;
        let slice = (bytes + 2 * MARGIN_TILES) * column;
        let mut tiles = Self {
            bytes: vec![0; (slices * BLOCK + 2 * margins.slices) * slice],
            margins,
            column,
            slice,
            region,
            reach: Vec::new(),
        };
        if tiles.region.iter().all(|range| !range.is_empty()) {
            tiles.reach = tiles.reach_of(border, steps);
            tiles.fill(border);
        }
        tiles
    }

    /// Copies what lies in the region or its margins.
    fn fill(&mut self, border: &Border) {
        let [_, rows, words] = border.shape;
        let [blocks_of_slices, blocks_of_rows, bytes] = self.region.clone();
        let cut = |blocks: Range<usize>, side: usize, margin: usize, all: &Range<usize>| {
            let start = (blocks.start * side).saturating_sub(margin);
            start.max(all.start)..(blocks.end * side + margin).min(all.end)
        };
        let slices = cut(blocks_of_slices, BLOCK, self.margins.slices, &border.hull.slices);
        let rows_held = cut(blocks_of_rows, SIDE, self.margins.rows, &border.hull.rows);
        let bytes =
            cut(bytes, 1, MARGIN_TILES, &(border.hull.words.start * 8..border.hull.words.end * 8));
        if bytes.is_empty() {
            return;
        }
        let words_held = bytes.start / 8..bytes.end.div_ceil(8);
        for slice in slices {
            for row in rows_held.clone() {
                let first = (slice * rows + row) * words;
                for word in words_held.clone() {
                    let bits = border.bits[first + word];
                    if bits == 0 {
                        continue;
                    }
                    for (byte, value) in (word * 8..).zip(bits.to_le_bytes()) {
                        if bytes.contains(&byte) {
                            let position = self.position([slice, row, byte]);
                            self.bytes[position] = value;
                        }
                    }
                }
            }
        }
    }

    /// Returns where the tile starts whose first byte is at `[slice, row, column of bytes]`.
    pub(super) fn position(&self, [slice, row, byte]: [usize; 3]) -> usize {
        let [slices, rows, bytes] = &self.region;
        (slice + self.margins.slices - slices.start * BLOCK) * self.slice
            + (byte + MARGIN_TILES - bytes.start) * self.column
            + row
            + self.margins.rows
            - rows.start * SIDE
    }

    /// Returns the tile that starts at this position.
    #[inline]
    pub(super) fn load(&self, position: usize) -> u64 {
        let tile = self.bytes[position..].first_chunk().expect("margins hold whole tiles");
        u64::from_le_bytes(*tile)
    }

    /// Returns whether any voxel of the surface may lie within the margins of the tile at `[slice,
    /// row, column of bytes]`.
    ///
    /// A query in any other block need not be searched for at all.
    pub(super) fn may_reach(&self, [slice, row, byte]: [usize; 3]) -> bool {
        let [slices, rows, bytes] = &self.region;
        let (slice, row) = (slice / BLOCK, row / SIDE);
        let is_inside = slices.contains(&slice) && rows.contains(&row) && bytes.contains(&byte);
        is_inside && {
            let row = (slice - slices.start) * rows.len() + row - rows.start;
            self.reach[row * bytes.len() + byte - bytes.start]
        }
    }

    /// Returns for every block of the region whether the surface lies within some steps of it.
    fn reach_of(&self, border: &Border, steps: [usize; 3]) -> Vec<bool> {
        // Blocks that hold a voxel, in a region wide enough to reach from.
        let wide: [Range<usize>; 3] = std::array::from_fn(|axis| {
            self.region[axis].start.saturating_sub(steps[axis])..self.region[axis].end + steps[axis]
        });
        let shape = [0, 1, 2].map(|axis| wide[axis].len());
        let mut reach = held_in(&wide, border);
        let strides = [shape[1] * shape[2], shape[2], 1];
        for axis in 0..3 {
            widen(&mut reach, shape[axis], strides[axis], steps[axis]);
        }
        let [slices, rows, bytes] = [0, 1, 2].map(|axis| {
            let first = self.region[axis].start - wide[axis].start;
            first..first + self.region[axis].len()
        });
        let places = slices.flat_map(|slice| rows.clone().map(move |row| slice * shape[1] + row));
        places.flat_map(|row| reach[row * shape[2]..][bytes.clone()].to_vec()).collect()
    }
}

/// Returns for every block of a region whether it holds a voxel of the surface.
fn held_in(region: &[Range<usize>; 3], border: &Border) -> Vec<bool> {
    let [_, rows, words] = border.shape;
    let shape = region.each_ref().map(Range::len);
    let mut held = vec![false; shape.iter().product()];
    let blocks = |axis: usize, side: usize, all: &Range<usize>| {
        region[axis].start.max(all.start / side)..region[axis].end.min(all.end.div_ceil(side))
    };
    let (hull, mut seen) = (&border.hull, vec![0; words]);
    for slices in blocks(0, BLOCK, &hull.slices) {
        for block in blocks(1, SIDE, &hull.rows) {
            seen.fill(0);
            for slice in slices * BLOCK..hull.slices.end.min((slices + 1) * BLOCK) {
                for row in block * SIDE..hull.rows.end.min((block + 1) * SIDE) {
                    let bits = &border.bits[(slice * rows + row) * words..][..words];
                    seen.iter_mut().zip(bits).for_each(|(seen, bits)| *seen |= bits);
                }
            }
            let place = (slices - region[0].start) * shape[1] + block - region[1].start;
            let bytes = seen.iter().flat_map(|word| word.to_le_bytes()).enumerate();
            for (byte, _) in bytes.filter(|(byte, bits)| *bits != 0 && region[2].contains(byte)) {
                held[place * shape[2] + byte - region[2].start] = true;
            }
        }
    }
    held
}

/// Returns the blocks that hold a voxel along `[D, H, W]`.
fn blocks_of(border: &Border) -> [Range<usize>; 3] {
    let hull = &border.hull;
    [
        hull.slices.start / BLOCK..hull.slices.end.div_ceil(BLOCK),
        hull.rows.start / SIDE..hull.rows.end.div_ceil(SIDE),
        hull.words.start * 8..hull.words.end * 8,
    ]
}

/// Sets every flag within `steps` of a set one along an axis of `count` flags, `stride` apart.
fn widen(flags: &mut [bool], count: usize, stride: usize, steps: usize) {
    for start in (0..flags.len()).filter(|index| (index / stride).is_multiple_of(count)) {
        let places = (start..start + count * stride).step_by(stride);
        // Flags that were set this way are not set ones of before: remember how far those are.
        let mut since = usize::MAX;
        let forward: Vec<usize> = places
            .clone()
            .map(|at| {
                since = if flags[at] { 0 } else { since.saturating_add(1) };
                since
            })
            .collect();
        let mut since = usize::MAX;
        for (at, forward) in places.zip(forward).rev() {
            since = if flags[at] { 0 } else { since.saturating_add(1) };
            flags[at] = since.min(forward) <= steps;
        }
    }
}
