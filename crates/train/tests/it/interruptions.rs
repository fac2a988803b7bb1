//! Runs that are killed, stopped, damaged or disturbed lose nothing.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use duomo_phantom::Modality;
use duomo_train::{BadData, Event, Interrupted, Observer, Resume, Silent, TrainRequest, train};
use tempfile::TempDir;

use crate::{PAIR, phantom, replace_first_patient, request};

const METHODS: [&str; 6] = ["single", "ummkd", "joint", "msbn", "affinity", "csa"];

/// Does something when a step has been logged, and keeps the warnings.
pub(crate) struct AtStep<F> {
    act: F,
    warnings: Vec<String>,
}

impl<F: FnMut(u64)> AtStep<F> {
    pub(crate) fn new(act: F) -> Self {
        Self { act, warnings: vec![] }
    }
}

impl<F: FnMut(u64)> Observer for AtStep<F> {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Step { step, .. } => (self.act)(*step),
            Event::Warning(text) => self.warnings.push((*text).to_owned()),
            _ => {}
        }
    }
}

/// Ends the process at a step, as far as a test can.
pub(crate) fn kill_at(killed: u64) -> impl Observer {
    AtStep::new(move |step| assert!(step != killed, "killed at step {step}"))
}

/// Wants to stop as soon as one step was done.
#[derive(Default)]
struct Impatient {
    stepped: bool,
}

impl Observer for Impatient {
    fn event(&mut self, event: &Event<'_>) {
        self.stepped |= matches!(event, Event::Step { .. });
    }

    fn wants_stop(&self) -> bool {
        self.stepped
    }
}

/// The same run twice: one that nothing happens to, and one to disturb.
pub(crate) fn twins(method: &str, data: &TempDir, out: &TempDir) -> [TrainRequest; 2] {
    ["whole", "broken"]
        .map(|name| request(method, &PAIR, data.path(), out.path().join(method).join(name)))
}

#[expect(clippy::unwrap_used, reason = "a run without its files fails the test")]
fn assert_equal_runs([whole, broken]: &[TrainRequest; 2], method: &str) {
    let weights = |request: &TrainRequest| fs::read(request.out.join("model.safetensors")).unwrap();
    assert!(weights(whole) == weights(broken), "{method} has other weights");
    let losses = |request: &TrainRequest| logged(&request.out.join("metrics.jsonl"));
    assert_eq!(losses(whole), losses(broken), "{method} logged other steps");
}

/// The lines of `metrics.jsonl` without the one value that tells time.
#[expect(clippy::unwrap_used, reason = "a log that cannot be read fails the test")]
fn logged(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("slices_per_second");
        line
    };
    text.lines().map(line).collect()
}

#[test]
fn a_run_that_was_killed_and_resumed_gives_the_bits_of_one_that_was_not() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    for method in METHODS {
        let runs = twins(method, &data, &out);

        train(&runs[0], &mut Silent).unwrap();
        let killed = catch_unwind(AssertUnwindSafe(|| train(&runs[1], &mut kill_at(5))));
        assert!(killed.is_err(), "{method} was not killed");
        train(&runs[1], &mut Silent).unwrap();

        assert_equal_runs(&runs, method);
    }
}

#[test]
fn a_run_that_was_stopped_after_every_step_gives_the_bits_of_one_that_was_not() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    for method in METHODS {
        let runs = twins(method, &data, &out);

        train(&runs[0], &mut Silent).unwrap();
        for step in 1..=6 {
            let error = train(&runs[1], &mut Impatient::default()).unwrap_err();
            let expected = Interrupted { step, steps: 6 };
            assert_eq!(error.downcast_ref(), Some(&expected), "{method}: {error:#}");
        }
        train(&runs[1], &mut Impatient::default()).unwrap();

        assert_equal_runs(&runs, method);
    }
}

/// Cuts a file short, or flips one of its bits.
#[expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]
fn damage(path: &Path, flip: bool) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    if flip {
        bytes[middle] ^= 1;
    } else {
        bytes.truncate(middle);
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    for (flip, fault) in [(false, "cut short"), (true, "is damaged")] {
        let out = tempfile::tempdir().unwrap();
        let runs = twins("csa", &data, &out);
        train(&runs[0], &mut Silent).unwrap();
        let killed = catch_unwind(AssertUnwindSafe(|| train(&runs[1], &mut kill_at(5))));
        assert!(killed.is_err());
        damage(&runs[1].out.join("checkpoints/last.safetensors"), flip);

        let mut steps = vec![];
        let mut observer = AtStep::new(|step| steps.push(step));
        train(&runs[1], &mut observer).unwrap();

        let warnings = observer.warnings.join("\n");
        assert!(warnings.contains("last.safetensors") && warnings.contains(fault), "{warnings}");
        assert_eq!(steps, [3, 4, 5, 6], "it went on from the checkpoint of step 2");
        assert_equal_runs(&runs, "csa");
    }
}

