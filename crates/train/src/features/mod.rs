//! How class-specific a run's features are, before and after training, in numbers and as pictures need
//! them.
//!
//! For channel `m` of a layer and class `c`, with `E_c(m) = Σ F_m(p)²` over the pixels `p` of `c`:
//!
//! ```text
//! share          s_c(m) = E_c(m) / Σ_k E_k(m)                  chance: |c| / Σ_k |k|
//! balanced share b_c(m) = (E_c(m)/|c|) / Σ_k (E_k(m)/|k|)      chance: 1 / C
//! ```
//!
//! A map's *best class* is the one with the largest `b_c`; by `s_c` it would nearly always be the
//! background, which most pixels are. A layer's numbers are means over its maps of the best class's
//! `b_c`, `s_c` and chance.
//!
//! Features are those that the loss sees while training, a group's last sum under the statistics of the
//! mini-batch, without dropout: so the start weights, whose running statistics know nothing yet, are
//! looked at as the trained ones are. Slices are of the test patients.

mod measure;
mod pictures;
mod probe;
mod slices;

use std::fs;
use std::path::Path;

use anyhow::Result;
use candle_core::Device;
use serde::{Deserialize, Serialize};

pub use measure::{Layer, PairDistance, Specificity};
pub use pictures::{AffinityMatrices, ClassMap, ExampleMaps};

use crate::bad_data::BadData;
use crate::experiment::{Experiment, Transfer};
use crate::model_file::Model;
use crate::summary::Summary;
use measure::Energies;
use probe::{Probe, features};
use slices::Slices;

/// Groups whose features are looked at.
const GROUPS: [usize; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

/// Compared where the method compares none.
const USUAL_PAIR: (usize, usize) = (5, 6);

/// The numbers: `features.json`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FeatureTable {
    /// Always `duomo.features/1`.
    pub schema: String,
    /// Label of the method.
    pub method: String,
    /// Data set.
    pub dataset: String,
    /// Classes, background first.
    pub classes: Vec<String>,
    /// Slices of each modality that the shares are over.
    pub slices: usize,
    /// By group, then by modality.
    pub layers: Vec<Layer>,
    /// Pair of groups of the affinities.
    pub pair: (usize, usize),
    /// How far the modalities' affinities are apart, per class.
    pub distances: Vec<PairDistance>,
}

/// What is known of a run's features.
#[derive(Clone, Debug)]
pub struct FeatureStudy {
    /// The numbers.
    pub table: FeatureTable,
    /// The trained network's most class-specific maps on one slice of each modality.
    pub maps: Vec<ExampleMaps>,
    /// The trained network's affinities of each modality.
    pub affinities: Vec<AffinityMatrices>,
}

impl FeatureStudy {
    /// Looks at the features of the finished run in folder `root`; `group` is the one whose maps are
    /// shown, by default the first that the method compares.
    ///
    /// # Errors
    ///
    /// - [`BadData`] if a file of the folder is missing or damaged, or `group` is not 1 to 8
    /// - an image or reference of the test patients that can no longer be read
    pub fn of_run(root: &Path, group: Option<usize>) -> Result<Self> {
        let experiment = experiment(root)?;
        let summary = Summary::read(&root.join("summary.json"))
            .map_err(|error| BadData::error(format!("{error:#}; the run folder is damaged")))?;
        let model = Model::load(&root.join("model.safetensors"), &Device::Cpu)?;
        let pair = compared_pair(&experiment);
        let group = group.unwrap_or(pair.0);
        if !GROUPS.contains(&group) {
            return Err(BadData::error(format!("groups are 1 to 8; got {group}")));
        }
        let slices = Slices::of_run(&experiment, &summary)?;
        let classes = experiment.dataset.classes();

        let [before, after] = [Probe::initial(&experiment)?, Probe::trained(&model)?];
        let energies = |probes: &[Probe]| Energies::new(probes, &slices.spread, classes);
        let [energies_before, energies_after] = [energies(&before)?, energies(&after)?];
        let pictured = |probes: &[Probe]| features(probes, &slices.pictured);
        let [features_before, features_after] = [pictured(&before)?, pictured(&after)?];
        let affinities_before = pictures::affinities(&features_before, &slices, pair, classes)?;
        let mut affinities_after = pictures::affinities(&features_after, &slices, pair, classes)?;
        let class_names = with_background(&experiment.dataset.class_names());
        let distances = measure::distances(&affinities_before, &affinities_after, &class_names);
        pictures::order(&mut affinities_after, &energies_after, &after, pair);
        let names: Vec<&str> =
            experiment.dataset.modalities.iter().map(|files| &files.name[..]).collect();
        for (matrices, name) in affinities_after.iter_mut().zip(&names) {
            (*name).clone_into(&mut matrices.modality);
        }
        Ok(Self {
            table: FeatureTable {
                schema: "duomo.features/1".to_owned(),
                method: experiment.method.label.clone(),
                dataset: experiment.dataset.name.clone(),
                classes: class_names,
                slices: slices.count(),
                layers: measure::layers(&energies_before, &energies_after, &names),
                pair,
                distances,
            },
            maps: pictures::maps(
                &slices,
                &features_after,
                (&energies_after, &after),
                group,
                &experiment.dataset,
            )?,
            affinities: affinities_after,
        })
    }
}

fn experiment(root: &Path) -> Result<Experiment> {
    let path = root.join("experiment.toml");
    let text = fs::read_to_string(&path)
        .map_err(|error| BadData::error(format!("cannot read {}: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| {
        BadData::error(format!("{}: {error}; the run folder is damaged", path.display()))
    })
}

/// The first pair of groups that the method compares.
fn compared_pair(experiment: &Experiment) -> (usize, usize) {
    let pairs = experiment.method.transfer.iter().filter_map(|transfer| match transfer {
        Transfer::ClassAffinity { pairs, .. } => pairs.first().copied(),
        Transfer::Distillation { .. } => None,
    });
    pairs.into_iter().next().unwrap_or(USUAL_PAIR)
}

fn with_background(names: &[&str]) -> Vec<String> {
    std::iter::once("background").chain(names.iter().copied()).map(str::to_owned).collect()
}
