use serde_json::json;

use super::*;

/// A run's summary with one modality and the classes a and b; `None` is a missed class, which has
/// no distance and a Dice of 0.
pub(super) fn summary(seed: u64, cases: &[(&str, [Option<f64>; 2])]) -> Summary {
    let class = |name: &str, distance: Option<f64>| {
        let dice = distance.map_or(0.0, |distance| 1.0 - distance / 100.0);
        json!({
            "name": name, "status": if distance.is_some() { "ok" } else { "missed" },
            "dice": dice, "jaccard": null, "hausdorff_mm": distance, "hausdorff95_mm": null,
            "assd_mm": null, "hausdorff_voxels": distance.map(|mm| mm / 2.0),
            "volume_reference_ml": 1.0, "volume_prediction_ml": 1.0,
        })
    };
    let case = |(name, [a, b]): &(&str, [Option<f64>; 2])| {
        json!({
            "case": name, "modality": "CT", "image": "i", "reference": "r", "prediction": "p",
            "classes": [class("a", *a), class("b", *b)], "automatic_box_dice": [null, null],
        })
    };
    serde_json::from_value(json!({
        "schema": "duomo.summary/1", "modalities": [],
        "cases": cases.iter().map(case).collect::<Vec<_>>(),
        "provenance": {
            "version": "0", "commit": "c", "method": "m", "schedule": "s", "seed": seed,
            "data_hash": "d", "step": 1,
        },
    }))
    .unwrap()
}

fn paper() -> Paper {
    toml::from_str(
        r#"
        source = "a paper"
        ours = "Ours"
        [[tables]]
        name = "t"
        title = "T"
        dataset = "d"
        modalities = ["CT"]
        classes = ["a", "b"]
        dice = { Ours = { CT = [90.0, 80.0] } }
        hausdorff_voxels = { Theirs = { CT = [3.0, 4.0] } }
        "#,
    )
    .unwrap()
}

fn filled(methods: &[(&str, Vec<Summary>)]) -> FilledTable {
    let methods = methods.iter().map(|(method, summaries)| MethodRuns {
        method: (*method).to_owned(),
        summaries: summaries.clone(),
    });
    let paper = paper();
    FilledTable::new(&paper, &paper.tables[0], &methods.collect::<Vec<_>>())
}

fn mean(value: &Value) -> f64 {
    value.ours.unwrap().mean
}

#[test]
fn the_papers_numbers_stand_beside_ours() {
    let table = filled(&[("Ours", vec![summary(0, &[("1", [Some(10.0), Some(20.0)])])])]);

    let [dice, mm, voxels] = &table.blocks[..] else { panic!("three blocks") };
    let names: Vec<&str> = dice.columns.iter().map(|(_, class)| &class[..]).collect();
    assert_eq!(names, ["a", "b", "mean"]);
    assert_eq!(dice.rows[0].values.iter().map(mean).collect::<Vec<_>>(), [90.0, 80.0, 85.0]);
    let printed: Vec<_> = dice.rows[0].values.iter().map(|value| value.paper).collect();
    assert_eq!(printed, [Some(90.0), Some(80.0), Some(85.0)]);
    assert_eq!((mean(&mm.rows[0].values[0]), mean(&voxels.rows[0].values[0])), (10.0, 5.0));
    assert_eq!(voxels.rows[0].values[0].paper, None, "the paper has no such row");
}

#[test]
fn a_patient_of_two_seeds_counts_once_and_seeds_have_a_spread() {
    let runs = vec![
        summary(0, &[("1", [Some(10.0), Some(0.0)]), ("2", [Some(30.0), Some(0.0)])]),
        summary(1, &[("1", [Some(20.0), Some(0.0)])]),
    ];

    let table = filled(&[("Ours", runs)]);

    let value = &table.blocks[1].rows[0].values[0];
    // Patient 1 has (10 + 20) / 2, patient 2 has 30; the seeds have means of 20 and 20.
    assert_eq!((value.ours.unwrap().n, mean(value)), (2, 22.5));
    assert_eq!(value.sd_of_seeds, Some(0.0));
}