#[test]
fn a_run_without_a_readable_checkpoint_is_not_begun_afresh() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let [_, run] = twins("joint", &data, &out);
    let killed = catch_unwind(AssertUnwindSafe(|| train(&run, &mut kill_at(5))));
    assert!(killed.is_err());
    for name in ["last", "previous", "best"] {
        damage(&run.out.join(format!("checkpoints/{name}.safetensors")), false);
    }
    let before = fs::read(run.out.join("metrics.jsonl")).unwrap();

    let error = train(&run, &mut Silent).unwrap_err();

    assert!(error.downcast_ref::<BadData>().is_some(), "{error:#}");
    assert!(error.to_string().contains("to begin its run afresh"), "{error:#}");
    assert_eq!(fs::read(run.out.join("metrics.jsonl")).unwrap(), before);
}

#[test]
fn the_best_weights_are_gone_on_from_when_both_newer_checkpoints_are_damaged() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let runs = twins("csa", &data, &out);
    train(&runs[0], &mut Silent).unwrap();
    let killed = catch_unwind(AssertUnwindSafe(|| train(&runs[1], &mut kill_at(5))));
    assert!(killed.is_err());
    for name in ["last", "previous"] {
        damage(&runs[1].out.join(format!("checkpoints/{name}.safetensors")), false);
    }

    let mut observer = AtStep::new(|_| {});
    train(&runs[1], &mut observer).unwrap();

    assert_eq!(observer.warnings.len(), 2, "{:?}", observer.warnings);
    assert_equal_runs(&runs, "csa");
}

#[test]
fn a_checkpoint_of_another_experiment_or_of_other_data_is_not_gone_on_from() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let [run, mut other] = twins("joint", &data, &out);
    other.experiment.seed += 1;
    for request in [&run, &other] {
        let killed = catch_unwind(AssertUnwindSafe(|| train(request, &mut kill_at(3))));
        assert!(killed.is_err());
    }
    let checkpoints = |request: &TrainRequest| {
        ["last", "best"].map(|name| request.out.join(format!("checkpoints/{name}.safetensors")))
    };
    let own = checkpoints(&run).map(|path| fs::read(path).unwrap());

    for (from, to) in checkpoints(&other).iter().zip(checkpoints(&run)) {
        fs::copy(from, to).unwrap();
    }
    let foreign = train(&run, &mut Silent).unwrap_err();
    for (bytes, to) in own.iter().zip(checkpoints(&run)) {
        fs::write(to, bytes).unwrap();
    }
    replace_first_patient(data.path());
    let edited = train(&run, &mut Silent).unwrap_err();

    for (error, words) in [(foreign, "another experiment"), (edited, "the data have changed")] {
        assert!(error.downcast_ref::<BadData>().is_some(), "{error:#}");
        assert!(error.to_string().contains(words), "{error:#}");
    }
}

#[test]
fn a_folder_of_another_experiment_names_the_keys_that_differ() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let [run, mut other] = twins("joint", &data, &out);
    train(&run, &mut Impatient::default()).unwrap_err();
    other.out.clone_from(&run.out);
    other.experiment.seed = 4;
    other.experiment.schedule.steps = 9;

    let error = train(&other, &mut Silent).unwrap_err().to_string();
    let path = run.out.join("experiment.toml");
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() / 2 - 7]).unwrap();
    let damaged = train(&run, &mut Silent).unwrap_err().to_string();
    fs::write(&path, [0xff, 0xfe]).unwrap();
    let unreadable = format!("{:#}", train(&run, &mut Silent).unwrap_err());

    let expected =
        "schedule.steps is 6 there, 9 here; seed is 11 there, 4 here); give another --out";
    assert!(error.contains(expected), "{error}");
    assert!(damaged.contains("experiment.toml"), "{damaged}");
    assert!(
        unreadable.contains("cannot tell whose run") && unreadable.contains("UTF-8"),
        "{unreadable}"
    );
}

