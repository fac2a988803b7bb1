//! Scores of one run, from a run folder or from a report of `duomo evaluate`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use duomo_metrics::{Convention, Metric};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::exit::Fault;

/// What runs are compared by.
#[derive(Clone, Debug)]
pub(crate) struct Scoring {
    /// A metric by the name it has in reports.
    pub metric: String,
    /// What a missed or spurious class counts as if the metric is a distance that is undefined then,
    /// in the metric's own unit. A ratio counts as 0.
    pub penalty: Option<f64>,
}

impl Scoring {
    /// Dice, which is defined for missed and spurious classes.
    pub(crate) fn dice() -> Self {
        Self { metric: "dice".to_owned(), penalty: None }
    }

    /// What stands in for the value of a missed or spurious class.
    fn stand_in(&self) -> Option<f64> {
        self.penalty.map(|distance| if self.is_distance() { distance } else { 0.0 })
    }

    fn is_distance(&self) -> bool {
        ["_mm", "_voxels"].iter().any(|unit| self.metric.ends_with(unit))
    }

    /// Whether the metric depends on what a surface is made of.
    pub(super) fn is_of_surfaces(&self) -> bool {
        let of_all_voxels = self.metric == Metric::HausdorffVolumeMm.as_str();
        self.metric.starts_with("nsd@") || (self.is_distance() && !of_all_voxels)
    }
}

/// One class of one modality; the modality is empty in a report of `duomo evaluate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Group {
    pub modality: String,
    pub class: String,
}

/// One metric of a run's cases.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScoredRun {
    pub name: String,
    /// What its surfaces are made of.
    pub convention: String,
    /// Digest of the data set, of run folders only.
    pub data_hash: Option<String>,
    /// Patients that the run's split put aside for testing, of run folders only.
    pub test_patients: Option<Vec<String>>,
    /// Whether each slice is a case of its own.
    pub by_slice: bool,
    /// Whether some missed or spurious class has no value.
    pub lacks_misses: bool,
    /// Values by case, `None` where undefined; in the file's order.
    pub groups: Vec<(Group, Values)>,
}

/// Values by case.
pub(crate) type Values = BTreeMap<String, Option<f64>>;

impl Group {
    /// The name of a case among those of all modalities.
    pub(super) fn case_key(&self, case: &str) -> String {
        if self.modality.is_empty() { case.to_owned() } else { format!("{}/{case}", self.modality) }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.modality.is_empty() {
            write!(f, "{} ", self.modality)?;
        }
        f.write_str(&self.class)
    }
}

impl ScoredRun {
    /// Reads the metric of a run folder or of a report of `duomo evaluate --json`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is no such report, or lacks the metric.
    pub(crate) fn read(path: &Path, scoring: &Scoring) -> Result<Self> {
        let file = if path.is_dir() { path.join("summary.json") } else { path.to_owned() };
        let remedy = "give a finished run folder or a file that `duomo evaluate --json` wrote";
        let fault = |problem: &str| Fault::Data(format!("{problem}; {remedy}"));
        let text = fs::read_to_string(&file)
            .map_err(|error| fault(&format!("cannot read {}: {error}", file.display())))?;
        let report: Value = serde_json::from_str(&text)
            .map_err(|error| fault(&format!("{}: {error}", file.display())))?;
        let schema = report["schema"].as_str().unwrap_or_default();
        if !["duomo.summary/1", "duomo.evaluate/1"].contains(&schema) {
            let found = if schema.is_empty() { "none" } else { schema };
            return Err(fault(&format!("{} has schema {found}", file.display())).into());
        }
        let mut run = Self {
            name: name(path, &report),
            convention: report["convention"]
                .as_str()
                .unwrap_or(Convention::Voxel.as_str())
                .to_owned(),
            data_hash: report["provenance"]["data_hash"].as_str().map(str::to_owned),
            test_patients: test_patients(path)?,
            by_slice: false,
            lacks_misses: false,
            groups: Vec::new(),
        };
        for case in report["cases"].as_array().into_iter().flatten() {
            run.add(case, scoring).map_err(|metrics| {
                Fault::Usage(format!(
                    "{} has no metric {}; it has {}",
                    file.display(),
                    scoring.metric,
                    metrics.join(", ")
                ))
            })?;
        }
        Ok(run)
    }

