//! Figures of a grid: every method on one patient, and learning curves.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use duomo_train::{CaseScores, Cell, LearningCurve, MethodRuns, Statistic, Summary};

use crate::console;
use crate::loaded_case::LoadedCase;
use crate::pictures::{
    BoxPlot, CaseView, Chart, Line, Row, Volumes, box_plots, charts, png, sheet, telling_slice,
};
use crate::table::number;

/// Writes one row per modality: image, reference and every method, all of the first seed and fold.
///
/// The patient of a row is the one whose Dice, averaged over methods, is the median: no one chose
/// it by hand. Returns whether there was a patient to draw.
///
/// # Errors
///
/// A volume that can no longer be read, or a file that cannot be written.
pub(crate) fn write_methods(runs: &[(&Cell, &Summary)], path: &Path) -> Result<bool> {
    let Some((first, _)) = runs.first() else { return Ok(false) };
    let draw = |cell: &Cell| (cell.experiment.seed, cell.experiment.fold);
    let of_draw: Vec<_> = runs.iter().filter(|(cell, _)| draw(cell) == draw(first)).collect();
    let mut rows = Vec::new();
    for modality in &first.experiment.dataset.modalities {
        let mut cases: BTreeMap<&str, Vec<(&str, &CaseScores)>> = BTreeMap::new();
        for (cell, summary) in &of_draw {
            let method = &cell.experiment.method.label;
            for case in summary.cases.iter().filter(|case| case.modality == modality.name) {
                cases.entry(&case.case).or_default().push((method, case));
            }
        }
        if let Some(patient) = median_patient(&cases) {
            let row = methods_row(&modality.name, &cases[patient], first);
            rows.push(row.with_context(|| format!("cannot draw case {patient}"))?);
        }
    }
    let names = first.experiment.dataset.class_names();
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    if !rows.is_empty() {
        console::write_file(path, &png(&sheet(&rows, &names))?)?;
    }
    Ok(!rows.is_empty())
}

/// The patient with the median of the mean Dice over methods; of an even number the better one.
fn median_patient<'a>(cases: &BTreeMap<&'a str, Vec<(&str, &CaseScores)>>) -> Option<&'a str> {
    let score = |methods: &[(&str, &CaseScores)]| {
        Statistic::of(methods.iter().map(|(_, case)| case.mean_dice()))
            .map_or(0.0, |statistic| statistic.mean)
    };
    let mut ranked: Vec<(f64, &str)> =
        cases.iter().map(|(patient, methods)| (score(methods), *patient)).collect();
    ranked.sort_by(|one, other| other.0.total_cmp(&one.0));
    let middle = ranked.len().saturating_sub(1) / 2;
    ranked.get(middle).map(|(_, patient)| *patient)
}

fn methods_row(modality: &str, methods: &[(&str, &CaseScores)], cell: &Cell) -> Result<Row> {
    let (_, case) = methods.first().context("no method tested it")?;
    let loaded = LoadedCase::read(case, &cell.experiment.dataset)?;
    let volumes = loaded.volumes();
    // One window for all methods: that of the reference.
    let volumes =
        Volumes { prediction: volumes.reference.unwrap_or(volumes.prediction), ..volumes };
    let predictions: Vec<(String, Vec<u8>)> = methods
        .iter()
        .map(|(method, case)| {
            let title = format!("{method} {}", number(case.mean_dice(), 3));
            Ok((title, loaded.classes(&case.prediction)?))
        })
        .collect::<Result<_>>()?;
    let slice = telling_slice(&volumes);
    let caption = format!("{modality}: {}  {}", case.case, loaded.slice_name(slice));
    let view =
        CaseView { caption, score: "numbers: mean Dice of the patient".to_owned(), volumes, slice };
    let predictions: Vec<(&str, &[u8])> =
        predictions.iter().map(|(title, classes)| (&title[..], &classes[..])).collect();
    Ok(Row::draw_methods(&view, &predictions))
}

/// Writes per modality a box plot of the patients' Dice: classes side by side, a box per method. A patient
/// of several runs counts once, with the mean.
///
/// # Errors
///
/// A file that cannot be written.
pub(crate) fn write_box_plots(methods: &[MethodRuns], path: &Path) -> Result<()> {
    let tested: Vec<&MethodRuns> =
        methods.iter().filter(|method| !method.summaries.is_empty()).collect();
    let Some(first) = tested.first() else { return Ok(()) };
    let plots = first.summaries[0].modalities.iter().map(|modality| {
        let groups = modality.classes.iter().map(|class| {
            let lists =
                tested.iter().map(|method| method.patients_dice(&modality.name, &class.name));
            (class.name.clone(), lists.collect())
        });
        BoxPlot { title: format!("{}: Dice by class", modality.name), groups: groups.collect() }
    });
    let series: Vec<String> = tested.iter().map(|method| method.method.clone()).collect();
    console::write_file(path, &png(&box_plots(&plots.collect::<Vec<_>>(), &series))?)
}

/// Writes a run's loss and validation Dice over its steps.
///
/// # Errors
///
/// A log that cannot be read, or a file that cannot be written.
pub(crate) fn write_curve(cell: &Cell, path: &Path) -> Result<()> {
    let curve = LearningCurve::read(&cell.folder)?;
    let points =
        |values: &[(u64, f64)]| values.iter().map(|&(step, value)| (step as f64, value)).collect();
    let loss = Chart {
        title: format!("{}: loss by step", cell.experiment.method.label),
        lines: vec![Line { name: "total loss".to_owned(), points: points(&curve.loss) }],
        top: None,
    };
    let lines = curve.validation.iter();
    let lines = lines.map(|(modality, dice)| Line { name: modality.clone(), points: points(dice) });
    let dice = Chart {
        title: "validation Dice by step".to_owned(),
        lines: lines.collect(),
        top: Some(1.0),
    };
    console::write_file(path, &png(&charts(&[loss, dice]))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(dice: f64) -> CaseScores {
        let class = serde_json::json!({
            "name": "LV", "status": "ok", "dice": dice, "jaccard": null, "hausdorff_mm": null,
            "hausdorff95_mm": null, "assd_mm": null, "hausdorff_voxels": null,
            "volume_reference_ml": 1.0, "volume_prediction_ml": 1.0,
        });
        serde_json::from_value(serde_json::json!({
            "case": "c", "modality": "LGE", "image": "i", "reference": "r", "prediction": "p",
            "classes": [class], "automatic_box_dice": [null],
        }))
        .unwrap()
    }

    #[test]
    fn the_median_is_over_methods() {
        let [low, middle, high] = [0.2, 0.5, 0.8].map(case);
        let cases = BTreeMap::from([
            ("a", vec![("one", &high), ("other", &high)]),
            ("b", vec![("one", &low), ("other", &high)]),
            ("c", vec![("one", &low), ("other", &middle)]),
        ]);

        assert_eq!(median_patient(&cases), Some("b"));
        assert_eq!(median_patient(&BTreeMap::new()), None);
    }
}
