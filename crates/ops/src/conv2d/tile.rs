//! The inner loops of forward and backward-data: a register tile of pixels × outputs.

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

impl Work for Convolve<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let packed = self.packed;
        let row_len = self.width * packed.outputs;
        let rows = self.output.len() / row_len;
        self.check::<S>(rows);
        let mut start = 0;
        while start < packed.grouped_outputs() {
            let weights = &packed.weights[start * packed.depth()..];
            for (y, output) in self.output.chunks_exact_mut(row_len).enumerate() {
                let row = Row {
                    window: self.window[y * self.window_row..].as_ptr(),
                    window_row: self.window_row,
                    packed,
                    weights: weights.as_ptr(),
                    start,
                };
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

/// One row of the output, one block of outputs.
struct Row<'a> {
    /// The first tap of the row's first pixel.
    window: *const f32,
    window_row: usize,
    packed: &'a Packed,
    /// The block's weights.
    weights: *const f32,
    /// The block's first output.
    start: usize,
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
        // Taps of one kernel row are one run in memory unless dilation tears them apart.
        let (runs, run_len) = match packed.dilation {
            1 => (1, packed.columns * packed.channels),
            _ => (packed.columns, packed.channels),
        };
        let mut weights = self.weights;
        // SAFETY: `Work::run` runs where the unit exists. `Convolve::check` made sure that the window
        // holds every tap and that every block has `depth · V` vectors of weights, which is as many as
        // the loops below read, in order.
        let sums = unsafe {
            let mut sums = [[S::zero(); V]; T];
            for r in 0..packed.rows {
                for run in 0..runs {
                    let offset = r * packed.dilation * self.window_row
                        + run * packed.dilation * packed.channels;
                    let taps = self.window.add(first * pixel + offset);
                    accumulate::<S, T, V>(&mut sums, (taps, pixel), weights, run_len);
                    weights = weights.add(run_len * V * S::LANES);
                }
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
                // SAFETY: as many lanes are written as `room` has numbers, and no more than a vector.
                unsafe {
                    if room.len() >= S::LANES {
                        S::store(room.as_mut_ptr(), sum);
                    } else {
                        S::store_first(room.as_mut_ptr(), sum, room.len());
                    }
                }
            }
        }
    }
}

/// Adds the products of one run of taps to the sums of `T` pixels, `pixel` numbers apart.
///
/// # Safety
///
/// The unit exists, `taps` is valid for `len` numbers at each of the `T` pixels, and `weights` for
/// `len · V` vectors.
#[inline(always)]
unsafe fn accumulate<S: Simd, const T: usize, const V: usize>(
    sums: &mut [[S::Vector; V]; T],
    (taps, pixel): (*const f32, usize),
    weights: *const f32,
    len: usize,
) {
    // SAFETY: by the contract of this function.
    unsafe {
        for i in 0..len {
            let weights = weights.add(i * V * S::LANES);
            let mut vectors = [S::zero(); V];
            for (v, vector) in vectors.iter_mut().enumerate() {
                *vector = S::load(weights.add(v * S::LANES));
            }
            for (t, sums) in sums.iter_mut().enumerate() {
                let tap = S::splat(taps.add(i + t * pixel));
                for (sum, vector) in sums.iter_mut().zip(vectors) {
                    *sum = S::multiply_add(tap, vector, *sum);
                }
            }
        }
    }
}
