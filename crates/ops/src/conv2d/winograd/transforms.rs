//! The transforms of one tile, one vector of channels at a time.
//!
//! With the points `0, ±a, ±b, ∞` the matrices of \[Lavin2016\] Eq. (8) become
//!
//! ```text
//!      ⎡ a²b²   0   -a²-b²    0     1  0 ⎤        ⎡ 1  1   1   1   1  0 ⎤
//!      ⎢  0   -ab²   -b²      a     1  0 ⎥   Aᵀ = ⎢ 0  a  -a   b  -b  0 ⎥
//! Bᵀ = ⎢  0    ab²   -b²     -a     1  0 ⎥        ⎢ 0  a²  a²  b²  b² 0 ⎥
//!      ⎢  0   -a²b   -a²      b     1  0 ⎥        ⎣ 0  a³ -a³  b³ -b³ 1 ⎦
//!      ⎢  0    a²b   -a²     -b     1  0 ⎥
//!      ⎣  0   a²b²    0    -a²-b²   0  1 ⎦
//!
//! G's row of the point p ≠ 0 is (1, p, p²) / n(p), n(±a) = 2a²(a²-b²), n(±b) = 2b²(b²-a²);
//! that of 0 is (1, 0, 0) / a²b², that of ∞ is (0, 0, 1).
//! ```
//!
//! Half a tile, F(2, 3) along an axis, has the points `0, ±a, ∞`. With factors that are usually given to `G`
//! in `Bᵀ`, it takes the same transformed kernel at these points:
//!
//! ```text
//!      ⎡ a²b²      0      -b²   0 ⎤
//! Bᵀ = ⎢  0    a(a²-b²)  a²-b²  0 ⎥   Aᵀ = ⎡ 1  1   1  0 ⎤
//!      ⎢  0   -a(a²-b²)  a²-b²  0 ⎥        ⎣ 0  a  -a  1 ⎦
//!      ⎣  0      -a²       0    1 ⎦
//! ```

use super::POINT_SIDE;
use crate::simd::Simd;

/// The points `a` and `b`.
///
/// All of their products in `Bᵀ` and `Aᵀ` are exact in `f32`. On uniform data of 16 to 128 channels, the
/// largest error relative to the largest value is 1.5e-6, and 5.7e-6 with the usual points 1 and 2;
/// sixteen other pairs between 1/2 and 3/2 gave 1.4e-6 to 5.6e-6.
const A: f32 = 0.75;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;
/// Denominators of the rows of `G`.
const N0: f32 = A2 * B2;
const NA: f32 = 2.0 * A2 * (A2 - B2);
const NB: f32 = 2.0 * B2 * (B2 - A2);

/// The points that half a tile lacks along an axis: `±b`.
pub(super) const HALF_LACKS: [usize; 2] = [3, 4];

/// The point that is number `i` of the `count` which a tile has along an axis: all, or those of half a tile.
#[inline(always)]
pub(super) fn point(i: usize, count: usize) -> usize {
    if i + 1 == count { POINT_SIDE - 1 } else { i }
}

/// A matrix applied to a column of vectors.
pub(super) trait Transform {
    /// Vectors of the column, at most six.
    const FROM: usize;
    /// Vectors of the product, at most six.
    const TO: usize;

    /// The product of the matrix and the column; what lies past their ends is neither read nor set.
    ///
    /// # Safety
    ///
    /// The unit exists.
    unsafe fn apply<S: Simd>(x: [S::Vector; 6], y: &mut [S::Vector; 6]);
}

