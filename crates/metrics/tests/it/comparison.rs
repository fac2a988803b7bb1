//! Everything that the fixtures compare, one class at a time.

use duomo_metrics::{ClassResult, Convention, Mode, Options, evaluate};
use serde_json::Value;

use crate::fixtures::{exists, read_json, read_mask, reversed};

/// One class of one case or slice, with what the tools say about it.
pub(crate) struct Comparison<'a> {
    pub(crate) at: String,
    pub(crate) label: u16,
    pub(crate) shape: [usize; 3],
    pub(crate) options: Options,
    pub(crate) prediction: &'a [u16],
    pub(crate) reference: &'a [u16],
    /// By tool.
    pub(crate) expected: &'a Value,
}

impl Comparison<'_> {
    pub(crate) fn evaluate(&self, convention: Convention) -> ClassResult {
        let options = Options { convention, hausdorff_volume: true, ..self.options.clone() };
        let results =
            evaluate(self.prediction, self.reference, self.shape, &[self.label], &options);
        results.unwrap().remove(0)
    }
}

/// Visits every class of every case in a file of fixtures; a case that is evaluated slice by slice
/// once per slice.
pub(crate) fn for_each_comparison(file: &str, mut visit: impl FnMut(&Comparison)) {
    for case in read_json(file)["cases"].as_array().unwrap() {
        // The masks of `perf_ct512` are too large for the tree; its values are kept for a bench.
        if !exists(case["ref"].as_str().unwrap()) {
            assert_eq!(case["id"], "perf_ct512");
            continue;
        }
        for_each_class(case, &mut visit);
    }
}

fn for_each_class(case: &Value, visit: &mut impl FnMut(&Comparison)) {
    let shape = reversed(&case["shape_xyz"], |value| usize::try_from(value.as_u64()?).ok());
    let spacing_mm = reversed(&case["spacing_xyz"], Value::as_f64);
    let labels: Vec<u16> = serde_json::from_value(case["labels"].clone()).unwrap();
    let mode = match case["mode"].as_str().unwrap() {
        "3d" => Mode::Volume,
        "2d" | "2d_per_slice" => Mode::Slice,
        mode => panic!("unknown mode {mode}"),
    };
    let [prediction, reference] =
        ["pred", "ref"].map(|side| read_mask(case[side].as_str().unwrap()));
    for label in labels {
        let results = &case["results"][label.to_string()];
        let (parts, depth) = match results["slices"].as_array() {
            Some(slices) => (slices.iter().collect(), 1),
            None => (vec![results], shape[0]),
        };
        assert_eq!(parts.len() * depth, shape[0], "{}", case["id"]);
        let voxels = depth * shape[1] * shape[2];
        for (part, expected) in parts.into_iter().enumerate() {
            let range = part * voxels..(part + 1) * voxels;
            visit(&Comparison {
                at: format!("{} label {label} part {part}", case["id"]),
                label,
                shape: [depth, shape[1], shape[2]],
                options: Options { mode, ..Options::new(spacing_mm) },
                prediction: &prediction[range.clone()],
                reference: &reference[range],
                expected,
            });
        }
    }
}

/// Compares to a relative tolerance; `None` stands for NaN.
pub(crate) fn assert_close(found: Option<f64>, expected: &Value, tolerance: f64, at: &str) {
    match found {
        None => assert_eq!(expected, "nan", "{at}"),
        Some(found) => {
            let expected = expected.as_f64().unwrap_or_else(|| panic!("{at}: {expected}"));
            let bound = tolerance * expected.abs();
            assert!((found - expected).abs() <= bound, "{at}: {found} but expected {expected}");
        }
    }
}
