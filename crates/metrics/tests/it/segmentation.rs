//! Tools that take voxels for the surface: scipy, MedPy, MONAI and MetricsReloaded.

use duomo_metrics::{ClassResult, Convention, Options, Status, evaluate_slices};
use serde_json::Value;

use crate::comparison::{assert_close, for_each_comparison};
use crate::fixtures::{read_json, read_mask, reversed};

#[test]
fn small_cases_agree_with_tools_of_the_same_definition() {
    assert_eq!(compare_all("cases.json"), (44, 1242));
}

#[test]
fn large_cases_agree_with_tools_of_the_same_definition() {
    assert_eq!(compare_all("perf_cases.json"), (8, 152));
}

/// Returns the number of classes and of values compared.
fn compare_all(file: &str) -> (usize, usize) {
    let (mut classes, mut values) = (0, 0);
    for_each_comparison(file, |comparison| {
        let result = comparison.evaluate(Convention::Voxel);
        values += compare(&result, comparison.expected, &comparison.at);
        let counts = &comparison.expected["counts"];
        // The fixtures have areas in place of the volumes of a slice that is not 1 mm thick.
        let voxel_mm3: f64 = comparison.options.spacing_mm.iter().product();
        if (counts["voxel_volume_mm3"].as_f64().unwrap() - voxel_mm3).abs() < 1e-9 {
            values += compare_volumes(&result, counts, &comparison.at);
        }
        classes += 1;
    });
    (classes, values)
}

#[test]
fn slices_are_the_same_in_one_call() {
    let fixture = read_json("cases.json");
    let cases = fixture["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["mode"] == "2d_per_slice").unwrap();
    let mask = |side: &str| read_mask(case[side].as_str().unwrap());
    let options = Options::new(reversed(&case["spacing_xyz"], Value::as_f64));

    let slices = evaluate_slices(&mask("pred"), &mask("ref"), [7, 44, 48], &[1], &options).unwrap();

    let expected = case["results"]["1"]["slices"].as_array().unwrap();
    assert_eq!(slices.len(), expected.len());
    for (slice, (results, expected)) in slices.iter().zip(expected).enumerate() {
        compare(&results[0], expected, &format!("slice {slice}"));
    }
    let statuses: Vec<_> = slices.iter().map(|results| results[0].status).collect();
    for status in [Status::Ok, Status::Missed, Status::Spurious, Status::AbsentBoth] {
        assert!(statuses.contains(&status), "no slice is {status}: {statuses:?}");
    }
}

/// Compares counts exactly, their ratios to the last digit and distances to 1e-9; returns the
/// number of values.
fn compare(result: &ClassResult, expected: &Value, at: &str) -> usize {
    let counts = &expected["counts"];
    let count = |key: &str| counts[key].as_u64().unwrap();
    assert_eq!(result.counts.true_positives, count("tp"), "{at}");
    assert_eq!(result.counts.false_positives, count("fp"), "{at}");
    assert_eq!(result.counts.false_negatives, count("fn"), "{at}");
    assert_eq!(result.counts.true_negatives, count("tn"), "{at}");
    let ratios = [
        ("dice", result.dice),
        ("jaccard", result.jaccard),
        ("sensitivity", result.sensitivity),
        ("precision", result.precision),
        ("specificity", result.specificity),
    ];
    for (name, found) in ratios {
        assert_close(found, &counts[name], 1e-14, &format!("{at} {name}"));
    }

    let faces = &expected["grid_conn1"];
    assert_eq!(result.status == Status::Ok, !faces.is_null(), "{at}: {}", result.status);
    let mut compared = 4 + ratios.len();
    for (found, tool, name, tolerance) in distances(result) {
        let values = match tool {
            "grid" => faces,
            tool => &expected[tool],
        };
        if result.status != Status::Ok {
            assert_eq!(found, None, "{at} {name}");
        } else if !values.is_null() {
            assert_close(found, &values[name], tolerance, &format!("{at} {tool} {name}"));
            compared += 1;
        }
    }
    compared
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

/// Compares volumes; returns their number.
fn compare_volumes(result: &ClassResult, counts: &Value, at: &str) -> usize {
    assert_close(Some(result.volume_reference_mm3), &counts["vol_ref_mm3"], 1e-13, at);
    assert_close(Some(result.volume_prediction_mm3), &counts["vol_pred_mm3"], 1e-13, at);
    let difference = &counts["vol_diff_mm3_pred_minus_ref"];
    assert_close(Some(result.volume_difference_mm3()), difference, 1e-11, at);
    3
}
