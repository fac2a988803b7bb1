//! How convolutions on cards compute.

use std::sync::atomic::{AtomicU8, Ordering};

/// Arithmetic of convolutions by cuDNN. Weights, sums, statistics and losses stay `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// `f32` throughout.
    #[default]
    F32,
    /// Products of numbers rounded to 11 bits (relative error 5e-4), summed in `f32`.
    Tf32,
    /// Products of numbers rounded to 8 bits (relative error 4e-3), summed in `f32`; results are rounded,
    /// too.
    Bf16,
}

/// The index of the precision in [`ALL`].
static PRECISION: AtomicU8 = AtomicU8::new(0);

const ALL: [Precision; 3] = [Precision::F32, Precision::Tf32, Precision::Bf16];

/// Chooses the arithmetic of all convolutions on cards from now on, in every thread.
///
/// # Examples
///
/// ```
/// use duomo_ops::cuda::{Precision, precision, set_precision};
///
/// assert_eq!(precision(), Precision::F32);
/// set_precision(Precision::Bf16);
/// assert_eq!(precision(), Precision::Bf16);
/// ```
pub fn set_precision(precision: Precision) {
    PRECISION.store(precision as u8, Ordering::Relaxed);
}

/// Returns what [`set_precision`] chose, at first [`Precision::F32`].
pub fn precision() -> Precision {
    ALL[usize::from(PRECISION.load(Ordering::Relaxed))]
}
