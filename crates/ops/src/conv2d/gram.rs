//! The inner loops of backward-weight: a register tile of outputs × (columns, channels) that runs over
//! pixels.

use crate::simd::{Simd, Work};

/// Most outputs of a tile of any vector unit.
const MOST_OUTPUTS: usize = 8;

/// Most vectors of a tile.
const VECTORS: usize = 3;

/// Adds the products of gradients and taps of one scratch window to the sums.
///
/// ```text
/// sums[r, q, k, j] += Σ_{y,x} G[y, x, first + k] · window[y + d r, (x + d q) C + j]
/// ```
///
/// `q` runs over `runs` starting columns and `j` over the `run_len` numbers from there on: the whole
/// kernel row if the dilation is 1, the channels of one column otherwise.
pub(super) struct Gram<'a> {
    pub(super) window: &'a [f32],
    /// Numbers in one row of the window.
    pub(super) row_step: usize,
    /// `[rows, width, K]`
    pub(super) gradient: &'a [f32],
    /// Pixels in one row of the gradient.
    pub(super) width: usize,
    pub(super) taps: Taps,
    /// The outputs `first..first + count` of all `all`.
    pub(super) outputs: Outputs,
    /// `[R, runs, count, run_len padded to vectors]`
    pub(super) sums: &'a mut [f32],
}

/// A kernel's taps, grouped into runs that are adjacent in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taps {
    pub(super) rows: usize,
    pub(super) runs: usize,
    pub(super) run_len: usize,
    pub(super) channels: usize,
    pub(super) dilation: usize,
}

impl Taps {
    /// Length of a run, padded to whole vectors.
    pub(super) fn padded(&self, lanes: usize) -> usize {
        self.run_len.next_multiple_of(lanes)
    }
}

/// A range of the outputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outputs {
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) all: usize,
}

impl Work for Gram<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        self.check::<S>();
        let (taps, count) = (self.taps, self.outputs.count);
        let padded = taps.padded(S::LANES);
        let vectors = padded / S::LANES;
        let strips = vectors.div_ceil(VECTORS);
        for place in 0..taps.rows * taps.runs {
            let (r, run) = (place / taps.runs, place % taps.runs);
            let offset = r * taps.dilation * self.row_step + run * taps.dilation * taps.channels;
            for strip in 0..strips {
                let (start, end) = (vectors * strip / strips, vectors * (strip + 1) / strips);
                for k in (0..count).step_by(S::OUTPUTS) {
                    let sums = (place * count + k) * padded + start * S::LANES;
                    let at = Place { tap: offset + start * S::LANES, k, sums };
                    self.tile_of::<S>((count - k).min(S::OUTPUTS), end - start, at);
                }
            }
        }
    }
}

/// Where a tile starts: in the window, among the outputs and in the sums.
#[derive(Clone, Copy)]
struct Place {
    tap: usize,
    k: usize,
    sums: usize,
}

impl Gram<'_> {
    /// Checks everything that the pointers of [`Self::tile`] rely on.
    fn check<S: Simd>(&self) {
        let (taps, outputs) = (self.taps, self.outputs);
        let rows = self.gradient.len() / (self.width * outputs.all);
        assert_eq!(self.gradient.len(), rows * self.width * outputs.all, "rows are whole");
        assert!(outputs.first + outputs.count <= outputs.all, "the outputs exist");
        let padded = taps.padded(S::LANES);
        let last_row = rows - 1 + taps.dilation * (taps.rows - 1);
        let last_column = self.width - 1 + taps.dilation * (taps.runs - 1);
        let needed = last_row * self.row_step + last_column * taps.channels + padded;
        assert!(needed <= self.window.len(), "the window holds every tap and the slack");
        let sums = taps.rows * taps.runs * outputs.count * padded;
        assert_eq!(self.sums.len(), sums, "there is a sum for every tap and output");
    }

    #[inline(always)]
    fn tile_of<S: Simd>(&mut self, outputs: usize, vectors: usize, at: Place) {
        macro_rules! cases {
            ($($t:literal)*) => {
                match (outputs, vectors) {
                    $(($t, 1) if $t <= S::OUTPUTS => self.tile::<S, $t, 1>(at),
                    ($t, 2) if $t <= S::OUTPUTS => self.tile::<S, $t, 2>(at),
                    ($t, 3) if $t <= S::OUTPUTS => self.tile::<S, $t, 3>(at),)*
                    _ => unreachable!("tiles have up to {MOST_OUTPUTS} outputs and {VECTORS} vectors"),
                }
            };
        }
        cases!(1 2 3 4 5 6 7 8);
    }

    /// Adds the sums over all pixels for `T` outputs and `V` vectors of taps.
    #[inline(always)]
    fn tile<S: Simd, const T: usize, const V: usize>(&mut self, at: Place) {
        let (width, all) = (self.width, self.outputs.all);
        let rows = self.gradient.len() / (width * all);
        let padded = self.taps.padded(S::LANES);
        // SAFETY: `Work::run` runs where the unit exists. `Self::check` made sure that gradient, window
        // and sums hold every number of every tile, the last vector's idle lanes included.
        unsafe {
            let mut sums = [[S::zero(); V]; T];
            for y in 0..rows {
                let gradient =
                    self.gradient.as_ptr().add(y * width * all + self.outputs.first + at.k);
                let taps = self.window.as_ptr().add(y * self.row_step + at.tap);
                let steps = (all, self.taps.channels);
                sums = accumulate::<S, T, V>(sums, (gradient, taps), steps, width);
            }
            for (t, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    let target = self.sums.as_mut_ptr().add(at.sums + t * padded + v * S::LANES);
                    S::store(target, S::add(sum, S::load(target)));
                }
            }
        }
    }
}

/// Adds the products of one row of pixels to the sums.
///
/// The sums travel by value: behind a reference, the compiler would keep some of them in memory.
///
/// # Safety
///
/// The unit exists; the gradient is valid for `T` numbers and the taps for `V` vectors at each of the
/// `width` pixels, which lie `steps` numbers apart.
#[inline(always)]
unsafe fn accumulate<S: Simd, const T: usize, const V: usize>(
    mut sums: [[S::Vector; V]; T],
    (mut gradient, mut taps): (*const f32, *const f32),
    steps: (usize, usize),
    width: usize,
) -> [[S::Vector; V]; T] {
    for _ in 0..width {
        // SAFETY: by the contract of this function.
        unsafe {
            let mut vectors = [S::zero(); V];
            for (v, vector) in vectors.iter_mut().enumerate() {
                *vector = S::load(taps.add(v * S::LANES));
            }
            for (t, sums) in sums.iter_mut().enumerate() {
                let g = S::splat(gradient.add(t));
                for (sum, vector) in sums.iter_mut().zip(vectors) {
                    *sum = S::multiply_add_in_turn(g, vector, *sum);
                }
            }
        }
        // The last step may leave the slice, so it is no pointer arithmetic inside it.
        (gradient, taps) = (gradient.wrapping_add(steps.0), taps.wrapping_add(steps.1));
    }
    sums
}
