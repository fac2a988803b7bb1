use duomo_metrics::{ClassResult, Mode, Options, Status, evaluate, evaluate_slices};
use serde_json::Value;

use crate::fixtures::{exists, read_json, read_mask, reversed};

/// One case of the fixtures, loaded.
struct Case {
    id: String,
    shape: [usize; 3],
    spacing_mm: [f64; 3],
    labels: Vec<u16>,
    prediction: Vec<u16>,
    reference: Vec<u16>,
}

impl Case {
    fn read(case: &Value) -> Self {
        let text = |key: &str| case[key].as_str().unwrap();
        let number = |value: &Value| usize::try_from(value.as_u64()?).ok();
        Self {
            id: text("id").to_owned(),
            shape: reversed(&case["shape_xyz"], number),
            spacing_mm: reversed(&case["spacing_xyz"], Value::as_f64),
            labels: serde_json::from_value(case["labels"].clone()).unwrap(),
            prediction: read_mask(text("pred")),
            reference: read_mask(text("ref")),
        }
    }

    fn evaluate(&self, mode: Mode) -> Vec<ClassResult> {
        let options = Options { mode, ..Options::new(self.spacing_mm) };
        evaluate(&self.prediction, &self.reference, self.shape, &self.labels, &options).unwrap()
    }
}

#[test]
fn small_cases_agree_with_tools_of_the_same_definition() {
    let cases = read_json("cases.json");
    let mut compared = 0;
    for case in cases["cases"].as_array().unwrap() {
        let loaded = Case::read(case);
        let mode = match case["mode"].as_str().unwrap() {
            "3d" => Mode::Volume,
            "2d" => Mode::Slice,
            "2d_per_slice" => continue,
            mode => panic!("unknown mode {mode}"),
        };
        for result in loaded.evaluate(mode) {
            let at = format!("{} label {}", loaded.id, result.label);
            let expected = &case["results"][result.label.to_string()];
            compare(&result, expected, &at);
            compare_volumes(&result, &expected["counts"], &at);
            compared += 1;
        }
    }
    assert_eq!(compared, 37);
}

