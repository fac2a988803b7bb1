//! A schedule: how long, how wide and on what preparation a method is trained.

use duomo_data::Augmentation;
use duomo_model::{Head, Init};
use serde::{Deserialize, Serialize};

/// Everything of a run that is neither the method nor the data set.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Name in reports.
    pub label: String,
    /// Optimiser steps; every step sees every modality.
    pub steps: u64,
    /// Slices per modality in one step.
    pub batch: usize,
    /// Steps between two validations (and checkpoints).
    pub validate_every: u64,
    /// Adam and its rate.
    pub optimizer: Optimizer,
    /// The network's free choices.
    pub network: Network,
    /// Which patients train, validate and test.
    pub split: SplitFractions,
    /// Weights of the segmentation losses in Eq. 5.
    #[serde(default)]
    pub loss: LossWeights,
    /// Departures from the data set's own preparation.
    #[serde(default)]
    pub preparation: PreparationChanges,
    /// Random changes of training slices; none in the paper.
    #[serde(default)]
    pub augmentation: Augmentation,
}

/// Adam with a rate that falls in steps.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Learning rate of the first step.
    pub rate: f64,
    /// Factor applied to the rate every `decay_every` steps.
    pub decay: f64,
    /// Steps between two decays.
    pub decay_every: u64,
    /// Weight of Σw²/2 over convolution kernels; 0 turns it off.
    pub l2: f64,
}

impl Optimizer {
    /// Learning rate of a step, which counts from 1.
    pub fn rate_at(&self, step: u64) -> f64 {
        let decays = (step - 1) / self.decay_every;
        self.rate * self.decay.powi(i32::try_from(decays).unwrap_or(i32::MAX))
    }
}

/// The network's free choices; classes and modalities come from the data set.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Base width b; group g has b, 2b, 4b, 8b, 16b, 16b, 32b, 32b channels.
    pub width: usize,
    /// Neighbouring slices given as channels: 1 (the paper) or 3.
    pub input_slices: usize,
    /// Residual blocks of groups 1 to 8; the paper has `[1, 1, 2, 2, 2, 2, 2, 2]`.
    pub blocks: [usize; 8],
    /// How the features return to full size.
    pub head: Head,
    /// Probability that a unit's output is dropped.
    pub dropout: f64,
    /// How kernels are initialised.
    pub init: Init,
}

/// Shares of the patients kept out of training.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SplitFractions {
    /// Share of all patients used only for the final table.
    pub test_fraction: f64,
    /// Share of the training patients used to choose the best checkpoint.
    pub validation_fraction: f64,
    /// These patients test, and none are drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test_patients: Vec<String>,
}

/// α and β of Eq. 5.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LossWeights {
    /// α, the weight of the Dice loss.
    pub dice: f64,
    /// β, the weight of the cross-entropy.
    pub cross_entropy: f64,
}

impl Default for LossWeights {
    fn default() -> Self {
        Self { dice: 1.0, cross_entropy: 1.0 }
    }
}

/// Departures from the data set's own preparation; what is absent stays as the data set says.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PreparationChanges {
    /// Side of the square crop, in pixels; a multiple of 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<usize>,
    /// In-plane pixel size that slices are resampled to, in millimetres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spacing_mm: Option<f64>,
}
