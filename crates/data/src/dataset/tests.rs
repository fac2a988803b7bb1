//! Built-in data sets, messages about wrong ones, label maps.

use std::path::Path;

use expect_test::{Expect, expect};

use super::*;
use crate::{Geometry, Labels};

const SMALL: &str = r#"
name = "small"
title = "Two made-up modalities"
crop = 32

[[labels]]
name = "tumour"
values = [7, 9]

[[modalities]]
name = "CT"
images = ["{patient}_ct"]
labels = ["{patient}_ct_seg"]

[[modalities]]
name = "PET"
aliases = ["NAC", "AC"]
images = ["{patient}_pet"]
labels = ["{patient}_pet_seg"]
"#;

fn small() -> Dataset {
    Dataset::parse(SMALL, "small.toml").unwrap()
}

/// Checks the message that a change of one text in the small data set leads to.
fn refuses(from: &str, to: &str, message: &Expect) {
    assert!(SMALL.contains(from), "{from}");
    let error = Dataset::parse(&SMALL.replacen(from, to, 1), "small.toml").unwrap_err();
    message.assert_eq(&error.to_string());
}

fn labels(values: &[u16]) -> Labels {
    let geometry = Geometry::from_spacing([1, 1, values.len()], [1.0; 3]);
    Labels { geometry, values: values.to_vec().into(), warnings: Vec::new() }
}

#[test]
fn mscmr_is_the_papers_cardiac_data_set() {
    let dataset = Dataset::load("mscmr").unwrap();

    assert_eq!(dataset.class_names(), ["LV", "myo", "RV"]);
    assert_eq!(dataset.label_map().values(&[0, 1, 2, 3]), [0, 500, 200, 600]);
    assert_eq!(dataset.modality_names(), ["LGE", "bSSFP"]);
    assert_eq!((dataset.crop, dataset.plane, dataset.classes()), (224, Plane::Stored, 4));
    assert_eq!(dataset.unknown_labels, UnknownLabels::Error);
}

#[test]
fn mmwhs_is_the_papers_whole_heart_data_set() {
    let dataset = Dataset::load("mmwhs").unwrap();

    assert_eq!(dataset.class_names(), ["LVM", "LAC", "LVC", "AA"]);
    assert_eq!(dataset.label_map().values(&[1, 2, 3, 4]), [205, 420, 500, 820]);
    assert_eq!(dataset.modality_names(), ["CT", "MR"]);
    assert_eq!((dataset.crop, dataset.plane), (256, Plane::Coronal));
    let values = labels(&[421, 420, 550, 600, 850, 0]);
    assert_eq!(dataset.label_map().classes(&values, Path::new("x")).unwrap(), [2, 2, 0, 0, 0, 0]);
}

#[test]
fn any_modality_of_the_file_can_be_selected_in_any_order_and_by_alias() {
    let dataset = Dataset::load("mscmr").unwrap();

    let three = dataset.clone().with_modalities(&["T2", "c0", "DE"]).unwrap();
    assert_eq!(three.modality_names(), ["T2", "bSSFP", "LGE"]);
    let back = three.with_modalities(&["lge"]).unwrap();
    assert_eq!(back.modality_names(), ["LGE"]);
}

#[test]
fn a_selection_names_what_it_does_not_know() {
    let message = |names: &[&str]| small().with_modalities(names).unwrap_err().to_string();

    expect!["data set small has no modality `MR`; it has `CT`, `PET`"]
        .assert_eq(&message(&["CT", "MR"]));
    expect!["small, key `modalities`: `AC` is selected twice"].assert_eq(&message(&["PET", "AC"]));
    expect!["small, key `modalities`: at least one must be selected"].assert_eq(&message(&[]));
}

#[test]
fn a_name_that_is_no_data_set_says_what_would_be() {
    let error = Dataset::load("mscrm").unwrap_err();

    expect!["there is no data set `mscrm`: give one of `mscmr`, `mmwhs`, a TOML file like them, or a folder with nnU-Net's dataset.json"].assert_eq(&error.to_string());
}

#[test]
fn a_key_that_it_does_not_know_is_named_with_file_and_line() {
    refuses(
        "crop =",
        "corp =",
        &expect![
            "small.toml, line 4: unknown field `corp`, expected one of `name`, `title`, `obtain`, `plane`, `crop`, `spacing_mm`, `label_resampling`, `clip_top_percent`, `geometry`, `geometry_tolerance_mm`, `unknown_labels`, `default_modalities`, `labels`, `modalities` (the line is `corp = 32`)"
        ],
    );
    refuses(
        "values =",
        "vales =",
        &expect![
            "small.toml, line 8: unknown field `vales`, expected one of `name`, `values`, `role` (the line is `vales = [7, 9]`)"
        ],
    );
    refuses(
        "aliases =",
        "alias =",
        &expect![[
            r#"small.toml, line 17: unknown field `alias`, expected one of `name`, `aliases`, `patient_prefix`, `patients`, `images`, `labels` (the line is `alias = ["NAC", "AC"]`)"#
        ]],
    );
}

