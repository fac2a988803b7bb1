//! Folders in nnU-Net's layout.

use std::path::Path;

use expect_test::{Expect, expect};
use tempfile::TempDir;

use crate::{Dataset, Reason, discover};

const VERSION_2: &str = r#"{
    "channel_names": {"0": "any"},
    "labels": {"background": 0, "RV": 2, "LV": 1},
    "numTraining": 3,
    "file_ending": ".nii.gz",
    "modality": {"heart_002": "MR", "heart_001": "CT", "heart_010": "MR"}
}"#;

/// A data set folder with empty files; discovery only looks at names.
fn folder(json: &str, files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("dataset.json"), json).unwrap();
    for file in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    folder
}

const FILES: [&str; 6] = [
    "imagesTr/heart_001_0000.nii.gz",
    "imagesTr/heart_002.nii.gz",
    "imagesTr/heart_010_0000.nii.gz",
    "labelsTr/heart_001.nii.gz",
    "labelsTr/heart_002.nii.gz",
    "labelsTr/heart_010.nii.gz",
];

fn refuses(from: &str, to: &str, message: &Expect) {
    assert!(VERSION_2.contains(from), "{from}");
    let folder = folder(&VERSION_2.replacen(from, to, 1), &FILES);
    let error = Dataset::from_nnunet(folder.path()).unwrap_err().to_string();
    message.assert_eq(&error.replace(folder.path().to_str().unwrap(), "ROOT"));
}

#[test]
fn the_modality_map_makes_an_unpaired_data_set() {
    let folder = folder(VERSION_2, &FILES);

    let dataset = Dataset::load(folder.path().to_str().unwrap()).unwrap();

    let marked = format!("\u{feff}{VERSION_2}");
    std::fs::write(folder.path().join("dataset.json"), marked).unwrap();
    assert_eq!(Dataset::from_nnunet(folder.path()).unwrap(), dataset);
    assert_eq!(dataset.modality_names(), ["MR", "CT"]);
    assert_eq!(dataset.class_names(), ["LV", "RV"]);
    assert_eq!(dataset.label_map().values(&[1, 2]), [1, 2]);
    let found = discover(&dataset, folder.path()).unwrap();
    let cases: Vec<_> = found.cases.iter().map(|c| (c.modality, c.patient.as_str())).collect();
    assert_eq!(cases, [(0, "heart_002"), (0, "heart_010"), (1, "heart_001")]);
    assert_eq!(found.left_out, []);
    assert!(found.cases[0].image.ends_with("imagesTr/heart_002.nii.gz"));
    assert!(found.cases[1].image.ends_with("imagesTr/heart_010_0000.nii.gz"));
}

#[test]
fn an_image_that_the_map_does_not_list_is_left_out() {
    let extra = FILES.into_iter().chain(["imagesTr/heart_011_0000.nii.gz"]).collect::<Vec<_>>();
    let folder = folder(VERSION_2, &extra);

    let found = discover(&Dataset::from_nnunet(folder.path()).unwrap(), folder.path()).unwrap();

    assert_eq!(found.cases.len(), 3);
    let patient = "heart_011".to_owned();
    assert_eq!(found.left_out[0].reason, Reason::PatientNotListed { patient });
    expect!["no modality lists case heart_011; add it to `modality` in dataset.json, or to `patients` in a data set file of your own"]
        .assert_eq(&found.left_out[0].reason.to_string());
}

#[test]
fn version_1_of_the_labels_is_read_and_its_modality_key_is_no_map() {
    let labels = VERSION_2
        .replace(r#"{"background": 0, "RV": 2, "LV": 1}"#, r#"{"0": "background", "1": "LV"}"#);
    let read = Dataset::from_nnunet(folder(&labels, &FILES).path()).unwrap();
    assert_eq!(read.class_names(), ["LV"]);

    let channels = r#"{"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "LV"}}"#;
    let folder = folder(channels, &FILES);
    let error = Dataset::from_nnunet(folder.path()).unwrap_err().to_string();
    expect![[r#"ROOT/dataset.json, key `modality`: nothing says which case is of which modality; add "modality": {"case_001": "CT", "case_002": "MR"} with every case beside "channel_names" to dataset.json"#]].assert_eq(&error.replace(folder.path().to_str().unwrap(), "ROOT"));
}

#[test]
fn what_cannot_be_used_is_said_with_the_key() {
    refuses(
        r#"{"0": "any"}"#,
        r#"{"0": "T1", "1": "T2"}"#,
        &expect![
            "ROOT/dataset.json, key `channel_names`: every case has one image of one modality here, got 2 channels"
        ],
    );
    refuses(
        r#""RV": 2"#,
        r#""RV": [1, 2]"#,
        &expect![
            "ROOT/dataset.json, key `labels`: class `RV` needs one whole number, got [1,2]; regions are not supported"
        ],
    );
    refuses(
        "RV",
        "ignore",
        &expect![
            "ROOT/dataset.json, key `labels`: an ignore label is not supported; relabel those voxels"
        ],
    );
    refuses(
        ".nii.gz",
        ".nrrd",
        &expect!["ROOT/dataset.json, key `file_ending`: expected .nii.gz or .nii, got .nrrd"],
    );
    refuses(
        "\"numTraining\": 3",
        "\"dataset\": {}",
        &expect![
            "ROOT/dataset.json, key `dataset`: explicit file lists are not read; put the files in imagesTr and labelsTr"
        ],
    );
    refuses(
        "heart_010",
        "heart_011",
        &expect![
            "ROOT/dataset.json, key `modality`: lists case `heart_011` but imagesTr has no heart_011.nii.gz or heart_011_0000.nii.gz"
        ],
    );
    refuses(
        "heart_010\": \"MR\"",
        "heart_010\": 1",
        &expect!["ROOT/dataset.json, key `modality`: case `heart_010` needs a name, got 1"],
    );
    refuses(
        "\"numTraining\": 3,",
        "\"numTraining\": 3, // three",
        &expect![[
            r#"ROOT/dataset.json, line 4: key must be a string, column 23 (the line is `"numTraining": 3, // three`)"#
        ]],
    );
}

#[test]
fn a_folder_without_dataset_json_is_named() {
    let error = Dataset::from_nnunet(Path::new("no/such/folder")).unwrap_err().to_string();

    assert!(error.starts_with("cannot read no/such/folder/dataset.json"), "{error}");
}
