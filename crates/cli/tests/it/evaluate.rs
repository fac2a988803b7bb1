//! `duomo evaluate` on masks whose scores other tools have computed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use duomo_data::{Geometry, write_image, write_labels};
use expect_test::expect;

use crate::{code, duomo, json, mask, stderr, stdout};

fn p001(extra: &[&str]) -> std::process::Output {
    let (reference, prediction) = (mask("p001_ref.nii.gz"), mask("p001_pred.nii.gz"));
    let pair = ["evaluate", "--reference", &reference, "--prediction", &prediction];
    duomo(&[&pair, extra].concat())
}

/// A 1 × 4 × 4 label map at `x_mm`, with one row of `label`.
fn write(path: &Path, label: u16, x_mm: f64) {
    let affine = [[1.0, 0.0, 0.0, x_mm], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0]];
    let mut values = [0; 16];
    values[4..8].fill(label);
    write_labels(path, &Geometry::from_affine([1, 4, 4], affine), &values)
        .expect("the folder is writable");
}

fn evaluate(reference: &Path, prediction: &Path, extra: &[&str]) -> std::process::Output {
    let paths = [reference, prediction].map(|path| path.to_str().expect("UTF-8"));
    let pair = ["evaluate", "--reference", paths[0], "--prediction", paths[1]];
    duomo(&[&pair, extra].concat())
}

#[test]
fn json_holds_every_metric_of_every_class() {
    let output = p001(&["--labels", "1=LV", "--json", "-"]);

    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["schema"], "duomo.evaluate/1");
    assert_eq!(report["convention"], "voxel");
    assert!(report["mean"]["1"]["hausdorff_volume_mm"].is_null(), "not asked for");
    let case = &report["cases"][0];
    assert_eq!(case["case"], "p001_pred");
    assert_eq!(case["spacing_mm"][0], 0.5);
    let class = &case["classes"]["1"];
    assert_eq!((&class["name"], &class["status"]), (&"LV".into(), &"ok".into()));
    // Values of medpy, MONAI and scipy in tests/fixtures/metrics/cases.json.
    for (metric, expected) in [
        ("dice", 0.813_758_768_952_251_6),
        ("jaccard", 0.685_997_710_797_405_6),
        ("sensitivity", 0.706_205_813_040_062_8),
        ("precision", 0.959_957_287_773_625_2),
        ("specificity", 0.997_777_250_903_918),
        ("hausdorff_mm", 1.900_000_007_529_008),
        ("hausdorff95_mm", 1.5),
        ("hausdorff95_pooled_mm", 1.300_000_044_015_737_8),
        ("assd_mm", 0.568_015_427_043_437),
        ("masd_mm", 0.560_786_995_623_496_9),
        ("volume_reference_mm3", 763.800_030_350_685_1),
        ("volume_prediction_mm3", 561.900_022_327_899_9),
    ] {
        let value = class[metric].as_f64().unwrap_or(f64::NAN);
        assert!((value - expected).abs() <= 1e-9 * expected, "{metric}: {value} {expected}");
    }
    assert!((class["nsd"]["1"].as_f64().unwrap() - 0.849_898_580_121_703_8).abs() < 1e-9);
    assert_eq!(class["nsd"]["2"], 1.0);
    assert_eq!(report["mean"]["1"]["dice"]["n"], 1);
    assert_eq!(report["mean"]["1"]["dice"]["sd"], 0.0);
    assert_eq!(report["counts"]["1"]["absent-both"], 0);
}

