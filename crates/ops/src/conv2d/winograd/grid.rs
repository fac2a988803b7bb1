//! Where the tiles of a batch lie, and which pixels each of them reads and writes.

use super::super::border::place;
use super::super::{Dims, Padding};
use super::{INPUT_SIDE, OUTPUT_SIDE};

/// The tiles of a batch.
///
/// Pixels whose rows and columns differ by multiples of the dilation form a lattice, on which the
/// convolution is an ordinary one; every lattice has its own tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    batch: usize,
    /// Rows and columns of the images read.
    source: [usize; 2],
    /// Rows and columns of the images written.
    target: [usize; 2],
    /// Rows above (and columns left of) the images read at which those written start.
    border: usize,
    padding: Padding,
    dilation: usize,
    /// Rows and columns of tiles on one lattice.
    tiles: [usize; 2],
}

/// One tile: an image of the batch, and the row and column of the first pixel written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    image: usize,
    first: [usize; 2],
}

impl Tile {
    /// The image of the batch that it belongs to.
    pub(super) fn image(&self) -> usize {
        self.image
    }
}

impl Grid {
    /// The tiles of images of the size read, with what lies outside.
    pub(super) fn new(dims: &Dims, padding: Padding) -> Self {
        Self::with_border(dims, padding, 0)
    }

    /// The tiles of images with `border` rows and columns more on every side than those read.
    pub(super) fn with_border(dims: &Dims, padding: Padding, border: usize) -> Self {
        let dilation = dims.options.dilation;
        let source = [dims.height, dims.width];
        let target = source.map(|size| size + 2 * border);
        let tiles = target.map(|size| size.div_ceil(dilation).div_ceil(OUTPUT_SIDE));
        Self { batch: dims.batch, source, target, border, padding, dilation, tiles }
    }

    /// Tiles in the batch.
    pub(super) fn count(&self) -> usize {
        self.batch * self.dilation * self.dilation * self.tiles[0] * self.tiles[1]
    }

    /// How many pixels each tile of an image writes.
    pub(super) fn tile_pixels(&self) -> Vec<u32> {
        let ones = |tile| self.written(self.tile(tile)).into_iter().flatten().flatten().map(|_| 1);
        (0..self.count() / self.batch.max(1)).map(|tile| ones(tile).sum()).collect()
    }

    /// Pixels in the images read.
    pub(super) fn source_pixels(&self) -> usize {
        self.batch * self.source[0] * self.source[1]
    }

    /// Pixels in the images written.
    pub(super) fn target_pixels(&self) -> usize {
        self.batch * self.target[0] * self.target[1]
    }

    pub(super) fn tile(&self, index: usize) -> Tile {
        let [rows, columns] = self.tiles;
        let (index, column) = (index / columns, index % columns);
        let (index, row) = (index / rows, index % rows);
        let (index, column_phase) = (index / self.dilation, index % self.dilation);
        let (image, row_phase) = (index / self.dilation, index % self.dilation);
        let first = |tile: usize, phase: usize| tile * OUTPUT_SIDE * self.dilation + phase;
        Tile { image, first: [first(row, row_phase), first(column, column_phase)] }
    }

    /// The pixels that a tile reads, row by row; `None` is zero.
    #[inline]
    pub(super) fn read(&self, tile: Tile) -> [[Option<usize>; INPUT_SIDE]; INPUT_SIDE] {
        let seen = |axis: usize, tap: usize| {
            let position = (tile.first[axis] + tap * self.dilation).cast_signed();
            let before = (self.border + self.dilation).cast_signed();
            place(position - before, self.source[axis], self.padding)
        };
        pixels(self.source, tile.image, seen)
    }

    /// The pixels that a tile writes, row by row; `None` lies outside.
    #[inline]
    pub(super) fn written(&self, tile: Tile) -> [[Option<usize>; OUTPUT_SIDE]; OUTPUT_SIDE] {
        let inside = |axis: usize, step: usize| {
            let position = tile.first[axis] + step * self.dilation;
            (position < self.target[axis]).then_some(position)
        };
        pixels(self.target, tile.image, inside)
    }
}

/// The pixels at the crossings of the rows and columns that `at` gives for each axis.
#[inline]
fn pixels<const SIDE: usize>(
    [height, width]: [usize; 2],
    image: usize,
    at: impl Fn(usize, usize) -> Option<usize>,
) -> [[Option<usize>; SIDE]; SIDE] {
    let columns: [Option<usize>; SIDE] = std::array::from_fn(|step| at(1, step));
    std::array::from_fn(|step| match at(0, step) {
        None => [None; SIDE],
        Some(row) => {
            let start = (image * height + row) * width;
            columns.map(|column| column.map(|column| start + column))
        }
    })
}
