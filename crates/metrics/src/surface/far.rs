//! Nearest surface voxel at any distance, by a hierarchy of boxes around the surface.
//!
//! The row search is quadratic in the distance, so what it does not find comes here. Voxels are
//! grouped into cells, cells into larger cells, and the queries of one cell are answered together:
//! cells that cannot hold the nearest voxel of any of them are dropped level by level, the rest is
//! compared voxel by voxel, nearest cell first.
//!
//! Bounds are computed from whole voxel steps by the same monotonic formula as the distances, so
//! no rounding can drop the nearest voxel.

use std::ops::Range;

/// Edge of the smallest cell is `2^CELL_BITS` voxels.
const CELL_BITS: u32 = 2;

/// Each level is `2^LEVEL_BITS` times coarser than the one below, along every axis.
const LEVEL_BITS: u32 = 2;

/// A level with at most this many cells is searched from end to end.
const TOP_CELLS: usize = 32;

/// Voxels sorted into nested cells.
#[derive(Debug)]
pub(super) struct Cells {
    /// Position of each sorted voxel in the list it came from.
    pub(super) order: Vec<usize>,
    /// Sorted slices, rows and columns; whole numbers, so their differences are exact.
    positions: [Vec<f64>; 3],
    /// Finest level first; members of level 0 are voxels, of others cells of the level below.
    levels: Vec<Vec<Cell>>,
}

/// A tight box and what it holds.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    low: [f64; 3],
    high: [f64; 3],
    members: Range<usize>,
}

impl Cells {
    /// Sorts `voxels`, given as `[slice, row, column]`; there must be at least one.
    pub(super) fn new(voxels: &[[usize; 3]]) -> Self {
        let mut keyed: Vec<(u64, usize)> =
            voxels.iter().enumerate().map(|(index, voxel)| (morton(voxel), index)).collect();
        keyed.sort_unstable();
        let (mut keys, order): (Vec<u64>, Vec<usize>) = keyed.into_iter().unzip();
        let positions =
            [0, 1, 2].map(|axis| order.iter().map(|&index| voxels[index][axis] as f64).collect());

        let mut cells = Self { order, positions, levels: Vec::new() };
        let mut members: Vec<Cell> = (0..voxels.len()).map(|index| cells.point(index)).collect();
        loop {
            let (level, level_keys) = group(&members, &keys);
            cells.levels.push(level.clone());
            if level.len() <= TOP_CELLS {
                return cells;
            }
            members = level;
            keys = level_keys.iter().map(|key| key >> (3 * LEVEL_BITS)).collect();
        }
    }

    /// Returns the smallest cells.
    pub(super) fn finest(&self) -> &[Cell] {
        &self.levels[0]
    }

    /// Returns the positions in the original list of the voxels in a smallest cell.
    pub(super) fn members(&self, cell: &Cell) -> &[usize] {
        &self.order[cell.members.clone()]
    }

    /// Lowers `best` of every query in `group` to its squared distance to `voxel`.
    fn improve(&self, group: &Cell, voxel: [f64; 3], spacing: &[f64; 3], best: &mut [f64]) {
        let [slices, rows, columns] =
            self.positions.each_ref().map(|axis| &axis[group.members.clone()]);
        let queries = slices.iter().zip(rows).zip(columns);
        for (((&d, &h), &w), best) in queries.zip(best) {
            let squared = squared([d - voxel[0], h - voxel[1], w - voxel[2]], spacing);
            *best = if squared < *best { squared } else { *best };
        }
    }

    /// Returns the voxel at a sorted position as a cell of its own.
    fn point(&self, index: usize) -> Cell {
        let position = [0, 1, 2].map(|axis| self.positions[axis][index]);
        Cell { low: position, high: position, members: index..index + 1 }
    }
}

