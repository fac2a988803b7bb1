//! What a prediction makes of files that are there already, its own and others'.

use std::fs;
use std::path::Path;

use duomo_data::{read_image, read_labels, write_image, write_labels};
use serde_json::Value;

use crate::predict::{Clinic, statuses};
use crate::{code, duomo, json, stderr, stdout};

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

#[test]
fn another_image_of_the_same_name_size_and_time_is_segmented() {
    let clinic = Clinic::new();
    clinic.scans(2);
    let [one, two] = ["v1", "v2"].map(|folder| {
        fs::create_dir(clinic.path(folder)).unwrap();
        clinic.path(folder).join("heart.nii")
    });
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    for (scan, copy) in [("scan00", &one), ("scan01", &two)] {
        let scan = read_image(&clinic.path(&format!("scans/{scan}.nii.gz"))).unwrap();
        write_image(copy, &scan.geometry, &scan.voxels).unwrap();
        fs::File::options().write(true).open(copy).unwrap().set_modified(time).unwrap();
    }
    let predict =
        |path: &Path| statuses(&clinic.predict("out", &[path.to_str().expect("UTF-8"), "--json"]));

    assert_eq!(predict(&one), ["done"]);
    assert_eq!(predict(&one), ["skipped"]);
    assert_eq!(predict(&two), ["done"]);

    // The same image elsewhere is the same image.
    fs::rename(&two, clinic.path("heart.nii")).unwrap();
    assert_eq!(predict(&clinic.path("heart.nii")), ["skipped"]);
}

#[test]
fn a_pair_is_done_again_when_its_voxels_are_others() {
    let clinic = Clinic::new();
    clinic.scans(2);
    let plain = clinic.path("plain.nii");
    let folder = clinic.path("pairs");
    fs::create_dir(&folder).unwrap();
    let voxels = [0, 1].map(|number| {
        let scan = read_image(&clinic.path(&format!("scans/scan0{number}.nii.gz"))).unwrap();
        write_image(&plain, &scan.geometry, &scan.voxels).unwrap();
        let mut header = fs::read(&plain).unwrap();
        let voxels = header.split_off(352);
        header.truncate(348);
        // The voxels begin the other file, and the magic says so.
        header[108..112].copy_from_slice(&0_f32.to_le_bytes());
        header[344..].copy_from_slice(b"ni1\0");
        fs::write(folder.join("a.hdr"), header).unwrap();
        voxels
    });
    let [header, image] = ["pairs/a.hdr", "pairs/a.img"].map(|name| clinic.text(name));
    let predict = || statuses(&clinic.predict("out", &[&header, &image, "--json"]));

    let lone = clinic.predict("out", &[&header, "--json"]);
    assert_eq!(statuses(&lone), ["failed"], "{}", stderr(&lone));
    fs::write(&image, &voxels[0]).unwrap();
    assert_eq!(predict(), ["done"]);
    assert_eq!(predict(), ["skipped"]);
    fs::write(&image, &voxels[1]).unwrap();
    assert_eq!(predict(), ["done"]);
}

#[test]
fn what_is_missing_is_added_and_what_is_stale_goes() {
    let clinic = Clinic::new();
    let scans = clinic.scans(1);
    let pictures = clinic.text("pictures");
    let predict = |extra: &[&str]| {
        statuses(&clinic.predict("out", &[&[&scans[..], "--json"], extra].concat()))
    };
    let probabilities = clinic.path("out/probabilities/scan00_1-LV.nii.gz");

    // Pictures of what is done.
    assert_eq!(predict(&["--probabilities"]), ["done"]);
    assert_eq!(predict(&["--probabilities", "--pictures", &pictures]), ["done"]);
    assert!(clinic.path("pictures/scan00.png").is_file());
    assert_eq!(predict(&["--probabilities", "--pictures", &pictures]), ["skipped"]);

    // The same network's probabilities hold beside other post-processing; another's go.
    assert_eq!(predict(&["--postprocess", "largest"]), ["done"]);
    assert!(probabilities.is_file());
    assert_eq!(predict(&["--postprocess", "largest"]), ["skipped"]);
    assert_eq!(predict(&["--postprocess", "largest", "--tta"]), ["done"]);
    assert!(!probabilities.exists());
}

#[test]
fn a_study_keeps_its_description_and_merged_probabilities_are_found() {
    let clinic = Clinic::new();
    let scans = clinic.scans(2);
    let description = clinic.path("study/dataset_description.json");
    fs::create_dir(clinic.path("study")).unwrap();
    fs::write(&description, "{\"Name\": \"A study\"}").unwrap();

    let refused = clinic.predict("study", &[&scans, "--bids"]);

    assert_eq!(code(&refused), Some(2));
    assert!(stderr(&refused).contains("study/derivatives/duomo"), "{}", stderr(&refused));
    assert_eq!(fs::read_dir(clinic.path("study")).unwrap().count(), 1);

    assert_eq!(code(&clinic.predict("out", &[&scans, "--probabilities"])), Some(0));
    let [out, merged] = ["out", "merged/all.jsonl"].map(|name| clinic.text(name));
    let merge = |arguments: &[&str]| duomo(&[&["merge-manifests"], arguments].concat());
    assert_eq!(code(&merge(&[&out, "--out", &merged])), Some(0));
    let again = merge(&[&merged, "--inputs", &scans]);
    assert_eq!(code(&again), Some(0), "{}", stdout(&again));

    let wrong_order = merge(&["--inputs", &scans, &out]);
    assert_eq!(code(&wrong_order), Some(2));
    assert!(stderr(&wrong_order).contains("give manifests first"), "{}", stderr(&wrong_order));
    let into = clinic.text("out/manifest.all.jsonl");
    assert_eq!(code(&merge(&[&out, "--out", &into])), Some(2));
}