#[test]
fn the_convention_is_chosen_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scores.csv");
    let deepmind = ["--convention", "deepmind", "--hausdorff-volume"];

    let output = p001(&[&deepmind[..], &["--json"]].concat());
    let markdown =
        p001(&[&deepmind[..], &["--markdown", "--csv", path.to_str().unwrap()]].concat());
    let wrong = p001(&["--convention", "mesh"]);

    let report = json(&output);
    assert_eq!(report["convention"], "deepmind");
    let class = &report["cases"][0]["classes"]["1"];
    // Values of surface-distance and SimpleITK in tests/fixtures/metrics/cases.json.
    for (metric, expected) in [
        ("hausdorff_mm", 1.900_000_007_529_008),
        ("hausdorff95_mm", 1.300_000_044_015_737_8),
        ("assd_mm", 0.454_429_498_325_421_6),
        ("masd_mm", 0.448_083_663_045_705_9),
        ("hausdorff_volume_mm", 1.900_000_007_529_008),
    ] {
        let value = class[metric].as_f64().unwrap_or(f64::NAN);
        assert!((value - expected).abs() <= 1e-9 * expected, "{metric}: {value} {expected}");
    }
    assert!((class["nsd"]["1"].as_f64().unwrap() - 0.900_157_718_062_083_9).abs() < 1e-9);
    assert_eq!(class["hausdorff95_pooled_mm"], serde_json::Value::Null);
    assert_eq!(report["mean"]["1"]["hausdorff_volume_mm"]["n"], 1);
    assert!(stdout(&markdown).ends_with("\nSurface convention: deepmind\n"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.lines().skip(1).all(|line| line.ends_with(",deepmind")), "{text}");
    assert_eq!(code(&wrong), Some(2));
    assert!(stderr(&wrong).contains("expected voxel or deepmind"), "{}", stderr(&wrong));
}

#[test]
fn tables_are_aligned_or_markdown() {
    expect![[r"
        case       class  status   Dice  HD95 mm  HD mm  ASSD mm  volume ml  reference ml
        ─────────  ─────  ──────  ─────  ───────  ─────  ───────  ─────────  ────────────
        p001_pred  LV     ok      0.814     1.50   1.90     0.57       0.56          0.76

        Surface convention: voxel
    "]]
    .assert_eq(&stdout(&p001(&["--labels", "1=LV"])));
    assert!(stdout(&p001(&["--markdown"])).starts_with("| case      | class | status |"));
}

#[test]
fn csv_has_one_line_per_metric() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/scores.csv");

    let output = p001(&["--csv", path.to_str().unwrap()]);

    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let text = fs::read_to_string(&path).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("case,slice,label,class,status,metric,value,unit,convention"));
    assert!(text.contains("\np001_pred,,1,1,ok,hausdorff95_mm,1.5,mm,voxel\n"), "{text}");
}

#[test]
fn grids_at_different_places_are_refused_unless_voxels_are_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, prediction) = (folder.path().join("r.nii.gz"), folder.path().join("p.nii.gz"));
    write(&reference, 1, 0.0);
    write(&prediction, 1, 7.5);

    let refused = evaluate(&reference, &prediction, &[]);
    let trusted = evaluate(&reference, &prediction, &["--trust-voxels", "--json"]);

    assert_eq!(code(&refused), Some(3));
    expect![[r"
        error: cannot evaluate case p: the headers place a corner of prediction and reference 7.50 mm apart (at most 1 mm); resample the prediction onto the reference's grid, or give --trust-voxels if only a header is wrong
    "]]
    .assert_eq(&stderr(&refused));
    assert_eq!(json(&trusted)["cases"][0]["classes"]["1"]["dice"], 1.0);
}

#[test]
fn turned_axes_are_to_be_turned_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (upright, mirrored, lying) = (path("u.nii.gz"), path("m.nii.gz"), path("l.nii.gz"));
    let write = |path: &Path, shape, affine| {
        write_labels(path, &Geometry::from_affine(shape, affine), &[1; 24]).unwrap();
    };
    let axis = |length: f64, offset: f64, at: usize| {
        let mut row = [0.0, 0.0, 0.0, offset];
        row[at] = length;
        row
    };
    write(&upright, [2, 3, 4], [axis(1.0, 0.0, 0), axis(1.0, 0.0, 1), axis(5.0, 0.0, 2)]);
    write(&mirrored, [2, 3, 4], [axis(-1.0, 3.0, 0), axis(1.0, 0.0, 1), axis(5.0, 0.0, 2)]);
    write(&lying, [2, 4, 3], [axis(1.0, 0.0, 1), axis(1.0, 0.0, 0), axis(5.0, 0.0, 2)]);

    for prediction in [&mirrored, &lying] {
        let output = evaluate(&upright, prediction, &[]);

        assert_eq!(code(&output), Some(3));
        let remedy = "axes turned; reorient the prediction like the reference\n";
        assert!(stderr(&output).ends_with(remedy), "{}", stderr(&output));
    }
}

