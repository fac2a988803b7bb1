//! From candle's storages to slices, and from the element type to the path that handles it.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, WithDType, bail};

use crate::cuda::emulates;

/// A tensor on the CPU as a custom operation receives it.
pub(crate) type View<'a> = (&'a CpuStorage, &'a Layout);

/// The elements of a contiguous tensor.
pub(crate) fn elements<'a, T: WithDType>(op: &str, (storage, layout): View<'a>) -> Result<&'a [T]> {
    let values = T::cpu_storage_as_slice(storage)?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!(
            "{op}: got strides {:?} for shape {:?}, expected a contiguous tensor; call `.contiguous()`",
            layout.stride(),
            layout.dims()
        ),
    }
}

/// Runs `fast` on `f32` and `exact` on `f64`.
pub(crate) fn unary(
    op: &str,
    input: View<'_>,
    fast: impl FnOnce(&[f32]) -> Vec<f32>,
    exact: impl FnOnce(&[f64]) -> Vec<f64>,
) -> Result<CpuStorage> {
    refuse_emulated(op)?;
    match input.0.dtype() {
        DType::F32 => Ok(CpuStorage::F32(fast(elements(op, input)?))),
        DType::F64 => Ok(CpuStorage::F64(exact(elements(op, input)?))),
        other => Err(unsupported(op, other)),
    }
}

/// Runs `fast` on two `f32` tensors and `exact` on two `f64` tensors.
pub(crate) fn binary(
    op: &str,
    (first, second): (View<'_>, View<'_>),
    fast: impl FnOnce(&[f32], &[f32]) -> Vec<f32>,
    exact: impl FnOnce(&[f64], &[f64]) -> Vec<f64>,
) -> Result<CpuStorage> {
    refuse_emulated(op)?;
    match first.0.dtype() {
        DType::F32 => Ok(CpuStorage::F32(fast(elements(op, first)?, elements(op, second)?))),
        DType::F64 => Ok(CpuStorage::F64(exact(elements(op, first)?, elements(op, second)?))),
        other => Err(unsupported(op, other)),
    }
}

/// Calls `read` with the CPU storage of `tensor`, made contiguous first.
pub(crate) fn with_view<R>(
    op: &str,
    tensor: &Tensor,
    read: impl FnOnce(View<'_>) -> Result<R>,
) -> Result<R> {
    refuse_emulated(op)?;
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => read((storage, layout)),
        _ => bail!("{op}: got a tensor on {:?}, expected one on the CPU", tensor.device()),
    }
}

/// Where a test emulates a card, what has no kernel must fail as it would on a card.
fn refuse_emulated(op: &str) -> Result<()> {
    if emulates() {
        bail!("{op}: no kernel computes this; keep the tensors on the CPU");
    }
    Ok(())
}

/// The error for an element type that no path handles.
pub(crate) fn unsupported(op: &str, dtype: DType) -> candle_core::Error {
    candle_core::Error::Msg(format!("{op}: got elements of type {dtype:?}, expected f32 or f64"))
}
