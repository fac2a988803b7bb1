//! Runs the launches on a card. The gradient finds the maxima once more: nothing is kept.

use candle_core::{CudaStorage, Layout, Result, Shape, Tensor};

use super::{Dims, launches};
use crate::cuda::card;

const NAME: &str = "max_pool2";

pub(super) fn forward(input: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
    let dims = Dims::new(layout.dims())?;
    let program = launches::forward(dims)?;
    // SAFETY: the launch is made for the sizes of this image, and runs between guards in its test.
    let output = unsafe { card::apply(NAME, &program, [(input, layout)])? };
    Ok((output, dims.output_shape()))
}

/// The gradient with respect to `input`, of whose output's shape `gradient` is.
pub(super) fn gradient(input: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let program = launches::backward(Dims::new(input.dims())?)?;
    // SAFETY: as above; `max_pool2_gradient` has compared the shapes.
    let [by_input] = unsafe { card::tensors(NAME, &program, &[input, gradient], [input.shape()])? };
    Ok(by_input)
}
