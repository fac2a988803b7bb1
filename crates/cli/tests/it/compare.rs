//! `duomo compare` on reports of `duomo evaluate` and on run folders.

use std::fs;
use std::path::Path;

use duomo_data::{Geometry, write_labels};
use expect_test::expect;
use serde_json::json;

use crate::{code, duomo, json, stderr, stdout};

/// Writes a run's `summary.json` with one modality, the class LV and these cases.
fn write_run(folder: &Path, method: &str, cases: &[(&str, Option<f64>)]) -> String {
    let cases: Vec<_> = cases
        .iter()
        .map(|(case, dice)| {
            let status = if dice.is_some() { "ok" } else { "missed" };
            let class = json!({"name": "LV", "status": status, "dice": dice});
            json!({"case": case, "modality": "LGE", "classes": [class]})
        })
        .collect();
    let provenance = json!({"method": method, "data_hash": "d1"});
    let summary = json!({"schema": "duomo.summary/1", "provenance": provenance, "cases": cases});
    fs::create_dir_all(folder).expect("the folder is writable");
    fs::write(folder.join("summary.json"), summary.to_string()).expect("the folder is writable");
    folder.to_str().expect("UTF-8").to_owned()
}

fn two_runs(root: &Path) -> [String; 2] {
    let cases = ["p1", "p2", "p3", "p4", "p5", "p6"];
    let theirs = [0.80, 0.83, 0.89, 0.70, 0.83, 0.84];
    let ours = [0.81, 0.85, 0.92, 0.74, 0.88, 0.90];
    let scores = |values: [f64; 6]| cases.into_iter().zip(values.map(Some)).collect::<Vec<_>>();
    [
        write_run(&root.join("a"), "Joint", &scores(theirs)),
        write_run(&root.join("b"), "CSA", &scores(ours)),
    ]
}

