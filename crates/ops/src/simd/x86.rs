//! The vector units of x86 processors.

use std::arch::{asm, x86_64 as x86};

use super::Simd;

/// x86 with AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx2;

impl Simd for Avx2 {
    const LANES: usize = 8;
    const ROWS: usize = 12;
    const PAIRS: usize = 6;
    const OUTPUTS: usize = 4;
    type Vector = x86::__m256;

    #[inline(always)]
    unsafe fn zero() -> Self::Vector {
        // SAFETY: the caller knows that the unit exists.
        unsafe { x86::_mm256_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists and promises `count` numbers.
        unsafe { x86::_mm256_maskload_ps(from, first_lanes(count)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists and promises eight numbers.
        unsafe { x86::_mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists and promises one number.
        unsafe { x86::_mm256_set1_ps(*from) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists.
        unsafe { x86::_mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists.
        unsafe { x86::_mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn where_positive(z: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists.
        unsafe {
            let positive = x86::_mm256_cmp_ps::<{ x86::_CMP_GT_OQ }>(z, x86::_mm256_setzero_ps());
            x86::_mm256_blendv_ps(b, a, positive)
        }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists.
        unsafe { x86::_mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn multiply_add_in_turn(
        a: Self::Vector,
        b: Self::Vector,
        c: Self::Vector,
    ) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists.
        unsafe { multiply_add_in_turn(a, b, c) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, vector: Self::Vector) {
        // SAFETY: the caller knows that the unit exists and promises room for eight numbers.
        unsafe { x86::_mm256_storeu_ps(to, vector) }
    }

    #[inline(always)]
    unsafe fn store_first(to: *mut f32, vector: Self::Vector, count: usize) {
        // SAFETY: the caller knows that the unit exists and promises room for `count` numbers.
        unsafe {
            // Processors of AMD take a dozen cycles for a store under a mask.
            if count == Self::LANES {
                Self::store(to, vector);
            } else {
                x86::_mm256_maskstore_ps(to, first_lanes(count), vector);
            }
        }
    }
}

/// `a · b + c` by an instruction which, for all that the compiler knows, may change memory.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn multiply_add_in_turn(a: x86::__m256, b: x86::__m256, mut c: x86::__m256) -> x86::__m256 {
    // SAFETY: it changes nothing but the sum.
    unsafe {
        asm!(
            "vfmadd231ps {c}, {a}, {b}",
            a = in(ymm_reg) a,
            b = in(ymm_reg) b,
            c = inout(ymm_reg) c,
            options(nostack, preserves_flags),
        );
    }
    c
}

/// The sign bits of the first `count` of eight lanes.
///
/// # Safety
///
/// The unit exists.
#[inline(always)]
unsafe fn first_lanes(count: usize) -> x86::__m256i {
    const SIGNS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    let signs = &SIGNS[8 - count.min(8)..];
    // SAFETY: by the contract of this function; eight numbers or more are left.
    unsafe { x86::_mm256_loadu_si256(signs.as_ptr().cast()) }
}

/// x86 with AVX-512 (F, BW, DQ, VL).
#[derive(Clone, Copy)]
pub(super) struct Avx512;

impl Simd for Avx512 {
    const LANES: usize = 16;
    const ROWS: usize = 14;
    const PAIRS: usize = 14;
    const OUTPUTS: usize = 8;
    type Vector = x86::__m512;

    #[inline(always)]
    unsafe fn zero() -> Self::Vector {
        // SAFETY: the caller knows that the unit exists.
        unsafe { x86::_mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self::Vector {
        let mask = u16::try_from((1u32 << count) - 1).unwrap_or(u16::MAX);
        // SAFETY: the caller knows that the unit exists and promises `count` numbers.
        unsafe { x86::_mm512_maskz_loadu_ps(mask, from) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists and promises sixteen numbers.
        unsafe { x86::_mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists and promises one number.
        unsafe { x86::_mm512_set1_ps(*from) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists.
        unsafe { x86::_mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists.
        unsafe { x86::_mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn where_positive(z: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists.
        unsafe {
            let zero = x86::_mm512_setzero_ps();
            let positive = x86::_mm512_cmp_ps_mask::<{ x86::_CMP_GT_OQ }>(z, zero);
            x86::_mm512_mask_blend_ps(positive, b, a)
        }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists.
        unsafe { x86::_mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, vector: Self::Vector) {
        // SAFETY: the caller knows that the unit exists and promises room for sixteen numbers.
        unsafe { x86::_mm512_storeu_ps(to, vector) }
    }

    #[inline(always)]
    unsafe fn store_first(to: *mut f32, vector: Self::Vector, count: usize) {
        let mask = u16::try_from((1u32 << count) - 1).unwrap_or(u16::MAX);
        // SAFETY: the caller knows that the unit exists and promises room for `count` numbers.
        unsafe { x86::_mm512_mask_storeu_ps(to, mask, vector) }
    }
}
