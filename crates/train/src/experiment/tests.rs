use expect_test::expect;

use super::*;

fn csa(overrides: &[&str]) -> Result<Experiment> {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    Experiment::load(Dataset::load("mscmr").unwrap(), "csa", "quick", 7, &overrides)
}

#[test]
fn every_built_in_method_and_schedule_is_valid() {
    for (method, _) in METHODS {
        for (schedule, _) in SCHEDULES {
            let experiment =
                Experiment::load(Dataset::load("mscmr").unwrap(), method, schedule, 0, &[])
                    .unwrap();
            assert!(!experiment.method.label.is_empty());
        }
    }
}

#[test]
fn the_paper_schedule_has_the_papers_network() {
    let experiment =
        Experiment::load(Dataset::load("mmwhs").unwrap(), "csa", "paper", 0, &[]).unwrap();

    let architecture = experiment.architecture(2);

    assert_eq!((architecture.width, architecture.classes), (16, 5));
    assert_eq!(architecture.blocks, [1, 1, 2, 2, 2, 2, 2, 2]);
    assert_eq!(experiment.preparation().crop, 256);
}

#[test]
fn an_override_changes_its_key_and_nothing_else() {
    let plain = csa(&[]).unwrap();

    let changed = csa(&["schedule.steps=12", "schedule.network.head=transposed"]).unwrap();

    assert_eq!(changed.schedule.steps, 12);
    assert_eq!(changed.schedule.network.head, duomo_model::Head::Transposed);
    assert_eq!(changed.method, plain.method);
}

#[test]
fn a_transfer_weight_is_reached_by_its_number() {
    let experiment = csa(&["method.transfer.0.weight=0.0"]).unwrap();

    assert!(experiment.method.transfer[0].weight().abs() < f64::EPSILON);
}

#[test]
fn an_element_of_a_list_is_set_by_its_number_or_the_numbers_are_said() {
    let blocks = csa(&["schedule.network.blocks.7=3"]).unwrap().schedule.network.blocks;
    assert_eq!(blocks, [1, 1, 1, 1, 1, 1, 1, 3]);

    let message = |text| csa(&[text]).unwrap_err().to_string();
    expect!["--set method.transfer.weight: `method.transfer` is a list; name an element by its number, as in `method.transfer.0.weight`"]
        .assert_eq(&message("method.transfer.weight=1"));
    expect![
        "--set dataset.labels.3.name: `dataset.labels` has 3 elements, counted from 0; got `3`"
    ]
    .assert_eq(&message("dataset.labels.3.name=x"));
    expect!["--set schedule.steps.x: `schedule.steps` is a value, not a section"]
        .assert_eq(&message("schedule.steps.x=1"));
    expect!["--set schedul.steps: there is no `schedul` in the experiment"]
        .assert_eq(&message("schedul.steps=1"));
}

#[test]
fn what_an_override_makes_of_a_data_set_is_checked_like_a_file() {
    let message = |text| csa(&[text]).unwrap_err().to_string();
    expect!["mscmr, key `labels`: class `LV` has no values"]
        .assert_eq(&message("dataset.labels.0.values=[]"));
    expect!["mscmr, key `labels`: value 200 of class `myo` is listed twice"]
        .assert_eq(&message("dataset.labels.0.values=[200]"));
    expect!["mscmr, key `labels`: class `LV` is listed twice"]
        .assert_eq(&message("dataset.labels.1.name=LV"));
    expect!["mscmr, key `modalities`: `LGE` has no patterns under `images`"]
        .assert_eq(&message("dataset.modalities.0.images=[]"));
}

