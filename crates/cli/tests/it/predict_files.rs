//! What a prediction makes of files that are there already, its own and others'.

use std::fs;

use duomo_data::{read_labels, write_labels};
use serde_json::Value;

use crate::predict::{Clinic, statuses};
use crate::{code, json, stderr};

/// Changes a voxel of a label map, as a hand would, and returns the file's bytes.
fn edit(clinic: &Clinic, name: &str) -> Vec<u8> {
    let path = clinic.path(name);
    let labels = read_labels(&path).expect("a label map");
    let mut values = labels.values.to_vec();
    values[0] = if values[0] == 500 { 200 } else { 500 };
    write_labels(&path, &labels.geometry, &values).expect("it can be changed");
    fs::read(&path).expect("it was just written")
}

fn error(output: &std::process::Output, case: usize) -> String {
    json(output)[case]["error"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_label_map_corrected_by_hand_stays_until_overwrite() {
    let clinic = Clinic::new();
    let scans = clinic.scans(2);
    assert_eq!(code(&clinic.predict("out", &[&scans, "--probabilities"])), Some(0));
    let ours = clinic.label_maps("out");
    let corrected = edit(&clinic, "out/scan00.nii.gz");
    let read = |name: &str| fs::read(clinic.path(name)).unwrap();

    // One more input, the same call again, and another recipe.
    clinic.scans(3);
    let more = clinic.predict("out", &[&scans, "--json", "--probabilities"]);
    let again = clinic.predict("out", &[&scans, "--json", "--probabilities"]);
    let retried = ["--json", "--retry-failed", "--postprocess", "largest"];
    let other = clinic.predict("out", &[&[&scans[..]], &retried[..]].concat());

    assert_eq!(statuses(&more), ["failed", "skipped", "done"], "{}", stderr(&more));
    assert_eq!(code(&more), Some(4));
    let text = error(&more, 0);
    assert!(text.contains("out/scan00.nii.gz was changed after duomo wrote it"), "{text}");
    assert!(text.ends_with("or --overwrite replaces it"), "{text}");
    assert_eq!(statuses(&again), ["failed", "skipped", "skipped"]);
    assert!(stderr(&again).contains("scan00: failed before"), "{}", stderr(&again));
    assert_eq!(statuses(&other), ["failed", "done", "done"], "{}", stderr(&other));
    assert!(read("out/scan00.nii.gz") == corrected);
    assert!(clinic.path("out/probabilities/scan00_1-LV.nii.gz").exists(), "they still hold");

    // An image that has become unreadable takes no correction with it.
    let scan = read("scans/scan00.nii.gz");
    fs::write(clinic.path("scans/scan00.nii.gz"), "no scan").unwrap();
    assert_eq!(statuses(&clinic.predict("out", &[&scans, "--json"]))[0], "failed");
    assert!(read("out/scan00.nii.gz") == corrected);
    fs::write(clinic.path("scans/scan00.nii.gz"), scan).unwrap();

    // Moved away it is made anew without being asked for; --overwrite replaces it.
    assert_eq!(statuses(&clinic.predict("out", &[&scans, "--json"]))[0], "failed");
    fs::rename(clinic.path("out/scan00.nii.gz"), clinic.path("corrected.nii.gz")).unwrap();
    assert_eq!(statuses(&clinic.predict("out", &[&scans, "--json"]))[0], "done");
    edit(&clinic, "out/scan00.nii.gz");
    let all = clinic.predict("out", &[&scans, "--json", "--overwrite"]);
    assert_eq!(statuses(&all), ["done"; 3], "{}", stderr(&all));
    assert_eq!(clinic.label_maps("out")[..2], ours);
}

#[test]
fn an_experts_label_map_of_the_same_name_stays_in_a_folder_without_a_manifest() {
    let clinic = Clinic::new();
    let scans = clinic.scans(2);
    assert_eq!(code(&clinic.predict("first", &[&scans])), Some(0));
    let expert = edit(&clinic, "first/scan00.nii.gz");
    fs::create_dir(clinic.path("out")).unwrap();
    fs::write(clinic.path("out/scan00.nii.gz"), &expert).unwrap();

    let output = clinic.predict("out", &[&scans, "--json", "--probabilities"]);

    assert_eq!(statuses(&output), ["failed", "done"], "{}", stderr(&output));
    let text = error(&output, 0);
    assert!(
        text.contains("is there, and no manifest beside it says that duomo wrote it"),
        "{text}"
    );
    assert!(fs::read(clinic.path("out/scan00.nii.gz")).unwrap() == expert);
    assert!(!clinic.path("out/probabilities/scan00_1-LV.nii.gz").exists());
}

#[test]
fn a_label_map_whose_line_a_kill_took_is_no_foreign_one() {
    let clinic = Clinic::new();
    let scans = clinic.scans(2);
    assert_eq!(code(&clinic.predict("out", &[&scans])), Some(0));
    let ours = clinic.label_maps("out");
    let manifest = clinic.path("out/manifest.jsonl");
    let lines = fs::read_to_string(&manifest).unwrap();
    let first = lines.split_inclusive('\n').next().unwrap();

    // Killed between the label map and its line, for the first time and with another recipe.
    fs::write(&manifest, first).unwrap();
    let resumed = clinic.predict("out", &[&scans, "--json"]);
    assert_eq!(statuses(&resumed), ["skipped", "done"], "{}", stderr(&resumed));
    assert_eq!(clinic.label_maps("out"), ours);
    let largest = [&scans[..], "--json", "--postprocess", "largest"];
    assert_eq!(statuses(&clinic.predict("out", &largest)), ["done"; 2]);
    fs::write(&manifest, &lines).unwrap();
    let resumed = clinic.predict("out", &largest);
    assert_eq!(statuses(&resumed), ["done"; 2], "{}", stderr(&resumed));

    // Shards vouch for each other's files.
    fs::rename(&manifest, clinic.path("out/manifest.0-of-1.jsonl")).unwrap();
    let whole = clinic.predict("out", &[&scans, "--json"]);
    assert_eq!(statuses(&whole), ["done"; 2], "{}", stderr(&whole));
    let lines: Vec<Value> = clinic.manifest("out");
    assert_eq!(lines.len(), 2);
    assert_eq!(clinic.label_maps("out"), ours);
}
