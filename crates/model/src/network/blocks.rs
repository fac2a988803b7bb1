//! The parts that groups are made of.

use std::sync::Arc;

use candle_core::Var;

use duomo_ops::{
    Activation, Backward, Conv2d, Epilogue, Gradients, Padding, batch_statistics, fused_conv2d,
    fused_conv2d_gradients, fused_pixel_shuffle, fused_pixel_shuffle_gradients, pixel_shuffle,
    split_mix,
};

use super::pass::{Parameter, Pass};
use super::tape::Traced;
use crate::layers::{NORM, STRIDE};
use crate::{Error, Head, Parameters};

/// Share of the running statistics that a training pass leaves.
const DECAY: f64 = 0.9;

/// Batch norm with one row of γ, β and statistics per modality, then LeakyReLU (Eq. 1).
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    gamma: Parameter,
    beta: Parameter,
    running_mean: Var,
    running_variance: Var,
}

impl Norm {
    pub(crate) fn new(parameters: &Parameters, name: &str) -> Self {
        let part = |part: &str| format!("{name}.{part}");
        Self {
            gamma: Parameter::new(parameters, part("gamma")),
            beta: Parameter::new(parameters, part("beta")),
            running_mean: parameters.get(&part("running_mean")),
            running_variance: parameters.get(&part("running_var")),
        }
    }

    /// In a pass of its own.
    pub(crate) fn forward(&self, x: &Traced, pass: &Pass) -> Result<Traced, Error> {
        if pass.dropout_seed().is_none() {
            return Ok(Traced::constant(self.of_running(pass)?.apply(&x.tensor)?));
        }
        let (activation, [gamma, beta]) = self.of_batch(x, pass)?;
        let y = activation.apply(&x.tensor)?;
        let input = x.tensor.clone();
        Ok(pass.record(y, &[x, &gamma, &beta], move |gradient| {
            Ok(activation.gradients(&input, gradient)?.map(Some).into())
        }))
    }

    /// While training, with the pixel shuffle that reads it.
    fn forward_shuffled(&self, x: &Traced, pass: &Pass) -> Result<Traced, Error> {
        let (activation, [gamma, beta]) = self.of_batch(x, pass)?;
        let y = fused_pixel_shuffle(&x.tensor, &activation, STRIDE)?;
        let input = x.tensor.clone();
        Ok(pass.record(y, &[x, &gamma, &beta], move |gradient| {
            let gradients = fused_pixel_shuffle_gradients(gradient, &input, &activation, STRIDE)?;
            Ok(gradients.map(Some).into())
        }))
    }

    /// The norm with the running statistics.
    pub(crate) fn of_running(&self, pass: &Pass) -> Result<Activation, Error> {
        let tables = [&self.gamma.var, &self.beta.var].map(Var::as_detached_tensor);
        let running = [&self.running_mean, &self.running_variance].map(Var::as_detached_tensor);
        Ok(Activation::of_running(tables.each_ref(), running.each_ref(), &pass.rows, NORM)?)
    }

    /// The norm with the statistics of `x`, towards which the running ones move, and its tables.
    fn of_batch(&self, x: &Traced, pass: &Pass) -> Result<(Activation, [Traced; 2]), Error> {
        let tables = [&self.gamma, &self.beta].map(|table| pass.parameter(table));
        let known = x.statistics.clone().filter(|known| known.present().len() == self.row_count());
        let batch = match known {
            Some(known) => known,
            None => Arc::new(batch_statistics(&x.tensor, &pass.rows, self.row_count())?),
        };
        batch.lead([&self.running_mean, &self.running_variance], DECAY)?;
        let [gamma, beta] = tables.each_ref().map(|table| &table.tensor);
        let activation = Activation::of_batch(gamma, beta, &pass.rows, &batch, NORM)?;
        Ok((activation, tables))
    }

    /// The rows of its tables.
    pub(crate) fn row_count(&self) -> usize {
        self.gamma.var.dims()[0]
    }
}

/// Dropout of one layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    probability: f64,
    layer: u64,
}

impl Dropout {
    pub(crate) fn new(probability: f64, layer: u64) -> Self {
        Self { probability, layer }
    }

    /// Probability and seed in a pass that drops.
    fn of_pass(self, pass: &Pass) -> Option<(f64, u64)> {
        let seed = pass.dropout_seed().filter(|_| self.probability > 0.0)?;
        // A seed of its own for every layer, so that no two layers drop the same pattern.
        Some((self.probability, split_mix(seed, self.layer)))
    }
}

/// Norm, LeakyReLU, 3×3 convolution, dropout.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    norm: Norm,
    weight: Parameter,
    convolution: Conv2d,
    dropout: Dropout,
}

impl Unit {
    pub(crate) fn new(
        parameters: &Parameters,
        name: &str,
        dilation: usize,
        dropout: Dropout,
    ) -> Self {
        Self {
            norm: Norm::new(parameters, &format!("{name}.norm")),
            weight: Parameter::new(parameters, format!("{name}.weight")),
            convolution: Conv2d { padding: Padding::Zero, dilation },
            dropout,
        }
    }

