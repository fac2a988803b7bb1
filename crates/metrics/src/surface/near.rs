//! Nearest surface voxel within a window, row by row.
//!
//! The rows around a query are visited in the order of `base = (dh·sh)² + (dd·sd)²`, the smallest
//! squared distance any voxel of the row can have, and the nearest voxel of a row is one count of
//! leading and one of trailing zeros. The search ends at the first row whose base is no better
//! than the best voxel so far.
//!
//! Every squared distance is `((dw·sw)² + (dh·sh)²) + (dd·sd)²` in that order of rounding. Each
//! step of it is monotonic in floating point, so the nearest column of a row has the smallest
//! value, a base never exceeds a value of its row, and the result has the bits of a full search.

use super::border::Border;

/// Columns that are searched on either side of the query.
const REACH: usize = 31;

/// Rows and slices of a block of voxels that share one answer of [`Target::may_reach`].
const BLOCK: usize = 8;

/// Rows that a window should have at most, as an area of the `(h, d)` plane.
const ROWS: f64 = 512.0;

/// Rows and slices of zeros around a [`Target`], so that a window needs no bounds of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Margins {
    pub(super) slices: usize,
    pub(super) rows: usize,
}

impl Margins {
    /// Returns the margins that the windows of all `spacings` need on a box of `shape`.
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

/// A surface laid out for searching: `[words + 2, slices + margins, rows + margins]`.
///
/// One word of zeros is added on either side of a row. Words of neighbouring rows are adjacent,
/// because a query reads the same one or two words of many rows.
#[derive(Debug)]
pub(super) struct Target {
    bits: Vec<u64>,
    margins: Margins,
    /// Rows of one slice, with margins.
    rows: usize,
    /// Words of one column of words: all slices and rows.
    plane: usize,
    blocks: Blocks,
}

impl Target {
    /// Lays out `border` with `margins` around it.
    pub(super) fn new(border: &Border, margins: Margins) -> Self {
        let [slices, rows, words] = border.shape;
        let padded_rows = rows + 2 * margins.rows;
        let plane = (slices + 2 * margins.slices) * padded_rows;
        let mut bits = vec![0; plane * (words + 2)];
        for (index, &word) in border.bits.iter().enumerate() {
            if word != 0 {
                let (row, column) = (index / words, index % words);
                let (slice, row) = (row / rows + margins.slices, row % rows + margins.rows);
                bits[(column + 1) * plane + slice * padded_rows + row] = word;
            }
        }
        let blocks = Blocks::reaching(border, margins);
        Self { bits, margins, rows: padded_rows, plane, blocks }
    }

