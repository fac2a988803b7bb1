//! The products of one point: a register tile of tiles × outputs that runs over the channels.

use crate::simd::Simd;

/// Vectors of outputs in one register tile.
const VECTORS: usize = 2;

/// One point's product `M = V U`.
///
/// `V` is `[depth / lanes, tiles, lanes]`, `U` is `[vectors, depth, lanes]` and `M` is
/// `[vectors, tiles, lanes]`.
pub(super) struct Product {
    pub(super) tiles: usize,
    pub(super) depth: usize,
    /// Vectors of outputs.
    pub(super) vectors: usize,
    pub(super) inputs: *const f32,
    /// Numbers from one vector of channels to the next in `V`.
    pub(super) input_step: usize,
    pub(super) weights: *const f32,
    /// Numbers from one vector of outputs to the next in `U`.
    pub(super) weight_step: usize,
    pub(super) sums: *mut f32,
    /// Numbers from one vector of outputs to the next in `M`.
    pub(super) sum_step: usize,
}

impl Product {
    /// Computes the product.
    ///
    /// # Safety
    ///
    /// The unit exists, and the pointers are valid for all numbers of their layouts.
    #[inline(always)]
    pub(super) unsafe fn compute<S: Simd>(&self) {
        let groups = self.tiles.div_ceil(S::PAIRS);
        for vector in (0..self.vectors).step_by(VECTORS) {
            for group in 0..groups {
                // Nearly equal groups: a short last one would waste the registers.
                let first = self.tiles * group / groups;
                let rows = self.tiles * (group + 1) / groups - first;
                // SAFETY: by the contract of this function, as `first + rows` is at most `tiles`.
                unsafe {
                    match self.vectors - vector {
                        1 => self.tile_of::<S, 1>(rows, first, vector),
                        _ => self.tile_of::<S, VECTORS>(rows, first, vector),
                    }
                }
            }
        }
    }

    /// # Safety
    ///
    /// As [`Self::compute`].
    #[inline(always)]
    unsafe fn tile_of<S: Simd, const V: usize>(&self, rows: usize, first: usize, vector: usize) {
        macro_rules! cases {
            ($($t:literal)*) => {
                match rows {
                    // SAFETY: by the contract of this function.
                    $($t if $t <= S::PAIRS => unsafe { self.tile::<S, V, $t>(first, vector) },)*
                    _ => unreachable!("groups have 1 to 14 tiles"),
                }
            };
        }
        cases!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }

    /// Computes `T` tiles from `first` on for `V` vectors of outputs.
    ///
    /// # Safety
    ///
    /// As [`Self::compute`]; the tiles and vectors exist.
    #[inline(always)]
    unsafe fn tile<S: Simd, const V: usize, const T: usize>(&self, first: usize, vector: usize) {
        // SAFETY: by the contract of this function.
        unsafe {
            let mut sums = [[S::zero(); T]; V];
            let mut inputs = self.inputs.add(first * S::LANES);
            let mut weights = self.weights.add(vector * self.weight_step);
            let mut rest = self.depth;
            while rest > 0 {
                let len = rest.min(S::LANES);
                sums = accumulate::<S, V, T>(sums, inputs, (weights, self.weight_step), len);
                rest -= len;
                // The last step may leave the memory, so it is no pointer arithmetic inside it.
                inputs = inputs.wrapping_add(self.input_step);
                weights = weights.wrapping_add(S::LANES * S::LANES);
            }
            for (v, sums) in sums.iter().enumerate() {
                let target = self.sums.add((vector + v) * self.sum_step + first * S::LANES);
                for (t, &sum) in sums.iter().enumerate() {
                    S::store(target.add(t * S::LANES), sum);
                }
            }
        }
    }
}

/// Adds the products of `len` channels of one block to the sums.
///
/// The sums travel by value: behind a reference, the compiler would keep some of them in memory.
///
/// # Safety
///
/// The unit exists; `inputs` is valid for `T` blocks of one vector, and the weights for `len` vectors at
/// each of `V` places, `step` numbers apart.
#[inline(always)]
unsafe fn accumulate<S: Simd, const V: usize, const T: usize>(
    mut sums: [[S::Vector; T]; V],
    inputs: *const f32,
    (weights, step): (*const f32, usize),
    len: usize,
) -> [[S::Vector; T]; V] {
    for c in 0..len {
        // SAFETY: by the contract of this function.
        unsafe {
            let mut vectors = [S::zero(); V];
            for (v, vector) in vectors.iter_mut().enumerate() {
                *vector = S::load(weights.add(v * step + c * S::LANES));
            }
            for t in 0..T {
                let x = S::splat(inputs.add(t * S::LANES + c));
                for (sums, &vector) in sums.iter_mut().zip(&vectors) {
                    sums[t] = S::multiply_add(x, vector, sums[t]);
                }
            }
        }
    }
    sums
}
