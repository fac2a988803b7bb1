//! `summary.json`: the test patients' scores per class and modality, with nnU-Net's keys beside.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::evaluation::{CaseScores, ClassScores};
use crate::model_file::{ModelCard, Provenance};
use crate::postprocessing::PostProcessing;

/// What `schema` says in the files that this version writes and reads.
const SCHEMA: &str = "duomo.summary/1";

/// Scores of a run's test patients.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Summary {
    /// Always `duomo.summary/1`.
    pub schema: String,
    /// Where the weights come from.
    pub provenance: Provenance,
    /// What was taken away from the predictions before they were scored, in words.
    #[serde(default = "no_postprocessing")]
    pub postprocessing: String,
    /// Per modality, in the data set's order.
    pub modalities: Vec<ModalitySummary>,
    /// Every test case.
    pub cases: Vec<CaseScores>,
    /// `metric_per_case`, `mean` and `foreground_mean` as nnU-Net writes them, over all modalities.
    #[serde(flatten)]
    pub nnunet: BTreeMap<String, Value>,
}

/// Scores of one modality's test patients.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ModalitySummary {
    /// Modality name.
    pub name: String,
    /// Test cases.
    pub cases: usize,
    /// Per foreground class, in the order of class indices.
    pub classes: Vec<ClassSummary>,
    /// Mean over classes of the mean Dice.
    pub mean_dice: Option<f64>,
}

/// Scores of one class over the cases for which each is defined.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ClassSummary {
    /// Class name.
    pub name: String,
    /// Dice overlap.
    pub dice: Option<Statistic>,
    /// Dice overlap when the crop is found by the network itself.
    pub automatic_box_dice: Option<Statistic>,
    /// 95th percentile Hausdorff distance in mm.
    pub hausdorff95_mm: Option<Statistic>,
    /// Hausdorff distance in mm.
    pub hausdorff_mm: Option<Statistic>,
    /// Hausdorff distance in voxel units.
    pub hausdorff_voxels: Option<Statistic>,
    /// How many cases have each status: `ok`, `missed`, `spurious`, `absent-both`.
    pub counts: BTreeMap<String, usize>,
}

/// Mean, spread and median of some values.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Statistic {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (n − 1); none for a single value.
    pub sd: Option<f64>,
    /// Median; the mean of the middle two for an even count.
    pub median: f64,
    /// How many values.
    pub n: usize,
}

impl Statistic {
    /// The statistic of the defined values, or `None` without any.
    pub fn of(values: impl IntoIterator<Item = Option<f64>>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().flatten().collect();
        let summary = duomo_metrics::Summary::of(&values);
        let (mean, median) = summary.mean.zip(summary.median)?;
        Some(Self { mean, sd: summary.sd, median, n: summary.n })
    }
}

impl Summary {
    /// Summarises the scores of a model's test cases.
    pub fn of(card: &ModelCard, cases: Vec<CaseScores>) -> Self {
        let modalities = card.modalities.iter().map(|name| {
            let mine: Vec<&CaseScores> =
                cases.iter().filter(|case| &case.modality == name).collect();
            ModalitySummary::of(name, &mine, card)
        });
        Self {
            schema: SCHEMA.to_owned(),
            provenance: card.provenance.clone(),
            postprocessing: card.describe_postprocessing(),
            modalities: modalities.collect(),
            nnunet: nnunet(&cases, card),
            cases,
        }
    }

    /// Reads `summary.json`. Predictions are those beside the file, wherever the run folder has been moved to.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or was not written by this version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let mut summary: Self =
            serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))?;
        ensure!(
            summary.schema == SCHEMA,
            "{} has schema {}, this version reads {SCHEMA}; use the version of Duomo that wrote it",
            path.display(),
            summary.schema
        );
        for case in &mut summary.cases {
            if let (Some(root), Some(name)) = (path.parent(), case.prediction.file_name()) {
                case.prediction = root.join("predictions").join(&case.modality).join(name);
            }
        }
        Ok(summary)
    }
}

impl ModalitySummary {
    fn of(name: &str, cases: &[&CaseScores], card: &ModelCard) -> Self {
        let classes: Vec<ClassSummary> = card
            .labels
            .iter()
            .enumerate()
            .map(|(class, label)| ClassSummary::of(&label.name, class, cases))
            .collect();
        let means = classes.iter().map(|class| class.dice.map(|dice| dice.mean));
        let mean_dice = Statistic::of(means).map(|statistic| statistic.mean);
        Self { name: name.to_owned(), cases: cases.len(), classes, mean_dice }
    }
}

impl ClassSummary {
    fn of(name: &str, class: usize, cases: &[&CaseScores]) -> Self {
        let over = |value: fn(&ClassScores) -> Option<f64>| {
            Statistic::of(cases.iter().map(|case| value(&case.classes[class])))
        };
        let mut counts: BTreeMap<String, usize> =
            ["ok", "missed", "spurious", "absent-both"].map(|status| (status.to_owned(), 0)).into();
        for case in cases {
            *counts.entry(case.classes[class].status.clone()).or_default() += 1;
        }
        Self {
            name: name.to_owned(),
            dice: over(|scores| scores.dice),
            automatic_box_dice: Statistic::of(
                cases.iter().map(|case| case.automatic_box_dice[class]),
            ),
            hausdorff95_mm: over(|scores| scores.hausdorff95_mm),
            hausdorff_mm: over(|scores| scores.hausdorff_mm),
            hausdorff_voxels: over(|scores| scores.hausdorff_voxels),
            counts,
        }
    }
}

/// Summaries of earlier versions say nothing, and nothing was done.
fn no_postprocessing() -> String {
    PostProcessing::default().in_words(&[])
}

/// nnU-Net's `summary.json` keys, so that scripts written for it keep working.
fn nnunet(cases: &[CaseScores], card: &ModelCard) -> BTreeMap<String, Value> {
    let metrics = |scores: &ClassScores| json!({"Dice": scores.dice, "IoU": scores.jaccard});
    let per_case = cases.iter().map(|case| {
        let classes = case.classes.iter().enumerate();
        let classes: BTreeMap<String, Value> =
            classes.map(|(class, scores)| ((class + 1).to_string(), metrics(scores))).collect();
        json!({"metrics": classes, "prediction_file": case.prediction, "reference_file": case.reference})
    });
    let mean_of = |class: usize, value: fn(&ClassScores) -> Option<f64>| {
        Statistic::of(cases.iter().map(|case| value(&case.classes[class])))
            .map(|statistic| statistic.mean)
    };
    let classes = 0..card.labels.len();
    let dice: Vec<_> = classes.clone().map(|class| mean_of(class, |scores| scores.dice)).collect();
    let jaccard: Vec<_> =
        classes.clone().map(|class| mean_of(class, |scores| scores.jaccard)).collect();
    let mean: BTreeMap<String, Value> = classes
        .map(|class| ((class + 1).to_string(), json!({"Dice": dice[class], "IoU": jaccard[class]})))
        .collect();
    let overall = |values: Vec<Option<f64>>| Statistic::of(values).map(|statistic| statistic.mean);
    BTreeMap::from([
        ("metric_per_case".to_owned(), per_case.collect()),
        ("mean".to_owned(), json!(mean)),
        ("foreground_mean".to_owned(), json!({"Dice": overall(dice), "IoU": overall(jaccard)})),
    ])
}
