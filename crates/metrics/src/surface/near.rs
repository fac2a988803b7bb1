//! Nearest surface voxel of up to 64 queries at once, offset by offset.
//!
//! The offsets `(dd, dh, dw)` are visited in the order of their length. For each of them the surface
//! is shifted by the offset and laid over the queries of a tile: those that meet a voxel have found
//! their distance and are closed. The search ends when no query of the tile is open.
//!
//! Every squared distance is `((dw·sw)² + (dh·sh)²) + (dd·sd)²` in that order of rounding, and the
//! order of visits is that of these rounded values, so the result has the bits of a full search.
//! The eight offsets that differ in sign alone have one value and are visited together.

use std::sync::OnceLock;

use super::field::squared;
use super::tiles::{Margins, SIDE, Tiles};

/// Columns that are searched on either side of a query: those of two tiles.
pub(super) const REACH: usize = 2 * SIDE;

/// Rows and slices that are searched at most, as an area of the `(h, d)` plane.
const ROWS: f64 = 810.0;

/// Rows that are searched on either side of a query at most.
const REACH_ROWS: f64 = 31.0;

impl Margins {
    /// Returns the margins that searches with any of `spacings` need on a box of `shape`.
    pub(super) fn around(shape: [usize; 3], spacings: &[[f64; 3]]) -> Self {
        let steps = |axis: usize| {
            let wanted =
                spacings.iter().map(|spacing| whole_steps(radius(shape, spacing) / spacing[axis]));
            // Both surfaces lie in the box, so no longer step can meet a voxel.
            wanted.max().unwrap_or(0).min(shape[axis].saturating_sub(1))
        };
        Self { slices: steps(0), rows: steps(1) }
    }
}

/// The offsets to visit around a query, shortest first.
#[derive(Debug)]
pub(super) struct Offsets {
    spacing: [f64; 3],
    radius: f64,
    margins: Margins,
    /// Made for the first search.
    plan: OnceLock<Plan>,
}

#[derive(Debug)]
struct Plan {
    /// Number of pairs `(|dh|, |dd|)`.
    pairs: usize,
    ascending: Vec<Offset>,
}

#[derive(Debug)]
struct Offset {
    squared: f64,
    /// Which of the pairs `(|dh|, |dd|)`.
    rows: usize,
    /// `|dh|` and `|dd|`.
    steps: [usize; 2],
    /// `|dw|`.
    columns: usize,
}

impl Offsets {
    /// Takes the offsets that a search with `spacing` visits in a target with `margins`, cut from a
    /// box of `shape`.
    pub(super) fn new(shape: [usize; 3], spacing: &[f64; 3], margins: Margins) -> Self {
        let radius = radius(shape, spacing);
        Self { spacing: *spacing, radius, margins, plan: OnceLock::new() }
    }

    fn plan(&self) -> &Plan {
        self.plan.get_or_init(|| Plan::new(self.radius, &self.spacing, self.margins))
    }

    /// Returns the spacing that distances are measured with.
    pub(super) fn spacing(&self) -> &[f64; 3] {
        &self.spacing
    }

    /// Returns the margins that the target's tiles must have.
    pub(super) fn margins(&self) -> Margins {
        self.margins
    }

    /// Returns memory for [`Self::nearest`] to work in.
    pub(super) fn memory(&self) -> Vec<Neighbours> {
        vec![Neighbours::default(); self.plan().pairs]
    }

    /// Returns how many offsets there are.
    pub(super) fn count(&self) -> usize {
        self.plan().ascending.len()
    }

    /// Returns the squared length of an offset.
    pub(super) fn squared(&self, offset: usize) -> f64 {
        self.plan().ascending[offset].squared
    }

    /// Passes the queries of a tile to `found` as soon as their offset is known, and returns those
    /// out of reach.
    ///
    /// `open` holds the queries of the tile at `[slice, row, column of bytes]`; `seen` is
    /// [`Self::memory`].
    pub(super) fn nearest(
        &self,
        target: &Tiles,
        tile: [usize; 3],
        mut open: u64,
        seen: &mut [Neighbours],
        mut found: impl FnMut(u64, usize),
    ) -> u64 {
        if !target.may_reach(tile) {
            return open;
        }
        let position = target.position(tile);
        for (index, offset) in self.plan().ascending.iter().enumerate() {
            // Within a pair columns ascend, and a pair starts after all pairs of shorter offsets.
            let seen = &mut seen[offset.rows];
            if offset.columns == 0 {
                seen.load_inner(target, position, offset.steps);
            } else if offset.columns == SIDE + 1 {
                seen.load_outer(target, position, offset.steps);
            }
            let hit = open & seen.at(offset.columns);
            if hit != 0 {
                found(hit, index);
                open &= !hit;
                if open == 0 {
                    break;
                }
            }
        }
        open
    }
}

