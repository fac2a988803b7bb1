//! How strongly the transfer losses pull at the shared kernels beside the rest of Eq. 5.
//!
//! A loss that is small may still act, and one that is large may not: what moves weights is its
//! gradient. So at a few steps the two parts of Eq. 5 are differentiated one by one:
//!
//! ```text
//! rest     = ‖ ∂/∂W ( α Σ_m L_dice^m + β Σ_m L_ce^m ) ‖
//! transfer = ‖ ∂/∂W ( Σ_t λ_t L_t ) ‖          W: all convolution kernels as one vector
//! ```
//!
//! The L2 term is in neither. γ and β of the norms are left out: they belong to one modality each.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::draw::DrawnBatch;
use crate::experiment::{Experiment, LossWeights};
use crate::network::TrainedNetwork;

/// Gradient norms of the two parts of Eq. 5 with respect to the shared convolution kernels, on the
/// batch of one step and at the weights before it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct GradientNorms {
    /// Of the segmentation losses, weighted by α and β.
    pub rest: f64,
    /// Of the transfer losses, weighted by λ.
    pub transfer: f64,
    /// Cosine between the two: 1 if they pull alike, −1 if against each other; none without a pull.
    pub cosine: Option<f64>,
}

impl GradientNorms {
    /// How strongly the transfer losses pull relative to the rest; none if nothing else pulls.
    pub fn ratio(&self) -> Option<f64> {
        (self.rest > 0.0).then(|| self.transfer / self.rest)
    }

    /// The norms of two gradients by the kernels' names; a missing one is zero.
    fn of<'a>(
        kernels: impl Iterator<Item = &'a str>,
        rest: &BTreeMap<String, Tensor>,
        transfer: &BTreeMap<String, Tensor>,
    ) -> Result<Self> {
        let (mut rest_squares, mut transfer_squares, mut products) = (0.0, 0.0, 0.0);
        for kernel in kernels {
            let (rest, transfer) = (rest.get(kernel), transfer.get(kernel));
            rest_squares += rest.map_or(Ok(0.0), |rest| inner_product(rest, rest))?;
            transfer_squares += transfer.map_or(Ok(0.0), |other| inner_product(other, other))?;
            if let Some((rest, transfer)) = rest.zip(transfer) {
                products += inner_product(rest, transfer)?;
            }
        }
        let (rest, transfer) = (f64::sqrt(rest_squares), f64::sqrt(transfer_squares));
        let cosine = (rest > 0.0 && transfer > 0.0).then(|| products / (rest * transfer));
        Ok(Self { rest, transfer, cosine })
    }
}

fn inner_product(one: &Tensor, other: &Tensor) -> Result<f64> {
    let [one, other] = [one, other].map(|tensor| tensor.to_dtype(DType::F64));
    Ok((one? * other?)?.sum_all()?.to_scalar::<f64>()?)
}

impl TrainedNetwork {
    /// Differentiates the two parts of Eq. 5 one by one on the batch of `step`, with its dropout.
    /// Parameters and running statistics stay as they are. None where no transfer loss acts: the
    /// method has none, or the network serves one modality.
    ///
    /// It takes two passes there and back, so about as long as two steps.
    ///
    /// # Errors
    ///
    /// Batches that [`TrainedNetwork::step`] would refuse, too.
    pub fn gradient_norms(
        &self,
        batches: &[DrawnBatch],
        experiment: &Experiment,
        step: u64,
    ) -> Result<Option<GradientNorms>> {
        if experiment.method.transfer.is_empty() || self.modalities.len() < 2 {
            return Ok(None);
        }
        let mut rest = experiment.clone();
        rest.method.transfer.clear();
        let mut transfer = experiment.clone();
        transfer.schedule.loss = LossWeights { dice: 0.0, cross_entropy: 0.0 };

        let parameters = self.fcn.parameters();
        let before = parameters.to_tensors()?;
        let gradients = |part: &Experiment| {
            let (output, loss, _) = self.loss(batches, part, step)?;
            output.backward(&loss).context("in the backward pass")
        };
        let both = gradients(&rest).and_then(|rest| Ok((rest, gradients(&transfer)?)));
        // The passes moved the running statistics.
        parameters.load_tensors(&before)?;
        let (rest, transfer) = both?;
        GradientNorms::of(parameters.kernels().map(|(name, _)| name), &rest, &transfer).map(Some)
    }
}

#[cfg(test)]
mod tests;
