//! A grid of runs as data: methods × variants × data sets × seeds × folds.
//!
//! One definition serves whoever runs it: this process ([`run_cells`]), a job array that runs one
//! index per job, and the tables, which read what is finished.

mod cell;
mod estimate;
mod run;
mod timing_folder;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use duomo_data::{Dataset, discover};
use serde::{Deserialize, Serialize};

pub use cell::{Cell, CellStatus};
pub use estimate::{Estimate, EstimateSource, estimate};
pub use run::{CellEvent, GridObserver, run_cells, threads_per_job};
pub use timing_folder::remove_stale_timings;

use crate::experiment::{Experiment, METHODS, SCHEDULES, load};
use crate::provenance::data_hash;

/// A grid, read from a TOML file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Name in messages and job scripts.
    pub label: String,
    /// Schedule of every run, by name or path.
    pub schedule: String,
    /// Methods, by name or path.
    pub methods: Vec<String>,
    /// Data sets, by name or path.
    pub datasets: Vec<String>,
    /// Seeds 0 to `seeds − 1`.
    #[serde(default = "one")]
    pub seeds: u64,
    /// Folds of each seed; with 1 the validation patients are a drawn share.
    #[serde(default = "one_fold")]
    pub folds: usize,
    /// Changed keys, each set of them a run of its own; without any the methods as they are.
    #[serde(default)]
    pub variants: Vec<Variant>,
}

/// Changed keys of an experiment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Follows the method's label in tables.
    pub label: String,
    /// `key=value` pairs, as `duomo train --set` takes them.
    pub set: Vec<String>,
}

/// Grids that come with the program, by name.
pub const GRIDS: [(&str, &str); 7] = [
    ("tables", include_str!("../../../../experiments/grids/tables.toml")),
    ("ablation-lambda", include_str!("../../../../experiments/grids/ablation-lambda.toml")),
    ("ablation-size", include_str!("../../../../experiments/grids/ablation-size.toml")),
    ("ablation-pairs", include_str!("../../../../experiments/grids/ablation-pairs.toml")),
    ("ablation-background", include_str!("../../../../experiments/grids/ablation-background.toml")),
    ("ablation-slices", include_str!("../../../../experiments/grids/ablation-slices.toml")),
    ("ablation-dropout", include_str!("../../../../experiments/grids/ablation-dropout.toml")),
];

fn one() -> u64 {
    1
}

fn one_fold() -> usize {
    1
}

impl Grid {
    /// Reads a grid by name or path.
    ///
    /// # Errors
    ///
    /// Unknown names list the known ones; TOML errors name file, line and key.
    pub fn load(name: &str) -> Result<Self> {
        load("grid", name, &GRIDS)
    }

    /// Every cell of the data sets that a folder is given for, in a stable order: data set, method,
    /// variant, seed, fold. Each file of the data is read once, for its digest.
    ///
    /// # Errors
    ///
    /// - an empty axis, one that names something twice, a method, schedule or key that does not exist, a
    ///   folder for a data set that the grid lacks, and no folder at all
    /// - data that cannot be read ([`duomo_data::Error`] is in the chain)
    pub fn cells(&self, data: &BTreeMap<String, PathBuf>, runs: &Path) -> Result<Vec<Cell>> {
        self.check(data)?;
        let mut cells = Vec::new();
        let mut names = BTreeSet::new();
        for name in &self.datasets {
            let Some(folder) = data.get(name) else { continue };
            let dataset = Dataset::load(name)?;
            let data_hash = data_hash(folder, &discover(&dataset, folder)?.cases)?;
            for Point { method, variant, seed, fold } in self.points() {
                let dataset = dataset.clone();
                let mut experiment =
                    Experiment::load(dataset, method, &self.schedule, seed, &variant.set)?;
                ensure!(
                    fold.is_none() || experiment.fold.is_none(),
                    "grid {} sets folds, and its variant `{}` fold; leave one of them out",
                    self.label,
                    variant.label
                );
                experiment.fold = fold.or(experiment.fold);
                if !variant.label.is_empty() {
                    let label = &experiment.method.label;
                    experiment.method.label = format!("{label}, {}", variant.label);
                }
                let cell = Cell::new(
                    cells.len(),
                    &[stem(method), variant.label.clone()],
                    experiment,
                    (folder.clone(), data_hash.clone()),
                    runs,
                )?;
                ensure!(
                    names.insert(cell.name.clone()),
                    "grid {} has the run {} twice; every method, data set and variant must differ \
                     from the others",
                    self.label,
                    cell.name
                );
                cells.push(cell);
            }
        }
        Ok(cells)
    }

    fn check(&self, data: &BTreeMap<String, PathBuf>) -> Result<()> {
        for (axis, values) in [("methods", &self.methods), ("datasets", &self.datasets)] {
            ensure!(!values.is_empty(), "{axis} of grid {} must name at least one", self.label);
        }
        let variants: Vec<_> = self.variants.iter().map(|variant| variant.label.clone()).collect();
        let axes =
            [("methods", &self.methods), ("datasets", &self.datasets), ("variants", &variants)];
        for (axis, values) in axes {
            let mut seen = BTreeSet::new();
            if let Some(twice) = values.iter().find(|value| !seen.insert(*value)) {
                bail!("{axis} of grid {} name `{twice}` twice; a run is done once", self.label);
            }
        }
        ensure!(self.seeds > 0, "seeds of grid {} must be at least 1, got 0", self.label);
        ensure!(self.folds > 0, "folds of grid {} must be at least 1, got 0", self.label);
        let known = self.datasets.join(", ");
        for name in data.keys() {
            ensure!(
                self.datasets.contains(name),
                "grid {} has no data set `{name}`; it has {known}",
                self.label
            );
        }
        ensure!(
            !data.is_empty(),
            "grid {} needs the folder of at least one of its data sets ({known}); \
             give --data {}=DIR",
            self.label,
            self.datasets[0]
        );
        Ok(())
    }

    /// The runs on one data set.
    fn points(&self) -> Vec<Point<'_>> {
        let as_they_are = [Variant::default()];
        let variants = if self.variants.is_empty() { &as_they_are } else { &self.variants[..] };
        let folds: Vec<_> = match self.folds {
            1 => vec![None],
            folds => (0..folds).map(|fold| Some((fold, folds))).collect(),
        };
        let mut points = Vec::new();
        for method in &self.methods {
            for variant in variants {
                for seed in 0..self.seeds {
                    points.extend(folds.iter().map(|&fold| {
                        let variant = variant.clone();
                        Point { method, variant, seed, fold }
                    }));
                }
            }
        }
        points
    }
}

/// Where a run lies on the axes other than the data set.
struct Point<'a> {
    method: &'a str,
    variant: Variant,
    seed: u64,
    fold: Option<(usize, usize)>,
}

/// `csa` of `csa` and of `methods/csa.toml`.
fn stem(name: &str) -> String {
    Path::new(name).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Makes paths of methods, schedules and data sets absolute, so that a job started elsewhere finds
/// the same files; names stay names.
///
/// # Errors
///
/// A current folder that no longer exists.
pub fn absolute_name(name: &str) -> Result<String> {
    let known = METHODS.iter().map(|(name, _)| *name);
    let known = known.chain(SCHEDULES.iter().map(|(name, _)| *name));
    let mut known = known.chain(GRIDS.iter().map(|(name, _)| *name));
    if known.any(|known| known == name) || !Path::new(name).exists() {
        return Ok(name.to_owned());
    }
    let path = std::path::absolute(name).with_context(|| format!("cannot find {name}"))?;
    Ok(path.to_string_lossy().into_owned())
}