#[test]
fn box_plots_are_over_patients() {
    let runs = MethodRuns {
        method: "m".to_owned(),
        summaries: vec![
            summary(0, &[("1", [Some(10.0), Some(0.0)]), ("2", [Some(30.0), Some(0.0)])]),
            summary(1, &[("1", [Some(20.0), Some(0.0)])]),
        ],
    };

    let dice = runs.patients_dice("CT", "a");

    assert_eq!(dice.len(), 2);
    assert!((dice[0] - 0.85).abs() < 1e-12 && (dice[1] - 0.7).abs() < 1e-12, "{dice:?}");
    assert!(runs.patients_dice("MR", "a").is_empty());
}

#[test]
fn the_best_has_the_largest_overlap_or_the_smallest_distance() {
    let good = vec![summary(0, &[("1", [Some(10.0), Some(20.0)])])];
    let bad = vec![summary(0, &[("1", [Some(11.0), Some(20.0)])])];

    let table = filled(&[("Bad", bad), ("Good", good)]);

    let best = |block: usize, row: usize| -> Vec<bool> {
        table.blocks[block].rows[row].values.iter().map(|value| value.best).collect()
    };
    assert_eq!((best(0, 0), best(0, 1)), (vec![false, true, false], vec![true, true, true]));
    assert_eq!((best(1, 0), best(1, 1)), (vec![false, true], vec![true, true]));
}

#[test]
fn a_method_that_misses_a_case_is_not_the_best_distance() {
    let sure = vec![summary(0, &[("1", [Some(10.0); 2]), ("2", [Some(40.0); 2])])];
    let shy = vec![summary(0, &[("1", [Some(5.0); 2]), ("2", [None, Some(5.0)])])];

    let table = filled(&[("Sure", sure), ("Shy", shy)]);

    let [sure, shy] = [0, 1].map(|row: usize| &table.blocks[1].rows[row].values[0]);
    assert_eq!((shy.undefined, mean(shy)), (1, 5.0));
    assert!(sure.best && !shy.best);
    let counts = &table.counts[1].counts[0];
    assert_eq!((counts.cases, counts.missed, counts.spurious), (2, 1, 0));
    // A missed class has a Dice of 0, which counts.
    assert!((mean(&table.blocks[0].rows[1].values[0]) - 47.5).abs() < 1e-9);
}

#[test]
fn a_method_without_a_run_keeps_its_row() {
    let table = filled(&[("Ours", Vec::new())]);

    assert_eq!(table.blocks[0].rows[0].values[0].ours, None);
    assert_eq!(table.blocks[0].rows[0].values[0].paper, Some(90.0));
}

#[test]
fn the_papers_file_has_every_printed_number() {
    let paper = Paper::load("chen2020").unwrap();

    let numbers = |printed: &Option<Printed>| {
        let rows = printed.iter().flat_map(BTreeMap::values).flat_map(BTreeMap::values);
        rows.map(Vec::len).sum::<usize>()
    };
    let dice: usize = paper.tables.iter().map(|table| numbers(&table.dice)).sum();
    let hausdorff: usize = paper.tables.iter().map(|table| numbers(&table.hausdorff_voxels)).sum();
    assert_eq!((dice, hausdorff), (84, 84));
    // The text of the paper: CSA has means of 87.65 and 89.95.
    let table = &paper.tables[0];
    let csa = |modality| paper::printed(table.dice.as_ref(), &paper.ours, modality, None).unwrap();
    assert!((csa("LGE") - 87.65).abs() < 0.005 && (csa("bSSFP") - 89.95).abs() < 0.005);
}

#[test]
fn a_row_that_is_too_short_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("paper.toml");
    let mut wrong = paper();
    wrong.tables[0].classes.push("c".to_owned());
    std::fs::write(&path, toml::to_string(&wrong).unwrap()).unwrap();

    let error = Paper::load(path.to_str().unwrap()).unwrap_err().to_string();

    assert_eq!(error, "t, Ours, CT: 2 values for the 3 classes a, b, c");
}
