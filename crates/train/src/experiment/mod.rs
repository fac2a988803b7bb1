//! An experiment: method × data set × schedule, from TOML files, with every key resolved.

mod domains;
mod method;
mod overrides;
mod schedule;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use duomo_data::{Dataset, Preparation};
use duomo_model::Architecture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use method::{Method, Sharing, Transfer};
use overrides::apply_overrides;
pub use schedule::{LossWeights, Network, Optimizer, PreparationChanges, Schedule, SplitFractions};

/// A method, a data set and a schedule, with every key resolved; kept in each run folder.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Seed of initialisation, sampling, dropout, augmentation and the split of patients.
    pub seed: u64,
    /// Fold that validates, counted from 0, and of how many; without folds a share is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<(usize, usize)>,
    /// What is learnt, and how modalities are tied.
    pub method: Method,
    /// How long and how wide.
    pub schedule: Schedule,
    /// Which files, labels and modalities.
    pub dataset: Dataset,
}

/// Methods that come with the program, by name.
pub const METHODS: [(&str, &str); 6] = [
    ("single", include_str!("../../../../experiments/methods/single.toml")),
    ("ummkd", include_str!("../../../../experiments/methods/ummkd.toml")),
    ("joint", include_str!("../../../../experiments/methods/joint.toml")),
    ("msbn", include_str!("../../../../experiments/methods/msbn.toml")),
    ("affinity", include_str!("../../../../experiments/methods/affinity.toml")),
    ("csa", include_str!("../../../../experiments/methods/csa.toml")),
];

/// Schedules that come with the program, by name.
pub const SCHEDULES: [(&str, &str); 4] = [
    ("quick", include_str!("../../../../experiments/schedules/quick.toml")),
    ("short", include_str!("../../../../experiments/schedules/short.toml")),
    ("hour", include_str!("../../../../experiments/schedules/hour.toml")),
    ("paper", include_str!("../../../../experiments/schedules/paper.toml")),
];

impl Experiment {
    /// Reads method and schedule by name or path, applies `key=value` overrides and checks the whole.
    ///
    /// # Errors
    ///
    /// Unknown names list the known ones; TOML errors name file, line and key; a value outside its
    /// domain names key, value and domain.
    pub fn load(
        dataset: Dataset,
        method: &str,
        schedule: &str,
        seed: u64,
        overrides: &[String],
    ) -> Result<Self> {
        let experiment = Self {
            seed,
            fold: None,
            method: load("method", method, &METHODS)?,
            schedule: load("schedule", schedule, &SCHEDULES)?,
            dataset,
        };
        let experiment = apply_overrides(&experiment, overrides)?;
        experiment.check()?;
        Ok(experiment)
    }

    /// The architecture of a network that serves `modalities` of the data set's modalities.
    pub fn architecture(&self, modalities: usize) -> Architecture {
        let network = &self.schedule.network;
        Architecture {
            width: network.width,
            input_slices: network.input_slices,
            classes: self.dataset.classes(),
            modalities,
            blocks: network.blocks,
            head: network.head,
            normalization: self.method.normalization,
            dropout: network.dropout,
            init: network.init,
        }
    }

    /// About how many bytes a training step holds at its peak, see [`Architecture::training_bytes`].
    pub fn training_bytes(&self) -> usize {
        let side = self.preparation().crop;
        let bytes = |modalities: usize, slices: usize| {
            self.architecture(modalities).training_bytes(slices, side, side)
        };
        // Networks take turns: the parameters of all are held, the feature maps of one.
        let served = self.method.networks(self.dataset.modalities.len());
        let of_parameters: usize = served.iter().map(|network| bytes(network.len(), 0)).sum();
        let of_maps = served.iter().map(|network| {
            let slices = self.schedule.batch * network.len();
            bytes(network.len(), slices) - bytes(network.len(), 0)
        });
        of_parameters + of_maps.max().unwrap_or(0)
    }

    /// How volumes become slices: the data set's own way, with the schedule's changes.
    pub fn preparation(&self) -> Preparation {
        let changes = &self.schedule.preparation;
        let mut preparation = self.dataset.preparation();
        preparation.crop = changes.crop.unwrap_or(preparation.crop);
        preparation.spacing_mm = changes.spacing_mm.or(preparation.spacing_mm);
        preparation
    }
}

/// A method, schedule or grid by its name among `known`, or from the file at that path.
pub(crate) fn load<T: DeserializeOwned>(
    kind: &str,
    name: &str,
    known: &[(&str, &str)],
) -> Result<T> {
    if let Some((_, text)) = known.iter().find(|(known, _)| *known == name) {
        return toml::from_str(text).with_context(|| format!("in the built-in {kind} `{name}`"));
    }
    let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
    ensure!(
        Path::new(name).extension().is_some_and(|extension| extension == "toml"),
        "unknown {kind} `{name}`; known are {}, or give the path of a .toml file",
        names.join(", ")
    );
    let text =
        std::fs::read_to_string(name).with_context(|| format!("cannot read {kind} {name}"))?;
    toml::from_str(&text).with_context(|| format!("in {kind} {name}"))
}

#[cfg(test)]
mod tests;