#[test]
fn folders_go_on_after_a_faulty_case_and_exit_with_4() {
    let folder = tempfile::tempdir().unwrap();
    let sides = ["reference", "prediction"].map(|side| folder.path().join(side));
    for side in &sides {
        fs::create_dir(side).unwrap();
    }
    for (case, labels) in [("a", [1, 1]), ("b", [2, 1])] {
        for (side, label) in sides.iter().zip(labels) {
            write(&side.join(format!("{case}.nii.gz")), label, 0.0);
        }
    }
    write(&sides[0].join("lost.nii.gz"), 1, 0.0);
    fs::write(sides[0].join("torn.nii.gz"), "").unwrap();
    write(&sides[1].join("torn.nii.gz"), 1, 0.0);

    let output = evaluate(&sides[0], &sides[1], &["--json"]);

    assert_eq!(code(&output), Some(4), "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["cases"].as_array().unwrap().len(), 2);
    let failures = report["failures"].as_array().unwrap();
    let failed: Vec<_> = failures.iter().map(|failure| failure["case"].as_str().unwrap()).collect();
    assert_eq!(failed, ["lost", "torn"]);
    // Case a has no class 2 on either side and still counts.
    assert_eq!(report["counts"]["2"]["missed"], 1);
    assert_eq!(report["counts"]["2"]["absent-both"], 1);
    assert_eq!(report["counts"]["1"]["spurious"], 1);
    assert_eq!(report["mean"]["1"]["hausdorff_mm"]["n"], 1);
    assert_eq!(report["cases"][1]["classes"]["2"]["hausdorff_mm"], serde_json::Value::Null);
}

#[test]
fn a_penalty_counts_misses_in_the_means() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, prediction) = (folder.path().join("r.nii.gz"), folder.path().join("p.nii.gz"));
    write(&reference, 1, 0.0);
    write(&prediction, 2, 0.0);

    let output = evaluate(&reference, &prediction, &["--penalty", "50", "--json"]);

    assert_eq!(json(&output)["mean"]["1"]["hausdorff_mm"]["mean"], 50.0);
    assert_eq!(json(&output)["cases"][0]["classes"]["1"]["hausdorff_mm"], serde_json::Value::Null);
    assert_eq!(json(&output)["penalty"], 50.0);
    let wrong = evaluate(&reference, &prediction, &["--penalty", "much"]);
    assert_eq!(code(&wrong), Some(2));
    let worst = ["--penalty", "worst-case", "--convention", "deepmind"];
    let table = evaluate(&reference, &prediction, &worst);
    assert!(stdout(&table).ends_with("Surface convention: deepmind; penalty: worst-case\n"));
    let report = json(&evaluate(&reference, &prediction, &[&worst[..], &["--json"]].concat()));
    assert_eq!(report["penalty"], "worst-case");
    assert!(report["mean"]["1"]["assd_mm"]["mean"].is_number());
    // What the convention does not define has no value that a penalty could stand in for.
    assert_eq!(report["mean"]["1"]["hausdorff95_pooled_mm"]["n"], 0);
}

#[test]
fn a_turned_header_moves_no_voxel_beyond_the_tolerance() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, prediction) = (folder.path().join("r.nii.gz"), folder.path().join("p.nii.gz"));
    let (sin, cos) = 5f64.to_radians().sin_cos();
    let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, cos, -sin, 0.0], [0.0, sin, cos, 0.0]];
    let geometry = Geometry::from_affine([2, 4, 4], affine);
    assert!(geometry.spacing_mm.iter().any(|&edge| edge > 1.0), "{:?}", geometry.spacing_mm);
    for (path, rows) in [(&reference, 0..8), (&prediction, 4..12)] {
        let mut values = [0; 32];
        values[rows].fill(1);
        write_labels(path, &geometry, &values).unwrap();
    }

    let report = json(&evaluate(&reference, &prediction, &["--json"]));

    assert_eq!(report["cases"][0]["classes"]["1"]["nsd"]["1"], 1.0);
}

#[test]
fn volumes_of_a_sheared_grid_are_those_of_its_voxels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii.gz");
    let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.5, 0.0], [0.0, 0.0, 2.0, 0.0]];
    let geometry = Geometry::from_affine([2, 4, 4], affine);
    write_labels(&path, &geometry, &[1; 32]).unwrap();

    let output = evaluate(&path, &path, &["--json"]);

    let class = &json(&output)["cases"][0]["classes"]["1"];
    assert_eq!(class["volume_reference_mm3"], 64.0);
    let warning =
        "case a: the axes are not at right angles; distances are measured as if they were";
    assert!(stderr(&output).contains(warning), "{}", stderr(&output));
}

