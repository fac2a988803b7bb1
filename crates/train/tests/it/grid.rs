//! Grids of runs on small phantoms: names, restarts, and folders that must not be used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Result;
use duomo_data::{Dataset, read_labels, write_labels};
use duomo_train::{
    AbsentClass, BadData, Cell, CellEvent, CellStatus, Compute, EstimateSource, Event, Experiment,
    GRIDS, Grid, GridObserver, Resume, Silent, TrainRequest, estimate, run_cells, train,
};
use tempfile::TempDir;

use duomo_phantom::Modality;

use crate::interruptions::kill_at;
use crate::{PAIR, phantom, request as tiny_request};

/// Two methods on one data set, with its files and schedule in a folder of their own.
pub(crate) struct Fixture {
    folder: TempDir,
    pub(crate) grid: Grid,
}

impl Fixture {
    #[expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]
    pub(crate) fn new() -> Self {
        let folder = phantom(&[Modality::Lge, Modality::Bssfp]);
        let schedule = folder.path().join("tiny.toml");
        // Only the schedule of the request is used.
        let tiny = tiny_request("msbn", &PAIR, folder.path(), PathBuf::new()).experiment.schedule;
        fs::write(&schedule, toml::to_string(&tiny).unwrap()).unwrap();
        let grid = toml::from_str(&format!(
            "label = 'two'\nschedule = '{}'\nmethods = ['msbn', 'csa']\ndatasets = ['mscmr', 'mmwhs']",
            schedule.display()
        ));
        Self { folder, grid: grid.unwrap() }
    }

    pub(crate) fn data(&self) -> BTreeMap<String, PathBuf> {
        BTreeMap::from([("mscmr".to_owned(), self.folder.path().to_owned())])
    }

    pub(crate) fn cells(&self, runs: &str) -> Result<Vec<Cell>> {
        self.grid.cells(&self.data(), &self.folder.path().join(runs))
    }

    #[expect(clippy::unwrap_used, reason = "a grid that cannot be resolved fails the test")]
    fn names(&self) -> Vec<String> {
        self.cells("runs").unwrap().into_iter().map(|cell| cell.name).collect()
    }
}

/// Counts the cells that began.
#[derive(Default)]
struct Begun(Mutex<Vec<usize>>);

impl GridObserver for Begun {
    #[expect(clippy::unwrap_used, reason = "no thread panics while it holds the lock")]
    fn event(&self, cell: &Cell, event: &CellEvent<'_>) {
        if matches!(event, CellEvent::Begun) {
            self.0.lock().unwrap().push(cell.index);
        }
    }
}

fn request(cell: &Cell) -> TrainRequest {
    TrainRequest {
        compute: Compute::Cpu,
        experiment: cell.experiment.clone(),
        data: cell.data.clone(),
        out: cell.folder.clone(),
        resume: Resume::Auto,
        absent_class: AbsentClass::Refuse,
    }
}

#[test]
fn a_cells_name_follows_its_experiment_and_data_and_nothing_else() {
    let mut fixture = Fixture::new();
    let names = fixture.names();
    assert_eq!(names.len(), 2, "a data set without a folder is left out: {names:?}");
    assert!(names[0].starts_with("mscmr-msbn-s0-") && names[1].starts_with("mscmr-csa-s0-"));

    fixture.grid.seeds = 2;
    fixture.grid.folds = 2;
    let more = fixture.names();
    assert_eq!(more.len(), 8);
    assert!(more[3].starts_with("mscmr-msbn-s1-f1of2-"), "{more:?}");
    (fixture.grid.seeds, fixture.grid.folds) = (1, 1);

    let copied = Fixture::new();
    fs::copy(fixture.folder.path().join("tiny.toml"), copied.folder.path().join("tiny.toml"))
        .unwrap();
    assert_eq!(copied.names(), names, "another path and another time are no other data");

    let schedule = fixture.folder.path().join("tiny.toml");
    let text = fs::read_to_string(&schedule).unwrap();
    fs::write(&schedule, text.replace("steps = 6", "steps = 7")).unwrap();
    let longer = fixture.names();
    assert_ne!(longer, names);

    let labels = fixture.folder.path().join("lgegt/patient1_LGE_manual.nii.gz");
    without(&labels, 200);
    assert_ne!(fixture.names(), longer, "an edited label map is other data");
}

/// Removes a label from a label map.
#[expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]
fn without(path: &Path, label: u16) {
    let labels = read_labels(path).unwrap();
    let values = labels.values.map(|value| if value == label { 0 } else { value });
    write_labels(path, &labels.geometry, &values).unwrap();
}

