//! Checkpoints: a model file that also holds Adam's moments and how far the run has come.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::model_file::{self, ModelCard};
use crate::network::TrainedNetwork;

/// How far a run has come. Sampling, dropout and augmentation are functions of seed and step, so
/// the step is all that a resumed run needs of them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Steps done.
    pub(crate) step: u64,
    /// Best validation score so far and the step it was reached at.
    pub(crate) best: Option<(f64, u64)>,
}

/// Writes weights, moments and progress.
///
/// # Errors
///
/// A folder that cannot be written to, a full disk, or a weight that is not finite; the previous
/// file of that name is then intact.
pub(crate) fn save(
    path: &Path,
    networks: &[TrainedNetwork],
    card: &ModelCard,
    progress: &Progress,
) -> Result<()> {
    let mut tensors = model_file::weights(networks)?;
    tensors.append(&mut model_file::moments(networks));
    let progress = [("progress", serde_json::to_string(progress)?)];
    model_file::write(path, card, &tensors, &progress)
        .with_context(|| format!("cannot write checkpoint {}", path.display()))
}

/// Fills networks and moments from a checkpoint and returns its progress.
///
/// # Errors
///
/// A file that is damaged, or that belongs to another architecture, names what is wrong.
pub(crate) fn restore(
    path: &Path,
    networks: &[TrainedNetwork],
    device: &Device,
) -> Result<Progress> {
    let in_file = || format!("in checkpoint {}", path.display());
    let bytes = std::fs::read(path).with_context(in_file)?;
    let (card, tensors) = model_file::parse(&bytes, device).with_context(in_file)?;
    ensure!(
        card.architectures.len() == networks.len(),
        "checkpoint {} holds {} networks, the experiment has {}",
        path.display(),
        card.architectures.len(),
        networks.len()
    );
    for (index, network) in networks.iter().enumerate() {
        let weights = model_file::of_network(&tensors, index);
        network.fcn.parameters().load_tensors(&weights).with_context(in_file)?;
        for (name, (first, second)) in &network.moments {
            set(first, &tensors, &format!("{index}/{name}#1")).with_context(in_file)?;
            set(second, &tensors, &format!("{index}/{name}#2")).with_context(in_file)?;
        }
    }
    let metadata = model_file::metadata(&bytes).with_context(in_file)?;
    let progress =
        metadata.get("progress").context("no `progress` metadata").with_context(in_file)?;
    serde_json::from_str(progress).with_context(in_file)
}

fn set(var: &Var, tensors: &BTreeMap<String, Tensor>, name: &str) -> Result<()> {
    let tensor = tensors.get(name).with_context(|| format!("no tensor {name}"))?;
    var.set(tensor).with_context(|| format!("tensor {name}"))
}
