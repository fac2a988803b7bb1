//! The numbers of an ablation: what each variant of a method scores, and how hard its loss pulls.

use serde::Serialize;

use super::{Measure, PERCENT, by_patient};
use crate::curve::LearningCurve;
use crate::summary::{Statistic, Summary};

/// One row per variant, for one data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AblationTable {
    /// Always `duomo.ablation/1`.
    pub schema: &'static str,
    /// Name of the grid.
    pub grid: String,
    /// Data set.
    pub dataset: String,
    /// Modalities, in the order of columns.
    pub modalities: Vec<String>,
    /// The variants, in the grid's order.
    pub rows: Vec<AblationRow>,
}

/// One variant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AblationRow {
    /// Method and what is changed.
    pub variant: String,
    /// Finished runs: seeds and folds.
    pub runs: usize,
    /// Mean over modalities of the validation Dice in percent, of the weights that were tested; over
    /// runs. What a choice may be made by.
    pub validation: Option<Statistic>,
    /// Best mean of the column.
    pub best_validation: bool,
    /// The same of each modality.
    pub validation_of: Vec<Option<Statistic>>,
    /// Per modality the patients' mean foreground Dice in percent, over test patients.
    pub test_of: Vec<Option<Statistic>>,
    /// Norm of the transfer losses' gradient over that of the rest, in the first step; over runs.
    pub pull_at_start: Option<Statistic>,
    /// The same in the last step.
    pub pull_at_end: Option<Statistic>,
}

/// Finished runs of one variant, each with its log.
#[derive(Clone, Debug)]
pub struct VariantRuns {
    /// Method and what is changed.
    pub variant: String,
    /// Scores and course of each run.
    pub runs: Vec<(Summary, LearningCurve)>,
}

impl AblationTable {
    /// Fills the table of a grid on one data set. Rows stand in the order of `variants`.
    pub fn new(grid: &str, dataset: &str, modalities: &[String], variants: &[VariantRuns]) -> Self {
        let mut rows: Vec<AblationRow> =
            variants.iter().map(|variant| row(variant, modalities)).collect();
        let mean = |row: &AblationRow| row.validation.map(|validation| validation.mean);
        if let Some(best) = rows.iter().filter_map(mean).max_by(f64::total_cmp) {
            for row in &mut rows {
                row.best_validation = mean(row).is_some_and(|mean| mean.total_cmp(&best).is_eq());
            }
        }
        Self {
            schema: "duomo.ablation/1",
            grid: grid.to_owned(),
            dataset: dataset.to_owned(),
            modalities: modalities.to_vec(),
            rows,
        }
    }
}

fn row(variant: &VariantRuns, modalities: &[String]) -> AblationRow {
    let validation = |(summary, curve): &(Summary, LearningCurve), modality: &str| {
        let dice = curve.validation_at(summary.provenance.step);
        dice.get(modality).map(|dice| dice * PERCENT)
    };
    let validations: Vec<Vec<Option<f64>>> = variant
        .runs
        .iter()
        .map(|run| modalities.iter().map(|modality| validation(run, modality)).collect())
        .collect();
    let of_run = |values: &Vec<Option<f64>>| {
        Statistic::of(values.iter().copied()).map(|statistic| statistic.mean)
    };
    let pull = |of: fn(&LearningCurve) -> Option<f64>| {
        Statistic::of(variant.runs.iter().map(|(_, curve)| of(curve)))
    };
    let summaries: Vec<&Summary> = variant.runs.iter().map(|(summary, _)| summary).collect();
    AblationRow {
        variant: variant.variant.clone(),
        runs: variant.runs.len(),
        validation: Statistic::of(validations.iter().map(of_run)),
        best_validation: false,
        validation_of: (0..modalities.len())
            .map(|modality| Statistic::of(validations.iter().map(|run| run[modality])))
            .collect(),
        test_of: modalities.iter().map(|modality| test_dice(&summaries, modality)).collect(),
        pull_at_start: pull(|curve| curve.gradients.first()?.1.ratio()),
        pull_at_end: pull(|curve| curve.gradients.last()?.1.ratio()),
    }
}

/// The patients' mean foreground Dice in percent.
fn test_dice(summaries: &[&Summary], modality: &str) -> Option<Statistic> {
    let classes = summaries.iter().flat_map(|summary| &summary.cases).next();
    let classes: Vec<&str> =
        classes.iter().flat_map(|case| &case.classes).map(|class| &class.name[..]).collect();
    Statistic::of(by_patient(Measure::DicePercent, summaries, modality, &classes).into_values())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradients::GradientNorms;
    use crate::tables::tests::summary;

    fn run(seed: u64, distance: f64, validation: f64, transfer: f64) -> (Summary, LearningCurve) {
        let summary = summary(seed, &[("1", [Some(distance), Some(distance)])]);
        let norms = |transfer| GradientNorms { rest: 2.0, transfer, cosine: None };
        let curve = LearningCurve {
            loss: Vec::new(),
            // The weights of step 1 were tested; later ones were no better.
            validation: vec![("CT".to_owned(), vec![(1, validation), (2, 0.1)])],
            gradients: vec![(1, norms(transfer)), (2, norms(2.0 * transfer))],
        };
        (summary, curve)
    }

    fn table(variants: &[(&str, Vec<(Summary, LearningCurve)>)]) -> AblationTable {
        let variants = variants.iter().map(|(variant, runs)| VariantRuns {
            variant: (*variant).to_owned(),
            runs: runs.clone(),
        });
        AblationTable::new("g", "d", &["CT".to_owned()], &variants.collect::<Vec<_>>())
    }

    #[test]
    fn a_variant_is_chosen_by_validation_and_not_by_test() {
        let table =
            table(&[("λ 0", vec![run(0, 10.0, 0.7, 0.0)]), ("λ 1", vec![run(0, 20.0, 0.8, 1.0)])]);

        let [none, one] = &table.rows[..] else { panic!("two rows") };
        assert_eq!((none.best_validation, one.best_validation), (false, true));
        assert!((one.validation.unwrap().mean - 80.0).abs() < 1e-9);
        assert!((none.test_of[0].unwrap().mean - 90.0).abs() < 1e-9);
        let pulls = |row: &AblationRow| {
            [row.pull_at_start, row.pull_at_end].map(|pull| pull.map(|pull| pull.mean))
        };
        assert_eq!((pulls(none), pulls(one)), ([Some(0.0); 2], [Some(0.5), Some(1.0)]));
    }

    #[test]
    fn seeds_are_averaged_and_a_variant_without_a_run_keeps_its_row() {
        let seeds = vec![run(0, 10.0, 0.7, 1.0), run(1, 10.0, 0.9, 3.0)];

        let table = table(&[("both", seeds), ("none", Vec::new())]);

        let [both, none] = &table.rows[..] else { panic!("two rows") };
        assert!((both.validation.unwrap().mean - 80.0).abs() < 1e-9);
        assert_eq!((both.runs, both.validation.unwrap().n), (2, 2));
        assert_eq!(both.pull_at_start.map(|pull| pull.mean), Some(1.0));
        assert_eq!((none.runs, none.validation, none.pull_at_end), (0, None, None));
        assert_eq!(none.test_of, [None]);
    }
}