#[test]
fn run_folders_are_compared_with_the_first() {
    let root = tempfile::tempdir().unwrap();
    let [joint, csa] = two_runs(root.path());

    let output = duomo(&["compare", &joint, &csa]);

    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    expect![[r"
        dice: mean ± sd over cases

        modality  class  cases          Joint            CSA
        ────────  ─────  ─────  ─────────────  ─────────────
        LGE       LV         6  0.815 ± 0.063  0.850 ± 0.066

        dice: run − Joint, Wilcoxon signed-rank test of the same cases

        run  modality  class  pairs  difference    95 % interval       p  p (Holm)
        ───  ────────  ─────  ─────  ──────────  ───────────────  ──────  ────────
        CSA  LGE       LV         6      +0.035  +0.022 … +0.048  0.0312    0.0312
    "]]
    .assert_eq(&stdout(&output));
}

#[test]
fn json_csv_and_latex_hold_the_same_numbers() {
    let root = tempfile::tempdir().unwrap();
    let [joint, csa] = two_runs(root.path());
    let table = root.path().join("table.csv");

    let output = duomo(&["compare", &joint, &csa, "--json", "--csv", table.to_str().unwrap()]);

    let report = json(&output);
    let test = &report["groups"][0]["tests"][0];
    assert_eq!((&test["p"], &test["n"]), (&json!(0.03125), &json!(6)));
    let table = fs::read_to_string(&table).unwrap();
    let last: Vec<&str> = table.lines().last().unwrap().split(',').collect();
    assert_eq!((last[..4].join(" "), last[13]), ("dice CSA LGE LV".into(), "0.03125"));
    let latex = stdout(&duomo(&["compare", &joint, &csa, "--latex"]));
    assert!(latex.contains(r"LGE & LV & 6 & 0.815 $\pm$ 0.063 & 0.850 $\pm$ 0.066 \\"), "{latex}");
}

#[test]
fn undefined_values_are_said_and_can_be_penalised() {
    let root = tempfile::tempdir().unwrap();
    let sure = write_run(&root.path().join("a"), "Sure", &[("1", Some(0.5)), ("2", Some(0.7))]);
    let shy = write_run(&root.path().join("b"), "Shy", &[("1", Some(0.9)), ("2", None)]);

    let forgiving = duomo(&["compare", &sure, &shy]);
    let strict = duomo(&["compare", &sure, &shy, "--penalty", "0", "--json"]);

    assert!(stdout(&forgiving).contains("0.900 (1 undefined)"), "{}", stdout(&forgiving));
    assert!(stderr(&forgiving).contains("flatters the run that misses more"));
    assert_eq!(json(&strict)["groups"][0]["scores"][1]["mean"], 0.45);
    // Millimetres are no ratio: a miss has Dice 0 whatever a distance counts as.
    let strict = json(&duomo(&["compare", &sure, &shy, "--penalty", "30", "--json"]));
    assert_eq!(
        (&strict["groups"][0]["scores"][1]["mean"], &strict["penalty"]),
        (&json!(0.45), &json!(30.0))
    );
}

#[test]
fn json_before_the_runs_writes_over_none_of_them() {
    let root = tempfile::tempdir().unwrap();
    let [joint, csa] = two_runs(root.path());
    let [joint, csa] = [joint, csa].map(|run| format!("{run}/summary.json"));
    let before = fs::read(&joint).unwrap();
    let file = root.path().join("out.json");

    let output = duomo(&["compare", "--json", &joint, &csa]);
    let written = duomo(&["compare", &format!("--json={}", file.display()), &joint, &csa]);
    let refused = duomo(&["compare", &joint, &csa, "--csv", &joint]);

    assert_eq!(json(&output)["runs"], json!(["Joint", "CSA"]));
    assert_eq!(code(&refused), Some(2));
    assert!(stderr(&refused).contains("which is compared; give it another file"));
    assert_eq!(fs::read(&joint).unwrap(), before);
    assert!(stdout(&written).starts_with("dice: mean ± sd over cases\n"));
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(report, json(&output));
}

#[test]
fn classes_that_a_run_lacks_are_named_and_in_no_mean() {
    let root = tempfile::tempdir().unwrap();
    let report = |name: &str, classes: &[(&str, f64)]| {
        let class =
            |&(name, dice): &(&str, f64)| json!({"name": name, "status": "ok", "dice": dice});
        let classes: Vec<_> = classes.iter().map(class).collect();
        let cases = [json!({"case": "p1", "classes": classes})];
        let path = root.path().join(name);
        let report = json!({"schema": "duomo.evaluate/1", "convention": "voxel", "cases": cases});
        fs::write(&path, report.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = report("good.json", &[("1", 0.5), ("2", 0.7)]);
    let better = report("better.json", &[("1", 0.6), ("2", 0.8), ("3", 0.0)]);

    let output = duomo(&["compare", &good, &better, "--json"]);

    let means: Vec<_> = json(&output)["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["scores"][1]["mean"].as_f64().unwrap())
        .collect();
    assert_eq!(means, [0.6, 0.8, 0.7]);
    assert!(
        stderr(&output).contains("classes that some run lacks are left out, of the means too: 3;")
    );
}

#[test]
fn runs_on_different_splits_are_refused_with_the_patients() {
    let root = tempfile::tempdir().unwrap();
    let runs = two_runs(root.path());
    for (run, test) in runs.iter().zip([["p1", "p2"], ["p2", "p7"]]) {
        let record = json!({"schema": "duomo.run/1", "split": {"test": test}});
        fs::write(Path::new(run).join("run.json"), record.to_string()).unwrap();
    }

    let output = duomo(&["compare", &runs[0], &runs[1]]);

    assert_eq!(code(&output), Some(3));
    expect![[r"
        error: Joint and CSA were tested on different patients (p1, p7 only in one of them), and a patient who tests in one may have trained the other; compare runs of one seed, or train both with the same schedule.split.test_patients
    "]]
    .assert_eq(&stderr(&output));
}

#[test]
fn reports_of_evaluate_are_runs_too() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let geometry = Geometry::from_affine(
        [1, 4, 4],
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0]],
    );
    for (folder, rows) in [("reference", 4..8), ("good", 4..8), ("shifted", 8..12)] {
        fs::create_dir(path(folder)).unwrap();
        let mut values = [0; 16];
        values[rows].fill(1);
        write_labels(&root.path().join(folder).join("p1.nii.gz"), &geometry, &values).unwrap();
    }
    for run in ["good", "shifted"] {
        let folders = ["--reference", &path("reference"), "--prediction", &path(run)];
        let report = path(&format!("{run}.json"));
        let output = duomo(&[&["evaluate"], &folders[..], &["--json", &report]].concat());
        assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    }

    let runs = [path("good.json"), path("shifted.json")];
    let output = duomo(&["compare", &runs[0], &runs[1], "--metric", "nsd@1", "--json"]);
    let report = json(&output);
    assert_eq!(report["runs"], json!(["good", "shifted"]));
    assert_eq!(report["groups"][0]["scores"][1]["mean"], 1.0);

    let unknown = duomo(&["compare", &runs[0], &runs[1], "--metric", "dise"]);
    assert_eq!(code(&unknown), Some(2));
    assert!(stderr(&unknown).contains("no metric dise; it has dice"), "{}", stderr(&unknown));
}

#[test]
fn what_is_no_run_is_refused_with_the_remedy() {
    let root = tempfile::tempdir().unwrap();
    let [joint, _] = two_runs(root.path());
    let other = root.path().join("other.json");
    fs::write(&other, "{}").unwrap();

    let output = duomo(&["compare", &joint, other.to_str().unwrap()]);

    assert_eq!(code(&output), Some(3));
    assert!(stderr(&output).contains("schema none; give a finished run folder"));
}
