//! Programs over candle's tensors and storages.

use candle_core::backend::{BackendDevice as _, BackendStorage as _};
use candle_core::cuda_backend::{CudaDevice, CudaStorage, cudarc::driver::CudaView};
use candle_core::op::BackpropOp;
use candle_core::{DType, Layout, Result, Shape, Storage, Tensor, bail};

use super::staging::{self, Download};
use super::{Program, run};

/// Returns the only output of a program that an operation's forward function runs on its arguments.
///
/// # Errors
///
/// Those of [`run`] and [`elements`].
///
/// # Panics
///
/// Those of [`run`], and if the program has no output.
///
/// # Safety
///
/// As [`run`].
pub unsafe fn apply<const N: usize>(
    op: &str,
    program: &Program,
    inputs: [(&CudaStorage, &Layout); N],
) -> Result<CudaStorage> {
    let device = inputs[0].0.device();
    let views = inputs.into_iter().map(|input| elements(op, input)).collect::<Result<Vec<_>>>()?;
    // SAFETY: the caller vouches for the kernels.
    let outputs = unsafe { run(device, program, &views, Vec::new())? };
    let output = outputs.into_iter().next().expect("the program has an output");
    Ok(CudaStorage::wrap_cuda_slice(output, device.clone()))
}

/// Returns the outputs of a program as tensors of the given shapes, without a graph.
///
/// # Errors
///
/// Those of [`run`] and [`elements`], and if the tensors do not all lie on one card.
///
/// # Panics
///
/// Those of [`run`], and if the program has fewer outputs.
///
/// # Safety
///
/// As [`run`].
pub unsafe fn tensors<const N: usize>(
    op: &str,
    program: &Program,
    inputs: &[&Tensor],
    shapes: [&Shape; N],
) -> Result<[Tensor; N]> {
    let guards: Vec<_> = inputs.iter().map(|input| input.storage_and_layout()).collect();
    let mut views = Vec::with_capacity(inputs.len());
    let mut devices = Vec::with_capacity(inputs.len());
    for (storage, layout) in &guards {
        let Storage::Cuda(storage) = &**storage else {
            bail!("{op}: got tensors on several devices, expected all on one card");
        };
        views.push(elements(op, (storage, layout))?);
        devices.push(storage.device());
    }
    let Some(&device) = devices.first() else { bail!("{op}: got no tensor") };
    if devices.iter().any(|other| !other.same_device(device)) {
        bail!("{op}: got tensors on several cards, expected all on one");
    }
    // SAFETY: the caller vouches for the kernels.
    let mut outputs = unsafe { run(device, program, &views, Vec::new())? }.into_iter();
    Ok(shapes.map(|shape| {
        let output = outputs.next().expect("the program has an output for each shape");
        let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(output, device.clone()));
        Tensor::from_storage(storage, shape, BackpropOp::none(), false)
    }))
}

/// Returns the elements of a contiguous argument of `op` in the card's memory.
///
/// # Errors
///
/// If they are not `f32`, or not contiguous.
pub fn elements<'a>(
    op: &str,
    (storage, layout): (&'a CudaStorage, &Layout),
) -> Result<CudaView<'a, f32>> {
    if storage.dtype() != DType::F32 {
        bail!(
            "{op}: got elements of type {:?}, expected F32 on a card; convert them with `to_dtype`, \
             or move them to the CPU for F64",
            storage.dtype()
        );
    }
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("{op}: expected a contiguous tensor, got strides {:?}", layout.stride());
    };
    Ok(storage.as_cuda_slice::<f32>()?.slice(start..end))
}

/// Returns a tensor of `values`, without waiting for the card.
///
/// # Errors
///
/// If the shape has another number of elements, or memory runs out.
pub fn upload(values: &[f32], shape: Shape, device: &CudaDevice) -> Result<Tensor> {
    if values.len() != shape.elem_count() {
        bail!("upload: got {} numbers for a tensor of shape {shape:?}", values.len());
    }
    let slice = staging::upload(&device.cuda_stream(), values)?;
    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(slice, device.clone()));
    Ok(Tensor::from_storage(storage, shape, BackpropOp::none(), false))
}

/// Begins to copy a contiguous tensor of `f32` from its card.
///
/// # Errors
///
/// Those of [`elements`], and if memory runs out.
pub fn download(tensor: &Tensor) -> Result<Download> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else { bail!("download: got a tensor on no card") };
    Download::begin(&storage.device().cuda_stream(), &elements("download", (storage, layout))?)
}
