//! The networks of a run with their optimiser state, and one training step.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor, Var};
use duomo_model::{Fcn, Output};
use duomo_ops::{AdamOptions, AdamVariable, adam_update_all, cuda::upload, split_mix};

use crate::draw::DrawnBatch;
use crate::experiment::Experiment;
use crate::loss::{ComingTerms, LossTerms, total_loss};

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
        self.begin_step(batches, experiment, step)?.finish()
    }

    /// [`Self::step`] without waiting for a card, which goes on while the host prepares the next step.
    ///
    /// # Errors
    ///
    /// Those of [`Self::step`]; of a card's loss that is not finite, [`ComingStep::finish`] tells.
    pub fn begin_step(
        &self,
        batches: &[DrawnBatch],
        experiment: &Experiment,
        step: u64,
    ) -> Result<ComingStep> {
        let (output, loss, terms) = self.loss(batches, experiment, step)?;
        let slices = self.modalities.iter().map(|&modality| batches[modality].names.join(" "));
        let coming = ComingStep { step, slices: slices.collect(), terms };
        if let Some(terms) = coming.terms.arrived() {
            check_finite(step, &terms, &coming.slices)?;
        }
        self.update(output, &loss, experiment, step)?;
        Ok(coming)
    }

    /// The forward pass of a step and its loss; moves the running statistics.
    pub(crate) fn loss(
        &self,
        batches: &[DrawnBatch],
        experiment: &Experiment,
        step: u64,
    ) -> Result<(Output, Tensor, ComingTerms)> {
        let device = self.fcn.parameters().device();
        let mine = || self.modalities.iter().map(|&modality| &batches[modality]);
        let images: Vec<Tensor> =
            mine().map(|batch| images(batch, device)).collect::<Result<_>>()?;
        let labels: Vec<Tensor> = mine().map(labels).collect::<Result<_>>()?;

        let groups = experiment.method.groups();
        let seed = dropout_seed(experiment.seed, self.modalities[0], step);
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
        let variables = self.fcn.parameters().trainable().iter().filter_map(|(name, var)| {
            let (mean, square) = &self.moments[name];
            let l2 = if var.rank() == 4 { optimizer.l2 } else { 0.0 };
            let gradient = gradients.get(name)?;
            Some(AdamVariable { var, moments: (mean, square), gradient, l2 })
        });
        let variables: Vec<_> = variables.collect();
        adam_update_all(&variables, loss, rate, step, AdamOptions::default())
            .context("in Adam's update")
    }
}

/// A step that a card may still be at.
#[derive(Debug)]
pub struct ComingStep {
    step: u64,
    /// Those of each modality's batch.
    slices: Vec<String>,
    terms: ComingTerms,
}

impl ComingStep {
    /// Waits for the step, but for no later one, and returns its terms.
    ///
    /// # Errors
    ///
    /// A loss that is not finite, see [`TrainedNetwork::step`]: it has moved no parameter, but later steps may have.
    pub fn finish(self) -> Result<LossTerms> {
        let terms = self.terms.finish()?;
        check_finite(self.step, &terms, &self.slices)?;
        Ok(terms)
    }
}

fn check_finite(step: u64, terms: &LossTerms, slices: &[String]) -> Result<()> {
    if !terms.is_finite() {
        bail!(
            "the loss of step {step} is not finite ({terms:?}); its slices were {}; \
             a lower schedule.optimizer.rate or `duomo check` on these cases usually helps",
            slices.join("; ")
        );
    }
    Ok(())
}

/// A batch's images as `[B, H, W, s]`.
pub(crate) fn images(DrawnBatch { batch, .. }: &DrawnBatch, device: &Device) -> Result<Tensor> {
    let shape = (batch.slices.len(), batch.side, batch.side, batch.input_slices);
    Ok(upload(&batch.images, shape, device)?)
}

/// A batch's class indices as `[B, H, W]`, on the CPU: the losses check them there.
pub(crate) fn labels(DrawnBatch { batch, .. }: &DrawnBatch) -> Result<Tensor> {
    let shape = (batch.slices.len(), batch.side, batch.side);
    Ok(Tensor::from_slice(&batch.labels, shape, &Device::Cpu)?)
}

/// A stream of its own for each step, so that a resumed run draws what an uninterrupted one would, and for
/// each network, which its first modality tells from the others. The network draws one of it for each layer.
fn dropout_seed(seed: u64, modality: usize, step: u64) -> u64 {
    split_mix(split_mix(seed, modality as u64), step)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
