//! `duomo grid`: from synthetic scans to the paper's tables, killed on the way, and bad input.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::{code, duomo, json, stderr, stdout};

/// A grid of two methods whose network is too small to learn; every other part is real.
const GRID: &str =
    "label = 'two'\nschedule = 'SCHEDULE'\nmethods = ['msbn', 'csa']\ndatasets = ['mscmr']\n";

const SCHEDULE: &str = "\
label = 'tiny'
steps = 30
batch = 2
validate_every = 3
optimizer = { rate = 2e-3, decay = 0.9, decay_every = 20, l2 = 1e-4 }
network = { width = 2, input_slices = 1, blocks = [1, 1, 1, 1, 1, 1, 1, 1], head = 'pixel-shuffle', dropout = 0.0, init = 'he' }
split = { test_fraction = 0.4, validation_fraction = 0.25 }
preparation = { crop = 32, spacing_mm = 4.0 }
";

/// Scans, a grid and its schedule in a folder of their own.
pub(crate) struct Fixture {
    folder: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let fixture = Self { folder: tempfile::tempdir().expect("a folder can be made") };
        let schedule = fixture.path("tiny.toml");
        fs::write(&schedule, SCHEDULE).expect("the folder is writable");
        fs::write(fixture.path("grid.toml"), GRID.replace("SCHEDULE", &schedule))
            .expect("the folder is writable");
        let scans = fixture.path("scans");
        let phantom = ["phantom", "mscmr", "--out", &scans, "--patients", "5"];
        let output = duomo(&[&phantom[..], &["--matrix-scale", "0.12"]].concat());
        assert_eq!(code(&output), Some(0), "{}", stderr(&output));
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    pub(crate) fn arguments(&self, verb: &str, runs: &str, extra: &[&str]) -> Vec<String> {
        let [grid, data, runs] =
            [self.path("grid.toml"), format!("mscmr={}", self.path("scans")), self.path(runs)];
        let words = ["grid", verb, "--grid", &grid, "--data", &data, "--runs", &runs];
        words.iter().chain(extra).map(|&word| word.to_owned()).collect()
    }