impl Plan {
    fn new(radius: f64, spacing: &[f64; 3], margins: Margins) -> Self {
        let limit = radius * radius;
        let length = |dd: usize, dh: usize, dw: usize| {
            squared([dd, dh, dw].map(|steps| steps as f64), spacing)
        };
        let slices = 0..=margins.slices;
        let mut pairs: Vec<[usize; 2]> = slices
            .flat_map(|dd| (0..=margins.rows).map(move |dh| [dd, dh]))
            .filter(|&[dd, dh]| length(dd, dh, 0) <= limit)
            .collect();
        pairs.sort_by(|a, b| length(a[0], a[1], 0).total_cmp(&length(b[0], b[1], 0)));
        let mut ascending = Vec::new();
        for (rows, &[dd, dh]) in pairs.iter().enumerate() {
            let steps = [dh, dd];
            let offset = |dw| Offset { squared: length(dd, dh, dw), rows, steps, columns: dw };
            let offsets = (0..=REACH).map(offset);
            ascending.extend(offsets.filter(|offset| offset.squared <= limit));
        }
        // Stable: among equals, pairs and the columns of a pair stay in ascending order.
        ascending.sort_by(|a, b| a.squared.total_cmp(&b.squared));
        Self { pairs: pairs.len(), ascending }
    }
}

/// The tiles left and right of a tile, those of the rows `±dh` in the slices `±dd` united.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Neighbours {
    middle: u64,
    /// From the inside to the outside.
    left: [u64; 2],
    right: [u64; 2],
}

impl Neighbours {
    #[inline]
    fn load_inner(&mut self, target: &Tiles, position: usize, rows: [usize; 2]) {
        self.middle = united(target, position, rows);
        self.left[0] = united(target, position - target.column, rows);
        self.right[0] = united(target, position + target.column, rows);
    }

    #[inline]
    fn load_outer(&mut self, target: &Tiles, position: usize, rows: [usize; 2]) {
        self.left[1] = united(target, position - 2 * target.column, rows);
        self.right[1] = united(target, position + 2 * target.column, rows);
    }

    /// Returns the queries from which a voxel lies `columns` to the left or to the right.
    #[inline]
    fn at(&self, columns: usize) -> u64 {
        if columns <= SIDE {
            from_left(self.middle, self.left[0], columns)
                | from_right(self.middle, self.right[0], columns)
        } else {
            from_left(self.left[0], self.left[1], columns - SIDE)
                | from_right(self.right[0], self.right[1], columns - SIDE)
        }
    }
}

/// Returns the union of the tiles at `±rows` and `±slices` from a position.
#[inline]
fn united(target: &Tiles, position: usize, [rows, slices]: [usize; 2]) -> u64 {
    let slices = slices * target.slice;
    let (before, after) = (position - slices, position + slices);
    target.load(before - rows)
        | target.load(before + rows)
        | target.load(after - rows)
        | target.load(after + rows)
}

/// Moves every row of a tile `columns` up, with what comes in from the tile before it.
#[inline]
fn from_left(tile: u64, before: u64, columns: usize) -> u64 {
    let entered = ENTERED[columns];
    tile << columns & !entered | before >> (SIDE - columns) & entered
}

/// Moves every row of a tile `columns` down, with what comes in from the tile after it.
#[inline]
fn from_right(tile: u64, after: u64, columns: usize) -> u64 {
    let stayed = ENTERED[SIDE - columns];
    tile >> columns & stayed | after << (SIDE - columns) & !stayed
}

/// The first `columns` columns of a tile, for each number of columns.
const ENTERED: [u64; SIDE + 1] = {
    let mut masks = [0; SIDE + 1];
    let mut columns = 0;
    while columns <= SIDE {
        masks[columns] = ((1 << columns) - 1) * 0x0101_0101_0101_0101;
        columns += 1;
    }
    masks
};

/// Returns how far a search goes, in the unit of `spacing`.
fn radius(shape: [usize; 3], spacing: &[f64; 3]) -> f64 {
    let in_slice = (REACH as f64 * spacing[2]).min(REACH_ROWS * spacing[1]);
    if shape[0] <= 1 {
        return in_slice;
    }
    let area_of_rows = ROWS * spacing[0] * spacing[1];
    in_slice.min((area_of_rows / std::f64::consts::PI).sqrt())
}

/// Returns a number of steps that is certainly longer than `steps`, whatever was rounded.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "steps is not negative, and a saturated count is cut to the box right after"
)]
fn whole_steps(steps: f64) -> usize {
    (steps as usize).saturating_add(1)
}
