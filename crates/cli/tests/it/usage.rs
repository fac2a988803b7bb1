//! Wrong arguments: exit code 2 and a message that says what would be right.

use std::process::{Command, Stdio};

use expect_test::expect;

use crate::{code, duomo, json, stderr, stdout};

const TRAIN: [&str; 9] =
    ["train", "--dataset", "mscmr", "--schedule", "quick", "--data", "nowhere", "--out", "never"];

fn train(extra: &[&str]) -> std::process::Output {
    duomo(&[&TRAIN, extra].concat())
}

#[test]
fn without_a_verb_the_verbs_are_listed() {
    let output = duomo(&[]);

    assert_eq!(code(&output), Some(2));
    let text = stderr(&output);
    for verb in
        ["phantom", "check", "train", "predict", "evaluate", "compare", "features", "doctor"]
    {
        assert!(text.contains(verb), "{verb}: {text}");
    }
    assert_eq!(stdout(&output), "");
}

#[test]
fn help_and_version_are_results() {
    for arguments in [&["--help"][..], &["--version"], &["train", "--help"]] {
        let output = duomo(arguments);
        assert_eq!(code(&output), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_names_every_schedule_and_exit_code() {
    let schedules = duomo_train::SCHEDULES.map(|(name, _)| name).join(", ");
    for arguments in [&["train", "--help"][..], &["grid", "run", "--help"]] {
        let text = stdout(&duomo(arguments));
        assert!(text.contains(&format!("{schedules}, or a .toml file")), "{text}");
    }
    let text = stdout(&duomo(&["--help"]));
    assert!(text.contains("4 some cases failed,\n130 and 143 interrupted."), "{text}");
}

#[test]
fn an_unknown_verb_is_corrected() {
    let output = duomo(&["evalute"]);

    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("'evaluate'"), "{}", stderr(&output));
}

#[test]
fn unknown_methods_list_the_known_ones() {
    let output = train(&["--method", "cas"]);

    assert_eq!(code(&output), Some(2));
    expect![[r"
        error: unknown method `cas`; known are single, ummkd, joint, msbn, affinity, csa, or give the path of a .toml file
    "]]
    .assert_eq(&stderr(&output));
}

#[test]
fn unknown_data_sets_and_modalities_are_named() {
    let dataset = duomo(&["check", "mscrm", "--data", "nowhere"]);
    let modality = train(&["--method", "csa", "--modalities", "LGE,PET"]);

    assert_eq!((code(&dataset), code(&modality)), (Some(2), Some(2)));
    assert!(stderr(&dataset).contains("mscrm") && stderr(&dataset).contains("`mscmr`"));
    assert!(stderr(&modality).contains("PET") && stderr(&modality).contains("bSSFP"));
}

#[test]
fn folds_are_counted_from_zero() {
    let output = train(&["--method", "csa", "--fold", "5/5"]);

    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("expected K/N with K below N, counted from 0, such as 0/5"));
}

#[test]
fn a_seed_that_no_experiment_can_hold_is_refused() {
    let seed = ["--seed", "9223372036854775808"];
    for output in [
        train(&[&["--method", "csa"], &seed[..]].concat()),
        duomo(&[&["phantom", "mscmr", "--out", "never"], &seed[..]].concat()),
    ] {
        assert_eq!(code(&output), Some(2));
        assert!(stderr(&output).contains("0..=9223372036854775807"), "{}", stderr(&output));
    }
}

#[test]
fn a_build_without_cuda_says_so() {
    let output = train(&["--method", "csa", "--device", "cuda:0"]);

    assert_eq!(code(&output), Some(2));
    assert!(
        stderr(&output).contains("this program was built without CUDA")
            && stderr(&output).contains("cargo build --release --features cuda"),
        "{}",
        stderr(&output)
    );

    let output = train(&["--method", "csa", "--precision", "bf16"]);

    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("the CPU computes in f32"), "{}", stderr(&output));

    let output = train(&["--method", "csa", "--device", "gpu"]);

    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("expected cpu, cuda or cuda:N"), "{}", stderr(&output));
}

#[test]
fn misspelt_keys_are_named() {
    let output = train(&["--method", "csa", "--set", "schedule.stepz=3"]);

    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("stepz"), "{}", stderr(&output));
}

#[test]
fn a_missing_data_folder_is_bad_data_and_leaves_no_run_without_reason() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("scans");

    let output = duomo(&["check", "mscmr", "--data", missing.to_str().unwrap()]);

    assert_eq!(code(&output), Some(3));
    assert!(stderr(&output).contains("scans"), "{}", stderr(&output));
}

#[test]
fn the_doctor_estimates_memory_by_schedule() {
    let data = json(&duomo(&["doctor", "--json", "--estimate", "mscmr", "--schedule", "paper"]));
    let bytes = data["estimates"][0]["training_bytes"].as_u64().unwrap();
    // 39 million parameters, four numbers each, and 16 slices of 224².
    assert!((3 << 29..2 << 30).contains(&bytes), "{bytes}");
    assert_eq!(data["estimates"].as_array().unwrap().len(), 1);

    let text = stdout(&duomo(&["doctor", "--estimate", "mmwhs", "--method", "single"]));
    assert!(text.contains("step of quick") && text.contains("8 slices of 256²"), "{text}");
    let unknown = duomo(&["doctor", "--estimate", "mscmr", "--schedule", "slow"]);
    assert_eq!(code(&unknown), Some(2));
}

#[test]
fn the_doctor_answers_in_both_forms() {
    let (text, data) = (duomo(&["doctor"]), duomo(&["doctor", "--json"]));

    assert!(stdout(&text).contains("threads") && stdout(&text).contains("not in this build"));
    let data = json(&data);
    assert_eq!(data["schema"], "duomo.doctor/1");
    assert_eq!(data["cuda"], false);
    assert!(data["threads"].as_u64().is_some_and(|threads| threads > 0));
    assert!(data["methods"].as_array().is_some_and(|methods| methods.len() == 6));
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    for arguments in [&["doctor"][..], &["doctor", "--json"], &["--help"], &["train", "--help"]] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_duomo"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // As `| head -c 0` does.
        drop(program.stdout.take());

        let output = program.wait_with_output().unwrap();

        assert_eq!(code(&output), Some(0), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{arguments:?}");
    }
}

#[test]
fn quiet_says_nothing_but_results_and_verbose_says_more() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, flag: &str| {
        let out = folder.path().join(name);
        let out = out.to_str().unwrap();
        let small = ["--patients", "1", "--matrix-scale", "0.1"];
        duomo(&[&["phantom", "mscmr", "--out", out, flag], &small[..]].concat())
    };

    let quiet = run("a", "-q");
    let both = duomo(&["doctor", "-q", "-v"]);
    let twice = run("a", "--quiet");

    assert_eq!((code(&quiet), &stderr(&quiet)[..]), (Some(0), ""));
    assert!(!stdout(&quiet).is_empty());
    assert!(stderr(&run("b", "-v")).contains("writing"));
    assert_eq!(code(&both), Some(2), "{}", stderr(&both));
    assert!(stderr(&twice).starts_with("error: "), "faults are said: {}", stderr(&twice));
}
