//! All cases together: means, and how many cases have each status.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use duomo_metrics::{Convention, Penalty, Status, Summary, summarize};
use serde::Serialize;
use serde_json::{Value, json};

use super::Classes;
use super::case::{CaseScores, ClassScores, Measure};

/// What `duomo evaluate --json` prints.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub schema: &'static str,
    /// What the surfaces of all distances are: `voxel` or `deepmind`.
    pub convention: &'static str,
    /// What a missed or spurious class counts as in the means: `none`, `worst-case` or a distance.
    pub penalty: Value,
    pub cases: Vec<CaseScores>,
    /// By label value, then by metric, over the cases for which the metric is defined.
    pub mean: BTreeMap<u16, BTreeMap<String, Statistic>>,
    /// By label value, then by status.
    pub counts: BTreeMap<u16, BTreeMap<&'static str, usize>>,
    /// Cases that could not be compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

/// Mean, spread and median of the defined values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Statistic {
    pub mean: Option<f64>,
    /// Sample standard deviation (n − 1), 0 for a single value.
    pub sd: Option<f64>,
    pub median: Option<f64>,
    pub n: usize,
}

impl From<Summary> for Statistic {
    fn from(summary: Summary) -> Self {
        let sd = summary.sd.or(summary.mean.map(|_| 0.0));
        Self { mean: summary.mean, sd, median: summary.median, n: summary.n }
    }
}

/// A case that could not be compared, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Failure {
    pub case: String,
    pub reference: PathBuf,
    pub prediction: Option<PathBuf>,
    pub error: String,
}

pub(super) const STATUSES: [Status; 4] =
    [Status::Ok, Status::Missed, Status::Spurious, Status::AbsentBoth];

impl Report {
    /// Gathers cases. A class that occurs in any case is counted in all, as absent where it is.
    pub(crate) fn new(
        mut cases: Vec<CaseScores>,
        failures: Vec<Failure>,
        classes: &Classes,
        measure: &Measure,
        penalty: Penalty,
    ) -> Self {
        let values: BTreeSet<u16> =
            cases.iter().flat_map(|case| case.classes.keys().copied()).collect();
        let (mut mean, mut counts) = (BTreeMap::new(), BTreeMap::new());
        for &value in &values {
            let absent = ClassScores::absent(value, classes.name(value), measure);
            for case in &mut cases {
                if let (Entry::Vacant(free), Some(absent)) = (case.classes.entry(value), &absent) {
                    free.insert(absent.clone());
                }
            }
            let scores: Vec<_> = cases.iter().filter_map(|case| case.classes.get(&value)).collect();
            mean.insert(value, means(&scores, measure.convention, penalty));
            let count =
                |status| scores.iter().filter(|scores| scores.result.status == status).count();
            counts.insert(value, STATUSES.map(|status| (status.as_str(), count(status))).into());
        }
        let convention = measure.convention.as_str();
        let penalty = match penalty {
            Penalty::None => json!("none"),
            Penalty::WorstCase => json!("worst-case"),
            Penalty::Fixed(distance) => json!(distance),
        };
        Self { schema: "duomo.evaluate/1", convention, penalty, cases, mean, counts, failures }
    }
}

fn means(
    scores: &[&ClassScores],
    convention: Convention,
    penalty: Penalty,
) -> BTreeMap<String, Statistic> {
    let metrics = scores.first().map(|scores| scores.metrics()).unwrap_or_default();
    let results = || scores.iter().map(|scores| &scores.result);
    let mean = |metric| {
        // What the convention does not define has no value that a penalty could stand in for.
        let penalty = if convention.defines(metric) { penalty } else { Penalty::None };
        summarize(results(), metric, penalty).into()
    };
    metrics.into_iter().map(|(name, metric)| (name, mean(metric))).collect()
}