    /// Values of a group, if the run has it.
    pub(super) fn values(&self, group: &Group) -> Option<&Values> {
        self.groups.iter().find(|(other, _)| other == group).map(|(_, values)| values)
    }

    /// Every case, as `modality/case`.
    pub(super) fn cases(&self) -> BTreeSet<String> {
        let groups = self.groups.iter();
        groups.flat_map(|(group, values)| values.keys().map(|case| group.case_key(case))).collect()
    }

    /// Adds a case; without the metric the error lists those that there are.
    fn add(&mut self, case: &Value, scoring: &Scoring) -> Result<(), Vec<String>> {
        let modality = case["modality"].as_str().unwrap_or_default();
        let slice = case["slice"].as_u64().map(|slice| format!(" slice {slice}"));
        self.by_slice |= slice.is_some();
        let title =
            case["case"].as_str().unwrap_or_default().to_owned() + &slice.unwrap_or_default();
        let classes: Vec<&Value> = match &case["classes"] {
            Value::Array(classes) => classes.iter().collect(),
            Value::Object(classes) => classes.values().collect(),
            _ => Vec::new(),
        };
        for class in classes {
            let scores = class.as_object().ok_or_else(Vec::new)?;
            let value = entry(scores, &scoring.metric).ok_or_else(|| metrics(scores))?.as_f64();
            let value = match class["status"].as_str() {
                Some("missed" | "spurious") => {
                    let value = value.or(scoring.stand_in());
                    self.lacks_misses |= value.is_none();
                    value
                }
                _ => value,
            };
            let class = class["name"].as_str().unwrap_or_default().to_owned();
            self.insert(Group { modality: modality.to_owned(), class }, &title, value);
        }
        Ok(())
    }

    fn insert(&mut self, group: Group, case: &str, value: Option<f64>) {
        let at = self.groups.iter().position(|(other, _)| *other == group).unwrap_or_else(|| {
            self.groups.push((group, Values::new()));
            self.groups.len() - 1
        });
        self.groups[at].1.insert(case.to_owned(), value);
    }
}

/// Gives runs of the same name the name of their folder or file as well.
pub(crate) fn tell_apart(runs: &mut [ScoredRun], paths: &[PathBuf]) {
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for (run, path) in runs.iter_mut().zip(paths) {
        if names.iter().filter(|&name| *name == run.name).count() > 1 {
            run.name = format!("{} ({})", run.name, path.display());
        }
    }
}

/// The test patients in a run folder's `run.json`, if there is one.
fn test_patients(path: &Path) -> Result<Option<Vec<String>>> {
    let file = path.join("run.json");
    let Ok(text) = fs::read_to_string(&file) else { return Ok(None) };
    let record: Value = serde_json::from_str(&text).map_err(|error| {
        let remedy = "the run folder is damaged; remove it and train again";
        Fault::Data(format!("{}: {error}; {remedy}", file.display()))
    })?;
    let patients = record["split"]["test"].as_array();
    Ok(patients.map(|patients| {
        patients.iter().filter_map(|patient| patient.as_str().map(str::to_owned)).collect()
    }))
}

/// The method's name of a run, else the name of the file.
fn name(path: &Path, report: &Value) -> String {
    let method = report["provenance"]["method"].as_str().map(str::to_owned);
    let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    method.unwrap_or_else(stem)
}

/// A metric of a class: a number, or `null` where it is undefined.
fn entry<'a>(scores: &'a Map<String, Value>, metric: &str) -> Option<&'a Value> {
    let found = match metric.split_once('@') {
        Some((table, tolerance)) => scores.get(table)?.get(tolerance),
        None => scores.get(metric),
    };
    found.filter(|found| found.is_null() || found.is_number())
}

/// Names of all metrics of a class.
fn metrics(scores: &Map<String, Value>) -> Vec<String> {
    let names = scores.iter().flat_map(|(name, value)| match value {
        Value::Object(table) => table.keys().map(|key| format!("{name}@{key}")).collect(),
        Value::Number(_) | Value::Null => vec![name.clone()],
        _ => Vec::new(),
    });
    names.collect()
}
