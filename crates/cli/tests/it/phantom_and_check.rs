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
    assert!(stdout(&check(&out, &[])).contains("2 cases, 0 files left out, 0 faults"));

    let image = Path::new(written["cases"][0]["image"].as_str().unwrap()).to_owned();
    let again = image.with_file_name("patient9_LGE_manual.nii.gz");
    fs::copy(written["cases"][0]["labels"].as_str().unwrap(), again).unwrap();
    let damaged = check(&out, &[]);
    assert_eq!(code(&damaged), Some(3), "{}", stdout(&damaged));
    assert!(stdout(&damaged).contains("add the image or remove the label map"));

    fs::write(&image, "not NIfTI").unwrap();
    let torn = check(&out, &["--json"]);
    assert_eq!(code(&torn), Some(3));
    assert_eq!(json(&torn)["faults"].as_array().unwrap().len(), 2);
}

#[test]
fn nothing_is_ever_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();

    let output = phantom(folder.path());

    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("is not empty; give another --out"), "{}", stderr(&output));
}
