//! Pictures of a run's test cases: the best, the median and the worst of each modality.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use duomo_data::Dataset;
use duomo_train::{CaseScores, Summary};

use crate::console;
use crate::loaded_case::LoadedCase;
use crate::pictures::{CaseView, Row, png, sheet, telling_slice};
use crate::table::number;

/// Writes the sheets of a finished run that are not there: a process that is killed between a run's end and
/// its last picture leaves it without some.
///
/// # Errors
///
/// As [`write_run_pictures`].
pub(crate) fn write_missing_pictures(
    summary: &Summary,
    dataset: &Dataset,
    folder: &Path,
) -> Result<()> {
    let tested = |name: &str| summary.cases.iter().any(|case| case.modality == name);
    let names = summary.modalities.iter().map(|modality| &modality.name[..]);
    if names.filter(|name| tested(name)).all(|name| sheet_path(folder, name).is_file()) {
        return Ok(());
    }
    write_run_pictures(summary, dataset, folder).map(drop)
}

fn sheet_path(folder: &Path, modality: &str) -> PathBuf {
    folder.join(format!("{modality}.png"))
}

/// Writes one sheet per modality into `folder` and returns their paths.
///
/// # Errors
///
/// A volume that can no longer be read, or a folder that cannot be written to.
pub(crate) fn write_run_pictures(
    summary: &Summary,
    dataset: &Dataset,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let names: Vec<String> = dataset.class_names().into_iter().map(str::to_owned).collect();
    let mut paths = Vec::new();
    for modality in &summary.modalities {
        let cases: Vec<&CaseScores> =
            summary.cases.iter().filter(|case| case.modality == modality.name).collect();
        let rows: Vec<Row> = telling_cases(&cases)
            .into_iter()
            .map(|(rank, case)| {
                row(rank, case, dataset).with_context(|| format!("cannot draw case {}", case.case))
            })
            .collect::<Result<_>>()?;
        if rows.is_empty() {
            continue;
        }
        let path = sheet_path(folder, &modality.name);
        console::write_file(&path, &png(&sheet(&rows, &names))?)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Best, median and worst by mean Dice, each case once.
fn telling_cases<'a>(cases: &[&'a CaseScores]) -> Vec<(&'static str, &'a CaseScores)> {
    let mut sorted = cases.to_vec();
    let score = |case: &CaseScores| case.mean_dice().unwrap_or(-1.0);
    sorted.sort_by(|one, other| score(other).total_cmp(&score(one)));
    let last = sorted.len().saturating_sub(1);
    let mut places = vec![("best", 0), ("median", last / 2), ("worst", last)];
    places.dedup_by_key(|(_, place)| *place);
    places.into_iter().filter_map(|(rank, place)| Some((rank, *sorted.get(place)?))).collect()
}

fn row(rank: &str, case: &CaseScores, dataset: &Dataset) -> Result<Row> {
    let loaded = LoadedCase::read(case, dataset)?;
    let volumes = loaded.volumes();
    let slice = telling_slice(&volumes);
    let dice = case.classes.iter().map(|class| format!("{} {}", class.name, number(class.dice, 3)));
    Ok(Row::draw(&CaseView {
        caption: format!("{rank}: {}  {}", case.case, loaded.slice_name(slice)),
        score: format!("Dice  {}", dice.collect::<Vec<_>>().join("  ")),
        volumes,
        slice,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, dice: Option<f64>) -> CaseScores {
        let class = serde_json::json!({
            "name": "LV", "status": "ok", "dice": dice, "jaccard": null, "hausdorff_mm": null,
            "hausdorff95_mm": null, "assd_mm": null, "hausdorff_voxels": null,
            "volume_reference_ml": 1.0, "volume_prediction_ml": 1.0,
        });
        serde_json::from_value(serde_json::json!({
            "case": name, "modality": "LGE", "image": "i", "reference": "r", "prediction": "p",
            "classes": [class], "automatic_box_dice": [null],
        }))
        .unwrap()
    }

    fn names(cases: &[CaseScores]) -> Vec<(&'static str, String)> {
        let cases: Vec<&CaseScores> = cases.iter().collect();
        telling_cases(&cases).into_iter().map(|(rank, case)| (rank, case.case.clone())).collect()
    }

    #[test]
    fn the_best_the_median_and_the_worst_are_drawn() {
        let cases = [
            case("a", Some(0.5)),
            case("b", Some(0.9)),
            case("c", None),
            case("d", Some(0.7)),
            case("e", Some(0.6)),
        ];

        let expected = [("best", "b"), ("median", "e"), ("worst", "c")];
        assert_eq!(names(&cases), expected.map(|(rank, name)| (rank, name.to_owned())));
    }

    #[test]
    fn no_case_is_drawn_twice() {
        assert_eq!(names(&[case("a", Some(0.5))]), [("best", "a".to_owned())]);
        let two = names(&[case("a", Some(0.5)), case("b", Some(0.9))]);
        assert_eq!(two, [("best", "b".to_owned()), ("worst", "a".to_owned())]);
    }
}
