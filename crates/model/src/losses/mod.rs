//! The terms of the total loss that need only logits, labels and weights (Eq. 5).
//!
//! Labels are constants: they are read, never differentiated. Sums over pixels are taken in `f64`,
//! chunk by chunk in a fixed order, so the number of threads does not change a bit.

mod distillation;
mod segmentation;
mod softmax;

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, WithDType, bail};

pub use distillation::distillation_loss;
pub use segmentation::segmentation_losses;

use crate::{Error, Parameters};

/// Pixels that one task handles; fixed, because it decides in which order sums are added up.
const CHUNK: usize = 4096;

/// Returns `weight · Σ w² / 2` over all convolution kernels, as a number for reports.
///
/// It is not part of the graph: the optimiser adds the gradient `weight · w` itself
/// (`duomo_ops::adam_update`).
///
/// # Errors
///
/// [`Error::Tensor`] if the device has not enough memory.
///
/// # Source
///
/// \[Dou2020\]'s code, with `weight` 1e-4.
///
/// # Examples
///
/// ```
/// use candle_core::{DType, Device};
/// use duomo_model::{Architecture, Fcn, l2_loss};
///
/// let tiny = Architecture { width: 1, blocks: [1; 8], ..Architecture::paper(4, 2) };
/// let fcn = Fcn::new(&tiny, 7, DType::F32, &Device::Cpu)?;
/// assert_eq!(l2_loss(fcn.parameters(), 0.0)?, 0.0);
/// assert!(l2_loss(fcn.parameters(), 1e-4)? > 0.0);
/// # Ok::<(), duomo_model::Error>(())
/// ```
pub fn l2_loss(parameters: &Parameters, weight: f64) -> std::result::Result<f64, Error> {
    let mut squares = 0.0;
    for (_, kernel) in parameters.kernels() {
        let kernel = kernel.as_detached_tensor().to_dtype(DType::F64)?;
        squares += kernel.sqr()?.sum_all()?.to_scalar::<f64>()?;
    }
    Ok(weight * squares / 2.0)
}

/// Checks that labels `[B, H, W]` cover the pixels of logits `[B, H, W, C]`.
fn check_pixels(logits: &Tensor, labels: &Tensor) -> std::result::Result<(), Error> {
    let covered = logits.rank() == 4 && labels.dims() == &logits.dims()[..3];
    if covered && labels.dtype() == DType::U8 {
        return Ok(());
    }
    Err(Error::LabelShape {
        logits: logits.dims().to_vec(),
        labels: labels.dims().to_vec(),
        dtype: labels.dtype().as_str(),
    })
}

/// Runs `read` on the class indices of contiguous labels that are in main memory.
fn with_labels<R>(labels: &Tensor, read: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
    let (storage, layout) = labels.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => read(elements(storage, layout)?),
        _ => bail!("labels are on a card, expected them on the CPU, where they are checked"),
    }
}

/// The elements of a contiguous tensor, row-major.
fn elements<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&T::cpu_storage_as_slice(storage)?[start..end]),
        None => bail!("the losses read contiguous tensors, got strides {:?}", layout.stride()),
    }
}

/// Checks that every label is a class index.
fn check_classes(labels: &Tensor, values: &[u8], classes: usize) -> Result<()> {
    match values.iter().position(|&label| usize::from(label) >= classes) {
        None => Ok(()),
        Some(at) => {
            let (_, height, width) = labels.dims3()?;
            let (slice, row, column) = (at / (height * width), at / width % height, at % width);
            bail!(
                "label {} at slice {slice}, row {row}, column {column} is not a class: \
                 the logits have {classes} classes, 0 to {}; map labels to class indices first",
                values[at],
                classes - 1
            )
        }
    }
}