    pub(crate) fn grid(&self, verb: &str, runs: &str, extra: &[&str]) -> Output {
        let arguments = self.arguments(verb, runs, extra);
        duomo(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn cells(&self, runs: &str) -> Vec<Value> {
        let listing = json(&self.grid("list", runs, &["--json"]));
        assert_eq!(listing["schema"], "duomo.grid/1");
        listing["cells"].as_array().expect("cells").clone()
    }

    fn statuses(&self, runs: &str) -> Vec<String> {
        let text = |cell: &Value| cell["status"].as_str().expect("a status").to_owned();
        self.cells(runs).iter().map(text).collect()
    }

    /// The folders of runs, hidden ones, too.
    fn folders(&self, runs: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path(runs)).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    pub(crate) fn folder_of(&self, runs: &str, index: usize) -> PathBuf {
        PathBuf::from(self.cells(runs)[index]["folder"].as_str().expect("a folder"))
    }
}

/// Starts the grid and ends it with SIGKILL once one of the folders in `runs` is as wanted.
fn start_and_kill(fixture: &Fixture, runs: &str, wanted: impl Fn(&Path) -> bool) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_duomo"))
        .args(fixture.arguments("run", runs, &["--jobs", "2"]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program can be started");
    let start = Instant::now();
    while !fixture.folders(runs).iter().any(|folder| wanted(folder)) {
        assert!(start.elapsed() < Duration::from_mins(5), "nothing is as wanted");
        sleep(Duration::from_millis(5));
    }
    child.kill().expect("the program is running or has ended");
    child.wait().expect("the program ends");
}

fn is_timing(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".timing-"))
}

#[test]
fn a_killed_grid_goes_on_to_the_same_scores_and_becomes_tables() {
    let fixture = Fixture::new();
    assert_eq!(fixture.statuses("whole"), ["missing", "missing"]);
    let whole = fixture.grid("run", "whole", &[]);
    assert_eq!(code(&whole), Some(0), "{}", stderr(&whole));
    let said = stderr(&whole);
    assert!(said.contains("2 runs: 0 done, 0 unfinished, 2 missing"), "{said}");
    assert!(said.contains("mscmr from a short timing just now"), "{said}");
    assert!(said.contains("2 of 2 runs done, 0 running, 0 waiting"), "{said}");

    start_and_kill(&fixture, "broken", |folder| is_timing(folder) && folder.join("run").exists());
    assert!(fixture.folders("broken").iter().any(|folder| is_timing(folder)));
    start_and_kill(&fixture, "broken", |folder| {
        !is_timing(folder) && folder.join("checkpoints/last.safetensors").exists()
    });
    assert!(!fixture.folders("broken").iter().any(|folder| is_timing(folder)));
    let resumed = fixture.grid("run", "broken", &["--jobs", "2"]);
    assert_eq!(code(&resumed), Some(0), "{}", stderr(&resumed));
    for index in 0..2 {
        let weights = |runs: &str| {
            fs::read(fixture.folder_of(runs, index).join("model.safetensors")).unwrap()
        };
        assert!(weights("whole") == weights("broken"), "run {index} differs");
    }
    // As if it had been killed between a run's end and its pictures.
    let pictures = fixture.folder_of("broken", 0).join("pictures");
    let drawn = fs::read(pictures.join("LGE.png")).unwrap();
    fs::remove_dir_all(&pictures).unwrap();
    let again = fixture.grid("run", "broken", &[]);
    assert!(fs::read(pictures.join("LGE.png")).unwrap() == drawn, "a run keeps no pictures");
    assert!(pictures.join("bSSFP.png").is_file());
    assert!(stderr(&again).contains("2 runs: 2 done, 0 unfinished, 0 missing"));
    assert!(!stderr(&again).contains("begins"), "{}", stderr(&again));

    let tables = fixture.grid("tables", "broken", &["--out", &fixture.path("tables")]);
    assert_eq!(code(&tables), Some(0), "{}", stderr(&tables));
    let printed = stdout(&tables);
    assert!(printed.contains("| CSA (ours) | ours  |"), "{printed}");
    // The paper's CSA, LGE, LV.
    assert!(printed.contains("91.89"), "{printed}");
    assert!(printed.contains("| MSBN | LGE      | mean  |     2 |"), "{printed}");
    assert!(printed.contains("how class-specific the features are"), "{printed}");
    let page = fs::read_to_string(fixture.path("tables/report-mscmr.html")).unwrap();
    assert!(page.contains("Features: MSBN") && page.contains("Affinities of the modalities"));
    for extension in ["md", "csv", "tex", "json"] {
        for name in ["table1", "tests-mscmr", "features-mscmr"] {
            let file = fixture.path(&format!("tables/{name}.{extension}"));
            assert!(Path::new(&file).is_file(), "{file} is missing");
        }
    }
    let name = fixture.cells("broken")[1]["name"].as_str().unwrap().to_owned();
    let pictures = ["fig6", "fig2", "affinities", "dice"].map(|name| format!("{name}-mscmr.png"));
    for picture in pictures.into_iter().chain([format!("curves/{name}.png")]) {
        let bytes = fs::read(fixture.path(&format!("tables/{picture}"))).unwrap();
        assert_eq!(&bytes[1..4], b"PNG", "{picture}");
    }
}

#[test]
fn a_grid_with_variants_becomes_an_ablation() {
    let fixture = Fixture::new();
    let grid = fs::read_to_string(fixture.path("grid.toml")).unwrap();
    let variants = "variants = [{ label = 'λ 0', set = ['method.transfer.0.weight=0.0'] }, \
                    { label = 'λ 5', set = ['method.transfer.0.weight=5.0'] }]\n";
    let grid = grid.replace("['msbn', 'csa']", "['csa']").replace("'two'", "'ablation'");
    fs::write(fixture.path("grid.toml"), grid + variants).unwrap();
    let run = fixture.grid("run", "runs", &["--jobs", "2"]);
    assert_eq!(code(&run), Some(0), "{}", stderr(&run));

    let tables = fixture.grid("tables", "runs", &["--out", &fixture.path("tables")]);

    assert_eq!(code(&tables), Some(0), "{}", stderr(&tables));
    let printed = stdout(&tables);
    assert!(printed.starts_with("# ablation\n"), "{printed}");
    assert!(printed.contains("mscmr: every method against CSA (ours), λ 0"), "{printed}");
    assert!(!printed.contains("paper") && !printed.contains("Fig. 6"), "{printed}");
    let read = |name: &str| fs::read_to_string(fixture.path(&format!("tables/{name}"))).unwrap();
    let table: Value = serde_json::from_str(&read("ablation-mscmr.json")).unwrap();
    let [none, five] = &table["rows"].as_array().unwrap()[..] else { panic!("two rows") };
    assert_eq!(none["variant"], "CSA (ours), λ 0");
    assert_eq!(none["pull_at_start"]["mean"], 0.0);
    assert!(five["pull_at_start"]["mean"].as_f64().unwrap() > 0.0);
    assert!(five["validation"]["mean"].is_number() && five["test_of"][0]["mean"].is_number());
    let page = read("report-mscmr.html");
    assert!(page.contains("What pulls at the shared kernels"));
    assert!(page.contains("Norms of the gradients of Eq. 5's two parts"));
}

#[test]
fn features_are_looked_at_in_finished_runs_only() {
    let fixture = Fixture::new();
    let run = fixture.grid("run", "runs", &["--index", "1"]);
    assert_eq!(code(&run), Some(0), "{}", stderr(&run));
    let folder = fixture.folder_of("runs", 1);
    let path = folder.to_str().unwrap();

    let found = json(&duomo(&["features", path, "--group", "2", "--json"]));

    assert_eq!(found[0]["schema"], "duomo.features/1");
    assert_eq!(found[0]["layers"].as_array().unwrap().len(), 8 * 2);
    for file in ["features.json", "features.csv", "features.md", "maps.png", "affinities.png"] {
        assert!(folder.join("features").join(file).is_file(), "{file} is missing");
    }
    fs::remove_file(folder.join("DONE")).unwrap();
    let unfinished = duomo(&["features", path]);
    assert_eq!(code(&unfinished), Some(3));
    assert!(stderr(&unfinished).contains("is no finished run folder"), "{}", stderr(&unfinished));
}

#[test]
fn one_index_is_one_run_and_what_is_missing_is_listed() {
    let fixture = Fixture::new();

    let none = fixture.grid("tables", "runs", &["--out", &fixture.path("tables")]);
    assert_eq!(code(&none), Some(3));
    assert!(stderr(&none).contains("no run of the grid is done below"), "{}", stderr(&none));
    let beyond = fixture.grid("run", "runs", &["--index", "2"]);
    assert_eq!(code(&beyond), Some(2));
    assert!(stderr(&beyond).contains("the grid has 2 runs, 0 to 1; got --index 2"));

    let second = fixture.grid("run", "runs", &["--index", "1"]);
    assert_eq!(code(&second), Some(0), "{}", stderr(&second));
    assert_eq!(fixture.statuses("runs"), ["missing", "done"]);
    let some = fixture.grid("tables", "runs", &["--out", &fixture.path("tables")]);
    assert_eq!(code(&some), Some(4), "{}", stderr(&some));
    assert!(stdout(&some).contains("Missing: mscmr-msbn-s0-"), "{}", stdout(&some));
    assert!(stderr(&some).contains("no tests on mscmr"), "{}", stderr(&some));

    let summary = fixture.folder_of("runs", 1).join("summary.json");
    let text = fs::read_to_string(&summary).unwrap();
    fs::write(&summary, &text[..text.len() / 2]).unwrap();
    for verb in ["list", "run"] {
        let damaged = fixture.grid(verb, "runs", &[]);
        assert_eq!(code(&damaged), Some(3), "{verb}");
        assert!(stderr(&damaged).contains("is marked as done but damaged"), "{}", stderr(&damaged));
    }
    fs::write(&summary, text).unwrap();
    let record = fixture.folder_of("runs", 1).join("run.json");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace(env!("CARGO_PKG_VERSION"), "0.0.7")).unwrap();
    let other = fixture.grid("tables", "runs", &["--out", &fixture.path("tables")]);
    assert_eq!(code(&other), Some(3));
    assert!(stderr(&other).contains("was written by Duomo 0.0.7"), "{}", stderr(&other));
}

