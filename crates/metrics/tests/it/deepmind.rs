//! The surface-distance package of Google `DeepMind`.

use duomo_metrics::{ClassResult, Convention, ElementDistances, Status, element_distances};
use serde_json::Value;

use crate::comparison::{Comparison, assert_close, for_each_comparison};

#[test]
fn small_cases_agree_with_surface_distance() {
    // 35 of 44 classes, slices counted one by one, are on both sides.
    assert_eq!(compare_all("cases.json"), (35 * 17, 9));
}

#[test]
fn large_cases_agree_with_surface_distance() {
    assert_eq!(compare_all("perf_cases.json"), (8 * 17, 0));
}

/// Returns the number of values compared and of classes without any.
fn compare_all(file: &str) -> (usize, usize) {
    let (mut compared, mut undefined) = (0, 0);
    for_each_comparison(file, |comparison| {
        let result = comparison.evaluate(Convention::DeepMind);
        let Comparison { prediction, reference, shape, label, options, .. } = comparison;
        let distances = element_distances(prediction, reference, *shape, *label, options).unwrap();
        if let Some(distances) = distances {
            compared += compare(&distances, &comparison.expected["deepmind"], &comparison.at);
            same_in_evaluate(&result, &distances, &comparison.at);
        } else {
            assert_ne!(result.status, Status::Ok, "{}", comparison.at);
            assert_eq!((result.hausdorff_mm, result.assd_mm), (None, None));
            assert_eq!(result.nsd, [None, None]);
            undefined += 1;
        }
    });
    (compared, undefined)
}

/// Compares counts exactly, everything else to 1e-9; returns the number of values.
fn compare(distances: &ElementDistances, expected: &Value, at: &str) -> usize {
    let sides = [
        (distances.reference_areas(), "n_surfels_ref", "area_ref"),
        (distances.prediction_areas(), "n_surfels_pred", "area_pred"),
    ];
    for (areas, count, area) in sides {
        assert_eq!(expected[count], areas.len(), "{at} {count}");
        assert_close(Some(areas.iter().sum()), &expected[area], 1e-9, &format!("{at} {area}"));
    }
    let values = [
        (distances.hausdorff_mm(), "hd100"),
        (distances.robust_hausdorff_mm(0.5).unwrap(), "hd50"),
        (distances.average_reference_to_prediction_mm(), "asd_ref_to_pred"),
        (distances.average_prediction_to_reference_mm(), "asd_pred_to_ref"),
        (distances.masd_mm(), "asd_mean"),
        (distances.assd_mm(), "assd_area_weighted_pooled"),
        (distances.nsd(1.0), "nsd_tol1"),
        (distances.nsd(2.0), "nsd_tol2"),
        (distances.overlap_reference(1.0), "overlap_ref_tol1"),
        (distances.overlap_reference(2.0), "overlap_ref_tol2"),
        (distances.overlap_prediction(1.0), "overlap_pred_tol1"),
        (distances.overlap_prediction(2.0), "overlap_pred_tol2"),
    ];
    for (found, name) in values {
        assert_close(Some(found), &expected[name], 1e-9, &format!("{at} {name}"));
    }
    assert_hausdorff95(distances.hausdorff95_mm(), expected, at);
    2 * sides.len() + values.len() + 1
}

/// Where the areas sum to 95 % but for rounding, the elements next to the tool's are right, too.
fn assert_hausdorff95(found: f64, expected: &Value, at: &str) {
    let candidates = |side: &str| -> Vec<f64> {
        let next: Vec<f64> =
            serde_json::from_value(expected[format!("hd95_next_{side}")].clone()).unwrap();
        let gap = expected[format!("hd95_gap_{side}")].as_f64().unwrap();
        if gap < 1e-12 { next } else { vec![next[1]] }
    };
    let references = candidates("ref");
    let largest = candidates("pred")
        .into_iter()
        .flat_map(|prediction| references.iter().map(move |reference| prediction.max(*reference)));
    let is_close = |expected: f64| (found - expected).abs() <= 1e-9 * expected;
    assert!(largest.into_iter().any(is_close), "{at} hd95: {found} but expected {expected}");
}

/// `evaluate` returns the same numbers, and none that the convention does not have.
fn same_in_evaluate(result: &ClassResult, distances: &ElementDistances, at: &str) {
    assert_eq!(result.hausdorff_mm, Some(distances.hausdorff_mm()), "{at}");
    assert_eq!(result.hausdorff95_mm, Some(distances.hausdorff95_mm()), "{at}");
    assert_eq!(result.hausdorff95_pooled_mm, None, "{at}");
    assert_eq!(result.assd_mm, Some(distances.assd_mm()), "{at}");
    assert_eq!(result.masd_mm, Some(distances.masd_mm()), "{at}");
    assert_eq!(result.nsd, [1.0, 2.0].map(|tolerance| Some(distances.nsd(tolerance))), "{at}");
}
