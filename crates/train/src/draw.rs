//! Unpaired batches: each modality draws its slices for itself.

use anyhow::Result;
use duomo_data::{AugmentationKey, Batch, PreparedCase, Sampler, SliceId, slices_of};

use crate::experiment::Experiment;

/// Draws one modality's batches, each a pure function of seed and step.
#[derive(Debug)]
pub(crate) struct Draw<'a> {
    modality: usize,
    cases: &'a [PreparedCase],
    slices: Vec<SliceId>,
    sampler: Sampler,
}

/// A batch and, for messages, where its slices come from.
#[derive(Debug)]
pub struct DrawnBatch {
    /// Images and class indices.
    pub batch: Batch,
    /// `patient/slice` of each, both as in the files, slices counted from 0.
    pub names: Vec<String>,
}

impl<'a> Draw<'a> {
    /// The draws of a modality's training cases.
    ///
    /// # Errors
    ///
    /// Cases without a single slice.
    pub(crate) fn new(
        experiment: &Experiment,
        modality: usize,
        cases: &'a [PreparedCase],
    ) -> Result<Self> {
        let slices = slices_of(cases);
        let batch = experiment.schedule.batch;
        let sampler = Sampler::new(experiment.seed, modality, slices.len(), batch)?;
        Ok(Self { modality, cases, slices, sampler })
    }

    /// The batch of a step, which counts from 1.
    ///
    /// # Errors
    ///
    /// A case without labels, or augmentation values that cannot be.
    pub(crate) fn batch(&self, experiment: &Experiment, step: u64) -> Result<DrawnBatch> {
        let drawn: Vec<SliceId> =
            self.sampler.indices(step - 1).into_iter().map(|index| self.slices[index]).collect();
        let schedule = &experiment.schedule;
        let mut batch = Batch::gather(self.cases, &drawn, schedule.network.input_slices)?;
        let key = AugmentationKey { seed: experiment.seed, modality: self.modality, step };
        schedule.augmentation.apply(&mut batch, key)?;
        let name = |id: &SliceId| format!("{}/{}", self.cases[id.case].case.patient, id.slice);
        Ok(DrawnBatch { batch, names: drawn.iter().map(name).collect() })
    }
}
