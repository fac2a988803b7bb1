use std::fs;

use duomo_phantom::Modality;
use duomo_train::{
    BadData, Device, LearningCurve, Model, Resume, Silent, Summary, TrainRequest, train,
};

use crate::{PAIR, phantom, replace_first_patient, request};

#[test]
fn a_run_folder_is_complete_and_its_model_predicts() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");

    let summary = train(&request("csa", &PAIR, data.path(), run.clone()), &mut Silent).unwrap();

    for file in ["run.json", "experiment.toml", "metrics.jsonl", "summary.json", "DONE"] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    // Six steps, three validations, and what pulls at the kernels in step 1 and at each validation.
    assert_eq!(fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count(), 6 + 3 + 4);
    let gradients = LearningCurve::read(&run).unwrap().gradients;
    assert_eq!(gradients.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 2, 4, 6]);
    assert!(gradients.iter().all(|(_, norms)| norms.rest > 0.0 && norms.transfer > 0.0));
    assert_eq!(Summary::read(&run.join("summary.json")).unwrap(), summary);
    assert_eq!(
        summary.modalities.iter().map(|modality| &modality.name[..]).collect::<Vec<_>>(),
        PAIR
    );
    assert!(summary.nnunet.contains_key("metric_per_case"));
    for case in &summary.cases {
        let prediction = duomo_data::read_labels(&case.prediction).unwrap();
        let reference = duomo_data::read_labels(&case.reference).unwrap();
        let distance_mm = prediction.geometry.max_corner_distance_mm(&reference.geometry);
        assert!(distance_mm < 1e-4, "case {} moved by {distance_mm} mm", case.case);
        assert_eq!(prediction.geometry.shape, reference.geometry.shape);
    }
    let model = Model::load(&run.join("model.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(model.modality("bssfp").unwrap(), 1);
    let error = model.modality("CT").unwrap_err().to_string();
    assert_eq!(error, "the model knows the modalities LGE, bSSFP, not `CT`");

    let moved = out.path().join("moved");
    fs::rename(&run, &moved).unwrap();
    for case in Summary::read(&moved.join("summary.json")).unwrap().cases {
        assert!(case.prediction.starts_with(&moved) && case.prediction.is_file());
    }
}

#[test]
fn three_modalities_train_together() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp, Modality::T2]);
    let out = tempfile::tempdir().unwrap();
    let three = ["LGE", "bSSFP", "T2"];

    let summary =
        train(&request("csa", &three, data.path(), out.path().join("run")), &mut Silent).unwrap();

    assert_eq!(summary.modalities.len(), 3);
    assert!(summary.modalities.iter().all(|modality| modality.cases == 1));
}

#[test]
fn a_folder_of_another_run_is_left_as_it_is() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    train(&request("msbn", &PAIR, data.path(), run.clone()), &mut Silent).unwrap();
    let before = fs::read(run.join("model.safetensors")).unwrap();

    let other = train(&request("csa", &PAIR, data.path(), run.clone()), &mut Silent).unwrap_err();
    let never =
        TrainRequest { resume: Resume::Never, ..request("msbn", &PAIR, data.path(), run.clone()) };
    let never = train(&never, &mut Silent).unwrap_err();

    assert!(other.to_string().contains("another experiment"), "{other:#}");
    assert!(never.to_string().contains("already holds a run"), "{never:#}");
    assert_eq!(fs::read(run.join("model.safetensors")).unwrap(), before);
}

#[test]
fn a_run_that_is_done_answers_for_its_own_data_alone() {
    let data = phantom(&[Modality::Lge, Modality::Bssfp]);
    let out = tempfile::tempdir().unwrap();
    let mut run = request("joint", &PAIR, data.path(), out.path().join("run"));
    run.experiment.schedule.steps = 2;
    let summary = train(&run, &mut Silent).unwrap();

    assert_eq!(train(&run, &mut Silent).unwrap(), summary);
    replace_first_patient(data.path());
    let error = train(&run, &mut Silent).unwrap_err();

    assert!(error.downcast_ref::<BadData>().is_some(), "{error:#}");
    assert!(error.to_string().contains("is done, but the data have changed since"), "{error:#}");
}

#[test]
fn resuming_what_was_never_begun_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    let must =
        TrainRequest { resume: Resume::Must, ..request("csa", &PAIR, out.path(), run.clone()) };

    let error = train(&must, &mut Silent).unwrap_err();

    assert!(error.to_string().contains("holds no run to resume"), "{error:#}");
    assert!(!run.exists());
}

#[test]
fn data_faults_stay_data_errors() {
    let empty = tempfile::tempdir().unwrap();
    let out = tempfile::tempdir().unwrap();
    for data in [empty.path().to_owned(), empty.path().join("nowhere")] {
        let error =
            train(&request("csa", &PAIR, &data, out.path().join("run")), &mut Silent).unwrap_err();
        assert!(error.downcast_ref::<duomo_data::Error>().is_some(), "{error:#}");
        assert!(!out.path().join("run").exists(), "a run that cannot begin leaves nothing behind");
    }
}

#[test]
fn a_damaged_model_file_says_what_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, b"PK\x03\x04 this is a zip").unwrap();

    let error = Model::load(&path, &Device::Cpu).unwrap_err();

    assert!(format!("{error:#}").contains("not a safetensors file"), "{error:#}");
}
