//! A synthetic data set is written, checked, damaged and checked again.

use std::fs;
use std::path::Path;

use crate::{code, duomo, json, stderr, stdout};

fn phantom(out: &Path) -> std::process::Output {
    let out = out.to_str().expect("UTF-8");
    duomo(&[
        "phantom",
        "mscmr",
        "--out",
        out,
        "--patients",
        "1",
        "--matrix-scale",
        "0.12",
        "--json",
    ])
}

fn check(data: &Path, extra: &[&str]) -> std::process::Output {
    duomo(&[&["check", "mscmr", "--data", data.to_str().expect("UTF-8")], extra].concat())
}

#[test]
fn a_fresh_phantom_has_no_fault_and_a_damaged_one_has() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("mscmr");

    let written = phantom(&out);
    assert_eq!(code(&written), Some(0), "{}", stderr(&written));
    let written = json(&written);
    assert_eq!(written["cases"].as_array().unwrap().len(), 2);

    let fresh = check(&out, &["--json"]);
    assert_eq!(code(&fresh), Some(0), "{}", stderr(&fresh));
    let report = json(&fresh);
    assert_eq!(report["cases"].as_array().unwrap().len(), 2);
    assert!(report["cases"][0]["slices_with"]["LV"].as_u64().unwrap() > 0);
    assert!(stdout(&check(&out, &[])).contains("2 cases, 0 files left out, 0 faults, 0 warnings"));

    let image = Path::new(written["cases"][0]["image"].as_str().unwrap()).to_owned();
    let again = image.with_file_name("patient9_LGE_manual.nii.gz");
    fs::copy(written["cases"][0]["labels"].as_str().unwrap(), again).unwrap();
    let damaged = check(&out, &[]);
    assert_eq!(code(&damaged), Some(3), "{}", stdout(&damaged));
    assert!(stdout(&damaged).contains("add the image or remove the label map"));

    fs::write(&image, "not NIfTI").unwrap();
    let torn = check(&out, &["--json"]);
    assert_eq!(code(&torn), Some(3));
    let torn = json(&torn);
    let kinds = |report: &serde_json::Value| {
        let faults = report["faults"].as_array().unwrap().iter();
        faults.map(|fault| fault["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // The only LGE image is unreadable: it has its pair, so the modality has a case.
    assert_eq!(kinds(&torn), ["unreadable", "unpaired"]);
    for key in ["patient", "path", "found", "expected", "remedy"] {
        assert!(torn["faults"][1][key].is_string(), "{key}: {torn}");
    }
}

#[test]
fn corrected_copies_and_contact_sheets_are_written_beside_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let [data, fixed, sheets] = ["mscmr", "fixed", "sheets"].map(|name| folder.path().join(name));
    assert_eq!(code(&phantom(&data)), Some(0));
    let labels = data.join("lgegt/patient1_LGE_manual.nii.gz");
    let map = duomo_data::read_labels(&labels).unwrap();
    let moved = duomo_data::Geometry::from_spacing(map.geometry.shape, [9.0, 1.0, 1.0]);
    duomo_data::write_labels(&labels, &moved, &map.values.to_vec()).unwrap();
    let [fixed_text, sheets_text] = [&fixed, &sheets].map(|path| path.to_str().unwrap());
    let both = ["--fix-headers", fixed_text, "--contact-sheet", sheets_text, "--json"];

    let first = check(&data, &both);
    let report = json(&first);

    assert_eq!(code(&first), Some(3), "{}", stderr(&first));
    assert_eq!(report["faults"][0]["kind"], "geometry");
    assert_eq!(report["fixed"].as_array().unwrap().len(), 1);
    assert!(sheets.join("LGE.png").is_file() && sheets.join("bSSFP.png").is_file());
    let copy = fixed.join("lgegt/patient1_LGE_manual.nii.gz");
    fs::copy(copy, &labels).unwrap();
    assert_eq!(code(&check(&data, &[])), Some(0), "the copy mends the folder");
    let inside = data.join("fixed");
    let inside = check(&data, &["--fix-headers", inside.to_str().unwrap()]);
    assert_eq!(code(&inside), Some(2));
    assert!(stderr(&inside).contains("lies inside the data folder"), "{}", stderr(&inside));
}

#[test]
fn nothing_is_ever_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();

    let output = phantom(folder.path());

    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("is not empty; give another --out"), "{}", stderr(&output));
}

#[test]
fn a_phantom_without_an_image_left_is_refused_before_a_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("never");

    let output =
        duomo(&["phantom", "mscmr", "--out", out.to_str().unwrap(), "--matrix-scale", "0.005"]);

    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("give 0.0067 or more"), "{}", stderr(&output));
    assert!(!out.exists());
}