#[test]
fn what_makes_scores_less_than_they_seem_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, prediction) = (folder.path().join("r.nii.gz"), folder.path().join("p.nii.gz"));
    write(&reference, 500, 0.0);
    write(&prediction, 1, 0.6);

    let output = evaluate(&reference, &prediction, &["--labels", "500=LV"]);
    let by_slice = evaluate(&reference, &prediction, &["--per-slice"]);

    assert_eq!(code(&output), Some(0));
    for sentence in [
        "no class has the labels 1, which count as background",
        "0.60 mm apart, more than half a voxel",
        "1 of 1 cases are one slice thick: in 3D each of their voxels is on the surface",
    ] {
        assert!(stderr(&output).contains(sentence), "{sentence}: {}", stderr(&output));
    }
    assert!(!stderr(&by_slice).contains("one slice thick"), "{}", stderr(&by_slice));
}

#[test]
fn tolerances_are_distances_and_differ() {
    for (tolerances, sentence) in [
        ("-1", "expected a distance in mm, 0 or more"),
        ("1,nan", "expected a distance in mm, 0 or more"),
        ("1,1.0", "--tolerances: 1 stands twice"),
    ] {
        let output = p001(&["--tolerances", tolerances]);

        assert_eq!(code(&output), Some(2), "{tolerances}");
        assert!(stderr(&output).contains(sentence), "{tolerances}: {}", stderr(&output));
    }
}

#[test]
fn slices_are_evaluated_on_their_own() {
    let output = p001(&["--per-slice", "--json"]);

    let report = json(&output);
    assert_eq!(report["cases"].as_array().unwrap().len(), 24);
    assert_eq!(report["cases"][3]["slice"], 3);
}

#[test]
fn pictures_are_written_beside_the_scores() {
    let folder = tempfile::tempdir().unwrap();

    let output = p001(&["--pictures", folder.path().to_str().unwrap()]);

    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let picture = fs::read(folder.path().join("p001_pred.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
}

#[test]
fn a_file_and_a_folder_are_wrong_usage_and_a_missing_file_is_bad_data() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.nii.gz");
    write(&file, 1, 0.0);

    assert_eq!(code(&evaluate(&file, folder.path(), &[])), Some(2));
    let missing = evaluate(&file, &folder.path().join("b.nii.gz"), &[]);
    assert_eq!(code(&missing), Some(3));
    assert!(stderr(&missing).contains("b.nii.gz does not exist"), "{}", stderr(&missing));
}

#[test]
fn what_cannot_be_compared_is_said_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["empty", "full", "other"] {
        fs::create_dir(path(name)).unwrap();
    }
    let (reference, larger, grey) =
        (path("full/a.nii.gz"), path("other/b.nii.gz"), path("grey.nii.gz"));
    write(&reference, 1, 0.0);
    let grid = |shape| Geometry::from_spacing(shape, [5.0, 1.0, 1.0]);
    write_labels(&larger, &grid([2, 4, 4]), &[1; 32]).unwrap();
    write_image(&grey, &grid([1, 4, 4]), &[0.5; 16]).unwrap();

    let refusals = [
        (&reference, &larger, "prediction has 4×4×2 voxels but reference has 4×4×1; resample"),
        (&reference, &grey, "0.5"),
        (&path("full"), &path("empty"), "(1 files) and"),
        (&path("full"), &path("other"), "name each prediction like its reference"),
    ];
    for (reference, prediction, sentence) in refusals {
        let output = evaluate(reference, prediction, &[]);
        assert_eq!(code(&output), Some(3), "{sentence}: {}", stderr(&output));
        assert!(stderr(&output).contains(sentence), "{sentence}: {}", stderr(&output));
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let (reference, prediction) = (mask("p001_ref.nii.gz"), mask("p001_pred.nii.gz"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_duomo"))
        .args(["evaluate", "--reference", &reference, "--prediction", &prediction])
        .args(["--per-slice", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());

    let output = child.wait_with_output().unwrap();

    assert_eq!((code(&output), stderr(&output).as_str()), (Some(0), ""));
}