/// `R x Cᵀ`, where `load(i, j)` is `x[i][j]` and `store(i, j, y)` takes what is at `[i][j]` of the result.
///
/// Only `R x` is ever in memory as a whole: the rest never leaves the registers.
///
/// # Safety
///
/// The unit exists.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "`j` is a column of what is stored by rows")]
pub(super) unsafe fn both_sides<S: Simd, R: Transform, C: Transform>(
    load: impl Fn(usize, usize) -> S::Vector,
    mut store: impl FnMut(usize, usize, S::Vector),
) {
    // SAFETY: by the contract of this function.
    unsafe {
        let mut half = [[S::zero(); 6]; 6]; // R x
        for j in 0..C::FROM {
            let (mut column, mut product) = ([S::zero(); 6], [S::zero(); 6]);
            for i in 0..R::FROM {
                column[i] = load(i, j);
            }
            R::apply::<S>(column, &mut product);
            for i in 0..R::TO {
                half[i][j] = product[i];
            }
        }
        for i in 0..R::TO {
            let mut product = [S::zero(); 6];
            C::apply::<S>(half[i], &mut product);
            for j in 0..C::TO {
                store(i, j, product[j]);
            }
        }
    }
}

/// `Bᵀ`
pub(super) struct Input;

impl Transform for Input {
    const FROM: usize = 6;
    const TO: usize = 6;

    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Vector; 6], y: &mut [S::Vector; 6]) {
        // SAFETY: by the contract of the trait.
        unsafe {
            let even_a = scaled::<S>(-B2, x[2], x[4]);
            let odd_a = scaled::<S>(-B2, x[1], x[3]);
            let even_b = scaled::<S>(-A2, x[2], x[4]);
            let odd_b = scaled::<S>(-A2, x[1], x[3]);
            *y = [
                scaled::<S>(A2 * B2, x[0], scaled::<S>(-A2 - B2, x[2], x[4])),
                scaled::<S>(A, odd_a, even_a),
                scaled::<S>(-A, odd_a, even_a),
                scaled::<S>(B, odd_b, even_b),
                scaled::<S>(-B, odd_b, even_b),
                scaled::<S>(A2 * B2, x[1], scaled::<S>(-A2 - B2, x[3], x[5])),
            ];
        }
    }
}

/// `Bᵀ` of half a tile.
pub(super) struct HalfInput;

impl Transform for HalfInput {
    const FROM: usize = 4;
    const TO: usize = 4;

    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Vector; 6], y: &mut [S::Vector; 6]) {
        // SAFETY: by the contract of the trait.
        unsafe {
            let even_a = times::<S>(A2 - B2, x[2]);
            y[..4].copy_from_slice(&[
                scaled::<S>(A2 * B2, x[0], times::<S>(-B2, x[2])),
                scaled::<S>(A * (A2 - B2), x[1], even_a),
                scaled::<S>(-A * (A2 - B2), x[1], even_a),
                scaled::<S>(-A2, x[1], x[3]),
            ]);
        }
    }
}

/// `Aᵀ`
pub(super) struct Output;

impl Transform for Output {
    const FROM: usize = 6;
    const TO: usize = 4;

    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Vector; 6], y: &mut [S::Vector; 6]) {
        // SAFETY: by the contract of the trait.
        unsafe {
            let (even_a, odd_a) = (S::add(x[1], x[2]), scaled::<S>(-1.0, x[2], x[1]));
            let (even_b, odd_b) = (S::add(x[3], x[4]), scaled::<S>(-1.0, x[4], x[3]));
            y[..4].copy_from_slice(&[
                S::add(x[0], S::add(even_a, even_b)),
                scaled::<S>(A, odd_a, times::<S>(B, odd_b)),
                scaled::<S>(A2, even_a, times::<S>(B2, even_b)),
                scaled::<S>(A * A2, odd_a, scaled::<S>(B * B2, odd_b, x[5])),
            ]);
        }
    }
}

/// `Aᵀ` of half a tile.
pub(super) struct HalfOutput;

impl Transform for HalfOutput {
    const FROM: usize = 4;
    const TO: usize = 2;

    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Vector; 6], y: &mut [S::Vector; 6]) {
        // SAFETY: by the contract of the trait.
        unsafe {
            let (even_a, odd_a) = (S::add(x[1], x[2]), scaled::<S>(-1.0, x[2], x[1]));
            y[..2].copy_from_slice(&[S::add(x[0], even_a), scaled::<S>(A, odd_a, x[3])]);
        }
    }
}

