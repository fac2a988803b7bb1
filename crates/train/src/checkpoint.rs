//! Checkpoints: a model file that also holds Adam's moments and how far the run has come.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::bad_data::BadData;
use crate::model_file::{self, ModelCard};
use crate::network::TrainedNetwork;
use crate::observer::{Event, Observer};
use crate::run_folder::RunFolder;

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

/// Writes the last checkpoint, and keeps the one that was the last until now.
///
/// # Errors
///
/// Those of [`save`].
pub(crate) fn save_last(
    folder: &RunFolder,
    networks: &[TrainedNetwork],
    card: &ModelCard,
    progress: &Progress,
) -> Result<()> {
    let (last, previous) = (folder.last_checkpoint(), folder.previous_checkpoint());
    if last.exists() {
        // A second name for the same bytes, so that a readable checkpoint is there at every moment.
        let _ = fs::remove_file(&previous);
        fs::hard_link(&last, &previous)
            .or_else(|_| fs::copy(&last, &previous).map(|_| ()))
            .with_context(|| format!("cannot write {}", previous.display()))?;
    }
    save(&last, networks, card, progress)
}

/// Fills networks and moments from the newest checkpoint that can be read, and returns its progress;
/// `None` if the folder holds none.
///
/// # Errors
///
/// [`BadData`] if there are checkpoints, but none that can be read: a run is never begun afresh over
/// the remains of another.
pub(crate) fn restore_newest(
    folder: &RunFolder,
    networks: &[TrainedNetwork],
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Option<Progress>> {
    let mut fault = None;
    for path in [folder.last_checkpoint(), folder.previous_checkpoint()] {
        if !path.exists() {
            continue;
        }
        match restore(&path, networks, device) {
            Ok(progress) => return Ok(Some(progress)),
            Err(error) => {
                observer.event(&Event::Warning(&format!("cannot use a checkpoint: {error:#}")));
                fault.get_or_insert(error);
            }
        }
    }
    let Some(error) = fault else { return Ok(None) };
    let remedy = format!("{error:#}; remove {} to begin its run afresh", folder.root().display());
    Err(BadData::error(remedy))
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
    let metadata = [("progress", serde_json::to_string(progress)?)];
    model_file::write(path, card, &tensors, &metadata)
        .with_context(|| format!("cannot write checkpoint {}", path.display()))?;
    tracing::debug!("checkpoint of step {}: {}", progress.step, path.display());
    Ok(())
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
    let bytes = fs::read(path).with_context(in_file)?;
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
