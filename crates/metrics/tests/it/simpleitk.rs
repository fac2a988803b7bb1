//! The Hausdorff distance between all voxels, as SimpleITK's filter has it.

use duomo_metrics::{Convention, volume_distances};

use crate::comparison::{Comparison, assert_close, for_each_comparison};

#[test]
fn small_cases_agree_with_simpleitk() {
    assert_eq!(compare_all("cases.json"), (35, 9));
}

#[test]
fn large_cases_agree_with_simpleitk() {
    assert_eq!(compare_all("perf_cases.json"), (8, 0));
}

/// Returns the number of distances compared and of classes without one.
fn compare_all(file: &str) -> (usize, usize) {
    let (mut compared, mut undefined) = (0, 0);
    for_each_comparison(file, |comparison| {
        let Comparison { prediction, reference, shape, label, options, .. } = comparison;
        let distances = volume_distances(prediction, reference, *shape, *label, options).unwrap();
        let found = distances.map(|distances| distances.hausdorff_mm());
        let expected = &comparison.expected["simpleitk"];
        if found.is_some() {
            // The filter computes in single precision.
            assert_close(found, &expected["hd"], 1e-6, &comparison.at);
            compared += 1;
        } else {
            assert!(expected["hd"].is_null(), "{}: {expected}", comparison.at);
            undefined += 1;
        }
        let result = comparison.evaluate(Convention::Voxel);
        assert_eq!(result.hausdorff_volume_mm, found, "{}", comparison.at);
    });
    (compared, undefined)
}
