//! The products of one point for the kernel gradient: a register tile of outputs × channels that runs
//! over the tiles.

use crate::simd::Simd;

/// Most vectors of channels in one register tile.
const VECTORS: usize = 3;

/// One point's product, `S = Mᵀ V` or `S += Mᵀ V`.
///
/// `M` is `[outputs / lanes, tiles, lanes]`, `V` is `[vectors, tiles, lanes]` and `S` is
/// `[outputs, vectors, lanes]`.
pub(super) struct OuterProduct<'a> {
    /// Tiles summed, at most those that the layouts hold.
    pub(super) tiles: usize,
    /// Outputs, whole vectors of them.
    pub(super) outputs: usize,
    /// Vectors of channels.
    pub(super) vectors: usize,
    pub(super) gradients: &'a [f32],
    /// Numbers from one vector of outputs to the next in `M`.
    pub(super) gradient_step: usize,
    pub(super) inputs: &'a [f32],
    /// Numbers from one vector of channels to the next in `V`.
    pub(super) input_step: usize,
    /// Whether the products are added to what is there.
    pub(super) adds: bool,
}

impl OuterProduct<'_> {
    /// Computes the product.
    ///
    /// # Safety
    ///
    /// The unit exists, and the slices hold all numbers of one point of their layouts.
    #[inline(always)]
    pub(super) unsafe fn compute<S: Simd>(&self, sums: &mut [f32]) {
        let sums = sums.as_mut_ptr();
        let vectors = self.vectors;
        let strips = vectors.div_ceil(VECTORS);
        for output in (0..self.outputs).step_by(S::OUTPUTS) {
            for strip in 0..strips {
                let first = vectors * strip / strips;
                // SAFETY: by the contract of this function.
                unsafe {
                    match (vectors * (strip + 1) / strips - first, S::OUTPUTS) {
                        (1, 8) => self.tile::<S, 8, 1>(output, first, sums),
                        (2, 8) => self.tile::<S, 8, 2>(output, first, sums),
                        (3, 8) => self.tile::<S, 8, 3>(output, first, sums),
                        (1, 4) => self.tile::<S, 4, 1>(output, first, sums),
                        (2, 4) => self.tile::<S, 4, 2>(output, first, sums),
                        (3, 4) => self.tile::<S, 4, 3>(output, first, sums),
                        _ => unreachable!("tiles have 4 or 8 outputs and up to {VECTORS} vectors"),
                    }
                }
            }
        }
    }

    /// Computes the products of `T` outputs and `V` vectors of channels.
    ///
    /// # Safety
    ///
    /// As [`Self::compute`]; the outputs and vectors exist, and `T` divides the lanes.
    #[inline(always)]
    unsafe fn tile<S: Simd, const T: usize, const V: usize>(
        &self,
        output: usize,
        vector: usize,
        sums: *mut f32,
    ) {
        // SAFETY: by the contract of this function.
        unsafe {
            let place = output / S::LANES * self.gradient_step + output % S::LANES;
            let gradients = self.gradients.as_ptr().add(place);
            let inputs = self.inputs.as_ptr().add(vector * self.input_step);
            let products =
                sum_over_tiles::<S, T, V>(gradients, (inputs, self.input_step), self.tiles);
            for (t, products) in products.iter().enumerate() {
                for (v, &product) in products.iter().enumerate() {
                    let place = (output + t) * self.vectors + vector + v;
                    let target = sums.add(place * S::LANES);
                    let sum = if self.adds { S::add(S::load(target), product) } else { product };
                    S::store(target, sum);
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
                    *sum = S::multiply_add_in_turn(g, vector, *sum);
                }
            }
        }
        sums
    }
}