/// A search of one surface for the queries of one cell after another.
#[derive(Debug)]
pub(super) struct Search<'a> {
    target: &'a Cells,
    queries: &'a Cells,
    spacing: &'a [f64; 3],
    /// The search may stop once no value exceeds this; a negative floor never stops it.
    floor: f64,
    /// Sorted position of a target voxel that was near the last cell of queries. Cells come in an
    /// order that keeps neighbours together, so it bounds the distances of the next one well.
    guess: Option<usize>,
    /// Lower bound and index of the cells that may hold a nearest voxel.
    candidates: Vec<(f64, usize)>,
    /// Cells of one level that are still to be looked at.
    pending: Vec<usize>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        target: &'a Cells,
        queries: &'a Cells,
        spacing: &'a [f64; 3],
        floor: f64,
    ) -> Self {
        let (candidates, pending) = (Vec::new(), Vec::new());
        Self { target, queries, spacing, floor, guess: None, candidates, pending }
    }

    /// Returns the squared distance to the target of every voxel of a smallest cell of queries.
    pub(super) fn nearest(&mut self, group: &Cell) -> Vec<f64> {
        let guessed = self.guess.map(|index| self.target.point(index));
        let bound = guessed.map_or(f64::INFINITY, |at| upper_bound(group, &at, self.spacing));
        if bound <= self.floor {
            return vec![bound; group.members.len()];
        }
        self.collect_candidates(group, bound);
        let mut best = vec![f64::INFINITY; group.members.len()];
        let mut worst = f64::INFINITY;
        for &(nearest_possible, cell) in &self.candidates {
            if nearest_possible >= worst || worst <= self.floor {
                break;
            }
            for index in self.target.finest()[cell].members.clone() {
                let voxel = self.target.positions.each_ref().map(|axis| axis[index]);
                self.queries.improve(group, voxel, self.spacing, &mut best);
            }
            worst = best.iter().copied().fold(0.0, f64::max);
        }
        let nearest = self.candidates.first();
        self.guess = nearest.map(|&(_, cell)| self.target.finest()[cell].members.start);
        best
    }

    /// Finds the smallest cells that may hold a nearest voxel, sorted by lower bound.
    ///
    /// No query of the group is farther from the target than the root of `bound`.
    fn collect_candidates(&mut self, group: &Cell, mut bound: f64) {
        let levels = &self.target.levels;
        self.pending.clear();
        self.pending.extend(0..levels.last().map_or(0, Vec::len));
        for (height, level) in levels.iter().enumerate().rev() {
            self.candidates.clear();
            for index in self.pending.drain(..) {
                let lower = lower_bound(group, &level[index], self.spacing);
                if lower <= bound {
                    bound = bound.min(upper_bound(group, &level[index], self.spacing));
                    self.candidates.push((lower, index));
                }
            }
            self.candidates.retain(|&(lower, _)| lower <= bound);
            if height > 0 {
                let cells = self.candidates.iter();
                self.pending.extend(cells.flat_map(|&(_, cell)| level[cell].members.clone()));
            }
        }
        self.candidates.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    }
}

/// Returns `((dw·sw)² + (dh·sh)²) + (dd·sd)²` for whole steps `[dd, dh, dw]`.
pub(super) fn squared(steps: [f64; 3], spacing: &[f64; 3]) -> f64 {
    let [d, h, w] = [0, 1, 2].map(|axis| {
        let distance = steps[axis] * spacing[axis];
        distance * distance
    });
    w + h + d
}

/// Joins neighbouring members with equal keys into cells.
fn group(members: &[Cell], keys: &[u64]) -> (Vec<Cell>, Vec<u64>) {
    let mut cells = Vec::new();
    let mut cell_keys = Vec::new();
    let mut start = 0;
    for equal in keys.chunk_by(|a, b| a == b) {
        let range = start..start + equal.len();
        let joined = |axis: usize, pick: fn(&Cell) -> &[f64; 3], better: fn(f64, f64) -> f64| {
            let values = members[range.clone()].iter().map(|member| pick(member)[axis]);
            values.reduce(better).expect("a chunk has at least one key")
        };
        cells.push(Cell {
            low: [0, 1, 2].map(|axis| joined(axis, |cell| &cell.low, f64::min)),
            high: [0, 1, 2].map(|axis| joined(axis, |cell| &cell.high, f64::max)),
            members: range.clone(),
        });
        cell_keys.push(equal[0]);
        start = range.end;
    }
    (cells, cell_keys)
}

/// Returns a squared distance that no pair of voxels of the two boxes falls below.
fn lower_bound(a: &Cell, b: &Cell, spacing: &[f64; 3]) -> f64 {
    let gap = |axis: usize| (a.low[axis] - b.high[axis]).max(b.low[axis] - a.high[axis]).max(0.0);
    squared([gap(0), gap(1), gap(2)], spacing)
}

/// Returns a squared distance that no pair of voxels of the two boxes exceeds.
fn upper_bound(a: &Cell, b: &Cell, spacing: &[f64; 3]) -> f64 {
    let span = |axis: usize| (a.high[axis] - b.low[axis]).max(b.high[axis] - a.low[axis]);
    squared([span(0), span(1), span(2)], spacing)
}

/// Returns the key of a voxel's smallest cell: the bits of its three coordinates interleaved, so
/// that the cells of every level are ranges of the sorted keys.
fn morton(voxel: &[usize; 3]) -> u64 {
    let [d, h, w] = voxel.map(|position| spread((position as u64) >> CELL_BITS));
    d << 2 | h << 1 | w
}

/// Moves bit `i` of a 21-bit number to bit `3·i`.
fn spread(number: u64) -> u64 {
    let steps = [
        (32, 0x001f_0000_0000_ffff),
        (16, 0x001f_0000_ff00_00ff),
        (8, 0x100f_00f0_0f00_f00f),
        (4, 0x10c3_0c30_c30c_30c3),
        (2, 0x1249_2492_4924_9249),
    ];
    steps.iter().fold(number & 0x1f_ffff, |bits, &(shift, mask)| (bits | bits << shift) & mask)
}
