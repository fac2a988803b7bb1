//! Batches of predictions: finished cases are kept, faulty ones named, interruptions survived.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use duomo_data::{Geometry, read_image, read_labels, write_image_i16};
use serde_json::Value;
use tempfile::TempDir;

use crate::run::train;
use crate::{code, duomo, json, stderr, stdout};

/// A model of LGE and bSSFP that has learnt next to nothing, and some scans.
pub(crate) struct Clinic {
    folder: TempDir,
}

impl Clinic {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clinic = Self { folder };
        let path = clinic.text("phantom");
        let phantom = ["phantom", "mscmr", "--out", &path, "--patients", "4"];
        let phantom = duomo(&[&phantom[..], &["--matrix-scale", "0.12"]].concat());
        assert_eq!(code(&phantom), Some(0), "{}", stderr(&phantom));
        let trained = train(&clinic.path("phantom"), &clinic.path("run"), &[]);
        assert_eq!(code(&trained), Some(0), "{}", stderr(&trained));
        clinic
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    /// `count` scans of 3 slices of 40×36 pixels, `scan00` and on, in a folder of their own; every
    /// fourth, from `scan03` on, is cut short.
    pub(crate) fn scans(&self, count: usize) -> String {
        let folder = self.path("scans");
        fs::create_dir_all(&folder).expect("a folder for the scans");
        for number in 0..count {
            let path = folder.join(format!("scan{number:02}.nii.gz"));
            let geometry = Geometry::from_spacing([3, 40, 36], [8.0, 2.0, 2.0]);
            let grey = |at: usize| i16::try_from((at * (number + 3)) % 211).expect("below 211");
            let voxels: Vec<i16> = (0..geometry.voxel_count()).map(grey).collect();
            write_image_i16(&path, &geometry, &voxels).expect("a scan can be written");
            if number % 4 == 3 {
                let bytes = fs::read(&path).expect("it was just written");
                fs::write(&path, &bytes[..bytes.len() / 2]).expect("it can be cut");
            }
        }
        self.text("scans")
    }

    /// The arguments that every prediction has.
    pub(crate) fn arguments(&self, out: &str) -> Vec<String> {
        let (model, out) = (self.text("run/model.safetensors"), self.text(out));
        ["predict", "--model", &model, "--modality", "LGE", "--out", &out].map(str::to_owned).into()
    }

    pub(crate) fn predict(&self, out: &str, extra: &[&str]) -> Output {
        let arguments = self.arguments(out);
        duomo(&[&arguments.iter().map(String::as_str).collect::<Vec<_>>()[..], extra].concat())
    }

    /// The label maps of a folder of predictions, by name.
    pub(crate) fn label_maps(&self, out: &str) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.path(out)).expect("a folder of predictions");
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.to_str().is_some_and(|path| path.ends_with(".nii.gz")))
            .map(|path| {
                let name = path.file_name().expect("a file").to_str().expect("UTF-8").to_owned();
                (name, fs::read(&path).expect("a label map"))
            })
            .collect();
        files.sort();
        files
    }

    pub(crate) fn manifest(&self, out: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(out).join("manifest.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a whole line")).collect()
    }
}

pub(crate) fn statuses(output: &Output) -> Vec<String> {
    let entries = json(output);
    let entries = entries.as_array().expect("an array").iter();
    entries.map(|entry| entry["status"].as_str().expect("a status").to_owned()).collect()
}

