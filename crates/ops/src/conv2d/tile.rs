//! The inner loops of forward and backward-data: a register tile of pixels × outputs.

use std::ops::Range;

use super::packed::Packed;
use crate::simd::{Simd, Work};

/// The widest tile of any vector unit.
const MOST_ROWS: usize = 14;

/// Convolves one scratch window into output rows.
///
/// The window holds, for output row `y` and column `x`, the tap `(r, s)` at row `y + d r`, column
/// `x + d s`: it starts where the first tap of the first pixel lies.
pub(super) struct Convolve<'a> {
    pub(super) window: &'a [f32],
    /// Numbers in one row of the window.
    pub(super) window_row: usize,
    pub(super) packed: &'a Packed,
    /// Pixels in one row of the output.
    pub(super) width: usize,
    /// `[rows, width, outputs]`
    pub(super) output: &'a mut [f32],
}

/// Weights per output that one pass over the pixels uses at most: with two vectors of outputs, 512 KiB
/// that must stay in the second-level cache.
const MOST_DEPTH: usize = 1 << 12;

impl Work for Convolve<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let packed = self.packed;
        let row_len = self.width * packed.outputs;
        self.check::<S>(self.output.len() / row_len);
        let parts = packed.depth().div_ceil(MOST_DEPTH).min(packed.channels);
        for part in 0..parts {
            let cut = |part: usize| packed.channels * part / parts;
            let channels = cut(part)..cut(part + 1);
            let mut start = 0;
            while start < packed.grouped_outputs() {
                let weights = packed.weights[start * packed.depth()..].as_ptr();
                for (y, output) in self.output.chunks_exact_mut(row_len).enumerate() {
                    let window = self.window[y * self.window_row..].as_ptr();
                    let window_row = self.window_row;
                    let channels = channels.clone();
                    let row = Row { window, window_row, packed, weights, start, channels };
                    if packed.block_lanes(start) > S::LANES {
                        row.convolve::<S, 2>(output);
                    } else {
                        row.convolve::<S, 1>(output);
                    }
                }
                start += packed.block_lanes(start);
            }
        }
    }
}

impl Convolve<'_> {
    /// Checks everything that the pointers of [`Row`] rely on.
    fn check<S: Simd>(&self, rows: usize) {
        let packed = self.packed;
        assert_eq!(packed.lanes, S::LANES, "kernels are packed for the unit that runs");
        let groups = self.width.div_ceil(packed.group);
        let last_row = rows - 1 + packed.dilation * (packed.rows - 1);
        let columns = (groups - 1) * packed.group + packed.dilation * (packed.columns - 1) + 1;
        let needed = last_row * self.window_row + columns * packed.channels;
        assert!(needed <= self.window.len(), "the window holds every tap of every pixel");
        let padded = packed.grouped_outputs().next_multiple_of(S::LANES);
        assert_eq!(packed.weights.len(), padded * packed.depth(), "the blocks are whole");
    }
}

/// One row of the output, one block of outputs, one range of channels.
struct Row<'a> {
    /// The first tap of the row's first pixel.
    window: *const f32,
    window_row: usize,
    packed: &'a Packed,
    /// The block's weights.
    weights: *const f32,
    /// The block's first output.
    start: usize,
    /// The channels to sum; all but the first range add to what the output holds.
    channels: Range<usize>,
}

