//! How cards multiply.

use std::sync::atomic::{AtomicU8, Ordering};

use candle_core::{Result, Tensor};

/// Arithmetic of convolutions by cuDNN and of affinities. Weights, sums, statistics and losses stay `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// `f32` throughout.
    #[default]
    F32,
    /// Products of numbers rounded to 11 bits (relative error 5e-4), summed in `f32`.
    Tf32,
    /// Products of numbers rounded to 8 bits (relative error 4e-3), summed in `f32`; results of convolutions
    /// are rounded, too.
    Bf16,
}

/// The index of the precision in [`ALL`].
static PRECISION: AtomicU8 = AtomicU8::new(0);

const ALL: [Precision; 3] = [Precision::F32, Precision::Tf32, Precision::Bf16];

/// Chooses the arithmetic of all convolutions and affinities on cards from now on, in every thread.
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
    #[cfg(any(test, feature = "emulator"))]
    if let Some(precision) = OF_TEST.get() {
        return precision;
    }
    ALL[usize::from(PRECISION.load(Ordering::Relaxed))]
}

#[cfg(any(test, feature = "emulator"))]
thread_local! {
    static OF_TEST: std::cell::Cell<Option<Precision>> = const { std::cell::Cell::new(None) };
}

/// Returns what `work` returns, with this precision on this thread alone: other tests run beside it.
#[cfg(any(test, feature = "emulator"))]
pub fn with_precision<R>(precision: Precision, work: impl FnOnce() -> R) -> R {
    /// Ends it also when `work` panics.
    struct End(Option<Precision>);
    impl Drop for End {
        fn drop(&mut self) {
            OF_TEST.set(self.0);
        }
    }
    let _end = End(OF_TEST.replace(Some(precision)));
    work()
}

/// Returns the precision in which kernels of our own multiply where this tensor lies: the chosen one, or
/// [`Precision::F32`] on cards before compute capability 8.0, whose tensor cores take neither of the others.
///
/// # Errors
///
/// If the driver does not tell what the card is.
#[cfg_attr(
    not(feature = "cuda"),
    expect(unused_variables, reason = "without cards, a test may take the CPU for a recent one")
)]
pub fn precision_on(tensor: &Tensor) -> Result<Precision> {
    #[cfg(feature = "cuda")]
    if let candle_core::Device::Cuda(device) = tensor.device() {
        use candle_core::cuda_backend::WrapErr as _;

        let (major, _) = device.cuda_stream().context().compute_capability().w()?;
        if major < 8 {
            return Ok(Precision::F32);
        }
    }
    Ok(precision())
}