#[test]
fn only_what_is_whole_and_by_this_recipe_is_skipped() {
    let clinic = Clinic::new();
    let scans = clinic.scans(4);

    let first = clinic.predict("out", &[&scans, "--json"]);
    assert_eq!(code(&first), Some(4), "{}", stderr(&first));
    assert_eq!(statuses(&first), ["done", "done", "done", "failed"]);
    let before = clinic.label_maps("out");
    assert_eq!(before.len(), 3);

    // Nothing is left to do, and the failure is named again.
    let second = clinic.predict("out", &[&scans, "--json"]);
    assert_eq!(statuses(&second), ["skipped", "skipped", "skipped", "failed"]);
    assert!(stderr(&second).contains("scan03: failed before, skipped without --retry-failed"));
    assert_eq!((code(&second), clinic.manifest("out").len()), (Some(4), 4));

    // A damaged label map is made again; so are all of another modality; failures only if asked for.
    fs::write(clinic.path("out/scan01.nii.gz"), "damaged").unwrap();
    let third = clinic.predict("out", &[&scans, "--json"]);
    assert_eq!(statuses(&third), ["skipped", "done", "skipped", "failed"]);
    assert_eq!(clinic.label_maps("out"), before);
    let other = clinic.predict("out", &[&scans, "--json", "--postprocess", "largest"]);
    assert_eq!(statuses(&other), ["done", "done", "done", "failed"]);
    assert_eq!(clinic.manifest("out").len(), 4 + 1 + 4);
    let retried = clinic.predict("out", &[&scans, "--retry-failed", "--postprocess", "largest"]);
    assert!(stderr(&retried).contains("scan03: failed: cannot use"), "{}", stderr(&retried));

    // A scan that has been replaced is done again, without being asked for.
    fs::copy(clinic.path("scans/scan00.nii.gz"), clinic.path("scans/scan03.nii.gz")).unwrap();
    let replaced = clinic.predict("out", &[&scans, "--json", "--postprocess", "largest"]);
    assert_eq!(statuses(&replaced), ["skipped", "skipped", "skipped", "done"]);
    assert_eq!(code(&replaced), Some(0));

    // A case that fails now leaves no label map of another time.
    fs::write(clinic.path("scans/scan03.nii.gz"), "no scan").unwrap();
    clinic.predict("out", &[&scans, "--postprocess", "largest"]);
    assert!(!clinic.path("out/scan03.nii.gz").exists());
}

#[test]
fn label_maps_of_another_arithmetic_are_made_anew_and_the_call_says_so() {
    let clinic = Clinic::new();
    let scans = clinic.scans(2);
    let done = clinic.predict("out", &[&scans]);
    assert_eq!(code(&done), Some(0), "{}", stderr(&done));
    let manifest = clinic.path("out/manifest.jsonl");
    let text = fs::read_to_string(&manifest).unwrap();
    let rewritten = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        fs::write(&manifest, text.replace(from, to)).unwrap();
        clinic.predict("out", &[&scans, "--json"])
    };

    // As if a card had done them, and as manifests were that did not say yet.
    let card = rewritten("\"arithmetic\":\"cpu-f32\"", "\"arithmetic\":\"cuda-tf32\"");
    let before = rewritten(",\"arithmetic\":\"cpu-f32\"", "");

    assert_eq!(statuses(&card), ["done", "done"]);
    let sentence = "2 of 2 cases were done by another recipe and are done again: arithmetic cuda-tf32 \
                    there, cpu-f32 here";
    assert!(stderr(&card).contains(sentence), "{}", stderr(&card));
    assert_eq!(statuses(&before), ["skipped", "skipped"]);
    assert!(!stderr(&before).contains("another recipe"), "{}", stderr(&before));
}

#[test]
fn models_go_together_or_are_refused_before_anything_is_done() {
    let clinic = Clinic::new();
    let scans = clinic.scans(1);
    let model = clinic.text("run/model.safetensors");

    let nameless = duomo(&["predict", "--model", &model, "--out", &clinic.text("out"), &scans]);
    assert_eq!(code(&nameless), Some(2));
    let sentence = "give --modality, of which the model knows LGE, bSSFP";
    assert!(stderr(&nameless).contains(sentence), "{}", stderr(&nameless));

    let onnx = clinic.text("lge.onnx");
    let export = ["export", "--model", &model, "--modality", "lge", "--json", "--out", &onnx];
    let exported = duomo(&export);
    assert_eq!(json(&exported)["modality"], "LGE");
    assert_eq!(json(&exported)["bytes"], fs::metadata(&onnx).unwrap().len());

    let over_inputs = clinic.predict("scans", &[&scans]);
    assert_eq!(code(&over_inputs), Some(2));
    assert!(stderr(&over_inputs).contains("give another --out"), "{}", stderr(&over_inputs));
    assert!(!clinic.path("scans/manifest.jsonl").exists() && !clinic.path("out").exists());

    let other =
        train(&clinic.path("phantom"), &clinic.path("other"), &["--modalities", "bSSFP,LGE"]);
    assert_eq!(code(&other), Some(0), "{}", stderr(&other));
    let spacing = ["--set", "schedule.preparation.spacing_mm=5.0"];
    let coarse = train(&clinic.path("phantom"), &clinic.path("coarse"), &spacing);
    assert_eq!(code(&coarse), Some(0), "{}", stderr(&coarse));
    let coarse = clinic.text("coarse/model.safetensors");
    let unlike = clinic.predict("out", &[&scans, "--ensemble", &coarse]);
    assert_eq!(code(&unlike), Some(2));
    let text = stderr(&unlike);
    assert!(text.contains("model 2 of the ensemble") && text.contains("preparation"), "{text}");

    // The same modalities in another order go together.
    let other = clinic.text("other/model.safetensors");
    let together = clinic.predict("out", &[&scans, "--ensemble", &other, "--tta"]);
    assert_eq!(code(&together), Some(0), "{}", stderr(&together));
    assert!(stderr(&together).contains("8 passes through a network instead of one"));
}

