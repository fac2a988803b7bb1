//! From synthetic scans to scores: train a tiny network, predict with it, evaluate.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::{code, duomo, json, stderr};

/// Two steps of a network that is too small to learn; every other part is real.
pub(crate) const TINY: [&str; 12] = [
    "--set",
    "schedule.steps=2",
    "--set",
    "schedule.validate_every=2",
    "--set",
    "schedule.network.width=2",
    "--set",
    "schedule.preparation.crop=32",
    "--set",
    "schedule.preparation.spacing_mm=4.0",
    "--set",
    "schedule.batch=2",
];

pub(crate) fn train(data: &Path, out: &Path, extra: &[&str]) -> Output {
    let (data, out) = (data.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
    let run = ["train", "--dataset", "mscmr", "--method", "csa", "--schedule", "quick", "--json"];
    duomo(&[&run[..], &["--data", data, "--out", out], &TINY, extra].concat())
}

fn predict(model: &Path, input: &str, out: &Path, extra: &[&str]) -> Output {
    let (model, out) = (model.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
    duomo(&[&["predict", "--model", model, "--out", out, input], extra].concat())
}

#[test]
fn scans_become_a_model_that_predicts_and_is_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out, predictions] = ["scans", "run", "out"].map(|name| folder.path().join(name));
    let path = data.to_str().unwrap();
    let phantom = ["phantom", "mscmr", "--out", path, "--patients", "4", "--matrix-scale", "0.12"];
    assert_eq!(code(&duomo(&phantom)), Some(0));

    let trained = train(&data, &out, &[]);
    assert_eq!(code(&trained), Some(0), "{}", stderr(&trained));
    assert_eq!(json(&trained)["schema"], "duomo.summary/1");
    assert!(stderr(&trained).contains("step 2/2  loss "), "{}", stderr(&trained));

    let again = train(&data, &out, &[]);
    assert_eq!(json(&again), json(&trained), "a finished run is only read");
    let other = train(&data, &out, &["--seed", "5"]);
    assert_eq!(code(&other), Some(1));
    assert!(stderr(&other).contains("give another --out"), "{}", stderr(&other));

    let (model, input) =
        (out.join("model.safetensors"), format!("{path}/c0t2lge/patient1_LGE.nii.gz"));
    let unknown = predict(&model, &input, &predictions, &["--modality", "PET"]);
    assert_eq!(code(&unknown), Some(2));
    assert!(stderr(&unknown).contains("LGE, bSSFP, not `PET`"), "{}", stderr(&unknown));

    let torn = folder.path().join("torn.nii.gz");
    fs::write(&torn, "").unwrap();
    let both = [torn.to_str().unwrap(), "--modality", "lge", "--json"];
    let predicted = predict(&model, &input, &predictions, &both);
    assert_eq!(code(&predicted), Some(4), "one of the two is torn");
    let statuses = |output: &Output| {
        let entries = json(output);
        let entries = entries.as_array().unwrap().iter();
        entries.map(|entry| entry["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&predicted), ["done", "failed"]);
    let skipped = predict(&model, &input, &predictions, &["--modality", "lge", "--json"]);
    assert_eq!(statuses(&skipped), ["skipped"]);
    let manifest = fs::read_to_string(predictions.join("manifest.jsonl")).unwrap();
    assert_eq!(manifest.lines().count(), 2);

    let reference = format!("{path}/lgegt/patient1_LGE_manual.nii.gz");
    let prediction = predictions.join("patient1_LGE.nii.gz");
    let files = ["--reference", &reference, "--prediction", prediction.to_str().unwrap()];
    let evaluated = duomo(&[&["evaluate", "--labels", "mscmr", "--json"], &files[..]].concat());
    assert_eq!(code(&evaluated), Some(0), "{}", stderr(&evaluated));
    assert_eq!(json(&evaluated)["cases"][0]["classes"]["500"]["name"], "LV");
}