#[test]
fn a_class_without_a_test_patient_is_bad_data() {
    let fixture = Fixture::new();
    for entry in fs::read_dir(fixture.path("scans/lgegt")).unwrap() {
        let path = entry.unwrap().path();
        let labels = duomo_data::read_labels(&path).unwrap();
        let values = labels.values.map(|value| if value == 600 { 0 } else { value });
        duomo_data::write_labels(&path, &labels.geometry, &values).unwrap();
    }

    let output = fixture.grid("run", "runs", &["--index", "0"]);

    assert_eq!(code(&output), Some(3), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("class RV is absent from every test patient of modality LGE"), "{text}");
    assert!(text.contains("schedule.split.test_patients"), "{text}");
}

#[test]
fn the_job_array_is_a_script_that_names_every_index() {
    let fixture = Fixture::new();

    let output = fixture.grid("slurm", "my runs", &["--seeds", "2", "--at-once", "3"]);

    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let script = stdout(&output);
    assert!(script.contains("#SBATCH --array=0-3%3\n"), "{script}");
    assert!(
        script.contains("--device cpu --precision f32 --index \"$SLURM_ARRAY_TASK_ID\""),
        "{script}"
    );
    assert!(!script.contains("gpu"), "{script}");
    let path = fixture.path("job.sh");
    fs::write(&path, &script).unwrap();
    // Run as Slurm would run it, with an index that the grid lacks: the arguments must arrive.
    let job = Command::new("bash").arg(&path).env("SLURM_ARRAY_TASK_ID", "9").output().unwrap();
    assert_eq!(code(&job), Some(2), "{}", stderr(&job));
    assert!(
        stderr(&job).contains("the grid has 4 runs, 0 to 3; got --index 9"),
        "{}",
        stderr(&job)
    );

    // What no job could do is refused before any waits in a queue.
    let refused = fixture.grid("slurm", "runs", &["--precision", "bf16"]);
    assert_eq!(code(&refused), Some(2));
    assert!(stderr(&refused).contains("the CPU computes in f32"), "{}", stderr(&refused));
}

#[test]
fn a_data_folder_needs_a_name_that_the_grid_has() {
    let unnamed = duomo(&["grid", "list", "--data", "scans"]);
    let unknown = duomo(&["grid", "list", "--data", "ct=scans"]);

    assert_eq!((code(&unnamed), code(&unknown)), (Some(2), Some(2)));
    assert!(stderr(&unnamed).contains("expected NAME=DIR"), "{}", stderr(&unnamed));
    assert!(stderr(&unknown).contains("grid tables has no data set `ct`; it has mscmr, mmwhs"));
}
