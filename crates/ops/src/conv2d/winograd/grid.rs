//! Where the tiles of a batch lie, and which pixels each of them reads and writes.

use std::ops::Range;

use super::super::border::place;
use super::super::{Dims, Padding};
use super::transforms::HALF_LACKS;
use super::{INPUT_SIDE, OUTPUT_SIDE, POINT_SIDE};

/// Rows (and columns) of the outputs of half a tile.
const HALF_SIDE: usize = OUTPUT_SIDE / 2;

/// The tiles of a batch.
///
/// Pixels whose rows and columns differ by multiples of the dilation form a lattice, on which the
/// convolution is an ordinary one; every lattice has its own tiles. Where no more than two rows are left
/// for the last row of tiles, these are halves (see `transforms`), and likewise the last column.
///
/// Tiles are numbered kind by kind, in the order of [`KINDS`], so that those which have a point follow one
/// another.
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
    /// Whether the last row and the last column of them are halves.
    halves: [bool; 2],
    /// Behind the numbers of the tiles of each of [`KINDS`].
    ends: [usize; KINDS.len()],
}

/// Whether the tiles of a kind are halves along each axis.
type Kind = [bool; 2];

/// Those that have all six points along an axis stand side by side, for either axis.
const KINDS: [Kind; 4] = [[false, true], [false, false], [true, false], [true, true]];

/// One tile: an image of the batch, and the row and column of the first pixel written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Whether it is half a tile along each axis.
    pub(super) halves: Kind,
    /// The image of the batch that it belongs to.
    pub(super) image: usize,
    /// Its number in the batch, counted image by image, lattice by lattice and row by row.
    pub(super) unit: usize,
    first: [usize; 2],
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
        let lattice = target.map(|size| size.div_ceil(dilation));
        let tiles = lattice.map(|size| size.div_ceil(OUTPUT_SIDE));
        let halves = lattice.map(|size| (1..=HALF_SIDE).contains(&(size % OUTPUT_SIDE)));
        let (batch, ends) = (dims.batch, [0; KINDS.len()]);
        let grid = Self { batch, source, target, border, padding, dilation, tiles, halves, ends };
        grid.of_batch(batch)
    }

    /// The tiles of another number of images.
    fn of_batch(self, batch: usize) -> Self {
        let mut end = 0;
        let ends = KINDS.map(|kind| {
            let [rows, columns] = self.tiles_of(kind);
            end += batch * self.dilation * self.dilation * rows * columns;
            end
        });
        Self { batch, ends, ..self }
    }

    /// Tiles in the batch.
    pub(super) fn count(&self) -> usize {
        self.ends[KINDS.len() - 1]
    }

    /// Rows and columns of the tiles of a kind on one lattice.
    fn tiles_of(&self, kind: Kind) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let halves = usize::from(self.halves[axis]);
            if kind[axis] { halves } else { self.tiles[axis] - halves }
        })
    }

    /// The numbers of the tiles of a kind.
    fn range(&self, kind: usize) -> Range<usize> {
        let start = if kind == 0 { 0 } else { self.ends[kind - 1] };
        start..self.ends[kind]
    }

    /// The numbers, among `tiles`, of those that have a point.
    pub(super) fn with_point(&self, point: usize, tiles: &Range<usize>) -> Range<usize> {
        let lacks = [point / POINT_SIDE, point % POINT_SIDE].map(|at| HALF_LACKS.contains(&at));
        let has = |kind: &Kind| !(kind[0] && lacks[0] || kind[1] && lacks[1]);
        // Whole tiles have every point.
        let first = KINDS.iter().position(has).unwrap_or_default();
        let last = KINDS.iter().rposition(has).unwrap_or_default();
        let (start, end) = (self.range(first).start, self.range(last).end);
        let start = start.clamp(tiles.start, tiles.end);
        start..end.clamp(start, tiles.end)
    }

    /// How many pixels each tile of an image writes, in the order of [`Tile::unit`].
    pub(super) fn tile_pixels(&self) -> Vec<u32> {
        let one = self.of_batch(1);
        let mut pixels = vec![0; one.count()];
        for tile in (0..one.count()).map(|index| one.tile(index)) {
            pixels[tile.unit] = one.written(tile).count();
        }
        pixels
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
        let kind = self.ends.iter().position(|&end| index < end);
        let kind = kind.expect("the tile is one of the batch");
        let halves = KINDS[kind];
        let [rows, columns] = self.tiles_of(halves);
        let index = index - self.range(kind).start;
        let (index, column) = (index / columns, index % columns);
        let (lattice, row) = (index / rows, index % rows);
        let row = if halves[0] { self.tiles[0] - 1 } else { row };
        let column = if halves[1] { self.tiles[1] - 1 } else { column };
        let unit = (lattice * self.tiles[0] + row) * self.tiles[1] + column;
        let (index, column_phase) = (lattice / self.dilation, lattice % self.dilation);
        let (image, row_phase) = (index / self.dilation, index % self.dilation);
        let first = |tile: usize, phase: usize| tile * OUTPUT_SIDE * self.dilation + phase;
        Tile { halves, image, unit, first: [first(row, row_phase), first(column, column_phase)] }
    }

    /// The pixels that a tile reads; what is not there is zero.
    #[inline]
    pub(super) fn read(&self, tile: Tile) -> Pixels<INPUT_SIDE> {
        let seen = |axis: usize, tap: usize| {
            let position = (tile.first[axis] + tap * self.dilation).cast_signed();
            let before = (self.border + self.dilation).cast_signed();
            place(position - before, self.source[axis], self.padding)
        };
        Pixels::at_crossings(self.source, tile.image, seen)
    }

    /// The pixels that a tile writes; what is not there lies outside.
    #[inline]
    pub(super) fn written(&self, tile: Tile) -> Pixels<OUTPUT_SIDE> {
        let inside = |axis: usize, step: usize| {
            let position = tile.first[axis] + step * self.dilation;
            (position < self.target[axis]).then_some(position)
        };
        Pixels::at_crossings(self.target, tile.image, inside)
    }
}

/// The pixels at the crossings of some rows and columns of an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixels<const SIDE: usize> {
    /// The first pixel of each row, among all of the batch.
    rows: [Option<usize>; SIDE],
    columns: [Option<usize>; SIDE],
}

impl<const SIDE: usize> Pixels<SIDE> {
    /// `at` gives the rows (axis 0) and the columns (axis 1).
    #[inline]
    fn at_crossings(
        [height, width]: [usize; 2],
        image: usize,
        at: impl Fn(usize, usize) -> Option<usize>,
    ) -> Self {
        let start = |row: usize| (image * height + row) * width;
        Self {
            rows: std::array::from_fn(|step| at(0, step).map(start)),
            columns: std::array::from_fn(|step| at(1, step)),
        }
    }

    /// The pixel at a crossing, among all of the batch.
    #[inline]
    pub(super) fn at(&self, row: usize, column: usize) -> Option<usize> {
        Some(self.rows[row]? + self.columns[column]?)
    }

    fn count(&self) -> u32 {
        let count = |steps: &[Option<usize>]| steps.iter().flatten().map(|_| 1).sum::<u32>();
        count(&self.rows) * count(&self.columns)
    }
}
