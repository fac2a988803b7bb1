//! Runs that are killed at random moments, or whose disk is full, keep what they had.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::signals::steps;
use crate::{code, duomo, stderr};

const METHODS: [&str; 6] = ["single", "ummkd", "joint", "msbn", "affinity", "csa"];

/// How often each run is killed: once, or as often as `DUOMO_KILLS` says.
fn kills() -> u64 {
    std::env::var("DUOMO_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Steps of a run, enough to outlive the kills; validation, with its checkpoints, comes every third.
fn length() -> u64 {
    12 + 3 * kills()
}

fn command(method: &str, data: &Path, out: &Path) -> Vec<String> {
    let settings = [
        format!("schedule.steps={}", length()),
        "schedule.validate_every=3".into(),
        "schedule.network.width=2".into(),
        "schedule.preparation.crop=32".into(),
        "schedule.preparation.spacing_mm=4.0".into(),
        "schedule.batch=2".into(),
    ];
    let (data, out) = (data.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
    let fixed = ["train", "--dataset", "mscmr", "--schedule", "quick", "-q", "--json"];
    let named = ["--method", method, "--data", data, "--out", out];
    let settings = settings.iter().flat_map(|setting| ["--set", setting.as_str()]);
    fixed.into_iter().chain(named).chain(settings).map(str::to_owned).collect()
}

fn spawn(arguments: &[String]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_duomo"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program can be started")
}

fn finish(arguments: &[String]) -> Output {
    duomo(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A number that looks random and is the same in every run of the test.
fn scrambled(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33
}

/// Starts the run, kills it at a random moment after some step, and returns whether it was still alive.
#[expect(clippy::unwrap_used, reason = "a process that cannot be watched fails the test")]
fn kill_at_random(arguments: &[String], out: &Path, random: u64) -> bool {
    let mut run = spawn(arguments);
    let done = steps(out).last().copied().unwrap_or(0);
    let target = done.saturating_sub(2) + 1 + random % 5;
    let start = Instant::now();
    // Also while it reads, and in the middle of steps, validations and checkpoints.
    while steps(out).last().copied().unwrap_or(0) < target && start.elapsed().as_secs() < 60 {
        if run.try_wait().unwrap().is_some() {
            return false;
        }
        sleep(Duration::from_millis(2));
    }
    sleep(Duration::from_micros(scrambled(random) % 30_000));
    run.kill().unwrap();
    !run.wait().unwrap().success()
}

/// What a run logged, without the one value that tells time.
#[expect(clippy::unwrap_used, reason = "a log that cannot be read fails the test")]
fn logged(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("slices_per_second");
        line
    };
    text.lines().map(line).collect()
}

#[expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]
fn phantom(folder: &Path) -> PathBuf {
    let data = folder.join("scans");
    let path = data.to_str().unwrap();
    let phantom = ["phantom", "mscmr", "--out", path, "--patients", "4", "--matrix-scale", "0.12"];
    assert_eq!(code(&duomo(&phantom)), Some(0));
    data
}

#[test]
fn every_method_killed_again_and_again_ends_with_the_bits_of_an_undisturbed_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = phantom(folder.path());
    // One of them without `DUOMO_KILLS`, which takes a while for six; `interruptions` has all, within one process.
    let methods = if kills() > 1 { &METHODS[..] } else { &METHODS[5..] };
    for (number, &method) in (0..).zip(methods) {
        let [whole, broken] =
            ["whole", "broken"].map(|name| folder.path().join(format!("{method}-{name}")));
        let undisturbed = finish(&command(method, &data, &whole));
        assert_eq!(code(&undisturbed), Some(0), "{}", stderr(&undisturbed));

        let arguments = command(method, &data, &broken);
        for kill in 0..kills() {
            let killed = kill_at_random(&arguments, &broken, scrambled(1000 * number + kill));
            assert!(killed, "{method} was done before kill {kill}");
        }
        let resumed = finish(&arguments);
        assert_eq!(code(&resumed), Some(0), "{}", stderr(&resumed));

        let model = |out: &Path| fs::read(out.join("model.safetensors")).unwrap();
        assert!(model(&whole) == model(&broken), "{method} has other weights");
        assert_eq!(logged(&whole), logged(&broken), "{method} logged other steps");
    }
}

#[test]
fn a_full_disk_ends_the_run_with_a_sentence_and_the_last_checkpoint_intact() {
    let folder = tempfile::tempdir().unwrap();
    let data = phantom(folder.path());
    let out = folder.path().join("run");
    let arguments = command("csa", &data, &out);
    assert!(kill_at_random(&arguments, &out, 4));
    while !out.join("checkpoints/last.safetensors").exists() {
        assert!(kill_at_random(&arguments, &out, 4));
    }
    let last = fs::read(out.join("checkpoints/last.safetensors")).unwrap();

    // A limit on the size of files is what a full disk looks like; half a checkpoint fits.
    let blocks = (last.len() / 2 / 512).to_string();
    let script = "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"";
    let full = Command::new("sh")
        .args(["-c", script, &blocks, env!("CARGO_BIN_EXE_duomo")])
        .args(&arguments)
        .output()
        .unwrap();

    assert_eq!(code(&full), Some(1), "{}", stderr(&full));
    assert!(stderr(&full).contains("cannot write"), "{}", stderr(&full));
    assert!(stderr(&full).contains("File too large"), "{}", stderr(&full));
    assert_eq!(fs::read(out.join("checkpoints/last.safetensors")).unwrap(), last);
    let names = fs::read_dir(out.join("checkpoints")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| !name.starts_with('.')), "no half file is left");
    let mended = finish(&arguments);
    assert_eq!(code(&mended), Some(0), "{}", stderr(&mended));
}

#[test]
fn a_run_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = phantom(folder.path());
    fs::write(folder.path().join("file"), "").unwrap();

    let output = finish(&command("csa", &data, &folder.path().join("file/run")));

    assert_eq!(code(&output), Some(1));
    let text = stderr(&output);
    assert!(text.contains("cannot create the run folder") && text.contains("file/run"), "{text}");
}
