//! One run of a grid: what it trains, where it lies and how far it has come.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bad_data::BadData;
use crate::experiment::Experiment;
use crate::run_folder::{Resume, RunFolder, resolved};
use crate::summary::Summary;

/// Digits of the digest in a run folder's name; 48 bits keep any number of cells apart.
const DIGITS: usize = 12;

/// One run of a grid.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Place in the grid, counted from 0.
    pub index: usize,
    /// Data set, method, variant, seed, fold and the digest of experiment and data.
    pub name: String,
    /// Run folder.
    pub folder: PathBuf,
    /// What it trains, every key resolved.
    pub experiment: Experiment,
    /// Folder with the data set's files.
    pub data: PathBuf,
    /// Digest of those files.
    pub data_hash: String,
}

/// How far a cell has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum CellStatus {
    /// Nothing is there.
    Missing,
    /// A run was begun; it goes on from `step` or a later one.
    Unfinished {
        /// Steps that need not be done again.
        step: u64,
    },
    /// The run is complete.
    Done,
}

impl Cell {
    /// A cell; `words` are what its name says between data set and seed.
    ///
    /// The digest covers the resolved experiment and the bytes of the data, not their path or time:
    /// a copy on another machine is the same cell, an edited label map is another one.
    pub(super) fn new(
        index: usize,
        words: &[String],
        experiment: Experiment,
        (data, data_hash): (PathBuf, String),
        runs: &Path,
    ) -> Result<Self> {
        let mut digest = blake3::Hasher::new();
        digest.update(resolved(&experiment)?.as_bytes());
        digest.update(data_hash.as_bytes());
        let digest = &digest.finalize().to_hex()[..DIGITS];
        let words = words.iter().map(|word| slug(word)).filter(|word| !word.is_empty());
        let words: Vec<String> = words.collect();
        let fold = experiment.fold.map(|(fold, folds)| format!("-f{fold}of{folds}"));
        let name = format!(
            "{}-{}-s{}{}-{digest}",
            slug(&experiment.dataset.name),
            words.join("-"),
            experiment.seed,
            fold.unwrap_or_default()
        );
        let folder = runs.join(&name);
        Ok(Self { index, name, folder, experiment, data, data_hash })
    }

    /// How far the cell has come.
    ///
    /// # Errors
    ///
    /// [`BadData`] if the folder was written by another version, holds another experiment, or is
    /// marked as done and damaged.
    pub fn status(&self) -> Result<CellStatus> {
        let folder = RunFolder::open(&self.folder, &self.experiment, Resume::Auto)
            .map_err(|error| BadData::error(format!("{error:#}")))?;
        check_version(&folder)?;
        if folder.is_done() {
            self.summary()?;
            return Ok(CellStatus::Done);
        }
        if folder.last_checkpoint().exists() {
            return Ok(CellStatus::Unfinished { step: last_validation(&folder.metrics()) });
        }
        let begun = folder.experiment().exists();
        Ok(if begun { CellStatus::Unfinished { step: 0 } } else { CellStatus::Missing })
    }

    /// Scores of a finished cell.
    ///
    /// # Errors
    ///
    /// [`BadData`] if `summary.json` is missing or damaged, or belongs to other data.
    pub fn summary(&self) -> Result<Summary> {
        let path = self.folder.join("summary.json");
        let summary = Summary::read(&path).map_err(|error| {
            BadData::error(format!(
                "{} is marked as done but damaged: {error:#}; remove the folder and run its cell \
                 again with `duomo grid run --index {}`",
                self.folder.display(),
                self.index
            ))
        })?;
        if summary.provenance.data_hash != self.data_hash {
            return Err(BadData::error(format!(
                "{} was trained on other files (data_hash {}) than those below {} ({}); remove the \
                 folder and run its cell again",
                self.folder.display(),
                summary.provenance.data_hash,
                self.data.display(),
                self.data_hash
            )));
        }
        Ok(summary)
    }
}

/// Refuses a folder that another version of the program began.
fn check_version(folder: &RunFolder) -> Result<()> {
    // A run that was killed before this file appeared begins afresh.
    let Ok(text) = fs::read_to_string(folder.run()) else { return Ok(()) };
    let here = env!("CARGO_PKG_VERSION");
    let record: Option<Value> = serde_json::from_str(&text).ok();
    let version = record.as_ref().and_then(|record| record["program"]["version"].as_str());
    if version == Some(here) {
        return Ok(());
    }
    let found = version.map_or_else(
        || "does not say which version of Duomo wrote it".to_owned(),
        |version| format!("was written by Duomo {version}"),
    );
    Err(BadData::error(format!(
        "{} {found}, and this is {here}: their numbers must not stand in one table; finish it with \
         that version, or remove the folder and run its cell again",
        folder.run().display()
    )))
}

/// Step of the last validation that was logged; a checkpoint was written then, and if the run was stopped
/// by a signal, a later one.
fn last_validation(metrics: &Path) -> u64 {
    #[derive(Deserialize)]
    struct Line {
        step: u64,
        #[serde(rename = "validation_dice")]
        _validation_dice: Value,
    }
    let text = fs::read_to_string(metrics).unwrap_or_default();
    let mut lines = text.lines().rev();
    lines.find_map(|line| serde_json::from_str::<Line>(line).ok()).map_or(0, |line| line.step)
}

/// Letters, digits, dots and underscores; anything else becomes one hyphen.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for character in text.chars() {
        if character.is_alphanumeric() || ['.', '_'].contains(&character) {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}