#[test]
fn shards_cover_every_case_once_and_the_merge_proves_it() {
    let clinic = Clinic::new();
    let scans = clinic.scans(12);
    for shard in ["0/3", "1/3", "2/3"] {
        let output = clinic.predict("out", &[&scans, "--shard", shard]);
        assert!(matches!(code(&output), Some(0 | 4)), "{}", stderr(&output));
    }

    let out = clinic.text("out");
    let merged = clinic.text("merged.jsonl");
    let pattern = format!("{scans}/scan*.nii.gz");
    let merge = ["merge-manifests", &out, "--inputs", &pattern, "--json", "--out", &merged];
    let coverage = duomo(&merge);

    assert_eq!(code(&coverage), Some(4), "three scans are cut short");
    let found = json(&coverage);
    assert_eq!((&found["wanted"], &found["done"]), (&12.into(), &9.into()));
    let failed = found["failed"].as_array().unwrap();
    let failed: Vec<_> = failed.iter().map(|case| case["case"].as_str().unwrap()).collect();
    assert_eq!(failed, ["scan03", "scan07", "scan11"]);
    for nothing in ["missing", "done_twice", "damaged", "unexpected", "other_recipe"] {
        assert_eq!(found[nothing], Value::Array(Vec::new()), "{nothing}");
    }
    assert_eq!(fs::read_to_string(&merged).unwrap().lines().count(), 12);

    fs::remove_file(clinic.path("out/manifest.1-of-3.jsonl")).unwrap();
    let lost = stdout(&duomo(&merge[..4]));
    assert!(lost.contains("missing  no manifest names it"), "{lost}");
}

#[test]
fn killed_at_random_moments_and_started_again_nothing_is_lost() {
    let clinic = Clinic::new();
    let scans = clinic.scans(30);
    let undisturbed = clinic.predict("undisturbed", &[&scans]);
    assert_eq!(code(&undisturbed), Some(4));

    let mut kills = 0;
    for millis in [60, 90, 40, 130] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_duomo"))
            .args(clinic.arguments("killed"))
            .arg(&scans)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(millis));
        kills += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // As if the last kill had come within a line.
    let manifest = clinic.path("killed/manifest.jsonl");
    let text = fs::read_to_string(&manifest).unwrap_or_default() + "{\"schema\":\"duomo.pre";
    fs::create_dir_all(clinic.path("killed")).unwrap();
    fs::write(&manifest, text).unwrap();
    let last = clinic.predict("killed", &[&scans]);

    assert!(kills > 0, "every process was done before its signal");
    assert_eq!(code(&last), Some(4), "{}", stderr(&last));
    assert!(stderr(&last).contains("the last line was cut short"), "{}", stderr(&last));
    assert_eq!(clinic.label_maps("killed"), clinic.label_maps("undisturbed"));
    let cases = |out: &str| -> Vec<_> {
        let lines = clinic.manifest(out);
        lines.iter().map(|line| (line["case"].clone(), line["status"].clone())).collect()
    };
    assert_eq!(cases("killed"), cases("undisturbed"), "each case has one line, in order");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_batch_between_two_cases() {
    let clinic = Clinic::new();
    let scans = clinic.scans(60);
    let child = clinic.begin("out", &scans);

    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();

    assert!(sent.success());
    assert_eq!(code(&output), Some(143), "{}", stderr(&output));
    assert!(stderr(&output).contains("of 60 cases; the same command goes on from there"));
    let done = clinic.manifest("out").iter().filter(|line| line["status"] == "done").count();
    assert_eq!(clinic.label_maps("out").len(), done, "what has a label map has its line");
    assert!(done < 45);
}

