//! Checkpoints: a model file that also holds Adam's moments and how far the run has come.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::bad_data::BadData;
use crate::card_memory::ran_out;
use crate::experiment::Experiment;
use crate::model_file::{self, ModelCard};
use crate::network::TrainedNetwork;
use crate::observer::{Event, Observer};
use crate::run_folder::{RunFolder, resolved, unwritable};

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

/// What a run's checkpoints must have been made of, to be gone on from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    /// BLAKE3 of the resolved experiment.
    experiment: String,
    /// Digest of the training data's files.
    pub(crate) data_hash: String,
}

impl Origin {
    /// The origin of an experiment on data.
    ///
    /// # Errors
    ///
    /// An experiment that cannot be written down.
    pub(crate) fn new(experiment: &Experiment, data_hash: &str) -> Result<Self> {
        let experiment = blake3::hash(resolved(experiment)?.as_bytes()).to_hex().to_string();
        Ok(Self { experiment, data_hash: data_hash.to_owned() })
    }

    /// Whether a checkpoint is of the same experiment on the same data.
    fn check(&self, found: &Self) -> Result<()> {
        ensure!(found.experiment == self.experiment, "it belongs to another experiment");
        ensure!(
            found.data_hash == self.data_hash,
            "the data have changed since it was written (data_hash {}, now {})",
            found.data_hash,
            self.data_hash
        );
        Ok(())
    }
}

/// What a checkpoint says besides its tensors.
#[derive(Debug)]
pub(crate) struct Stamp<'a> {
    pub(crate) card: ModelCard,
    pub(crate) progress: &'a Progress,
    pub(crate) origin: &'a Origin,
}

/// Writes the last checkpoint, and keeps the one that was the last until now.
///
/// # Errors
///
/// Those of [`save`].
pub(crate) fn save_last(
    folder: &RunFolder,
    networks: &[TrainedNetwork],
    stamp: &Stamp<'_>,
) -> Result<()> {
    let (last, previous) = (folder.last_checkpoint(), folder.previous_checkpoint());
    if last.exists() {
        // A second name for the same bytes, so that a readable checkpoint is there at every moment.
        let _ = fs::remove_file(&previous);
        fs::hard_link(&last, &previous)
            .or_else(|_| fs::copy(&last, &previous).map(|_| ()))
            .map_err(|reason| unwritable(&previous, reason))?;
    }
    save(&last, networks, stamp)
}

/// Writes the checkpoint of the best weights.
///
/// # Errors
///
/// Those of [`save`].
pub(crate) fn save_best(
    folder: &RunFolder,
    networks: &[TrainedNetwork],
    stamp: &Stamp<'_>,
) -> Result<()> {
    save(&folder.best_checkpoint(), networks, stamp)
}

/// Fills networks and moments from the newest checkpoint that can be used, the best weights' being
/// the last resort, and returns its progress; `None` if the folder holds none.
///
/// # Errors
///
/// [`BadData`] if there are checkpoints, but none that can be used: a run is never begun afresh over
/// the remains of another. A card that has no room for one has none for the others.
pub(crate) fn restore_newest(
    folder: &RunFolder,
    networks: &[TrainedNetwork],
    origin: &Origin,
    observer: &mut dyn Observer,
) -> Result<Option<Progress>> {
    let mut fault = None;
    for path in folder.all_checkpoints().into_iter().filter(|path| path.exists()) {
        match restore(&path, networks, origin) {
            Ok((progress, card)) => {
                warn_of_other_version(&card, observer);
                return Ok(Some(progress));
            }
            Err(error) if ran_out(&error) => return Err(error),
            Err(error) => {
                observer.event(&Event::Warning(&format!("cannot use a checkpoint: {error:#}")));
                fault.get_or_insert(error);
            }
        }
    }
    let Some(error) = fault else { return Ok(None) };
    Err(BadData::error(format!(
        "no checkpoint of the run can be used, the newest for this reason: {error:#}; mend \
         that, or remove {} to begin its run afresh",
        folder.root().display()
    )))
}

fn warn_of_other_version(card: &ModelCard, observer: &mut dyn Observer) {
    let (found, here) = (&card.provenance.version, env!("CARGO_PKG_VERSION"));
    if found != here {
        observer.event(&Event::Warning(&format!(
            "the run was begun by Duomo {found} and goes on with {here}: its result may be that of neither"
        )));
    }
}

/// Writes weights, moments and stamp.
///
/// # Errors
///
/// A folder that cannot be written to, a full disk, or a weight that is not finite; the previous
/// file of that name is then intact.
fn save(path: &Path, networks: &[TrainedNetwork], stamp: &Stamp<'_>) -> Result<()> {
    let mut tensors = model_file::weights(networks)?;
    tensors.append(&mut model_file::moments(networks));
    let metadata = [
        ("progress", serde_json::to_string(stamp.progress)?),
        ("origin", serde_json::to_string(stamp.origin)?),
    ];
    let step = stamp.progress.step;
    model_file::write(path, &stamp.card, &tensors, &metadata)
        .with_context(|| format!("the checkpoint of step {step} is lost"))?;
    tracing::debug!("checkpoint of step {step}: {}", path.display());
    Ok(())
}

/// Fills networks and moments from a checkpoint and returns its progress and card.
///
/// # Errors
///
/// A file that is damaged, or that belongs to another experiment or architecture, names what is wrong;
/// in the former two cases before a weight is touched.
pub(crate) fn restore(
    path: &Path,
    networks: &[TrainedNetwork],
    origin: &Origin,
) -> Result<(Progress, ModelCard)> {
    let in_file = || format!("in checkpoint {}", path.display());
    let bytes = fs::read(path).with_context(in_file)?;
    let (card, tensors) = model_file::parse(&bytes).with_context(in_file)?;
    let metadata = model_file::metadata(&bytes).with_context(in_file)?;
    let progress = metadata.get("progress");
    let progress = progress.context("it is a model, no checkpoint").with_context(in_file)?;
    let progress = serde_json::from_str(progress).with_context(in_file)?;
    // Checkpoints of earlier versions name none.
    if let Some(found) = metadata.get("origin") {
        let found = serde_json::from_str(found).with_context(in_file)?;
        origin.check(&found).with_context(in_file)?;
    }
    fill(networks, &card, &tensors).with_context(in_file)?;
    Ok((progress, card))
}

fn fill(
    networks: &[TrainedNetwork],
    card: &ModelCard,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<()> {
    let (found, expected) = (card.architectures.len(), networks.len());
    ensure!(found == expected, "it holds {found} networks, the experiment has {expected}");
    for (index, network) in networks.iter().enumerate() {
        network.fcn.parameters().load_tensors(&model_file::of_network(tensors, index))?;
        for (name, (first, second)) in &network.moments {
            set(first, tensors, &format!("{index}/{name}#1"))?;
            set(second, tensors, &format!("{index}/{name}#2"))?;
        }
    }
    Ok(())
}

fn set(var: &Var, tensors: &BTreeMap<String, Tensor>, name: &str) -> Result<()> {
    let tensor = tensors.get(name).with_context(|| format!("no tensor {name}"))?;
    let tensor = tensor.to_device(var.device()).with_context(|| format!("tensor {name}"))?;
    var.set(&tensor).with_context(|| format!("tensor {name}"))
}