/// Ends the process at the first test case if asked to, and keeps the warnings.
struct Tested(Vec<String>, bool);

impl Observer for Tested {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::TestCase { .. } => assert!(!self.1, "killed in the test"),
            Event::Warning(text) => self.0.push((*text).to_owned()),
            _ => {}
        }
    }
}

#[test]
fn damaged_best_weights_give_way_to_the_last_ones() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let [_, run] = twins("csa", &data, &out);
    // Killed while it tested, when every checkpoint was written.
    let killed = catch_unwind(AssertUnwindSafe(|| train(&run, &mut Tested(vec![], true))));
    assert!(killed.is_err());
    damage(&run.out.join("checkpoints/best.safetensors"), true);

    let mut observer = Tested(vec![], false);
    train(&run, &mut observer).unwrap();

    let [warning] = &observer.0[..] else { panic!("{:?}", observer.0) };
    assert!(warning.contains("best.safetensors") && warning.contains("is damaged"), "{warning}");
    assert!(warning.ends_with("the model gets those of step 6"), "{warning}");
}

#[test]
fn a_run_that_never_resumes_begins_in_an_empty_folder_only() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let [_, mut run] = twins("joint", &data, &out);
    run.resume = Resume::Never;
    fs::create_dir_all(&run.out).unwrap();
    fs::write(run.out.join("notes.txt"), "mine").unwrap();

    let refused = train(&run, &mut Silent).unwrap_err();
    fs::remove_file(run.out.join("notes.txt")).unwrap();
    train(&run, &mut Silent).unwrap();
    let again = train(&run, &mut Silent).unwrap_err();

    assert!(refused.to_string().contains("is not empty; give another --out"), "{refused}");
    assert!(again.to_string().contains("already holds a run"), "{again}");
}

#[test]
fn a_run_leaves_a_log_with_times_also_of_how_it_ended() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let [_, run] = twins("joint", &data, &out);

    train(&run, &mut Impatient::default()).unwrap_err();
    train(&run, &mut Silent).unwrap();

    let log = fs::read_to_string(run.out.join("log.txt")).unwrap();
    let says = |words: &str| log.lines().position(|line| line[20..].contains(words));
    let places = [
        "  duomo ",
        "  LGE: train ",
        "  ended: interrupted after step 1 of 6",
        "  going on after step 1 of 6",
        "  step 6/6: loss ",
        "  step 6: validation Dice LGE ",
        "  done",
    ];
    let places = places.map(|words| says(words).unwrap_or_else(|| panic!("{words}: {log}")));
    assert!(places.is_sorted(), "{log}");
}

#[test]
fn a_folder_that_can_no_longer_be_written_to_ends_the_run_and_keeps_its_checkpoints() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let runs = twins("joint", &data, &out);
    train(&runs[0], &mut Silent).unwrap();
    let [folder, kept] = ["checkpoints", "kept"].map(|name| runs[1].out.join(name));
    let mut observer = AtStep::new(|step| {
        if step == 3 {
            // What is no folder refuses everybody, root too.
            fs::rename(&folder, &kept).unwrap();
            fs::write(&folder, "").unwrap();
        }
    });

    let error = format!("{:#}", train(&runs[1], &mut observer).unwrap_err());
    fs::remove_file(&folder).unwrap();
    fs::rename(&kept, &folder).unwrap();
    let names: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    train(&runs[1], &mut Silent).unwrap();

    assert!(error.starts_with("the checkpoint of step 4 is lost: cannot write"), "{error}");
    assert!(error.ends_with("a file is where a folder should be"), "{error}");
    assert_eq!(names.len(), 2, "best and last of step 2, nothing else: {names:?}");
    assert_equal_runs(&runs, "joint");
}

#[test]
fn a_folder_that_disappears_ends_the_run_with_a_sentence() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let [run, _] = twins("joint", &data, &out);
    let mut observer = AtStep::new(|step| {
        if step == 3 {
            fs::remove_dir_all(&run.out).unwrap();
        }
    });

    let error = train(&run, &mut observer).unwrap_err();

    let expected = format!("cannot write {}: ", run.out.join("metrics.jsonl").display());
    assert!(format!("{error:#}").contains(&expected), "{error:#}");
    assert!(format!("{error:#}").ends_with("was removed in the meantime"), "{error:#}");
    assert!(!run.out.exists(), "nothing is left behind");
}
