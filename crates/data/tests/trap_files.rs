//! Files that another program wrote with the oddities and faults of real ones: `scripts/trap_files.py` makes them, and
//! `tests/fixtures/nifti/expected.json` says what must be found in each.

use std::fs;
use std::path::PathBuf;

use duomo_data::{
    Case, CropCentre, Dataset, Error, Geometry, GeometryCheck, Preparation, prepare, read_image,
    read_labels,
};
use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/nifti")
}

/// The entries of `expected.json` that have a key, at least as many as there were when this was written.
#[expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]
fn entries(key: &str, at_least: usize) -> Vec<Value> {
    let text = fs::read_to_string(folder().join("expected.json")).unwrap();
    // Python's JSON has numbers that JSON has not; none stands in what is expected.
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    let some: Vec<Value> = all.into_iter().filter(|entry| entry.get(key).is_some()).collect();
    assert!(some.len() >= at_least, "{} entries have `{key}`", some.len());
    some
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap_or_else(|| panic!("{entry} has no text `{key}`"))
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap_or_else(|| panic!("{other} is no number"))],
    }
}

fn assert_close(found: impl IntoIterator<Item = f64>, expected: &Value, what: &str) {
    let (found, expected): (Vec<f64>, _) = (found.into_iter().collect(), numbers(expected));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-5, "{what}: {found} is not {expected}");
    }
}

fn assert_found(entry: &Value, geometry: &Geometry, values: Vec<f64>, warnings: &[String]) {
    let name = text(entry, "file");
    assert_close(geometry.shape.map(|length| length as f64), &entry["shape"], name);
    assert_close(geometry.affine.into_iter().flatten(), &entry["affine"], name);
    assert_close(values, &entry["values"], name);
    match entry["warning"].as_str() {
        None => assert!(warnings.is_empty(), "{name}: {warnings:?}"),
        Some(words) => {
            assert!(warnings.len() == 1 && warnings[0].contains(words), "{name}: {warnings:?}");
        }
    }
}

#[test]
fn every_readable_file_has_the_shape_affine_values_and_warnings_that_its_bytes_say() {
    for entry in entries("values", 50) {
        let path = folder().join(text(&entry, "file"));
        if text(&entry, "read") == "labels" {
            let labels = read_labels(&path).unwrap();
            let values = labels.values.to_vec().into_iter().map(f64::from).collect();
            assert_found(&entry, &labels.geometry, values, &labels.warnings);
        } else {
            let image = read_image(&path).unwrap();
            let values = image.voxels.iter().copied().map(f64::from).collect();
            assert_found(&entry, &image.geometry, values, &image.warnings);
        }
    }
}

#[test]
fn every_other_file_is_refused_with_a_sentence_that_names_file_and_fault() {
    for entry in entries("refused", 30) {
        let (name, words) = (text(&entry, "file"), text(&entry, "refused"));
        let path = folder().join(name);
        let error = match text(&entry, "read") {
            "labels" => read_labels(&path).map(drop),
            _ => read_image(&path).map(drop),
        };
        let message = error.expect_err(name).to_string();
        assert!(message.contains(name) && message.contains(words), "{name}: {message}");
    }
}

#[test]
fn labels_that_lie_elsewhere_than_their_image_are_refused_unless_voxels_are_trusted() {
    for entry in entries("pair", 1) {
        let [image, labels] =
            [0, 1].map(|at| folder().join(entry["pair"][at].as_str().expect("a name")));
        let labels = Some(labels);
        let case = Case { patient: "1".into(), modality: 0, image, labels };
        let dataset = Dataset::load("mscmr").unwrap();
        let prepared = |geometry| {
            let preparation = Preparation { geometry, crop: 8, ..dataset.preparation() };
            prepare(&case, &dataset.label_map(), &preparation, CropCentre::Annotation)
        };

        let error = prepared(GeometryCheck::Match).unwrap_err();
        let trusted = prepared(GeometryCheck::TrustVoxels).unwrap();

        let Error::GeometryMismatch { distance_mm, .. } = error else { panic!("{error}") };
        assert_close([distance_mm], &entry["distance_mm"], "distance");
        assert!(error.to_string().contains("mm apart at a corner of the volume"), "{error}");
        assert!(trusted.labels.unwrap().contains(&1));
    }
}

#[test]
fn label_values_that_no_class_names_are_listed_with_their_counts_and_the_file() {
    for entry in entries("unknown_labels", 1) {
        let path = folder().join(text(&entry, "unknown_labels"));
        let label_map = Dataset::load(text(&entry, "dataset")).unwrap().label_map();

        let error = label_map.classes(&read_labels(&path).unwrap(), &path).unwrap_err();

        let message = error.to_string();
        assert!(message.contains(text(&entry, "words")), "{message}");
        assert!(message.contains(text(&entry, "unknown_labels")), "{message}");
    }
}

#[test]
fn every_test_that_the_documentation_names_is_there() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/DATA.md")).unwrap();
    let mut sources = String::new();
    let mut folders = vec![root.join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources += &fs::read_to_string(path).unwrap();
            }
        }
    }

    let words = page.split('`').skip(1).step_by(2);
    let names: Vec<&str> = words.filter(|word| word.matches('_').count() > 3).collect();

    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(sources.contains(&format!("fn {name}(")), "{name} is in no source");
    }
}
