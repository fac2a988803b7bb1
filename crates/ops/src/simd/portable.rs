//! Any processor, in the compiler's hands.

use super::Simd;

/// Vectors of four, which every compiler knows how to make.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Simd for Portable {
    const LANES: usize = 4;
    const ROWS: usize = 8;
    const PAIRS: usize = 4;
    const OUTPUTS: usize = 4;
    type Vector = [f32; 4];

    #[inline(always)]
    unsafe fn zero() -> Self::Vector {
        [0.0; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Vector {
        // SAFETY: the caller promises four numbers; arrays of f32 need no more alignment than f32.
        unsafe { from.cast::<[f32; 4]>().read() }
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self::Vector {
        // SAFETY: the caller promises one number.
        [unsafe { *from }; 4]
    }

    #[inline(always)]
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    unsafe fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    unsafe fn where_positive(z: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| if z[lane] > 0.0 { a[lane] } else { b[lane] })
    }

    #[inline(always)]
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // Where the processor has no fused instruction, `mul_add` would be a call per number.
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]))
        } else {
            std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
        }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, vector: Self::Vector) {
        // SAFETY: the caller promises room for four numbers.
        unsafe { to.cast::<[f32; 4]>().write(vector) }
    }

    #[inline(always)]
    unsafe fn store_first(to: *mut f32, vector: Self::Vector, count: usize) {
        // SAFETY: the caller promises room for `count` numbers, at most four.
        unsafe { to.copy_from_nonoverlapping(vector.as_ptr(), count) }
    }
}
