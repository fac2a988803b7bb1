//! The parts that groups are made of.

use candle_core::{DType, Tensor, Var};
use duomo_ops::{
    BatchStatistics, Conv2d, NormOptions, Padding, add_skip, batch_norm_leaky_relu, conv2d,
    dropout, normalize_leaky_relu, pixel_shuffle, transposed_conv2d,
};

use crate::layers::STRIDE;
use crate::{Error, Head, Parameters};

/// ε of the norm and slope of the LeakyReLU after it (\[Dou2020\]'s code).
const NORM: NormOptions = NormOptions { epsilon: 1e-3, slope: 0.2 };

/// Share of the running statistics that a training pass leaves.
const DECAY: f64 = 0.9;

/// One run of the network over a batch of slices.
pub(crate) struct Pass {
    /// For every slice the row of γ, β and statistics that it uses.
    pub(crate) rows: Vec<usize>,
    pub(crate) mode: Mode,
}

/// Whether a run learns.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    /// Batch statistics, dropout, gradients.
    Training { dropout_seed: u64 },
    /// Running statistics, no graph.
    Inference,
}

impl Pass {
    /// A parameter as this run sees it: part of the graph only while training.
    pub(crate) fn tensor(&self, var: &Var) -> Tensor {
        match self.mode {
            Mode::Training { .. } => var.as_tensor().clone(),
            Mode::Inference => var.as_detached_tensor(),
        }
    }
}

/// Batch norm with one row of γ, β and statistics per modality, then LeakyReLU (Eq. 1).
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    gamma: Var,
    beta: Var,
    running_mean: Var,
    running_variance: Var,
}

impl Norm {
    pub(crate) fn new(parameters: &Parameters, name: &str) -> Self {
        let part = |part: &str| parameters.get(&format!("{name}.{part}"));
        Self {
            gamma: part("gamma"),
            beta: part("beta"),
            running_mean: part("running_mean"),
            running_variance: part("running_var"),
        }
    }

    pub(crate) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor, Error> {
        let (gamma, beta) = (pass.tensor(&self.gamma), pass.tensor(&self.beta));
        match pass.mode {
            Mode::Training { .. } => {
                let (y, batch) = batch_norm_leaky_relu(x, &gamma, &beta, &pass.rows, NORM)?;
                self.follow(&batch)?;
                Ok(y)
            }
            Mode::Inference => {
                let mean = self.running_mean.as_detached_tensor();
                let variance = self.running_variance.as_detached_tensor();
                let rows = &pass.rows;
                Ok(normalize_leaky_relu(x, &gamma, &beta, &mean, &variance, rows, NORM)?)
            }
        }
    }

    /// Moves the running statistics of the rows that the batch holds towards the batch's.
    fn follow(&self, batch: &BatchStatistics) -> Result<(), Error> {
        let channels = self.gamma.dims()[1];
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

    fn forward(self, x: Tensor, pass: &Pass) -> Result<Tensor, Error> {
        match pass.mode {
            Mode::Training { dropout_seed } if self.probability > 0.0 => {
                Ok(dropout(&x, self.probability, layer_seed(dropout_seed, self.layer))?)
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
    weight: Var,
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
            weight: parameters.get(&format!("{name}.weight")),
            convolution: Conv2d { padding: Padding::Zero, dilation },
            dropout,
        }
    }

    pub(crate) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor, Error> {
        let x = self.norm.forward(x, pass)?;
        let x = conv2d(&x, &pass.tensor(&self.weight), self.convolution)?;
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
    pub(crate) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor, Error> {
        let main = self.unit2.forward(&self.unit1.forward(x, pass)?, pass)?;
        Ok(add_skip(&main, x)?)
    }
}

/// Group 10: from stride 8 to full size.
#[derive(Clone, Debug)]
pub(crate) struct HeadBlock {
    weight: Var,
    norm: Norm,
    head: Head,
}

impl HeadBlock {
    pub(crate) fn new(parameters: &Parameters, name: &str, head: Head) -> Self {
        Self {
            weight: parameters.get(&format!("{name}.weight")),
            norm: Norm::new(parameters, &format!("{name}.norm")),
            head,
        }
    }

    pub(crate) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor, Error> {
        let weight = pass.tensor(&self.weight);
        match self.head {
            Head::PixelShuffle => {
                let symmetric = Conv2d { padding: Padding::Symmetric, dilation: 1 };
                let x = conv2d(x, &weight, symmetric)?; // [B, h, w, 64·8C]
                Ok(pixel_shuffle(&self.norm.forward(&x, pass)?, STRIDE)?)
            }
            Head::Transposed => {
                let x = transposed_conv2d(x, &weight, STRIDE, STRIDE / 2)?; // [B, 8h, 8w, 8C]
                self.norm.forward(&x, pass)
            }
        }
    }
}