#[test]
fn only_what_is_missing_is_done_and_a_killed_cell_goes_on_to_the_same_bits() {
    let fixture = Fixture::new();
    let whole = fixture.cells("whole").unwrap();
    let broken = fixture.cells("broken").unwrap();

    // One job on all threads, undisturbed.
    let begun = Begun::default();
    let ended = run_cells(&whole, 1, Compute::Cpu, &begun).unwrap();
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert_eq!(begun.0.into_inner().unwrap(), [0, 1]);
    assert!(whole.iter().all(|cell| cell.status().unwrap() == CellStatus::Done));

    // Two jobs, after the first cell was killed between two checkpoints.
    let killed = catch_unwind(AssertUnwindSafe(|| train(&request(&broken[0]), &mut kill_at(5))));
    assert!(killed.is_err());
    assert_eq!(broken[0].status().unwrap(), CellStatus::Unfinished { step: 4 });
    assert_eq!(broken[1].status().unwrap(), CellStatus::Missing);
    let ended = run_cells(&broken, 2, Compute::Cpu, &Begun::default()).unwrap();
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");

    for (whole, broken) in whole.iter().zip(&broken) {
        let weights = |cell: &Cell| fs::read(cell.folder.join("model.safetensors")).unwrap();
        assert!(weights(whole) == weights(broken), "{} differs", whole.name);
        let dice = |cell: &Cell| cell.summary().unwrap().modalities;
        assert_eq!(dice(whole), dice(broken));
    }
}

#[test]
fn an_estimate_is_measured_and_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let cells = fixture.cells("runs").unwrap();
    let runs = fixture.folder.path().join("runs");
    let statuses =
        |cells: &[Cell]| cells.iter().map(|cell| cell.status().unwrap()).collect::<Vec<_>>();

    let first = estimate(&cells, &statuses(&cells), 1, Compute::Cpu, &runs).unwrap();
    assert_eq!(first.sources["mscmr"], EstimateSource::ShortTiming);
    assert!(first.seconds > 0.0);
    assert_eq!(fs::read_dir(&runs).unwrap().count(), 0);

    run_cells(&cells[..1], 1, Compute::Cpu, &Begun::default()).unwrap();
    // Of two jobs one is left, and it will have all threads, too.
    let second = estimate(&cells, &statuses(&cells), 2, Compute::Cpu, &runs).unwrap();
    assert_eq!(second.sources["mscmr"], EstimateSource::FinishedCells(1));
    // The speed of a card says nothing about the processor's, nor the reverse.
    let timing = cells[0].folder.join("timing.json");
    let text = fs::read_to_string(&timing).unwrap();
    let card = text.replace("\"cpu-f32\"", "\"cuda-f32\"");
    assert_ne!(card, text);
    fs::write(&timing, card).unwrap();
    let third = estimate(&cells, &statuses(&cells), 1, Compute::Cpu, &runs).unwrap();
    assert_eq!(third.sources["mscmr"], EstimateSource::ShortTiming);
    let card = estimate(&cells, &statuses(&cells), 1, Compute::Cuda(0), &runs).unwrap();
    assert_eq!(card.sources["mscmr"], EstimateSource::FinishedCells(1));

    run_cells(&cells, 1, Compute::Cpu, &Begun::default()).unwrap();
    let nothing = estimate(&cells, &statuses(&cells), 1, Compute::Cpu, &runs).unwrap();
    assert!(nothing.seconds == 0.0 && nothing.sources.is_empty());
}

#[test]
fn a_cell_of_another_version_or_a_damaged_one_is_bad_data_with_a_remedy() {
    let fixture = Fixture::new();
    let cell = fixture.cells("runs").unwrap().remove(0);
    train(&request(&cell), &mut Silent).unwrap();
    let bad = |cell: &Cell| {
        let error = cell.status().unwrap_err();
        assert!(error.downcast_ref::<BadData>().is_some(), "{error:#}");
        format!("{error:#}")
    };

    let record = cell.folder.join("run.json");
    let text = fs::read_to_string(&record).unwrap();
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&version));
    fs::write(&record, text.replace(&version, "\"version\": \"0.0.7\"")).unwrap();
    let other = bad(&cell);
    assert!(other.contains("was written by Duomo 0.0.7, and this is ") && other.contains("remove"));
    fs::write(&record, text).unwrap();

    let summary = cell.folder.join("summary.json");
    let whole = fs::read_to_string(&summary).unwrap();
    fs::write(&summary, &whole[..whole.len() / 2]).unwrap();
    let torn = bad(&cell);
    assert!(
        torn.contains("is marked as done but damaged") && torn.contains("run --index 0"),
        "{torn}"
    );
    fs::write(&summary, whole).unwrap();

    fs::write(cell.folder.join("experiment.toml"), "seed = 1").unwrap();
    assert!(bad(&cell).contains("holds a run of another experiment"));
}

