//! One trait over the vector units of the processors, and the choice among them at run time.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

use self::portable::Portable;
#[cfg(target_arch = "x86_64")]
use self::x86::{Avx2, Avx512};

/// Lanes of the widest vector unit.
pub(crate) const MOST_LANES: usize = 16;

/// A vector unit for `f32`.
///
/// All functions are `unsafe` for one reason: on the x86 units, the caller must know that the processor
/// has the unit, which is true inside [`Work::run`]. Pointers must be valid for the lanes they name.
pub(crate) trait Simd: Copy {
    /// Numbers in one vector.
    const LANES: usize;
    /// Accumulators that fit in the registers beside what feeds them.
    const ROWS: usize;
    /// Pairs of accumulators that fit in the registers beside what feeds them.
    const PAIRS: usize;
    /// Accumulators of which three times as many fit, a divisor of the lanes.
    const OUTPUTS: usize;
    /// One register.
    type Vector: Copy;

    /// All lanes zero.
    unsafe fn zero() -> Self::Vector;
    /// The first `count` lanes from `from`, the others zero.
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self::Vector {
        let mut lanes = [0.0; MOST_LANES];
        // SAFETY: the caller promises `count` numbers, no more than `LANES`, which `lanes` holds.
        unsafe {
            lanes.as_mut_ptr().copy_from_nonoverlapping(from, count);
            Self::load(lanes.as_ptr())
        }
    }
    /// The `LANES` numbers at `from`.
    unsafe fn load(from: *const f32) -> Self::Vector;
    /// The number at `from` in all lanes.
    unsafe fn splat(from: *const f32) -> Self::Vector;
    /// `a + b`
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`
    unsafe fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// In every lane `a` where `z > 0`, and `b` elsewhere.
    unsafe fn where_positive(z: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a · b + c`
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `a · b + c`; no number that the code reads after this is read before it.
    ///
    /// Where registers are few, the compiler otherwise reads all numbers of a turn of a loop first, and has no
    /// room left for the sums.
    #[inline(always)]
    unsafe fn multiply_add_in_turn(
        a: Self::Vector,
        b: Self::Vector,
        c: Self::Vector,
    ) -> Self::Vector {
        // SAFETY: the caller knows that the unit exists.
        unsafe { Self::multiply_add(a, b, c) }
    }
    /// Writes all lanes to `to`.
    unsafe fn store(to: *mut f32, vector: Self::Vector);
    /// Writes the first `count` lanes to `to`.
    unsafe fn store_first(to: *mut f32, vector: Self::Vector, count: usize);
}

/// A computation that can run on any vector unit.
pub(crate) trait Work {
    /// Does the work. Implementations are `#[inline(always)]`, so that they are compiled for the unit.
    fn run<S: Simd>(self);
}

/// Environment variable that caps the vector unit: `portable`, `avx2` or `avx512`.
///
/// Results differ between units in the last bits, as sums run in other orders.
pub(crate) const CAP: &str = "DUOMO_VECTOR_UNIT";

/// The vector units, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Portable,
    Avx2,
    Avx512,
}

/// The widest unit that the processor has and [`CAP`] allows.
fn unit() -> Unit {
    static UNIT: OnceLock<Unit> = OnceLock::new();
    *UNIT.get_or_init(|| {
        let cap = match std::env::var(CAP).as_deref() {
            Ok("portable") => Unit::Portable,
            Ok("avx2") => Unit::Avx2,
            _ => Unit::Avx512,
        };
        cap.min(widest_unit())
    })
}

#[cfg(target_arch = "x86_64")]
fn widest_unit() -> Unit {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    // What every processor with AVX-512 has but the Xeon Phi.
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (avx2, avx512) {
        (true, true) => Unit::Avx512,
        (true, false) => Unit::Avx2,
        (false, _) => Unit::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn widest_unit() -> Unit {
    Unit::Portable
}

/// Does the work on the widest vector unit of this processor.
pub(crate) fn dispatch(work: impl Work) {
    match unit() {
        // SAFETY: `unit` found that the processor has these parts of AVX-512, AVX2 and FMA.
        #[cfg(target_arch = "x86_64")]
        Unit::Avx512 => unsafe { run_avx512(work) },
        // SAFETY: `unit` found that the processor has AVX2 and FMA.
        #[cfg(target_arch = "x86_64")]
        Unit::Avx2 => unsafe { run_avx2(work) },
        _ => work.run::<Portable>(),
    }
}

/// Calls `pass` compiled for the widest vector unit; for plain loops that the compiler vectorises.
///
/// The closure must be `#[inline(always)]`: otherwise it is compiled once for all units, that is for the
/// least of them. The unit is the widest that the processor has and `DUOMO_VECTOR_UNIT` allows.
///
/// # Panics
///
/// If `pass` does.
///
/// # Examples
///
/// ```
/// let mut numbers = vec![1f32; 1000];
/// duomo_ops::vectorized(
///     #[inline(always)]
///     || numbers.iter_mut().for_each(|x| *x = *x * 3.0 + 1.0),
/// );
/// assert_eq!(numbers, [4.0; 1000]);
/// ```
pub fn vectorized<R>(pass: impl FnOnce() -> R) -> R {
    let mut result = None;
    dispatch(Pass(
        #[inline(always)]
        || result = Some(pass()),
    ));
    result.expect("the pass ran exactly once")
}

struct Pass<F>(F);

impl<F: FnOnce()> Work for Pass<F> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        (self.0)();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn run_avx512(work: impl Work) {
    work.run::<Avx512>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2(work: impl Work) {
    work.run::<Avx2>();
}
