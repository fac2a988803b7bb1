//! The numbers of the paper's tables, from the summaries of finished runs.
//!
//! A patient who was tested by several runs of a method (other seeds, other folds) counts once, with
//! the mean of the runs' values; means and spreads are over patients.

mod ablation;
mod paper;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

pub use ablation::{AblationRow, AblationTable, VariantRuns};
pub use paper::{PAPERS, Paper, PaperTable, Printed};

use crate::evaluation::ClassScores;
use crate::summary::{Statistic, Summary};

/// Percent per unit of Dice.
const PERCENT: f64 = 100.0;

/// Name of the column with the mean over classes.
const MEAN: &str = "mean";

/// One table, filled with our scores and the paper's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FilledTable {
    /// Always `duomo.table/1`.
    pub schema: &'static str,
    /// Name of the files that are written.
    pub name: String,
    /// Heading.
    pub title: String,
    /// Where the paper's numbers are printed.
    pub source: String,
    /// What is measured, one block of rows each.
    pub blocks: Vec<Block>,
    /// Missed and spurious cases.
    pub counts: Vec<CountRow>,
}

/// One measure of all methods.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Block {
    /// What the numbers are, with their unit.
    pub measure: Measure,
    /// Modality and class of each column; the class `mean` is the mean over a patient's classes.
    pub columns: Vec<(String, String)>,
    /// One row per method, in the order given.
    pub rows: Vec<Row>,
}

/// What the numbers of a block are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Dice in percent: mean and standard deviation.
    DicePercent,
    /// Hausdorff distance in mm: mean and standard deviation, and the median.
    HausdorffMm,
    /// Hausdorff distance in voxel units: the median.
    HausdorffVoxels,
}

/// One method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Label.
    pub method: String,
    /// One value per column.
    pub values: Vec<Value>,
}

/// One value, and the paper's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Value {
    /// Ours, over patients for whom it is defined.
    pub ours: Option<Statistic>,
    /// Sample standard deviation of the means of the seeds, if there are several.
    pub sd_of_seeds: Option<f64>,
    /// Patients without a value, because the class was missed, spurious or absent.
    pub undefined: usize,
    /// What the paper prints.
    pub paper: Option<f64>,
    /// Best mean (of voxel units: median) of the column, among methods with a value for every
    /// patient: leaving out what was missed must not make a method look better.
    pub best: bool,
}

/// Missed and spurious cases of one method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CountRow {
    /// Label.
    pub method: String,
    /// Finished runs.
    pub runs: usize,
    /// Per modality and class.
    pub counts: Vec<Counts>,
}

/// How often a class was missed or made up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Modality name.
    pub modality: String,
    /// Class name.
    pub class: String,
    /// Cases tested, over all runs.
    pub cases: usize,
    /// The reference has the class, the prediction does not.
    pub missed: usize,
    /// The prediction has the class, the reference does not.
    pub spurious: usize,
    /// Neither has it.
    pub absent: usize,
}

/// Finished runs of one method on one data set.
#[derive(Clone, Debug)]
pub struct MethodRuns {
    /// Label.
    pub method: String,
    /// Their scores; empty for a method of which no run is done.
    pub summaries: Vec<Summary>,
}

impl MethodRuns {
    /// Dice of one class, of every patient for whom it is defined; of several runs the mean.
    pub fn patients_dice(&self, modality: &str, class: &str) -> Vec<f64> {
        let summaries: Vec<&Summary> = self.summaries.iter().collect();
        let percent = by_patient(Measure::DicePercent, &summaries, modality, &[class]);
        percent.into_values().flatten().map(|dice| dice / PERCENT).collect()
    }
}

impl FilledTable {
    /// Fills a table of the paper. Rows stand in the order of `methods`.
    pub fn new(paper: &Paper, table: &PaperTable, methods: &[MethodRuns]) -> Self {
        let mut blocks = Vec::new();
        if table.dice.is_some() {
            blocks.push(block(Measure::DicePercent, table, methods));
        }
        if table.hausdorff_voxels.is_some() {
            blocks.push(block(Measure::HausdorffMm, table, methods));
            blocks.push(block(Measure::HausdorffVoxels, table, methods));
        }
        Self {
            schema: "duomo.table/1",
            name: table.name.clone(),
            title: table.title.clone(),
            source: paper.source.clone(),
            blocks,
            counts: methods.iter().map(|runs| count_row(table, runs)).collect(),
        }
    }
}

impl Measure {
    /// What the numbers are, with their unit, for headings.
    pub fn title(self) -> &'static str {
        match self {
            Self::DicePercent => "Dice in %, mean ± sd over patients",
            Self::HausdorffMm => "Hausdorff distance in mm, mean ± sd over patients (median)",
            Self::HausdorffVoxels => "Hausdorff distance in voxel units, median over patients",
        }
    }

    /// The name in JSON and CSV.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DicePercent => "dice-percent",
            Self::HausdorffMm => "hausdorff-mm",
            Self::HausdorffVoxels => "hausdorff-voxels",
        }
    }

    /// Whether a larger value is better.
    fn more_is_better(self) -> bool {
        self == Self::DicePercent
    }

    fn of(self, scores: &ClassScores) -> Option<f64> {
        match self {
            Self::DicePercent => scores.dice.map(|dice| dice * PERCENT),
            Self::HausdorffMm => scores.hausdorff_mm,
            Self::HausdorffVoxels => scores.hausdorff_voxels,
        }
    }

    /// The number of a statistic that methods are ranked by.
    fn ranked_by(self, statistic: &Statistic) -> f64 {
        match self {
            Self::DicePercent | Self::HausdorffMm => statistic.mean,
            Self::HausdorffVoxels => statistic.median,
        }
    }
}

