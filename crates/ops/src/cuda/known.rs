//! Results of programs as functions that candle's autograd differentiates.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Storage, Tensor, bail};

/// Returns `result` as a function of `input`, whose gradient `backward` makes of the input and the result's own
/// gradient.
///
/// Candle's operations return a single tensor; what a program leaves beside its result, `backward` can hold.
///
/// # Errors
///
/// If input and result are on several devices, or memory runs out: the result is copied.
pub fn function_of(
    name: &'static str,
    input: &Tensor,
    result: Tensor,
    backward: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    input.apply_op1(Known { name, result, backward })
}

/// Returns `result` as a function of two inputs; `backward` leaves out the gradients of those that do not track
/// operations.
///
/// # Errors
///
/// Those of [`function_of`].
pub fn function_of_two(
    name: &'static str,
    inputs: [&Tensor; 2],
    result: Tensor,
    backward: impl Fn([&Tensor; 2], &Tensor) -> Result<[Option<Tensor>; 2]> + Send + Sync + 'static,
) -> Result<Tensor> {
    inputs[0].apply_op2(inputs[1], Known { name, result, backward })
}

/// An operation whose result is known before candle asks for it.
struct Known<F> {
    name: &'static str,
    result: Tensor,
    backward: F,
}

impl<F> Known<F> {
    fn on_cpu(&self) -> Result<(CpuStorage, Shape)> {
        match &*self.result.storage_and_layout().0 {
            Storage::Cpu(result) => Ok((result.clone(), self.result.shape().clone())),
            _ => bail!("{}: the result is on a card, its input is not", self.name),
        }
    }

    #[cfg(feature = "cuda")]
    fn on_card(&self) -> Result<(candle_core::CudaStorage, Shape)> {
        use candle_core::backend::BackendStorage as _;

        let (result, layout) = self.result.storage_and_layout();
        match &*result {
            Storage::Cuda(result) => Ok((result.try_clone(layout)?, layout.shape().clone())),
            _ => bail!("{}: the result is not on a card, its input is", self.name),
        }
    }
}

impl<F: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync> CustomOp1 for Known<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        _: &candle_core::CudaStorage,
        _: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        self.on_card()
    }

    fn bwd(&self, input: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        (self.backward)(input, &gradient.contiguous()?).map(Some)
    }
}

impl<F: Fn([&Tensor; 2], &Tensor) -> Result<[Option<Tensor>; 2]> + Send + Sync> CustomOp2
    for Known<F>
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        _: &candle_core::CudaStorage,
        _: &Layout,
        _: &candle_core::CudaStorage,
        _: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        self.on_card()
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((self.backward)([first, second], &gradient.contiguous()?)?.into())
    }
}