    /// Alone; the network has units in pairs.
    #[cfg(test)]
    pub(crate) fn forward(&self, x: &Traced, pass: &Pass) -> Result<Traced, Error> {
        if pass.dropout_seed().is_some() {
            return self.train(x, None, pass);
        }
        self.infer(x, Some(&self.norm.of_running(pass)?), &Epilogue::default())
    }

    /// One operation, with the statistics for the next norm; `skip` is added.
    fn train(&self, x: &Traced, skip: Option<&Traced>, pass: &Pass) -> Result<Traced, Error> {
        let (activation, [gamma, beta]) = self.norm.of_batch(x, pass)?;
        let kernel = pass.parameter(&self.weight);
        let (options, dropout) = (self.convolution, self.dropout.of_pass(pass));
        let epilogue = Epilogue {
            dropout,
            skip: skip.map(|skip| &skip.tensor),
            activation: None,
            statistics: Some((&pass.rows, self.norm.row_count())),
        };
        let (y, statistics) =
            fused_conv2d(&x.tensor, Some(&activation), &kernel.tensor, options, &epilogue)?;
        let (input, weights) = (x.tensor.clone(), kernel.tensor.clone());
        let skipped = skip.map(|skip| skip.tensor.dims()[3]);
        let arguments = [x, &gamma, &beta, &kernel].into_iter().chain(skip).collect::<Vec<_>>();
        let traced = pass.record_adding(y, &arguments, move |gradient, others| {
            let of = Backward {
                input: &input,
                activation: &activation,
                kernel: &weights,
                options,
                dropout,
                others: others.as_ref(),
            };
            let Gradients { input, gamma, beta, kernel } = fused_conv2d_gradients(gradient, &of)?;
            let mut of_arguments = [input, gamma, beta, kernel].map(Some).to_vec();
            if let Some(channels) = skipped {
                let before = (gradient.dim(3)? - channels) / 2;
                of_arguments.push(Some(gradient.narrow(3, before, channels)?));
            }
            Ok(of_arguments)
        });
        Ok(traced.with_statistics(statistics))
    }

    /// Without dropout; `reads` is the norm unless `x` has passed it already.
    fn infer(
        &self,
        x: &Traced,
        reads: Option<&Activation>,
        epilogue: &Epilogue<'_>,
    ) -> Result<Traced, Error> {
        let kernel = self.weight.var.as_detached_tensor();
        let (y, _) = fused_conv2d(&x.tensor, reads, &kernel, self.convolution, epilogue)?;
        Ok(Traced::constant(y))
    }

    /// Two units in a row, plus a skip.
    pub(crate) fn pair(
        [first, second]: [&Self; 2],
        x: &Traced,
        skip: Option<&Traced>,
        pass: &Pass,
    ) -> Result<Traced, Error> {
        if pass.dropout_seed().is_some() {
            return second.train(&first.train(x, None, pass)?, skip, pass);
        }
        // Nothing but the second norm reads what the first convolution writes.
        let next = second.norm.of_running(pass)?;
        let before_norm = Epilogue { activation: Some(&next), ..Epilogue::default() };
        let between = first.infer(x, Some(&first.norm.of_running(pass)?), &before_norm)?;
        let skip = skip.map(|skip| &skip.tensor);
        second.infer(&between, None, &Epilogue { skip, ..Epilogue::default() })
    }
}

/// Two units and a skip, zero-padded in channels where the units widen.
#[derive(Clone, Debug)]
pub(crate) struct Residual {
    pub(crate) unit1: Unit,
    pub(crate) unit2: Unit,
}

impl Residual {
    pub(crate) fn forward(&self, x: &Traced, pass: &Pass) -> Result<Traced, Error> {
        Unit::pair([&self.unit1, &self.unit2], x, Some(x), pass)
    }
}

/// Group 10: from stride 8 to full size.
#[derive(Clone, Debug)]
pub(crate) struct HeadBlock {
    weight: Parameter,
    norm: Norm,
    head: Head,
}

impl HeadBlock {
    pub(crate) fn new(parameters: &Parameters, name: &str, head: Head) -> Self {
        Self {
            weight: Parameter::new(parameters, format!("{name}.weight")),
            norm: Norm::new(parameters, &format!("{name}.norm")),
            head,
        }
    }

    pub(crate) fn forward(&self, x: &Traced, pass: &Pass) -> Result<Traced, Error> {
        match self.head {
            Head::PixelShuffle => {
                let symmetric = Conv2d { padding: Padding::Symmetric, dilation: 1 };
                if pass.dropout_seed().is_some() {
                    let rows = self.norm.row_count();
                    let x = pass.conv2d_before_norm(x, &self.weight, symmetric, rows)?; // [B, h, w, 64·8C]
                    return self.norm.forward_shuffled(&x, pass);
                }
                let kernel = self.weight.var.as_detached_tensor();
                let next = self.norm.of_running(pass)?;
                let epilogue = Epilogue { activation: Some(&next), ..Epilogue::default() };
                let (x, _) = fused_conv2d(&x.tensor, None, &kernel, symmetric, &epilogue)?;
                Ok(Traced::constant(pixel_shuffle(&x, STRIDE)?))
            }
            Head::Transposed => {
                let x = pass.transposed_conv2d(x, &self.weight, STRIDE, STRIDE / 2)?; // [B, 8h, 8w, 8C]
                self.norm.forward(&x, pass)
            }
        }
    }
}