#[test]
fn settings_outside_their_domain_name_key_domain_and_value() {
    let message = |text: &str| csa(&[text]).unwrap_err().to_string();
    for rate in ["-1.0", "0.0", "inf", "nan"] {
        let error = message(&format!("schedule.optimizer.rate={rate}"));
        assert!(error.starts_with("schedule.optimizer.rate must be positive"), "{error}");
    }
    for (setting, sentence) in [
        (
            "schedule.optimizer.decay=-1.0",
            "schedule.optimizer.decay must be above 0 and at most 1, got -1",
        ),
        (
            "schedule.optimizer.l2=-5.0",
            "schedule.optimizer.l2 must be 0 or more and finite, got -5",
        ),
        ("schedule.loss.dice=-1.0", "schedule.loss.dice must be 0 or more and finite, got -1"),
        (
            "schedule.loss.cross_entropy=inf",
            "schedule.loss.cross_entropy must be 0 or more and finite, got inf",
        ),
        (
            "schedule.preparation.spacing_mm=-1.0",
            "schedule.preparation.spacing_mm must be positive and finite, got -1",
        ),
        (
            "schedule.split.test_fraction=1.5",
            "schedule.split.test_fraction must be at least 0 and below 1, got 1.5",
        ),
        (
            "schedule.split.validation_fraction=1.0",
            "schedule.split.validation_fraction must be at least 0 and below 1, got 1",
        ),
        (
            "method.transfer.0.weight=nan",
            "method.transfer.0.weight must be 0 or more and finite, got NaN",
        ),
        ("fold=[5,4]", "fold must count from 0 to below 4, got 5"),
        ("schedule.steps=0", "schedule.steps must be at least 1, got 0"),
        (
            "schedule.optimizer.decay_every=0",
            "schedule.optimizer.decay_every must be at least 1, got 0",
        ),
    ] {
        assert_eq!(message(setting), sentence);
    }
    let error = format!("{:#}", csa(&["schedule.augmentation.noise=-1.0"]).unwrap_err());
    assert!(error.starts_with("schedule.augmentation: ") && error.contains("noise"), "{error}");
    let error = message("method.transfer.0.pairs=[]");
    assert!(
        error.starts_with("method.transfer.pairs must name a pair of groups, got none"),
        "{error}"
    );
}

#[test]
fn an_unknown_key_is_named() {
    let error = csa(&["schedule.stepz=12"]).unwrap_err();

    assert!(error.to_string().contains("unknown field `stepz`"), "{error:#}");
}

#[test]
fn an_unknown_method_lists_the_known_ones() {
    let error =
        Experiment::load(Dataset::load("mscmr").unwrap(), "cas", "quick", 0, &[]).unwrap_err();

    expect!["unknown method `cas`; known are single, ummkd, joint, msbn, affinity, csa, or give the path of a .toml file"]
        .assert_eq(&error.to_string());
}

#[test]
fn a_crop_that_the_network_cannot_halve_three_times_is_refused() {
    let error = csa(&["schedule.preparation.crop=100"]).unwrap_err();

    expect!["the crop must be a positive multiple of 8, because the network's features live at an eighth of its side; got 100"]
        .assert_eq(&error.to_string());
}

#[test]
fn the_rate_falls_by_its_factor_after_each_interval() {
    let optimizer = Optimizer { rate: 1e-4, decay: 0.95, decay_every: 1000, l2: 0.0 };

    assert!((optimizer.rate_at(1000) - 1e-4).abs() < 1e-18);
    assert!((optimizer.rate_at(1001) - 0.95e-4).abs() < 1e-18);
    assert!((optimizer.rate_at(2001) - 0.9025e-4).abs() < 1e-18);
}

#[test]
fn separate_networks_serve_one_modality_each() {
    let single =
        Experiment::load(Dataset::load("mscmr").unwrap(), "single", "quick", 0, &[]).unwrap();

    assert_eq!(single.method.networks(3), [[0], [1], [2]]);
    assert_eq!(csa(&[]).unwrap().method.networks(3), [[0, 1, 2]]);
}

#[test]
fn a_resolved_experiment_survives_being_written_and_read() {
    let experiment = csa(&["schedule.steps=12"]).unwrap();

    let text = toml::to_string_pretty(&experiment).unwrap();

    assert_eq!(toml::from_str::<Experiment>(&text).unwrap(), experiment);
}
