//! The networks of a run with their optimiser state, and one training step.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor, Var};
use duomo_model::{Fcn, Output};
use duomo_ops::{AdamOptions, adam_update};

use crate::draw::DrawnBatch;
use crate::experiment::Experiment;
use crate::loss::{LossTerms, total_loss};

/// One network, the modalities it serves, and Adam's moments of its parameters.
#[derive(Debug)]
pub struct TrainedNetwork {
    /// The network; its modality `i` is the data set's modality `modalities[i]`.
    pub(crate) fcn: Fcn,
    /// Data-set modalities that this network serves.
    pub(crate) modalities: Vec<usize>,
    /// First and second moment of each trainable parameter, by name.
    pub(crate) moments: BTreeMap<String, (Var, Var)>,
}

impl TrainedNetwork {
    /// All networks of an experiment, freshly initialised from its seed.
    ///
    /// # Errors
    ///
    /// An architecture that does not hold together, or memory that the device does not have.
    pub fn of_experiment(experiment: &Experiment, device: &Device) -> Result<Vec<Self>> {
        let served = experiment.method.networks(experiment.dataset.modalities.len());
        served.into_iter().map(|modalities| Self::new(experiment, modalities, device)).collect()
    }

    fn new(experiment: &Experiment, modalities: Vec<usize>, device: &Device) -> Result<Self> {
        let architecture = experiment.architecture(modalities.len());
        let fcn = Fcn::new(&architecture, experiment.seed, DType::F32, device)?;
        let moments = fcn.parameters().trainable().iter().map(|(name, var)| {
            Ok((
                name.clone(),
                (Var::from_tensor(&var.zeros_like()?)?, Var::from_tensor(&var.zeros_like()?)?),
            ))
        });
        let moments = moments.collect::<Result<_>>()?;
        Ok(Self { fcn, modalities, moments })
    }

    /// One step of Eq. 5 and Adam on one unpaired batch per modality; `step` counts from 1.
    ///
    /// `batches[m]` belongs to the data set's modality `m`; the batches of modalities that this
    /// network does not serve are ignored. The parameters stay as they were when the loss is not finite.
    ///
    /// # Errors
    ///
    /// A loss that is not finite names the step, the terms and the slices of the batch.
    pub fn step(
        &self,
        batches: &[DrawnBatch],
        experiment: &Experiment,
        step: u64,
    ) -> Result<LossTerms> {
        let (output, loss, terms) = self.loss(batches, experiment, step)?;
        if !terms.is_finite() {
            let slices = self.modalities.iter().map(|&modality| batches[modality].names.join(" "));
            bail!(
                "the loss of step {step} is not finite ({terms:?}); its slices were {}; \
                 a lower schedule.optimizer.rate or `duomo check` on these cases usually helps",
                slices.collect::<Vec<_>>().join("; ")
            );
        }
        self.update(output, &loss, experiment, step)?;
        Ok(terms)
    }

    /// The forward pass of a step and its loss; moves the running statistics.
    pub(crate) fn loss(
        &self,
        batches: &[DrawnBatch],
        experiment: &Experiment,
        step: u64,
    ) -> Result<(Output, Tensor, LossTerms)> {
        let device = self.fcn.parameters().device();
        let mine = || self.modalities.iter().map(|&modality| &batches[modality]);
        let images: Vec<Tensor> =
            mine().map(|batch| images(batch, device)).collect::<Result<_>>()?;
        let labels: Vec<Tensor> =
            mine().map(|batch| labels(batch, device)).collect::<Result<_>>()?;

        let groups = experiment.method.groups();
        let seed = dropout_seed(experiment.seed, step);
        let output =
            self.fcn.forward_train(&images, &groups, seed).context("in the forward pass")?;
        let classes = experiment.dataset.classes();
        let weights = &experiment.schedule.loss;
        let (loss, terms) = total_loss(&output, &labels, &experiment.method, weights, classes)?;
        Ok((output, loss, terms))
    }

    fn update(
        &self,
        output: Output,
        loss: &Tensor,
        experiment: &Experiment,
        step: u64,
    ) -> Result<()> {
        let gradients = output.backward(loss).context("in the backward pass")?;
        let optimizer = &experiment.schedule.optimizer;
        let rate = optimizer.rate_at(step);
        for (name, var) in self.fcn.parameters().trainable() {
            let Some(gradient) = gradients.get(name) else { continue };
            let (first, second) = &self.moments[name];
            let l2 = if var.rank() == 4 { optimizer.l2 } else { 0.0 };
            adam_update(var, gradient, (first, second), rate, l2, step, AdamOptions::default())
                .with_context(|| format!("in Adam's update of {name}"))?;
        }
        Ok(())
    }
}

/// A batch's images as `[B, H, W, s]`.
pub(crate) fn images(DrawnBatch { batch, .. }: &DrawnBatch, device: &Device) -> Result<Tensor> {
    let shape = (batch.slices.len(), batch.side, batch.side, batch.input_slices);
    Ok(Tensor::from_slice(&batch.images, shape, device)?)
}

/// A batch's class indices as `[B, H, W]`.
pub(crate) fn labels(DrawnBatch { batch, .. }: &DrawnBatch, device: &Device) -> Result<Tensor> {
    let shape = (batch.slices.len(), batch.side, batch.side);
    Ok(Tensor::from_slice(&batch.labels, shape, device)?)
}

/// A stream of its own for each step, so that a resumed run draws what an uninterrupted one would.
fn dropout_seed(seed: u64, step: u64) -> u64 {
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(step)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
