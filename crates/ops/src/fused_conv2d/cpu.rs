//! The `f32` path: everything around the convolution happens as it reads and writes.

use candle_core::{Layout, Result, Storage, Tensor, bail};

use super::{Backward, Epilogue, Gradients, NAME};
use crate::conv2d::finish::{Finish, Reading, Skip, Sums};
use crate::conv2d::{Dims, passes};
use crate::dropout::{Mask, check_probability};
use crate::norm::{Activation, BatchStatistics, Pixels};
use crate::storage::{elements, with_view};

pub(super) fn forward(
    input: &Tensor,
    activation: Option<&Activation>,
    kernel: &Tensor,
    dims: &Dims,
    epilogue: &Epilogue<'_>,
) -> Result<(Tensor, Option<BatchStatistics>)> {
    let (output, units) = with_numbers(input, |input| {
        with_numbers(kernel, |kernel| {
            with_optional(epilogue.skip, |skip| {
                let finish = Finish {
                    dropout: mask(epilogue.dropout)?,
                    skip: skip.map(|values| dims.skip(values)).transpose()?,
                    activation: epilogue.activation.map(reading_of).transpose()?,
                    sums: epilogue.statistics.map(|_| Sums::Moments),
                };
                let activation = activation.map(reading_of).transpose()?;
                Ok(passes::forward(input, kernel, dims, activation, Some(&finish)))
            })
        })
    })?;
    let shape = (dims.batch, dims.height, dims.width, dims.outputs);
    let output = Tensor::from_vec(output, shape, input.device())?;
    let statistics = units.zip(epilogue.statistics).map(|(units, (rows, count))| {
        BatchStatistics::of_units(&units, rows, count, dims.height * dims.width)
    });
    Ok((output, statistics.transpose()?))
}

pub(super) fn gradients(gradient: &Tensor, of: &Backward<'_>, dims: &Dims) -> Result<Gradients> {
    let &Backward { input, kernel, dropout, others, .. } = of;
    let activation = of.activation.host()?;
    let dropped = match dropout {
        Some((probability, seed)) => crate::dropout(gradient, probability, seed)?,
        None => gradient.clone(),
    };
    let norm = Reading::from(activation);
    with_numbers(&dropped, |gradient| {
        with_numbers(input, |x| {
            let by_kernel = passes::backward_kernel(gradient, x, dims, Some(norm));
            let sums = Some(Sums::Products { norm, input: x });
            let finish = Finish { sums, ..Finish::default() };
            let (delta, units) = with_numbers(kernel, |kernel| {
                Ok(passes::backward_input(gradient, kernel, dims, Some(&finish)))
            })?;
            let Some(units) = units else { bail!("{NAME}: the sums were not taken") };
            let [input, gamma, beta] = with_others(others, |others| {
                activation.gradients_of_units(x, &units, others, (delta, input.shape()))
            })?;
            let kernel = Tensor::from_vec(by_kernel, kernel.shape(), kernel.device())?;
            Ok(Gradients { input, gamma, beta, kernel })
        })
    })
}

fn reading_of(activation: &Activation) -> Result<Reading<'_>> {
    activation.host().map(Reading::from)
}

fn mask(dropout: Option<(f64, u64)>) -> Result<Option<Mask>> {
    let Some((probability, seed)) = dropout else { return Ok(None) };
    check_probability(probability)?;
    Ok((probability > 0.0).then(|| Mask::new(probability, seed)))
}

impl Dims {
    fn skip<'a>(&self, values: &'a [f32]) -> Result<Skip<'a>> {
        let pixels = self.batch * self.height * self.width;
        let channels = values.len() / pixels.max(1);
        if channels * pixels != values.len() || channels > self.outputs {
            bail!(
                "{NAME}: got a skip of {} numbers for {pixels} pixels of {} channels, \
                 expected equal images and no more channels in the skip",
                values.len(),
                self.outputs
            );
        }
        Ok(Skip { values, channels, before: (self.outputs - channels) / 2 })
    }
}

/// Calls `read` with the numbers of a tensor in main memory.
fn with_numbers<R>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    with_view(NAME, tensor, |view| read(elements(NAME, view)?))
}

fn with_optional<R>(
    tensor: Option<&Tensor>,
    read: impl FnOnce(Option<&[f32]>) -> Result<R>,
) -> Result<R> {
    match tensor {
        Some(tensor) => with_numbers(tensor, |numbers| read(Some(numbers))),
        None => read(None),
    }
}

/// Calls `read` with a map that may be a range of channels of another, without copying it.
fn with_others<R>(
    tensor: Option<&Tensor>,
    read: impl FnOnce(Option<Pixels<'_>>) -> Result<R>,
) -> Result<R> {
    let Some(tensor) = tensor else { return read(None) };
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        bail!("{NAME}: got a gradient on {:?}, expected one on the CPU", tensor.device());
    };
    match pixel_step(layout) {
        Some(step) => {
            let values = &storage.as_slice::<f32>()?[layout.start_offset()..];
            read(Some(Pixels { values, step }))
        }
        None => {
            with_numbers(tensor, |values| read(Some(Pixels { values, step: layout.dims()[3] })))
        }
    }
}

/// Numbers from one pixel to the next, if all pixels are equally far apart and their channels adjacent.
fn pixel_step(layout: &Layout) -> Option<usize> {
    let (&[_, height, width, _], &[image, row, pixel, channel]) = (layout.dims(), layout.stride())
    else {
        return None;
    };
    let regular = row == width * pixel && image == height * row && channel == 1;
    regular.then_some(pixel)
}