#[test]
fn a_value_of_the_wrong_kind_shows_its_line() {
    refuses(
        "crop = 32",
        "crop = \"32\"",
        &expect![[
            r#"small.toml, line 4: invalid type: string "32", expected usize (the line is `crop = "32"`)"#
        ]],
    );
    refuses(
        "crop = 32",
        "crop = 32\nplane = \"coronel\"",
        &expect![[
            r#"small.toml, line 5: unknown variant `coronel`, expected one of `stored`, `axial`, `coronal`, `sagittal` (the line is `plane = "coronel"`)"#
        ]],
    );
    refuses(
        "crop = 32",
        "crop = ",
        &expect![
            "small.toml, line 4: string values must be quoted, expected literal string (the line is `crop =`)"
        ],
    );
    refuses("crop = 32", "", &expect!["small.toml, line 1: missing field `crop`"]);
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    refuses(
        "crop = 32",
        "crop = 0",
        &expect!["small.toml, key `crop`: expected at least 1 pixel, got 0"],
    );
    refuses(
        "crop = 32",
        "crop = 32\nspacing_mm = -1.0",
        &expect!["small.toml, key `spacing_mm`: expected a positive length, got -1"],
    );
    refuses(
        "crop = 32",
        "crop = 32\nclip_top_percent = 100.0",
        &expect![
            "small.toml, key `clip_top_percent`: expected at least 0 and less than 100, got 100"
        ],
    );
    refuses(
        "crop = 32",
        "crop = 32\ngeometry_tolerance_mm = 0.0",
        &expect!["small.toml, key `geometry_tolerance_mm`: expected a positive length, got 0"],
    );
    refuses(
        "crop = 32",
        "crop = 32\ndefault_modalities = [\"CT\", \"US\"]",
        &expect!["data set small has no modality `US`; it has `CT`, `PET`"],
    );
    refuses(
        "[7, 9]",
        "[7, 7]",
        &expect!["small.toml, key `labels`: value 7 of class `tumour` is listed twice"],
    );
    refuses(
        "[7, 9]",
        "[0, 7]",
        &expect!["small.toml, key `labels`: class `tumour` claims value 0, the background's"],
    );
    refuses("[7, 9]", "[]", &expect!["small.toml, key `labels`: class `tumour` has no values"]);
    refuses(
        "\"AC\"",
        "\"ct\"",
        &expect!["small.toml, key `modalities`: name or alias `ct` is empty or listed twice"],
    );
    refuses(
        "{patient}_ct\"",
        "*_ct\"",
        &expect![
            "small.toml, key `modalities`: pattern `*_ct` of `CT` must contain `{patient}` exactly once"
        ],
    );
    refuses(
        "[\"{patient}_ct\"]",
        "[]",
        &expect!["small.toml, key `modalities`: `CT` has no patterns under `images`"],
    );
    refuses(
        "name = \"small\"",
        "name = \"a/b\"",
        &expect!["small.toml, key `name`: `a/b` cannot name a folder"],
    );
}

#[test]
fn no_class_takes_the_name_of_the_mean_over_classes() {
    refuses(
        "tumour",
        "Mean",
        &expect![
            "small.toml, key `labels`: class `Mean` stands for the mean over classes in tables; name it otherwise"
        ],
    );
}

#[test]
fn a_resolved_data_set_survives_being_written_and_read() {
    let dataset = Dataset::load("mmwhs").unwrap();

    let text = toml::to_string(&dataset).unwrap();

    assert_eq!(Dataset::parse(&text, "written").unwrap(), dataset);
}

#[test]
fn several_values_may_mean_one_class_and_the_first_is_written() {
    let map = small().label_map();

    let classes = map.classes(&labels(&[0, 9, 7, 9]), Path::new("x")).unwrap();

    assert_eq!(classes, [0, 1, 1, 1]);
    assert_eq!(map.values(&classes), [0, 7, 7, 7]);
}

#[test]
fn unknown_values_are_an_error_with_counts_or_background() {
    let values = labels(&[0, 9, 1220, 421, 1220]);

    let error = small().label_map().classes(&values, Path::new("p3_ct_seg.nii")).unwrap_err();
    expect![[r#"p3_ct_seg.nii holds label values that no class names: 421 in 1 voxel, 1220 in 2 voxels; the classes have 7, 9: add the values to a class, or set unknown_labels = "background""#]].assert_eq(&error.to_string());

    let lenient = Dataset { unknown_labels: UnknownLabels::Background, ..small() };
    let classes = lenient.label_map().classes(&values, Path::new("x")).unwrap();
    assert_eq!(classes, [0, 1, 0, 0, 0]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin1.toml");
    std::fs::write(&path, b"name = \"\xe9\"").unwrap();

    let error = Dataset::load(path.to_str().unwrap()).unwrap_err();

    assert!(error.to_string().contains("latin1.toml"), "{error}");
}
