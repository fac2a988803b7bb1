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

/// A matrix applied to `N` vectors.
pub(super) trait Transform<const N: usize, const M: usize> {
    /// The product of the matrix and the column `x`.
    ///
    /// # Safety
    ///
    /// The unit exists.
    unsafe fn apply<S: Simd>(x: [S::Vector; N]) -> [S::Vector; M];
}

/// `T x Tᵀ`, where `load(i, j)` is `x[i][j]` and `store(i, row)` takes row `i` of the result.
///
/// Only `T x` is ever in memory as a whole: the rest never leaves the registers.
///
/// # Safety
///
/// The unit exists.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "`j` is a column of what is stored by rows")]
pub(super) unsafe fn both_sides<S: Simd, T, const N: usize, const M: usize>(
    load: impl Fn(usize, usize) -> S::Vector,
    mut store: impl FnMut(usize, [S::Vector; M]),
) where
    T: Transform<N, M>,
{
    // SAFETY: by the contract of this function.
    unsafe {
        let mut half = [[S::zero(); N]; M]; // T x
        for j in 0..N {
            let mut column = [S::zero(); N];
            for (i, x) in column.iter_mut().enumerate() {
                *x = load(i, j);
            }
            let column = T::apply::<S>(column);
            for i in 0..M {
                half[i][j] = column[i];
            }
        }
        for (i, row) in half.into_iter().enumerate() {
            store(i, T::apply::<S>(row));
        }
    }
}

/// `Bᵀ`
pub(super) struct Input;

impl Transform<6, 6> for Input {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Vector; 6]) -> [S::Vector; 6] {
        // SAFETY: by the contract of the trait.
        unsafe {
            let even_a = scaled::<S>(-B2, x[2], x[4]);
            let odd_a = scaled::<S>(-B2, x[1], x[3]);
            let even_b = scaled::<S>(-A2, x[2], x[4]);
            let odd_b = scaled::<S>(-A2, x[1], x[3]);
            [
                scaled::<S>(A2 * B2, x[0], scaled::<S>(-A2 - B2, x[2], x[4])),
                scaled::<S>(A, odd_a, even_a),
                scaled::<S>(-A, odd_a, even_a),
                scaled::<S>(B, odd_b, even_b),
                scaled::<S>(-B, odd_b, even_b),
                scaled::<S>(A2 * B2, x[1], scaled::<S>(-A2 - B2, x[3], x[5])),
            ]
        }
    }
}

/// `Aᵀ`
pub(super) struct Output;

impl Transform<6, 4> for Output {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Vector; 6]) -> [S::Vector; 4] {
        // SAFETY: by the contract of the trait.
        unsafe {
            let (even_a, odd_a) = (S::add(x[1], x[2]), scaled::<S>(-1.0, x[2], x[1]));
            let (even_b, odd_b) = (S::add(x[3], x[4]), scaled::<S>(-1.0, x[4], x[3]));
            [
                S::add(x[0], S::add(even_a, even_b)),
                scaled::<S>(A, odd_a, times::<S>(B, odd_b)),
                scaled::<S>(A2, even_a, times::<S>(B2, even_b)),
                scaled::<S>(A * A2, odd_a, scaled::<S>(B * B2, odd_b, x[5])),
            ]
        }
    }
}

/// `A`
pub(super) struct Gradient;

impl Transform<4, 6> for Gradient {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Vector; 4]) -> [S::Vector; 6] {
        // SAFETY: by the contract of the trait.
        unsafe {
            let even_a = scaled::<S>(A2, x[2], x[0]);
            let odd_a = scaled::<S>(A2, x[3], x[1]);
            let even_b = scaled::<S>(B2, x[2], x[0]);
            let odd_b = scaled::<S>(B2, x[3], x[1]);
            [
                x[0],
                scaled::<S>(A, odd_a, even_a),
                scaled::<S>(-A, odd_a, even_a),
                scaled::<S>(B, odd_b, even_b),
                scaled::<S>(-B, odd_b, even_b),
                x[3],
            ]
        }
    }
}

/// `G`
pub(super) struct Kernel;

impl Transform<3, 6> for Kernel {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Vector; 3]) -> [S::Vector; 6] {
        // SAFETY: by the contract of the trait.
        unsafe {
            let even_a = scaled::<S>(A2 / NA, x[2], times::<S>(1.0 / NA, x[0]));
            let even_b = scaled::<S>(B2 / NB, x[2], times::<S>(1.0 / NB, x[0]));
            [
                times::<S>(1.0 / N0, x[0]),
                scaled::<S>(A / NA, x[1], even_a),
                scaled::<S>(-A / NA, x[1], even_a),
                scaled::<S>(B / NB, x[1], even_b),
                scaled::<S>(-B / NB, x[1], even_b),
                x[2],
            ]
        }
    }
}

/// `Gᵀ`
pub(super) struct KernelGradient;

impl Transform<6, 3> for KernelGradient {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Vector; 6]) -> [S::Vector; 3] {
        // SAFETY: by the contract of the trait.
        unsafe {
            let (even_a, odd_a) = (S::add(x[1], x[2]), scaled::<S>(-1.0, x[2], x[1]));
            let (even_b, odd_b) = (S::add(x[3], x[4]), scaled::<S>(-1.0, x[4], x[3]));
            let ends = scaled::<S>(1.0 / NB, even_b, times::<S>(1.0 / N0, x[0]));
            [
                scaled::<S>(1.0 / NA, even_a, ends),
                scaled::<S>(A / NA, odd_a, times::<S>(B / NB, odd_b)),
                scaled::<S>(A2 / NA, even_a, scaled::<S>(B2 / NB, even_b, x[5])),
            ]
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