fn block(measure: Measure, table: &PaperTable, methods: &[MethodRuns]) -> Block {
    // The paper prints means over classes in its text, and of Dice only.
    let with_mean = measure == Measure::DicePercent;
    let mut columns: Vec<(&str, Option<usize>)> = Vec::new();
    for modality in &table.modalities {
        columns.extend((0..table.classes.len()).map(|class| (&modality[..], Some(class))));
        columns.extend(with_mean.then_some((&modality[..], None)));
    }
    let printed_values = match measure {
        Measure::DicePercent => table.dice.as_ref(),
        Measure::HausdorffMm => None,
        Measure::HausdorffVoxels => table.hausdorff_voxels.as_ref(),
    };
    let mut rows: Vec<Row> = methods
        .iter()
        .map(|runs| Row {
            method: runs.method.clone(),
            values: columns
                .iter()
                .map(|&(modality, class)| Value {
                    paper: paper::printed(printed_values, &runs.method, modality, class),
                    ..value(measure, table, runs, (modality, class))
                })
                .collect(),
        })
        .collect();
    for column in 0..columns.len() {
        mark_best(measure, &mut rows, column);
    }
    let name = |class: Option<usize>| class.map_or(MEAN, |class| &table.classes[class]).to_owned();
    let columns = columns.iter().map(|&(modality, class)| (modality.to_owned(), name(class)));
    Block { measure, columns: columns.collect(), rows }
}

fn value(
    measure: Measure,
    table: &PaperTable,
    runs: &MethodRuns,
    (modality, class): (&str, Option<usize>),
) -> Value {
    let names: Vec<&str> = match class {
        Some(class) => vec![&table.classes[class]],
        None => table.classes.iter().map(String::as_str).collect(),
    };
    let of = |summaries: &[&Summary]| -> Vec<Option<f64>> {
        by_patient(measure, summaries, modality, &names).into_values().collect()
    };
    let all: Vec<&Summary> = runs.summaries.iter().collect();
    let values = of(&all);
    let mut by_seed: BTreeMap<u64, Vec<&Summary>> = BTreeMap::new();
    for summary in &all {
        by_seed.entry(summary.provenance.seed).or_default().push(summary);
    }
    let means =
        by_seed.values().map(|runs| Some(Statistic::of(of(runs))?.mean)).collect::<Vec<_>>();
    Value {
        undefined: values.iter().filter(|value| value.is_none()).count(),
        ours: Statistic::of(values),
        sd_of_seeds: Statistic::of(means).and_then(|statistic| statistic.sd),
        paper: None,
        best: false,
    }
}

/// Each patient's value: the mean over the classes, then over the runs for which it is defined.
fn by_patient(
    measure: Measure,
    summaries: &[&Summary],
    modality: &str,
    classes: &[&str],
) -> BTreeMap<String, Option<f64>> {
    let mut values: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
    let cases = summaries.iter().flat_map(|summary| &summary.cases);
    for case in cases.filter(|case| case.modality == modality) {
        let of_classes = classes
            .iter()
            .map(|name| measure.of(case.classes.iter().find(|class| class.name == *name)?));
        // Undefined in one class is undefined as a mean: patients must stay comparable.
        let defined: Option<Vec<f64>> = of_classes.collect();
        let mean = defined.and_then(|values| duomo_metrics::Summary::of(&values).mean);
        values.entry(case.case.clone()).or_default().push(mean);
    }
    let mean = |values: Vec<Option<f64>>| Statistic::of(values).map(|statistic| statistic.mean);
    values.into_iter().map(|(case, values)| (case, mean(values))).collect()
}

fn mark_best(measure: Measure, rows: &mut [Row], column: usize) {
    let rank = |row: &Row| {
        let value = &row.values[column];
        let rank = measure.ranked_by(value.ours.as_ref().filter(|_| value.undefined == 0)?);
        Some(if measure.more_is_better() { rank } else { -rank })
    };
    let Some(best) = rows.iter().filter_map(rank).max_by(f64::total_cmp) else { return };
    for row in rows {
        // Ties are all best; comparing by order is exact for values copied from one place.
        row.values[column].best = rank(row).is_some_and(|rank| rank.total_cmp(&best).is_eq());
    }
}

fn count_row(table: &PaperTable, runs: &MethodRuns) -> CountRow {
    let mut counts = Vec::new();
    for modality in &table.modalities {
        for class in &table.classes {
            let cases = runs.summaries.iter().flat_map(|summary| &summary.cases);
            let cases = cases.filter(|case| case.modality == *modality);
            let scores = cases.filter_map(|case| case.classes.iter().find(|c| c.name == *class));
            let statuses: Vec<&str> = scores.map(|scores| &scores.status[..]).collect();
            let count = |wanted| statuses.iter().filter(|&&status| status == wanted).count();
            counts.push(Counts {
                modality: modality.clone(),
                class: class.clone(),
                cases: statuses.len(),
                missed: count("missed"),
                spurious: count("spurious"),
                absent: count("absent-both"),
            });
        }
    }
    CountRow { method: runs.method.clone(), runs: runs.summaries.len(), counts }
}
