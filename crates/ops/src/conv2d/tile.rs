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
    pub(super) row_step: usize,
    pub(super) packed: &'a Packed,
    /// Pixels in one row of the output.
    pub(super) width: usize,
    /// `[rows, width, outputs]`
    pub(super) output: &'a mut [f32],
}

/// Weights per output that one pass over the pixels uses at most: for one vector of outputs, 512 KiB that
/// must stay in the second-level cache.
const MOST_DEPTH: usize = 1 << 13;

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
            for start in (0..packed.grouped_outputs()).step_by(S::LANES) {
                for (y, output) in self.output.chunks_exact_mut(row_len).enumerate() {
                    let row = OutputRow {
                        window: self.window[y * self.row_step..].as_ptr(),
                        row_step: self.row_step,
                        packed,
                        weights: packed.weights[start * packed.depth()..].as_ptr(),
                        start,
                        channels: channels.clone(),
                    };
                    row.convolve::<S>(output);
                }
            }
        }
    }
}

impl Convolve<'_> {
    /// Checks everything that the pointers of [`OutputRow`] rely on.
    fn check<S: Simd>(&self, rows: usize) {
        let packed = self.packed;
        assert_eq!(packed.lanes, S::LANES, "kernels are packed for the unit that runs");
        let groups = self.width.div_ceil(packed.group);
        let last_row = rows - 1 + packed.dilation * (packed.rows - 1);
        let columns = (groups - 1) * packed.group + packed.dilation * (packed.columns - 1) + 1;
        let needed = last_row * self.row_step + columns * packed.channels;
        assert!(needed <= self.window.len(), "the window holds every tap of every pixel");
        let padded = packed.grouped_outputs().next_multiple_of(S::LANES);
        assert_eq!(packed.weights.len(), padded * packed.depth(), "the blocks are whole");
    }
}

/// One row of the output, one block of outputs, one range of channels.
struct OutputRow<'a> {
    /// The first tap of the row's first pixel.
    window: *const f32,
    row_step: usize,
    packed: &'a Packed,
    /// The block's weights.
    weights: *const f32,
    /// The block's first output.
    start: usize,
    /// The channels to sum; all but the first range add to what the output holds.
    channels: Range<usize>,
}

impl OutputRow<'_> {
    /// Cuts the row into tiles of nearly equal size.
    #[inline(always)]
    fn convolve<S: Simd>(&self, output: &mut [f32]) {
        let step = self.packed.grouped_outputs();
        let groups = output.len().div_ceil(step);
        let tiles = groups.div_ceil(S::ROWS);
        let mut first = 0;
        for tile in 0..tiles {
            let end = groups * (tile + 1) / tiles;
            self.tile_of::<S>(end - first, first, &mut output[first * step..]);
            first = end;
        }
    }

    #[inline(always)]
    fn tile_of<S: Simd>(&self, rows: usize, first: usize, output: &mut [f32]) {
        macro_rules! cases {
            ($($t:literal)*) => {
                match rows {
                    $($t if $t <= S::ROWS => self.tile::<S, $t>(first, output),)*
                    _ => unreachable!("tiles have 1 to {MOST_ROWS} rows"),
                }
            };
        }
        cases!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }

    /// Computes `T` groups of pixels from group `first` on, for one vector of outputs.
    #[inline(always)]
    fn tile<S: Simd, const T: usize>(&self, first: usize, output: &mut [f32]) {
        let packed = self.packed;
        let pixel = packed.group * packed.channels;
        // Taps of one kernel row are one run in memory unless something tears them apart.
        let whole = packed.dilation == 1 && self.channels.len() == packed.channels;
        let (runs, run_len) = if whole {
            (1, packed.columns * packed.channels)
        } else {
            (packed.columns, self.channels.len())
        };
        // SAFETY: `Work::run` runs where the unit exists. `Convolve::check` made sure that the window
        // holds every tap and that every block has `depth` vectors of weights, one for each tap.
        let sums = unsafe {
            let mut sums = [S::zero(); T];
            for place in 0..packed.rows * runs {
                let (r, run) = (place / runs, place % runs);
                let tap = r * packed.dilation * self.row_step
                    + run * packed.dilation * packed.channels
                    + self.channels.start;
                let weight = (r * packed.columns + run) * packed.channels + self.channels.start;
                sums = accumulate::<S, T>(
                    sums,
                    (self.window.add(first * pixel + tap), pixel),
                    self.weights.add(weight * S::LANES),
                    run_len,
                );
            }
            sums
        };
        self.store::<S, T>(&sums, output);
    }

    #[inline(always)]
    fn store<S: Simd, const T: usize>(&self, sums: &[S::Vector; T], output: &mut [f32]) {
        let step = self.packed.grouped_outputs();
        let adds = self.channels.start > 0;
        for (group, &sum) in output.chunks_mut(step).zip(sums) {
            let room = group.get_mut(self.start..).unwrap_or_default();
            let count = room.len().min(S::LANES);
            // SAFETY: the unit exists, and `room` has as many numbers as are read and written.
            unsafe {
                let old = if adds { S::load_first(room.as_ptr(), count) } else { S::zero() };
                S::store_first(room.as_mut_ptr(), S::add(old, sum), count);
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
/// The unit exists, `taps` is valid for `len` numbers at each of the `T` pixels, and `weights` for `len`
/// vectors.
#[inline(always)]
unsafe fn accumulate<S: Simd, const T: usize>(
    mut sums: [S::Vector; T],
    (taps, pixel): (*const f32, usize),
    weights: *const f32,
    len: usize,
) -> [S::Vector; T] {
    for i in 0..len {
        // SAFETY: by the contract of this function.
        unsafe {
            let weights = S::load(weights.add(i * S::LANES));
            for (t, sum) in sums.iter_mut().enumerate() {
                let x = S::splat(taps.add(i + t * pixel));
                *sum = S::multiply_add_in_turn(x, weights, *sum);
            }
        }
    }
    sums
}
