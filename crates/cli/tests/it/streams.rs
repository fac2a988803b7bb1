//! Results on stdout and nothing else there, in both forms, for every verb; and a reader that goes away.

use std::process::{Command, Output, Stdio};

use crate::grid::Fixture;
use crate::predict::Clinic;
use crate::run::TINY;
use crate::{code, duomo, json, mask, stderr, stdout};

/// Every verb but `grid`, with arguments that let it end well; the run of `train` is done already.
fn verbs(clinic: &Clinic, run: &str) -> Vec<Vec<String>> {
    let [data, model] = ["phantom", "run/model.safetensors"].map(|name| clinic.text(name));
    let [scans, labels] = ["scans", "labels"].map(|name| clinic.text(name));
    let [onnx, page] = ["lge.onnx", "report.html"].map(|name| clinic.text(name));
    let made = clinic.text(&format!("made-{run}"));
    let reference = mask("p001_ref.nii.gz");
    let folder = clinic.text("run");
    let small = ["--patients", "1", "--matrix-scale", "0.1"];
    let train = ["train", "--dataset", "mscmr", "--method", "csa", "--schedule", "quick"];
    let predict = ["predict", "--model", &model, "--modality", "LGE", "--out", &labels, &scans];
    [
        [&["phantom", "mscmr", "--out", &made][..], &small].concat(),
        vec!["check", "mscmr", "--data", &data],
        [&train[..], &["--data", &data, "--out", &folder], &TINY].concat(),
        predict.to_vec(),
        vec!["merge-manifests", &labels, "--inputs", &scans],
        vec!["export", "--model", &model, "--modality", "LGE", "--out", &onnx],
        vec!["evaluate", "--reference", &reference, "--prediction", &reference],
        vec!["compare", &folder, &folder],
        vec!["features", &folder],
        vec!["report", &folder, "--out", &page],
        vec!["doctor"],
    ]
    .map(|words| words.into_iter().map(str::to_owned).collect())
    .to_vec()
}

fn with(words: &[String], extra: &[&str]) -> Output {
    duomo(&words.iter().map(String::as_str).chain(extra.iter().copied()).collect::<Vec<_>>())
}

/// Runs with a stdout that is closed at once, as `| head -c 0` does.
fn unread(words: &[String]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_duomo"))
        .args(words)
        .arg("-q")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    drop(program.stdout.take());
    program.wait_with_output().expect("the program ends")
}

/// What every verb promises of its streams.
fn assert_streams(words: &[String], with_json: &[String]) {
    let data = with(with_json, &["--json", "-q"]);
    assert_eq!(code(&data), Some(0), "{words:?}: {}", stderr(&data));
    let found = json(&data);
    assert!(found.is_object() || found.is_array(), "{words:?}");
    assert_eq!(stderr(&data), "", "{words:?} has nothing to say under -q");

    let told = with(words, &["-v"]);
    assert_eq!(code(&told), Some(0), "{words:?}: {}", stderr(&told));
    assert!(!stdout(&told).contains('\u{1b}') && !stderr(&told).contains('\u{1b}'), "{words:?}");
    assert!(!stderr(&told).is_empty() || !stdout(&told).is_empty(), "{words:?}");
}

#[test]
fn every_verb_has_json_and_quiet_and_survives_a_reader_that_goes_away() {
    let clinic = Clinic::new();
    clinic.scans(3);
    let named = [verbs(&clinic, "a"), verbs(&clinic, "b"), verbs(&clinic, "c")];
    for ((words, with_json), once_more) in named[0].iter().zip(&named[1]).zip(&named[2]) {
        assert_streams(words, with_json);
        let unread = unread(once_more);
        assert_eq!(code(&unread), Some(0), "{words:?}: {}", stderr(&unread));
        assert_eq!(stderr(&unread), "", "{words:?}");
    }
}

#[test]
fn every_verb_of_the_grid_has_json_and_survives_a_reader_that_goes_away() {
    let fixture = Fixture::new();
    let schedule = fixture.path("tiny.toml");
    let text = std::fs::read_to_string(&schedule).unwrap();
    std::fs::write(&schedule, text.replace("steps = 30", "steps = 3")).unwrap();
    let tables = fixture.path("tables");
    for (verb, extra) in
        [("list", &[][..]), ("slurm", &[]), ("run", &[]), ("tables", &["--out", &tables])]
    {
        let words = fixture.arguments(verb, "runs", extra);
        assert_streams(&words, &words);
        let unread = unread(&words);
        assert_eq!((code(&unread), &stderr(&unread)[..]), (Some(0), ""), "{verb}");
    }

    let run = json(&fixture.grid("run", "runs", &["--json"]));
    assert_eq!(run["schema"], "duomo.grid-run/1");
    assert_eq!(run["cells"][1]["status"], "done");
    assert!(run["cells"][1]["modalities"][0]["mean_dice"].is_number(), "{run}");
    let array = json(&fixture.grid("slurm", "runs", &["--json"]));
    assert_eq!(array["jobs"], 2);
    assert!(array["script"].as_str().unwrap().starts_with("#!/bin/bash"), "{array}");
    let written = json(&fixture.grid("tables", "runs", &["--out", &tables, "--json"]));
    assert_eq!(written["done"].as_array().map(Vec::len), Some(2), "{written}");
    assert!(std::path::Path::new(written["report"].as_str().unwrap()).is_file(), "{written}");
}

#[cfg(target_os = "linux")]
#[test]
fn results_that_cannot_be_written_end_the_program_with_a_sentence() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_duomo"))
        .arg("doctor")
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();

    assert_eq!(code(&output), Some(1));
    let expected = "error: cannot write the results to stdout: No space left on device";
    assert!(stderr(&output).starts_with(expected), "{}", stderr(&output));
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_may_be_stdout() {
    let reference = mask("p001_ref.nii.gz");
    let pair = ["evaluate", "--reference", &reference, "--prediction", &reference];

    let output = duomo(&[&pair[..], &["--csv", "/dev/stdout"]].concat());

    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("case,"), "{}", stdout(&output));
    assert!(std::fs::symlink_metadata("/dev/stdout").unwrap().is_symlink(), "it is not replaced");
}
