//! Scores of one run, from a run folder or from a report of `duomo evaluate`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::exit::Fault;

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
    /// Digest of the data set, of run folders only.
    pub data_hash: Option<String>,
    /// Patients that the run's split put aside for testing, of run folders only.
    pub test_patients: Option<Vec<String>>,
    /// Values by case, `None` where undefined; in the file's order.
    pub groups: Vec<(Group, Values)>,
}

/// Values by case.
pub(crate) type Values = BTreeMap<String, Option<f64>>;

/// The pseudo-class that holds a case's mean over its classes.
pub(super) const MEAN: &str = "mean";

impl Group {
    /// The name of a case among those of all modalities.
    pub(super) fn case_key(&self, case: &str) -> String {
        if self.modality.is_empty() { case.to_owned() } else { format!("{}/{case}", self.modality) }
    }
}

impl ScoredRun {
    /// Reads `metric` of a run folder or of a report of `duomo evaluate --json`.
    ///
    /// A missed or spurious class without a value counts as `penalty`, if one is given.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is no such report, or lacks the metric.
    pub(crate) fn read(path: &Path, metric: &str, penalty: Option<f64>) -> Result<Self> {
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
            data_hash: report["provenance"]["data_hash"].as_str().map(str::to_owned),
            test_patients: test_patients(path)?,
            groups: Vec::new(),
        };
        for case in report["cases"].as_array().into_iter().flatten() {
            run.add(case, metric, penalty).map_err(|metrics| {
                Fault::Usage(format!(
                    "{} has no metric {metric}; it has {}",
                    file.display(),
                    metrics.join(", ")
                ))
            })?;
        }
        run.add_means();
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
    fn add(&mut self, case: &Value, metric: &str, penalty: Option<f64>) -> Result<(), Vec<String>> {
        let modality = case["modality"].as_str().unwrap_or_default();
        let slice = case["slice"].as_u64().map(|slice| format!(" slice {slice}"));
        let title =
            case["case"].as_str().unwrap_or_default().to_owned() + &slice.unwrap_or_default();
        let classes: Vec<&Value> = match &case["classes"] {
            Value::Array(classes) => classes.iter().collect(),
            Value::Object(classes) => classes.values().collect(),
            _ => Vec::new(),
        };
        for class in classes {
            let scores = class.as_object().ok_or_else(Vec::new)?;
            let mut value = entry(scores, metric).ok_or_else(|| metrics(scores))?.as_f64();
            if let Some("missed" | "spurious") = class["status"].as_str() {
                value = value.or(penalty);
            }
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

    /// Adds to each modality of several classes their mean per case, defined where all are.
    fn add_means(&mut self) {
        let mut modalities: Vec<String> = Vec::new();
        for (group, _) in &self.groups {
            if !modalities.contains(&group.modality) {
                modalities.push(group.modality.clone());
            }
        }
        let mut groups = Vec::new();
        for modality in modalities {
            let of_modality = self.groups.iter().filter(|(group, _)| group.modality == modality);
            let of_modality: Vec<&(Group, Values)> = of_modality.collect();
            groups.extend(of_modality.iter().map(|&group| group.clone()));
            if of_modality.len() > 1 {
                let values = of_modality[0].1.keys().map(|case| {
                    let of_case = of_modality.iter().map(|(_, values)| *values.get(case)?);
                    let sum: Option<f64> = of_case.sum();
                    (case.clone(), sum.map(|sum| sum / of_modality.len() as f64))
                });
                groups.push((Group { modality, class: MEAN.to_owned() }, values.collect()));
            }
        }
        self.groups = groups;
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
