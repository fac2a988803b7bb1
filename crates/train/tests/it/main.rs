//! Whole runs on small phantoms.

mod features;
mod grid;
mod grid_axes;
mod interruptions;
mod odd_data;
mod runs;
mod two_processes;

use std::fs;
use std::path::{Path, PathBuf};

use duomo_data::Dataset;
use duomo_phantom::{Kind, Modality, Options, write_dataset};
use duomo_train::{AbsentClass, Compute, Experiment, Resume, TrainRequest};
use tempfile::TempDir;

/// Few patients on coarse pixels, and a network that steps in milliseconds.
const TINY: [&str; 8] = [
    "schedule.steps=6",
    "schedule.batch=2",
    "schedule.validate_every=2",
    "schedule.network.width=2",
    "schedule.preparation.crop=32",
    "schedule.preparation.spacing_mm=5.0",
    "schedule.split.test_fraction=0.25",
    "schedule.split.validation_fraction=0.3",
];

#[expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]
fn phantom(modalities: &[Modality]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let patients = modalities.iter().map(|&modality| (modality, 4)).collect();
    let options = Options { kind: Kind::Mscmr, seed: 3, patients, matrix_scale: 0.2 };
    write_dataset(&options, folder.path()).unwrap();
    folder
}

#[expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]
fn request(method: &str, modalities: &[&str], data: &Path, out: PathBuf) -> TrainRequest {
    let dataset = Dataset::load("mscmr").unwrap().with_modalities(modalities).unwrap();
    let overrides = TINY.map(str::to_owned);
    let experiment = Experiment::load(dataset, method, "quick", 11, &overrides).unwrap();
    TrainRequest {
        compute: Compute::Cpu,
        experiment,
        data: data.to_owned(),
        out,
        resume: Resume::Auto,
        absent_class: AbsentClass::Warn,
    }
}

/// Gives the first patient the second's LGE scan.
#[expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]
fn replace_first_patient(data: &Path) {
    for name in ["c0t2lge/patient{}_LGE.nii.gz", "lgegt/patient{}_LGE_manual.nii.gz"] {
        let [first, second] = ["1", "2"].map(|number| data.join(name.replace("{}", number)));
        fs::copy(second, first).unwrap();
    }
}

const PAIR: [&str; 2] = ["LGE", "bSSFP"];