#[test]
fn a_damaged_checkpoint_is_bad_data_with_a_remedy() {
    let fixture = Fixture::new();
    let cell = fixture.cells("runs").unwrap().remove(0);
    let killed = catch_unwind(AssertUnwindSafe(|| train(&request(&cell), &mut kill_at(3))));
    assert!(killed.is_err());
    for name in ["last", "best"] {
        fs::write(cell.folder.join(format!("checkpoints/{name}.safetensors")), "torn").unwrap();
    }

    let ended = run_cells(&[cell], 1, Compute::Cpu, &Begun::default()).unwrap();

    let error = ended[0].as_ref().unwrap_err();
    assert!(error.downcast_ref::<BadData>().is_some(), "{error:#}");
    let text = format!("{error:#}");
    assert!(
        text.contains("last.safetensors") && text.contains("to begin its run afresh"),
        "{text}"
    );
}

#[test]
fn a_class_that_no_test_patient_has_is_told_before_the_first_step() {
    let fixture = Fixture::new();
    for patient in 1..=4 {
        without(
            &fixture.folder.path().join(format!("lgegt/patient{patient}_LGE_manual.nii.gz")),
            600,
        );
    }
    let cell = fixture.cells("runs").unwrap().remove(0);

    let refused = run_cells(std::slice::from_ref(&cell), 1, Compute::Cpu, &Begun::default())
        .unwrap()
        .remove(0);

    let error = refused.unwrap_err();
    assert!(error.downcast_ref::<BadData>().is_some(), "{error:#}");
    let text = format!("{error:#}");
    assert!(
        text.contains("class RV is absent from every test patient of modality LGE ("),
        "{text}"
    );
    assert!(text.contains("schedule.split.test_patients"), "{text}");
    assert!(!cell.folder.exists(), "nothing was begun");

    // Training alone goes on, and says so.
    let mut told = Told::default();
    let request = TrainRequest { absent_class: AbsentClass::Warn, ..request(&cell) };
    train(&request, &mut told).unwrap();
    assert!(told.0.iter().any(|text| text.contains("class RV is absent")), "{:?}", told.0);
}

/// Collects warnings.
#[derive(Default)]
struct Told(Vec<String>);

impl duomo_train::Observer for Told {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Warning(text) = event {
            self.0.push((*text).to_owned());
        }
    }
}

#[test]
fn two_processes_do_not_share_a_run_folder() {
    let fixture = Fixture::new();
    let cell = fixture.cells("runs").unwrap().remove(0);
    fs::create_dir_all(&cell.folder).unwrap();
    let lock = fs::File::create(cell.folder.join(".lock")).unwrap();
    lock.lock().unwrap();

    let error = train(&request(&cell), &mut Silent).unwrap_err().to_string();
    assert!(error.contains("another process is at work in"), "{error}");

    drop(lock);
    assert!(train(&request(&cell), &mut Silent).is_ok());
}

#[test]
fn every_grid_and_method_of_the_tree_can_be_resolved() {
    let fixture = Fixture::new();
    let experiments = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let files = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(experiments.join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path().to_str().unwrap().to_owned()).collect()
    };

    let mut grids: Vec<Grid> =
        files("grids").iter().map(|file| Grid::load(file).unwrap()).collect();
    assert!(grids.len() >= 3);
    let mut every_method = Grid::load("tables").unwrap();
    every_method.methods = files("methods");
    assert!(every_method.methods.len() >= 7);
    grids.push(every_method);

    for grid in grids {
        let cells = grid.cells(&fixture.data(), Path::new("runs")).unwrap();
        assert_eq!(cells.len(), grid.methods.len() * grid.variants.len().max(1), "{}", grid.label);
        let labels: BTreeSet<_> = cells.iter().map(|cell| &cell.experiment.method.label).collect();
        let names: BTreeSet<_> = cells.iter().map(|cell| &cell.name).collect();
        assert_eq!((labels.len(), names.len()), (cells.len(), cells.len()), "{}", grid.label);
    }
}

#[test]
fn every_built_in_grid_names_methods_and_keys_that_exist() {
    for (name, _) in GRIDS {
        let grid = Grid::load(name).unwrap();
        assert_eq!(grid.label, name);
        let labels: BTreeSet<&str> =
            grid.variants.iter().map(|variant| &variant.label[..]).collect();
        assert_eq!(labels.len(), grid.variants.len(), "{name}");
        for method in &grid.methods {
            let resolved = |set: &[String]| {
                let dataset = Dataset::load(&grid.datasets[0]).unwrap();
                let experiment = Experiment::load(dataset, method, &grid.schedule, 0, set).unwrap();
                toml::to_string(&experiment).unwrap()
            };
            let variants: BTreeSet<String> =
                grid.variants.iter().map(|variant| resolved(&variant.set)).collect();
            assert_eq!(variants.len(), grid.variants.len(), "{name}: two variants are the same");
        }
    }
}