    /// Returns whether a window around this voxel may hold any voxel of the surface.
    fn may_reach(&self, [d, h, w]: [usize; 3]) -> bool {
        let [_, rows, words] = self.blocks.shape;
        self.blocks.reach[(d / BLOCK * rows + h / BLOCK) * words + w / 64]
    }
}

/// Blocks of [`BLOCK`]` × `[`BLOCK`]` × 64` voxels from which a window reaches the surface.
///
/// A query in any other block need not look at its window at all.
#[derive(Debug)]
struct Blocks {
    /// Blocks along `[D, H, W]`.
    shape: [usize; 3],
    reach: Vec<bool>,
}

impl Blocks {
    fn reaching(border: &Border, margins: Margins) -> Self {
        let [slices, rows, words] = border.shape;
        let shape = [slices.div_ceil(BLOCK), rows.div_ceil(BLOCK), words];
        let mut reach = vec![false; shape.iter().product()];
        for (row, row_words) in border.bits.chunks_exact(words.max(1)).enumerate() {
            let (slice, row) = (row / rows / BLOCK, row % rows / BLOCK);
            for (column, &word) in row_words.iter().enumerate() {
                reach[(slice * shape[1] + row) * words + column] |= word != 0;
            }
        }
        // A window is at most `REACH` columns wide on either side, less than a word.
        let steps = [margins.slices.div_ceil(BLOCK), margins.rows.div_ceil(BLOCK), 1];
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

/// The rows to visit around a query and the squared distances they add.
#[derive(Debug)]
pub(super) struct Window {
    spacing: [f64; 3],
    rows: Vec<RowOffset>,
    /// Square of every distance along a row; infinite at 64, which stands for "none found".
    columns_squared: [f64; 65],
    /// A squared distance up to this is the true one; beyond it a nearer voxel may be out of view.
    limit: f64,
}

#[derive(Debug)]
struct RowOffset {
    base: f64,
    rows_squared: f64,
    slices_squared: f64,
    step: isize,
}

impl Window {
    /// Plans the search with `spacing` in a `target` cut from a box of `shape`.
    pub(super) fn new(shape: [usize; 3], spacing: &[f64; 3], target: &Target) -> Self {
        let radius = radius(shape, spacing);
        let (slices, rows) = (signed(target.margins.slices), signed(target.margins.rows));
        let mut offsets = Vec::new();
        for slice in -slices..=slices {
            for row in -rows..=rows {
                let rows_squared = square(row as f64 * spacing[1]);
                let slices_squared = square(slice as f64 * spacing[0]);
                let base = rows_squared + slices_squared;
                if base <= square(radius) {
                    let step = slice * signed(target.rows) + row;
                    offsets.push(RowOffset { base, rows_squared, slices_squared, step });
                }
            }
        }
        offsets.sort_by(|a, b| a.base.total_cmp(&b.base));
        let mut columns_squared = [f64::INFINITY; 65];
        for (steps, squared) in columns_squared[..64].iter_mut().enumerate() {
            *squared = square(steps as f64 * spacing[2]);
        }
        let limit = square(radius).min(square(REACH as f64 * spacing[2]));
        Self { spacing: *spacing, rows: offsets, columns_squared, limit }
    }

    /// Returns the spacing that distances are measured with.
    pub(super) fn spacing(&self) -> &[f64; 3] {
        &self.spacing
    }

    /// Returns the squared distance from a voxel of the box to the nearest voxel in the window.
    ///
    /// The search may stop at any value of at most `floor`; a negative floor never stops it.
    pub(super) fn nearest(&self, target: &Target, [d, h, w]: [usize; 3], floor: f64) -> f64 {
        if !target.may_reach([d, h, w]) {
            return f64::INFINITY;
        }
        let first = w + 64 - REACH;
        let (word, shift) = (first / 64, first % 64);
        let low = &target.bits[word * target.plane..][..target.plane];
        let high = &target.bits[(word + 1) * target.plane..][..target.plane];
        let centre = (d + target.margins.slices) * target.rows + h + target.margins.rows;
        let mut best = f64::INFINITY;
        for row in &self.rows {
            if row.base >= best || best <= floor {
                break;
            }
            let at = centre.wrapping_add_signed(row.step);
            let window = low[at] >> shift | (high[at] << 1) << (63 - shift);
            // Bit `REACH` is the column of the query itself.
            let right = (window >> REACH).trailing_zeros();
            let left = (window << (63 - REACH)).leading_zeros();
            let columns_squared = self.columns_squared[right.min(left) as usize];
            let squared = columns_squared + row.rows_squared + row.slices_squared;
            best = if squared < best { squared } else { best };
        }
        best
    }

    /// Returns whether no voxel outside the window can be nearer than `squared`.
    pub(super) fn is_certain(&self, squared: f64) -> bool {
        squared <= self.limit
    }
}

/// Returns how far the rows of a window reach, in the unit of `spacing`.
fn radius(shape: [usize; 3], spacing: &[f64; 3]) -> f64 {
    let along_row = REACH as f64 * spacing[2];
    if shape[0] <= 1 {
        return along_row;
    }
    let area_of_rows = ROWS * spacing[0] * spacing[1];
    along_row.min((area_of_rows / std::f64::consts::PI).sqrt())
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

/// Returns a count of rows, which is far below `isize::MAX`, as a signed number.
fn signed(count: usize) -> isize {
    isize::try_from(count).expect("a row count comes from a slice in memory")
}

fn square(value: f64) -> f64 {
    value * value
}
