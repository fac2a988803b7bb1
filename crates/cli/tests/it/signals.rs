//! A run that is told to stop keeps its work and says so.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{code, duomo, stderr};

/// Many quick steps, so that a signal always meets the run between two of them.
fn begin(data: &Path, out: &Path) -> Child {
    let settings = [
        "schedule.steps=5000",
        "schedule.validate_every=5000",
        "schedule.network.width=2",
        "schedule.preparation.crop=32",
        "schedule.preparation.spacing_mm=4.0",
        "schedule.batch=2",
    ];
    Command::new(env!("CARGO_BIN_EXE_duomo"))
        .args(["train", "--dataset", "mscmr", "--method", "csa", "--schedule", "quick", "--data"])
        .arg(data)
        .arg("--out")
        .arg(out)
        .args(settings.iter().flat_map(|setting| ["--set", setting]))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started")
}

/// The steps that a run has logged.
pub(crate) fn steps(out: &Path) -> Vec<u64> {
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap_or_default();
    // The last line may be half-written; other lines tell of gradients and validations.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["total"].is_number()).filter_map(|l| l["step"].as_u64()).collect()
}

/// Lets the run do three steps more, sends a signal and returns how it ended.
#[expect(clippy::unwrap_used, reason = "a process that cannot be watched fails the test")]
fn interrupt(mut run: Child, signal: &str, out: &Path) -> Output {
    let (before, start) = (steps(out).len(), Instant::now());
    while steps(out).len() < before + 3 {
        assert!(run.try_wait().unwrap().is_none(), "the run ended by itself");
        assert!(start.elapsed() < Duration::from_mins(5), "the run does not get on");
        sleep(Duration::from_millis(20));
    }
    let sent = Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap();
    assert!(sent.success());
    run.wait_with_output().unwrap()
}

#[test]
fn a_signal_saves_the_run_and_shows_in_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["scans", "run"].map(|name| folder.path().join(name));
    let path = data.to_str().unwrap();
    let phantom = ["phantom", "mscmr", "--out", path, "--patients", "4", "--matrix-scale", "0.12"];
    assert_eq!(code(&duomo(&phantom)), Some(0));

    let interrupted = interrupt(begin(&data, &out), "-INT", &out);
    assert_eq!(code(&interrupted), Some(130), "{}", stderr(&interrupted));
    let done = *steps(&out).last().unwrap();
    let sentence = format!("interrupted after step {done} of 5000");
    assert!(stderr(&interrupted).contains(&sentence), "{}", stderr(&interrupted));

    let terminated = interrupt(begin(&data, &out), "-TERM", &out);
    assert_eq!(code(&terminated), Some(143), "{}", stderr(&terminated));
    let going_on = format!("going on after step {done} of 5000");
    assert!(stderr(&terminated).contains(&going_on), "{}", stderr(&terminated));
    let all = steps(&out);
    assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>(), "no step is lost or done twice");
}
