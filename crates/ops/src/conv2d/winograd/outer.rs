//! The products of one point for the kernel gradient: a register tile of outputs × channels that runs
//! over the tiles.

use crate::simd::Simd;

use super::memory::Planes;

/// Most vectors of channels in one register tile.
const VECTORS: usize = 3;

/// Adds one point's product to the sums, `S += Mᵀ V`.
///
/// `M` is `[outputs / lanes, tiles, lanes]`, `V` is `[vectors, tiles, lanes]` and `S` is
/// `[outputs, vectors, lanes]`.
pub(super) struct OuterProduct {
    /// Tiles summed, at most those that the layouts hold.
    pub(super) tiles: usize,
    pub(super) gradients: (*const f32, Planes),
    pub(super) inputs: (*const f32, Planes),
    pub(super) sums: *mut f32,
}

impl OuterProduct {
    /// Adds the product.
    ///
    /// # Safety
    ///
    /// The unit exists, and the pointers are valid for all numbers of one point of their layouts.
    #[inline(always)]
    pub(super) unsafe fn add<S: Simd>(&self) {
        let vectors = self.inputs.1.blocks;
        let strips = vectors.div_ceil(VECTORS);
        for output in (0..self.gradients.1.blocks * S::LANES).step_by(S::OUTPUTS) {
            for strip in 0..strips {
                let first = vectors * strip / strips;
                // SAFETY: by the contract of this function.
                unsafe {
                    match (vectors * (strip + 1) / strips - first, S::OUTPUTS) {
                        (1, 8) => self.tile::<S, 8, 1>(output, first),
                        (2, 8) => self.tile::<S, 8, 2>(output, first),
                        (3, 8) => self.tile::<S, 8, 3>(output, first),
                        (1, 4) => self.tile::<S, 4, 1>(output, first),
                        (2, 4) => self.tile::<S, 4, 2>(output, first),
                        (3, 4) => self.tile::<S, 4, 3>(output, first),
                        _ => unreachable!("tiles have 4 or 8 outputs and up to {VECTORS} vectors"),
                    }
                }
            }
        }
    }

    /// Adds the products of `T` outputs and `V` vectors of channels.
    ///
    /// # Safety
    ///
    /// As [`Self::add`]; the outputs and vectors exist, and `T` divides the lanes.
    #[inline(always)]
    unsafe fn tile<S: Simd, const T: usize, const V: usize>(&self, output: usize, vector: usize) {
        let ((gradients, of_gradients), (inputs, of_inputs)) = (self.gradients, self.inputs);
        // SAFETY: by the contract of this function.
        unsafe {
            let gradients =
                gradients.add(output / S::LANES * of_gradients.block() + output % S::LANES);
            let inputs = (inputs.add(vector * of_inputs.block()), of_inputs.block());
            let sums = sum_over_tiles::<S, T, V>(gradients, inputs, self.tiles);
            for (t, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    let place = (output + t) * of_inputs.blocks + vector + v;
                    let target = self.sums.add(place * S::LANES);
                    S::store(target, S::add(S::load(target), sum));
                }
            }
        }
    }
}

/// The products of `T` outputs and `V` vectors, summed over `tiles`.
///
/// # Safety
///
/// The unit exists; `gradients` is valid for `T` numbers and the inputs for a vector at each of `V`
/// places `step` apart, for each of the `tiles`, which lie one vector apart.
#[inline(always)]
unsafe fn sum_over_tiles<S: Simd, const T: usize, const V: usize>(
    gradients: *const f32,
    (inputs, step): (*const f32, usize),
    tiles: usize,
) -> [[S::Vector; V]; T] {
    // SAFETY: by the contract of this function.
    unsafe {
        let mut sums = [[S::zero(); V]; T];
        for tile in 0..tiles {
            let mut vectors = [S::zero(); V];
            for (v, vector) in vectors.iter_mut().enumerate() {
                *vector = S::load(inputs.add(v * step + tile * S::LANES));
            }
            for (t, sums) in sums.iter_mut().enumerate() {
                let g = S::splat(gradients.add(tile * S::LANES + t));
                for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                    *sum = S::multiply_add(g, vector, *sum);
                }
            }
        }
        sums
    }
}
