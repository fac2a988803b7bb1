//! One run of the network over a batch of slices, and the operations in it.

use std::cell::RefCell;

use candle_core::{Tensor, Var};
use duomo_ops::{
    Conv2d, Epilogue, conv2d, conv2d_input_gradient, conv2d_kernel_gradient, fused_conv2d,
    max_pool2, max_pool2_gradient, transposed_conv2d, transposed_conv2d_gradients,
};

use super::tape::{Tape, Traced};
use crate::{Error, Parameters};

/// A trainable parameter and its name.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    name: String,
    pub(crate) var: Var,
}

impl Parameter {
    pub(crate) fn new(parameters: &Parameters, name: String) -> Self {
        Self { var: parameters.get(&name), name }
    }
}

/// One run of the network over a batch of slices.
pub(crate) struct Pass {
    /// For every slice the row of γ, β and statistics that it uses.
    pub(crate) rows: Vec<usize>,
    /// Batch statistics, dropout and gradients; without, running statistics and nothing remembered.
    training: Option<Training>,
}

struct Training {
    dropout_seed: u64,
    tape: RefCell<Tape>,
}

impl Pass {
    pub(crate) fn training(rows: Vec<usize>, dropout_seed: u64) -> Self {
        Self { rows, training: Some(Training { dropout_seed, tape: RefCell::default() }) }
    }

    pub(crate) fn inference(rows: Vec<usize>) -> Self {
        Self { rows, training: None }
    }

    /// The seed of dropout while training.
    pub(crate) fn dropout_seed(&self) -> Option<u64> {
        self.training.as_ref().map(|training| training.dropout_seed)
    }

    /// What the run remembers, nothing for inference.
    pub(crate) fn into_tape(self) -> Tape {
        self.training.map_or_else(Tape::default, |training| training.tape.into_inner())
    }

    /// A parameter as this run sees it.
    pub(crate) fn parameter(&self, parameter: &Parameter) -> Traced {
        self.leaf(&parameter.name, parameter.var.as_detached_tensor())
    }

    /// A tensor whose gradient is asked for by name while training.
    pub(crate) fn leaf(&self, name: &str, tensor: Tensor) -> Traced {
        match &self.training {
            Some(training) => training.tape.borrow_mut().leaf(name, tensor),
            None => Traced::constant(tensor),
        }
    }

    /// The result of an operation, see [`Tape::record`].
    pub(crate) fn record(
        &self,
        result: Tensor,
        arguments: &[&Traced],
        backward: impl FnOnce(&Tensor) -> Result<Vec<Option<Tensor>>, Error> + Send + 'static,
    ) -> Traced {
        match &self.training {
            Some(training) => training.tape.borrow_mut().record(result, arguments, backward),
            None => Traced::constant(result),
        }
    }

    /// Does what [`Tape::record_adding`] does.
    pub(crate) fn record_adding(
        &self,
        result: Tensor,
        arguments: &[&Traced],
        backward: impl FnOnce(&Tensor, Option<Tensor>) -> Result<Vec<Option<Tensor>>, Error>
        + Send
        + 'static,
    ) -> Traced {
        match &self.training {
            Some(training) => training.tape.borrow_mut().record_adding(result, arguments, backward),
            None => Traced::constant(result),
        }
    }

    pub(crate) fn conv2d(
        &self,
        x: &Traced,
        kernel: &Parameter,
        options: Conv2d,
    ) -> Result<Traced, Error> {
        let kernel = self.parameter(kernel);
        let result = conv2d(&x.tensor, &kernel.tensor, options)?;
        Ok(self.record_conv2d(result, (x, &kernel), options))
    }

    /// A convolution whose result is read by a norm with `row_count` rows.
    pub(crate) fn conv2d_before_norm(
        &self,
        x: &Traced,
        kernel: &Parameter,
        options: Conv2d,
        row_count: usize,
    ) -> Result<Traced, Error> {
        if self.training.is_none() {
            return self.conv2d(x, kernel, options);
        }
        let kernel = self.parameter(kernel);
        let statistics = Some((self.rows.as_slice(), row_count));
        let epilogue = Epilogue { statistics, ..Epilogue::default() };
        let (result, statistics) =
            fused_conv2d(&x.tensor, None, &kernel.tensor, options, &epilogue)?;
        Ok(self.record_conv2d(result, (x, &kernel), options).with_statistics(statistics))
    }

    fn record_conv2d(
        &self,
        result: Tensor,
        (x, kernel): (&Traced, &Traced),
        options: Conv2d,
    ) -> Traced {
        let wanted = x.has_gradient();
        let (input, weights) = (x.tensor.clone(), kernel.tensor.clone());
        self.record(result, &[x, kernel], move |gradient| {
            let sides = (weights.dim(1)?, weights.dim(2)?);
            let by_kernel = conv2d_kernel_gradient(gradient, &input, sides, options)?;
            drop(input);
            let by_input = || conv2d_input_gradient(gradient, &weights, options);
            Ok(vec![wanted.then(by_input).transpose()?, Some(by_kernel)])
        })
    }

    pub(crate) fn transposed_conv2d(
        &self,
        x: &Traced,
        kernel: &Parameter,
        stride: usize,
        padding: usize,
    ) -> Result<Traced, Error> {
        let kernel = self.parameter(kernel);
        let result = transposed_conv2d(&x.tensor, &kernel.tensor, stride, padding)?;
        let (input, weights) = (x.tensor.clone(), kernel.tensor.clone());
        Ok(self.record(result, &[x, &kernel], move |gradient| {
            let gradients =
                transposed_conv2d_gradients(&input, &weights, gradient, stride, padding)?;
            Ok(gradients.map(Some).into())
        }))
    }

    pub(crate) fn max_pool2(&self, x: &Traced) -> Result<Traced, Error> {
        let input = x.tensor.clone();
        Ok(self.record(max_pool2(&x.tensor)?, &[x], move |gradient| {
            Ok(vec![Some(max_pool2_gradient(&input, gradient)?)])
        }))
    }
}
