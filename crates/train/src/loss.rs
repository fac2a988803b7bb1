//! The total loss of Eq. 5 and its terms.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use candle_core::Tensor;
use duomo_affinity::{Side, affinity_loss};
use duomo_model::{Output, distillation_loss, segmentation_losses};
use duomo_ops::cuda::Download;
use serde::Serialize;

use crate::experiment::{LossWeights, Method, Transfer};

/// The numbers that one step's loss is made of (Eq. 5).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LossTerms {
    /// What the optimiser minimises, without the L2 term on kernels.
    pub total: f64,
    /// Dice loss of each modality, in `0..=1`.
    pub dice: Vec<f64>,
    /// Class-weighted cross-entropy of each modality.
    pub cross_entropy: Vec<f64>,
    /// Each transfer loss before its weight, by name.
    pub transfer: BTreeMap<String, f64>,
}

impl LossTerms {
    /// The terms of networks that were trained side by side, in the order of their modalities.
    pub(crate) fn of_networks(networks: Vec<Self>) -> Self {
        let empty = Self {
            total: 0.0,
            dice: Vec::new(),
            cross_entropy: Vec::new(),
            transfer: BTreeMap::new(),
        };
        networks.into_iter().fold(empty, |mut all, terms| {
            all.total += terms.total;
            all.dice.extend(terms.dice);
            all.cross_entropy.extend(terms.cross_entropy);
            all.transfer.extend(terms.transfer);
            all
        })
    }

    /// Whether every term is a finite number.
    pub fn is_finite(&self) -> bool {
        let terms = self.dice.iter().chain(&self.cross_entropy).chain(self.transfer.values());
        self.total.is_finite() && terms.into_iter().all(|term| term.is_finite())
    }
}

/// The terms of a step, on their way from the device that computes them.
#[derive(Debug)]
pub struct ComingTerms {
    values: Download,
    modalities: usize,
    transfer: Vec<&'static str>,
}

impl ComingTerms {
    /// Begins to fetch the total, Dice and cross-entropy of each modality, and the transfer losses.
    fn begin(
        total: &Tensor,
        dice: &[Tensor],
        cross_entropy: &[Tensor],
        transfer: &[(&'static str, Tensor)],
    ) -> Result<Self> {
        let losses = dice.iter().chain(cross_entropy).chain(transfer.iter().map(|(_, loss)| loss));
        let all: Vec<Tensor> = [total].into_iter().chain(losses).map(Tensor::detach).collect();
        Ok(Self {
            values: Download::begin(&Tensor::stack(&all, 0)?)?,
            modalities: dice.len(),
            transfer: transfer.iter().map(|(name, _)| *name).collect(),
        })
    }

    /// The terms, if nobody has to wait for them: those of the CPU.
    pub fn arrived(&self) -> Option<LossTerms> {
        self.values.arrived().map(|values| terms(values, self.modalities, &self.transfer))
    }

    /// Waits for the terms, but for no later step.
    ///
    /// # Errors
    ///
    /// If the device has failed.
    pub fn finish(self) -> Result<LossTerms> {
        let values = self.values.finish()?;
        Ok(terms(&values, self.modalities, &self.transfer))
    }
}

fn terms(values: &[f32], modalities: usize, transfer: &[&str]) -> LossTerms {
    let mut values = values.iter().copied().map(f64::from);
    let mut next = || values.next().expect("one number per term");
    let total = next();
    let [dice, cross_entropy] = [0, 1].map(|_| (0..modalities).map(|_| next()).collect());
    let transfer = transfer.iter().map(|name| ((*name).to_owned(), next())).collect();
    LossTerms { total, dice, cross_entropy, transfer }
}

/// The total loss as a scalar that can be differentiated, and its terms.
///
/// ```text
/// L = α Σ_m L_dice^m + β Σ_m L_ce^m + Σ_t λ_t L_t                  (Eq. 5)
/// ```
///
/// # Shapes
///
/// - `output.logits[m]`: `[B_m, H, W, C]`
/// - `labels[m]`: `[B_m, H, W]`, class indices below `classes`, on the CPU
///
/// # Errors
///
/// Whatever the single losses refuse, with the loss named.
pub fn total_loss(
    output: &Output,
    labels: &[Tensor],
    method: &Method,
    weights: &LossWeights,
    classes: usize,
) -> Result<(Tensor, ComingTerms)> {
    let mut sum = Sum::default();
    let (mut dice, mut cross_entropy) = (Vec::new(), Vec::new());
    for (logits, labels) in output.logits.iter().zip(labels) {
        let (dice_m, cross_entropy_m) =
            segmentation_losses(logits, labels).context("in the segmentation losses")?;
        sum.add(&dice_m, weights.dice)?;
        sum.add(&cross_entropy_m, weights.cross_entropy)?;
        dice.push(dice_m);
        cross_entropy.push(cross_entropy_m);
    }

    let mut transfer = Vec::new();
    // A network that serves one modality has nobody to agree with.
    let transfers = if labels.len() > 1 { method.transfer.as_slice() } else { &[] };
    for loss in transfers {
        let (name, value) = match loss {
            Transfer::Distillation { temperature, .. } => {
                let value = distillation_loss(&output.logits, labels, *temperature);
                ("distillation", value.context("in the distillation loss")?)
            }
            Transfer::ClassAffinity { pairs, reading, .. } => {
                let sides: Vec<_> = output.features.iter().zip(labels).map(side).collect();
                let value = affinity_loss(&sides, pairs, classes, reading);
                ("class-affinity", value.context("in the affinity loss")?)
            }
        };
        sum.add(&value, loss.weight())?;
        transfer.push((name, value));
    }

    let loss = sum.total.context("a loss needs at least one modality")?;
    let terms = ComingTerms::begin(&loss, &dice, &cross_entropy, &transfer)?;
    Ok((loss, terms))
}

fn side<'a>((features, labels): (&'a BTreeMap<usize, Tensor>, &'a Tensor)) -> Side<'a> {
    Side { features, labels }
}

/// A weighted sum of scalars that remembers the graph.
#[derive(Default)]
struct Sum {
    total: Option<Tensor>,
}

impl Sum {
    /// Adds `weight · value`.
    fn add(&mut self, value: &Tensor, weight: f64) -> Result<()> {
        let weighted = (value * weight)?;
        self.total = Some(match self.total.take() {
            Some(total) => (total + weighted)?,
            None => weighted,
        });
        Ok(())
    }
}
