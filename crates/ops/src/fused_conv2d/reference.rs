//! The operations one by one, in any type and on any device.

use candle_core::{Result, Tensor};

use super::{Backward, Epilogue, Gradients};
use crate::{
    Activation, BatchStatistics, Conv2d, add_skip, batch_statistics, conv2d, conv2d_input_gradient,
    conv2d_kernel_gradient, dropout,
};

pub(super) fn forward(
    input: &Tensor,
    activation: Option<&Activation>,
    kernel: &Tensor,
    options: Conv2d,
    epilogue: &Epilogue<'_>,
) -> Result<(Tensor, Option<BatchStatistics>)> {
    let activated = activation.map(|norm| norm.apply(input)).transpose()?;
    let mut y = conv2d(activated.as_ref().unwrap_or(input), kernel, options)?.detach();
    if let Some((probability, seed)) = epilogue.dropout {
        y = dropout(&y, probability, seed)?;
    }
    if let Some(skip) = epilogue.skip {
        y = add_skip(&y, skip)?;
    }
    if let Some(norm) = epilogue.activation {
        y = norm.apply(&y)?;
    }
    let statistics = epilogue.statistics.map(|(rows, count)| batch_statistics(&y, rows, count));
    Ok((y, statistics.transpose()?))
}

pub(super) fn gradients(gradient: &Tensor, of: &Backward<'_>) -> Result<Gradients> {
    let &Backward { input, activation, kernel, options, dropout: dropped, others } = of;
    let gradient = match dropped {
        Some((probability, seed)) => dropout(gradient, probability, seed)?,
        None => gradient.clone(),
    };
    let activated = activation.apply(input)?;
    let sides = (kernel.dim(1)?, kernel.dim(2)?);
    let by_kernel = conv2d_kernel_gradient(&gradient, &activated, sides, options)?;
    let by_activated = conv2d_input_gradient(&gradient, kernel, options)?;
    let [by_input, gamma, beta] = activation.gradients(input, &by_activated)?;
    let input = others.map_or_else(|| Ok(by_input.clone()), |others| &by_input + others)?;
    Ok(Gradients { input, gamma, beta, kernel: by_kernel })
}