impl Row<'_> {
    /// Cuts the row into tiles of nearly equal size.
    #[inline(always)]
    fn convolve<S: Simd, const V: usize>(&self, output: &mut [f32]) {
        let step = self.packed.grouped_outputs();
        let groups = output.len().div_ceil(step);
        let tiles = groups.div_ceil(S::ROWS);
        let mut first = 0;
        for tile in 0..tiles {
            let end = groups * (tile + 1) / tiles;
            self.tile_of::<S, V>(end - first, first, &mut output[first * step..]);
            first = end;
        }
    }

    #[inline(always)]
    fn tile_of<S: Simd, const V: usize>(&self, rows: usize, first: usize, output: &mut [f32]) {
        macro_rules! cases {
            ($($t:literal)*) => {
                match rows {
                    $($t if $t <= S::ROWS => self.tile::<S, $t, V>(first, output),)*
                    _ => unreachable!("tiles have 1 to {MOST_ROWS} rows"),
                }
            };
        }
        cases!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }

    /// Computes `T` groups of pixels from group `first` on, for `V` vectors of outputs.
    #[inline(always)]
    fn tile<S: Simd, const T: usize, const V: usize>(&self, first: usize, output: &mut [f32]) {
        let packed = self.packed;
        let pixel = packed.group * packed.channels;
        // Taps of one kernel row are one run in memory unless something tears them apart.
        let whole = packed.dilation == 1 && self.channels.len() == packed.channels;
        let (runs, run_len) = match whole {
            true => (1, packed.columns * packed.channels),
            false => (packed.columns, self.channels.len()),
        };
        // SAFETY: `Work::run` runs where the unit exists. `Convolve::check` made sure that the window
        // holds every tap and that every block has `depth · V` vectors of weights, one for each tap.
        let sums = unsafe {
            let mut sums = [[S::zero(); V]; T];
            for place in 0..packed.rows * runs {
                let (r, run) = (place / runs, place % runs);
                let tap = r * packed.dilation * self.window_row
                    + run * packed.dilation * packed.channels
                    + self.channels.start;
                let weight = (r * packed.columns + run) * packed.channels + self.channels.start;
                sums = accumulate::<S, T, V>(
                    sums,
                    (self.window.add(first * pixel + tap), pixel),
                    self.weights.add(weight * V * S::LANES),
                    run_len,
                );
            }
            sums
        };
        self.store::<S, T, V>(&sums, output);
    }

    #[inline(always)]
    fn store<S: Simd, const T: usize, const V: usize>(
        &self,
        sums: &[[S::Vector; V]; T],
        output: &mut [f32],
    ) {
        let step = self.packed.grouped_outputs();
        for (group, sums) in output.chunks_mut(step).zip(sums) {
            for (v, &sum) in sums.iter().enumerate() {
                let room = group.get_mut(self.start + v * S::LANES..).unwrap_or_default();
                let adds = self.channels.start > 0;
                // SAFETY: the unit exists, and as many lanes are read and written as `room` has
                // numbers, at most a vector.
                unsafe {
                    if room.len() >= S::LANES {
                        let old = if adds { S::load(room.as_ptr()) } else { S::zero() };
                        S::store(room.as_mut_ptr(), S::add(old, sum));
                    } else if !room.is_empty() {
                        let count = if adds { room.len() } else { 0 };
                        let old = S::load_first(room.as_ptr(), count);
                        S::store_first(room.as_mut_ptr(), S::add(old, sum), room.len());
                    }
                }
            }
        }
    }
}

/// Adds the products of one run of taps to the sums of `T` pixels, `pixel` numbers apart.
///
/// The sums travel by value: behind a reference, the compiler would keep some of them in memory.
///
/// # Safety
///
/// The unit exists, `taps` is valid for `len` numbers at each of the `T` pixels, and `weights` for
/// `len · V` vectors.
#[inline(always)]
unsafe fn accumulate<S: Simd, const T: usize, const V: usize>(
    mut sums: [[S::Vector; V]; T],
    (taps, pixel): (*const f32, usize),
    weights: *const f32,
    len: usize,
) -> [[S::Vector; V]; T] {
    for i in 0..len {
        // SAFETY: by the contract of this function.
        unsafe {
            let mut vectors = [S::zero(); V];
            for v in 0..V {
                vectors[v] = S::load(weights.add((i * V + v) * S::LANES));
            }
            for t in 0..T {
                let tap = S::splat(taps.add(i + t * pixel));
                for v in 0..V {
                    sums[t][v] = S::multiply_add(tap, vectors[v], sums[t][v]);
                }
            }
        }
    }
    sums
}