/// `A`
pub(super) struct Gradient;

impl Transform for Gradient {
    const FROM: usize = 4;
    const TO: usize = 6;

    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Vector; 6], y: &mut [S::Vector; 6]) {
        // SAFETY: by the contract of the trait.
        unsafe {
            let even_a = scaled::<S>(A2, x[2], x[0]);
            let odd_a = scaled::<S>(A2, x[3], x[1]);
            let even_b = scaled::<S>(B2, x[2], x[0]);
            let odd_b = scaled::<S>(B2, x[3], x[1]);
            *y = [
                x[0],
                scaled::<S>(A, odd_a, even_a),
                scaled::<S>(-A, odd_a, even_a),
                scaled::<S>(B, odd_b, even_b),
                scaled::<S>(-B, odd_b, even_b),
                x[3],
            ];
        }
    }
}

/// `A` of half a tile.
pub(super) struct HalfGradient;

impl Transform for HalfGradient {
    const FROM: usize = 2;
    const TO: usize = 4;

    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Vector; 6], y: &mut [S::Vector; 6]) {
        // SAFETY: by the contract of the trait.
        unsafe {
            let (plus, minus) = (scaled::<S>(A, x[1], x[0]), scaled::<S>(-A, x[1], x[0]));
            y[..4].copy_from_slice(&[x[0], plus, minus, x[1]]);
        }
    }
}

/// `G`
pub(super) struct Kernel;

impl Transform for Kernel {
    const FROM: usize = 3;
    const TO: usize = 6;

    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Vector; 6], y: &mut [S::Vector; 6]) {
        // SAFETY: by the contract of the trait.
        unsafe {
            let even_a = scaled::<S>(A2 / NA, x[2], times::<S>(1.0 / NA, x[0]));
            let even_b = scaled::<S>(B2 / NB, x[2], times::<S>(1.0 / NB, x[0]));
            *y = [
                times::<S>(1.0 / N0, x[0]),
                scaled::<S>(A / NA, x[1], even_a),
                scaled::<S>(-A / NA, x[1], even_a),
                scaled::<S>(B / NB, x[1], even_b),
                scaled::<S>(-B / NB, x[1], even_b),
                x[2],
            ];
        }
    }
}

/// `Gᵀ`
pub(super) struct KernelGradient;

impl Transform for KernelGradient {
    const FROM: usize = 6;
    const TO: usize = 3;

    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Vector; 6], y: &mut [S::Vector; 6]) {
        // SAFETY: by the contract of the trait.
        unsafe {
            let (even_a, odd_a) = (S::add(x[1], x[2]), scaled::<S>(-1.0, x[2], x[1]));
            let (even_b, odd_b) = (S::add(x[3], x[4]), scaled::<S>(-1.0, x[4], x[3]));
            let ends = scaled::<S>(1.0 / NB, even_b, times::<S>(1.0 / N0, x[0]));
            y[..3].copy_from_slice(&[
                scaled::<S>(1.0 / NA, even_a, ends),
                scaled::<S>(A / NA, odd_a, times::<S>(B / NB, odd_b)),
                scaled::<S>(A2 / NA, even_a, scaled::<S>(B2 / NB, even_b, x[5])),
            ]);
        }
    }
}

/// `factor · x + y`
///
/// # Safety
///
/// The unit exists.
#[inline(always)]
unsafe fn scaled<S: Simd>(factor: f32, x: S::Vector, y: S::Vector) -> S::Vector {
    // SAFETY: by the contract of this function; the reference is to one number.
    unsafe { S::multiply_add(S::splat(&raw const factor), x, y) }
}

/// `factor · x`
///
/// # Safety
///
/// The unit exists.
#[inline(always)]
unsafe fn times<S: Simd>(factor: f32, x: S::Vector) -> S::Vector {
    // SAFETY: by the contract of this function.
    unsafe { scaled::<S>(factor, x, S::zero()) }
}