impl Clinic {
    /// Starts a batch and waits until two of its cases are done.
    #[expect(clippy::unwrap_used, reason = "a batch that cannot be started fails the test")]
    pub(crate) fn begin(&self, out: &str, scans: &str) -> Child {
        let child = Command::new(env!("CARGO_BIN_EXE_duomo"))
            .args(self.arguments(out))
            .arg(scans)
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while self.manifest_lines(out) < 2 {
            assert!(start.elapsed() < Duration::from_mins(2), "the batch does not get on");
            sleep(Duration::from_millis(2));
        }
        child
    }

    pub(crate) fn manifest_lines(&self, out: &str) -> usize {
        let text = fs::read_to_string(self.path(out).join("manifest.jsonl")).unwrap_or_default();
        text.lines().count()
    }
}

#[test]
fn probabilities_explain_the_labels_and_volumes_the_voxels() {
    let clinic = Clinic::new();
    let scans = clinic.scans(1);
    let csv = clinic.text("volumes.csv");
    let plain = ["--postprocess", "none", "--csv", &csv, &scans];
    let output = clinic.predict("out", &[&plain[..], &["--probabilities=f32"]].concat());
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));

    let labels = read_labels(&clinic.path("out/scan00.nii.gz")).unwrap();
    let names = ["0-background", "1-LV", "2-myo", "3-RV"];
    let probabilities = names.map(|name| {
        let path = format!("out/probabilities/scan00_{name}.nii.gz");
        read_image(&clinic.path(&path)).unwrap().voxels
    });
    for (at, value) in labels.values.to_vec().into_iter().enumerate() {
        let of_voxel = [0, 1, 2, 3].map(|class: usize| probabilities[class][at]);
        assert!((of_voxel.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{of_voxel:?}");
        let class = [0, 500, 200, 600].iter().position(|&known| known == value).unwrap();
        assert!(of_voxel.iter().all(|&p| p <= of_voxel[class]), "{value} {of_voxel:?}");
    }

    // 8 × 2 × 2 mm is 0.032 ml.
    let entry = &clinic.manifest("out")[0];
    let voxels = labels.values.to_vec().iter().filter(|&&value| value == 200).count() as f64;
    let (ml, grams) = (voxels * 0.032, voxels * 0.032 * 1.05);
    assert!((entry["structures"][1]["ml"].as_f64().unwrap() - ml).abs() < 1e-6, "{entry}");
    let heart = entry["heart"].as_array().unwrap();
    let mass = heart.iter().find(|figure| figure["name"] == "lv_myocardium_g").unwrap();
    assert!((mass["value"].as_f64().unwrap() - grams).abs() < 1e-6, "{mass}");
    let table = fs::read_to_string(&csv).unwrap();
    let header =
        "case,status,modality,LV_ml,myo_ml,RV_ml,lv_cavity_ml,rv_cavity_ml,lv_myocardium_g";
    assert_eq!(table.lines().next(), Some(header));
    assert!(table.contains(&format!(",{ml:.5},")), "{table}");

    let bytes = clinic.predict("bytes", &[&plain[..], &["--probabilities", "--bids"]].concat());
    assert_eq!(code(&bytes), Some(0), "{}", stderr(&bytes));
    let subject = clinic.path("bytes/sub-scan00/anat");
    let coarse = read_image(&subject.join("sub-scan00_label-myo_probseg.nii.gz")).unwrap();
    for (coarse, fine) in coarse.voxels.iter().zip(&probabilities[2]) {
        assert!((coarse - fine).abs() < 0.002, "{coarse} {fine}");
    }
    let same = |path: &Path| read_labels(path).unwrap().values.to_vec();
    assert_eq!(same(&subject.join("sub-scan00_dseg.nii.gz")), labels.values.to_vec());
}
