//! The parts that groups are made of.

use candle_core::{DType, Tensor, Var};
use duomo_ops::{
    BatchStatistics, Conv2d, NormOptions, Padding, batch_norm_leaky_relu,
    batch_norm_leaky_relu_gradients, normalize_leaky_relu,
};

use super::pass::{Parameter, Pass};
use super::tape::Traced;
use crate::layers::STRIDE;
use crate::{Error, Head, Parameters};

/// ε of the norm and slope of the LeakyReLU after it (\[Dou2020\]'s code).
const NORM: NormOptions = NormOptions { epsilon: 1e-3, slope: 0.2 };

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

    pub(crate) fn forward(&self, x: &Traced, pass: &Pass) -> Result<Traced, Error> {
        let (gamma, beta) = (pass.parameter(&self.gamma), pass.parameter(&self.beta));
        let rows = pass.rows.clone();
        if pass.dropout_seed().is_none() {
            let mean = self.running_mean.as_detached_tensor();
            let variance = self.running_variance.as_detached_tensor();
            let tables = (&gamma.tensor, &beta.tensor);
            let y =
                normalize_leaky_relu(&x.tensor, tables.0, tables.1, &mean, &variance, &rows, NORM)?;
            return Ok(Traced::constant(y));
        }
        let (y, batch) =
            batch_norm_leaky_relu(&x.tensor, &gamma.tensor, &beta.tensor, &rows, NORM)?;
        self.follow(&batch)?;
        let (input, tables) = (x.tensor.clone(), [gamma.tensor.clone(), beta.tensor.clone()]);
        Ok(pass.record(y, &[x, &gamma, &beta], move |gradient| {
            let tables = tables.each_ref();
            let gradients =
                batch_norm_leaky_relu_gradients(&input, tables, gradient, &rows, &batch, NORM)?;
            Ok(gradients.map(Some).into())
        }))
    }

    /// Moves the running statistics of the rows that the batch holds towards the batch's.
    fn follow(&self, batch: &BatchStatistics) -> Result<(), Error> {
        let channels = self.gamma.var.dims()[1];
        let pairs = [(&self.running_mean, &batch.mean), (&self.running_variance, &batch.variance)];
        for (running, new) in pairs {
            let mut values = running.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
            for (index, (value, &new)) in values.iter_mut().zip(new).enumerate() {
                if batch.present[index / channels] {
                    *value = DECAY * *value + (1.0 - DECAY) * f64::from(new);
                }
            }
            let values = Tensor::from_vec(values, running.shape(), running.device())?;
            running.set(&values.to_dtype(running.dtype())?)?;
        }
        Ok(())
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

    fn forward(self, x: Traced, pass: &Pass) -> Result<Traced, Error> {
        match pass.dropout_seed() {
            Some(seed) if self.probability > 0.0 => {
                pass.dropout(&x, self.probability, layer_seed(seed, self.layer))
            }
            _ => Ok(x),
        }
    }
}

/// A seed of its own for every layer, so that no two layers drop the same pattern.
///
/// The finaliser of splitmix64: seeds that differ in one bit give unrelated results.
pub(crate) fn layer_seed(seed: u64, layer: u64) -> u64 {
    let mut z = seed.wrapping_add((layer + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
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

    pub(crate) fn forward(&self, x: &Traced, pass: &Pass) -> Result<Traced, Error> {
        let x = self.norm.forward(x, pass)?;
        let x = pass.conv2d(&x, &self.weight, self.convolution)?;
        self.dropout.forward(x, pass)
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
        let main = self.unit2.forward(&self.unit1.forward(x, pass)?, pass)?;
        pass.add_skip(&main, x)
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
                let x = pass.conv2d(x, &self.weight, symmetric)?; // [B, h, w, 64·8C]
                pass.pixel_shuffle(&self.norm.forward(&x, pass)?, STRIDE)
            }
            Head::Transposed => {
                let x = pass.transposed_conv2d(x, &self.weight, STRIDE, STRIDE / 2)?; // [B, 8h, 8w, 8C]
                self.norm.forward(&x, pass)
            }
        }
    }
}