#[test]
fn slices_agree_with_tools_of_the_same_definition() {
    let cases = read_json("cases.json");
    let cases = cases["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["mode"] == "2d_per_slice").unwrap();
    let loaded = Case::read(case);
    let options = Options::new(loaded.spacing_mm);

    let slices = evaluate_slices(
        &loaded.prediction,
        &loaded.reference,
        loaded.shape,
        &loaded.labels,
        &options,
    );

    let slices = slices.unwrap();
    let expected = case["results"]["1"]["slices"].as_array().unwrap();
    assert_eq!(slices.len(), expected.len());
    for (slice, (results, expected)) in slices.iter().zip(expected).enumerate() {
        compare(&results[0], expected, &format!("{} slice {slice}", loaded.id));
    }
    let statuses: Vec<_> = slices.iter().map(|results| results[0].status).collect();
    for status in [Status::Ok, Status::Missed, Status::Spurious, Status::AbsentBoth] {
        assert!(statuses.contains(&status), "no slice is {status}: {statuses:?}");
    }
}

#[test]
fn large_cases_agree_with_tools_of_the_same_definition() {
    let cases = read_json("perf_cases.json");
    let mut compared = 0;
    for case in cases["cases"].as_array().unwrap() {
        // The masks of `perf_ct512` are too large for the tree; its values are kept for a bench.
        if !exists(case["ref"].as_str().unwrap()) {
            assert_eq!(case["id"], "perf_ct512");
            continue;
        }
        let loaded = Case::read(case);
        for result in loaded.evaluate(Mode::Volume) {
            let at = format!("{} label {}", loaded.id, result.label);
            let expected = &case["results"][result.label.to_string()];
            compare(&result, expected, &at);
            compare_volumes(&result, &expected["counts"], &at);
            compared += 1;
        }
    }
    assert_eq!(compared, 8);
}

/// Compares counts exactly, their ratios to the last digit and distances to 1e-9.
fn compare(result: &ClassResult, expected: &Value, at: &str) {
    let counts = &expected["counts"];
    let count = |key: &str| counts[key].as_u64().unwrap();
    assert_eq!(result.counts.true_positives, count("tp"), "{at}");
    assert_eq!(result.counts.false_positives, count("fp"), "{at}");
    assert_eq!(result.counts.false_negatives, count("fn"), "{at}");
    assert_eq!(result.counts.true_negatives, count("tn"), "{at}");
    for (name, found) in [
        ("dice", result.dice),
        ("jaccard", result.jaccard),
        ("sensitivity", result.sensitivity),
        ("precision", result.precision),
        ("specificity", result.specificity),
    ] {
        assert_close(found, &counts[name], 1e-14, &format!("{at} {name}"));
    }

    let faces = &expected["grid_conn1"];
    assert_eq!(result.status == Status::Ok, !faces.is_null(), "{at}: {}", result.status);
    for (found, tool, name, tolerance) in distances(result) {
        let values = match tool {
            "grid" => faces,
            tool => &expected[tool],
        };
        if result.status != Status::Ok {
            assert_eq!(found, None, "{at} {name}");
        } else if !values.is_null() {
            assert_close(found, &values[name], tolerance, &format!("{at} {tool} {name}"));
        }
    }
}

/// Every distance of a result with the tools that define it the same way.
fn distances(result: &ClassResult) -> Vec<(Option<f64>, &'static str, &'static str, f64)> {
    let monai = 1e-5; // MONAI computes in single precision.
    vec![
        (result.hausdorff_mm, "grid", "hd", 1e-9),
        (result.hausdorff95_mm, "grid", "hd95_max_of_directed", 1e-9),
        (result.hausdorff95_pooled_mm, "grid", "hd95_pooled", 1e-9),
        (result.assd_mm, "grid", "assd_pooled", 1e-9),
        (result.masd_mm, "grid", "masd", 1e-9),
        (result.nsd[0], "grid", "nsd_voxel_tol1", 1e-9),
        (result.nsd[1], "grid", "nsd_voxel_tol2", 1e-9),
        (result.hausdorff_mm, "medpy", "hd_conn1", 1e-9),
        (result.hausdorff95_pooled_mm, "medpy", "hd95_conn1", 1e-9),
        (result.assd_mm, "medpy", "assd_conn1", 1e-9),
        (result.hausdorff_mm, "metrics_reloaded", "hd", 1e-9),
        (result.hausdorff95_mm, "metrics_reloaded", "hd95", 1e-9),
        (result.assd_mm, "metrics_reloaded", "assd", 1e-9),
        (result.masd_mm, "metrics_reloaded", "masd", 1e-9),
        (result.nsd[0], "metrics_reloaded", "nsd_tol1", 1e-9),
        (result.nsd[1], "metrics_reloaded", "nsd_tol2", 1e-9),
        (result.hausdorff_mm, "monai", "hd", monai),
        (result.hausdorff95_mm, "monai", "hd95", monai),
        (result.assd_mm, "monai", "assd", monai),
        (result.nsd[0], "monai", "nsd_voxel_tol1", monai),
        (result.nsd[1], "monai", "nsd_voxel_tol2", monai),
    ]
}

/// Volumes are compared where the fixture's voxel is that of the image.
fn compare_volumes(result: &ClassResult, counts: &Value, at: &str) {
    assert_close(Some(result.volume_reference_mm3), &counts["vol_ref_mm3"], 1e-13, at);
    assert_close(Some(result.volume_prediction_mm3), &counts["vol_pred_mm3"], 1e-13, at);
    let difference = &counts["vol_diff_mm3_pred_minus_ref"];
    assert_close(Some(result.volume_difference_mm3()), difference, 1e-11, at);
}

/// Compares to a relative tolerance; `None` stands for NaN.
fn assert_close(found: Option<f64>, expected: &Value, tolerance: f64, at: &str) {
    match found {
        None => assert_eq!(expected, "nan", "{at}"),
        Some(found) => {
            let expected = expected.as_f64().unwrap_or_else(|| panic!("{at}: {expected}"));
            let bound = tolerance * expected.abs();
            assert!((found - expected).abs() <= bound, "{at}: {found} but expected {expected}");
        }
    }
}
