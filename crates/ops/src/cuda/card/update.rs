//! Programs that change variables in place.

use std::cell::RefCell;

use candle_core::cuda_backend::{CudaDType as _, CudaStorage, cudarc::driver::CudaViewMut};
use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Result, Storage, Tensor, Var, bail};

use super::{Program, elements, run};

/// Runs a program that changes variables in place: its [`Buffer::Updated`], in order.
///
/// # Errors
///
/// Those of [`run`] and [`elements`], if a variable is a view, or if something lies elsewhere than
/// on the first variable's card.
///
/// # Panics
///
/// Those of [`run`].
///
/// # Safety
///
/// As [`run`]. No two variables may share their storage, nor one with an input: the call would wait
/// for itself.
pub unsafe fn update(
    op: &'static str,
    program: &Program,
    inputs: &[&Tensor],
    updated: &[&Var],
) -> Result<()> {
    let Some(Device::Cuda(device)) = updated.first().map(|var| var.device()) else {
        bail!("{op}: got no variable on a card");
    };
    let guards: Vec<_> = inputs.iter().map(|input| input.storage_and_layout()).collect();
    let mut views = Vec::with_capacity(inputs.len());
    for (storage, layout) in &guards {
        let Storage::Cuda(storage) = &**storage else {
            bail!("{op}: got tensors on several devices, expected all on one card");
        };
        views.push(elements(op, (storage, layout))?);
    }
    lend(op, updated, Vec::new(), &mut |updated| {
        // SAFETY: the caller vouches for the kernels.
        unsafe { run(device, program, &views, updated) }.map(drop)
    })
}

/// Locks the variables one inside the other, so that one program can change them all.
fn lend(
    op: &'static str,
    vars: &[&Var],
    views: Vec<CudaViewMut<'_, f32>>,
    run: &mut dyn FnMut(Vec<CudaViewMut<'_, f32>>) -> Result<()>,
) -> Result<()> {
    let Some((first, rest)) = vars.split_first() else {
        return run(views);
    };
    let mut views = Some(views);
    let next = |storage: &mut CudaStorage, layout: &Layout| {
        let length = layout.shape().elem_count();
        if layout.start_offset() != 0 || !layout.is_contiguous() {
            bail!("{op}: got a variable that is a view, expected one with its own storage");
        }
        let mut views = views.take().expect("an operation runs once");
        views.push(f32::as_cuda_slice_mut(storage)?.slice_mut(..length));
        lend(op, rest, views, &mut *run)
    };
    first.inplace_op1(&Lend { op, run: RefCell::new(next) })
}

/// Lends the storage of a variable to a function for the time of one in-place operation.
struct Lend<F> {
    op: &'static str,
    run: RefCell<F>,
}

impl<F: FnMut(&mut CudaStorage, &Layout) -> Result<()>> InplaceOp1 for Lend<F> {
    fn name(&self) -> &'static str {
        self.op
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        bail!("{}: got variables on several devices, expected all on one card", self.op)
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        (self.run.borrow_mut())(storage, layout)
    }
}
