//! Disks that are full, folders that vanish or are in the way: a sentence, the right code, nothing half written.
//!
//! Root may write to read-only folders, so what is refused here is refused to everybody.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::grid::Fixture;
use crate::predict::{Clinic, statuses};
use crate::{code, json, stderr};

const FILE_IN_THE_WAY: &str = "a file is where a folder should be";

/// Runs `duomo` where no file may have a byte, which is what a full disk looks like.
fn on_a_full_disk(arguments: &[String]) -> Output {
    Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_duomo")])
        .args(arguments)
        .output()
        .expect("sh is there")
}

#[expect(clippy::unwrap_used, reason = "a folder that cannot be read fails the test")]
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_full_disk_ends_a_batch_and_leaves_nothing_half_written() {
    let clinic = Clinic::new();
    let scans = clinic.scans(3);
    let arguments = [clinic.arguments("out"), vec![scans.clone()]].concat();

    let full = on_a_full_disk(&arguments);

    assert_eq!(code(&full), Some(1), "{}", stderr(&full));
    let text = stderr(&full);
    assert!(text.contains("cannot write") && text.contains("File too large"), "{text}");
    assert!(text.contains("no file may be larger there"), "{text}");
    assert_eq!(names(&clinic.path("out")), ["manifest.jsonl"]);
    let again = clinic.predict("out", &[&scans, "--json"]);
    assert_eq!(statuses(&again), ["done"; 3], "{}", stderr(&again));
}

#[test]
fn a_folder_that_vanishes_ends_a_batch_which_goes_on_once_it_is_back() {
    let clinic = Clinic::new();
    let scans = clinic.scans(60);
    let child = clinic.begin("out", &scans);

    fs::rename(clinic.path("out"), clinic.path("elsewhere")).unwrap();
    let output = child.wait_with_output().unwrap();

    assert_eq!(code(&output), Some(1), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("cannot write") && text.contains("out/scan"), "{text}");
    assert!(text.contains("removed in the meantime"), "{text}");
    assert!(!clinic.path("out").exists(), "nothing is begun in its place");
    fs::rename(clinic.path("elsewhere"), clinic.path("out")).unwrap();
    let again = clinic.predict("out", &[&scans]);
    assert_eq!(code(&again), Some(4), "every fourth is cut short: {}", stderr(&again));
    assert_eq!(clinic.label_maps("out").len(), 45);
}

#[test]
fn one_name_that_cannot_be_written_fails_its_case_and_no_other() {
    let clinic = Clinic::new();
    let scans = clinic.scans(3);
    fs::create_dir_all(clinic.path("out/scan01.nii.gz")).unwrap();

    let output = clinic.predict("out", &[&scans, "--json"]);

    assert_eq!(code(&output), Some(4), "{}", stderr(&output));
    assert_eq!(statuses(&output), ["done", "failed", "done"]);
    let error = json(&output)[1]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("out/scan01.nii.gz: "), "{error}");
    assert!(error.ends_with("; a folder of that name is in the way"), "{error}");

    fs::write(clinic.path("file"), "").unwrap();
    for out in ["file", "file/below"] {
        let refused = clinic.predict(out, &[&scans]);
        assert_eq!(code(&refused), Some(1));
        assert!(stderr(&refused).contains(FILE_IN_THE_WAY), "{}", stderr(&refused));
    }
}

#[test]
fn a_name_may_have_all_bytes_that_the_file_system_allows() {
    let clinic = Clinic::new();
    let scans = clinic.scans(1);
    // Together with the extension 255 bytes, the second only until it becomes `.nii.gz`.
    let [fits, longer] = [("a", 248, "nii.gz"), ("b", 251, "nii")]
        .map(|(letter, count, extension)| format!("{}.{extension}", letter.repeat(count)));
    let scan = duomo_data::read_image(&clinic.path("scans/scan00.nii.gz")).unwrap();
    for name in [&fits, &longer] {
        let path = clinic.path("scans").join(name);
        duomo_data::write_image(&path, &scan.geometry, &scan.voxels).unwrap();
    }

    let output = clinic.predict("out", &[&scans, "--json"]);

    assert_eq!(statuses(&output), ["done", "failed", "done"], "{}", stderr(&output));
    assert_eq!(names(&clinic.path("out")), [fits.as_str(), "manifest.jsonl", "scan00.nii.gz"]);
    let error = json(&output)[1]["error"].as_str().unwrap().to_owned();
    assert!(error.ends_with("; the name must be shorter"), "{error}");
}

#[test]
fn a_spacing_that_no_scan_has_fails_its_case_and_no_other() {
    let clinic = Clinic::new();
    let scans = clinic.scans(3);
    let metres = duomo_data::Geometry::from_spacing([1, 30, 30], [8.0, 1e6, 1e6]);
    let path = clinic.path("scans/scan01.nii.gz");
    duomo_data::write_image_i16(&path, &metres, &[0; 900]).unwrap();

    let output = clinic.predict("out", &[&scans, "--json"]);

    assert_eq!(statuses(&output), ["done", "failed", "done"], "{}", stderr(&output));
    let error = json(&output)[1]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("correct the header's spacing"), "{error}");
}

#[test]
fn a_run_of_a_grid_that_cannot_be_written_fails_alone() {
    let fixture = Fixture::new();
    let schedule = fixture.path("tiny.toml");
    let text = fs::read_to_string(&schedule).unwrap();
    fs::write(&schedule, text.replace("steps = 30", "steps = 3")).unwrap();
    let blocked = fixture.folder_of("runs", 1);
    fs::create_dir_all(blocked.parent().unwrap()).unwrap();
    fs::write(&blocked, "").unwrap();
    fs::write(fixture.path("file"), "").unwrap();

    let some = fixture.grid("run", "runs", &["--json"]);
    let none = fixture.grid("run", "file", &["--index", "0"]);

    assert_eq!(code(&some), Some(4), "{}", stderr(&some));
    let cells = &json(&some)["cells"];
    assert_eq!((&cells[0]["status"], &cells[1]["status"]), (&"done".into(), &"failed".into()));
    assert!(cells[1]["error"].as_str().unwrap().contains(FILE_IN_THE_WAY), "{cells}");
    assert_eq!(code(&none), Some(1), "{}", stderr(&none));
    assert_eq!(stderr(&none).matches(FILE_IN_THE_WAY).count(), 1, "{}", stderr(&none));
    assert_eq!(stderr(&none).matches("error: ").count(), 1, "{}", stderr(&none));
}
