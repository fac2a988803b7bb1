//! Every layout seen in the wild, and every way for a file to be left out.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use std::path::Path;

use expect_test::{Expect, expect};
use tempfile::TempDir;

use super::*;

/// A folder of empty files; discovery only looks at names.
fn folder<S: AsRef<str>>(files: impl IntoIterator<Item = S>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    folder
}

fn mscmr() -> Dataset {
    Dataset::load("mscmr").unwrap()
}

/// `modality patient image labels` of every case, then `file: reason` of the others.
fn listing(dataset: &Dataset, root: &Path) -> String {
    let found = discover(dataset, root).unwrap();
    let case = |case: &Case| {
        let name = dataset.modality_names()[case.modality];
        let labels = case.labels.as_deref().unwrap().display();
        format!("{name} {} {} {labels}\n", case.patient, case.image.display())
    };
    let left_out = |file: &LeftOut| format!("{}: {}\n", file.path.display(), file.reason);
    let cases = found.cases.iter().map(case);
    let text: String = cases.chain(found.left_out.iter().map(left_out)).collect();
    text.replace(&format!("{}/", root.display()), "")
}

fn lists(dataset: &Dataset, files: &[&str], expected: &Expect) {
    expected.assert_eq(&listing(dataset, folder(files).path()));
}

#[test]
fn the_official_mscmr_layout() {
    let mut files = Vec::new();
    for patient in 1..=45 {
        for sequence in ["C0", "T2", "LGE"] {
            files.push(format!("c0t2lge/patient{patient}_{sequence}.nii.gz"));
        }
        let lge = if patient <= 5 { "lgegt" } else { "lge_test_gt" };
        files.push(format!("{lge}/patient{patient}_LGE_manual.nii.gz"));
        if patient <= 35 {
            files.push(format!("c0gt/patient{patient}_C0_manual.nii.gz"));
            files.push(format!("t2gt/patient{patient}_T2_manual.nii.gz"));
        }
    }
    let folder = folder(&files);

    let found = discover(&mscmr(), folder.path()).unwrap();

    let of = |modality| found.cases.iter().filter(move |case| case.modality == modality);
    assert_eq!((of(0).count(), of(1).count()), (45, 35));
    let patients: Vec<_> = of(0).map(|case| case.patient.clone()).collect();
    assert_eq!(patients, (1..=45).map(|n| n.to_string()).collect::<Vec<_>>());
    for case in &found.cases {
        let image = case.image.file_name().unwrap().to_str().unwrap();
        let labels = case.labels.as_ref().unwrap().file_name().unwrap().to_str().unwrap();
        assert_eq!(image.replace(".nii", "_manual.nii"), labels);
    }
    assert_eq!(found.unlabelled().len(), 10);
    assert_eq!(found.left_out.len(), 10 + 80);

    let three = mscmr().with_modalities(&["LGE", "bSSFP", "T2"]).unwrap();
    assert_eq!(discover(&three, folder.path()).unwrap().cases.len(), 45 + 35 + 35);
}

#[test]
fn one_folder_per_modality_and_renamed_copies() {
    let files = [
        "LGE/patient10_LGE.nii.gz",
        "LGE/patient10_LGE_manual.nii.gz",
        "LGE/patient2_LGE.nii",
        "LGE/patient2_LGE_manual.nii.gz",
        "C0/patient2_C0.nii.gz",
        "C0/patient2_C0_manual.nii.gz",
        "C0/notes.txt",
        "C0/._patient2_C0.nii.gz",
        "more/subject1_DE.hdr",
        "more/subject1_DE.img",
        "more/subject1_DE_manual.nii.gz",
    ];
    lists(
        &mscmr(),
        &files,
        &expect![[r#"
        LGE 1 more/subject1_DE.hdr more/subject1_DE_manual.nii.gz
        LGE 2 LGE/patient2_LGE.nii LGE/patient2_LGE_manual.nii.gz
        LGE 10 LGE/patient10_LGE.nii.gz LGE/patient10_LGE_manual.nii.gz
        bSSFP 2 C0/patient2_C0.nii.gz C0/patient2_C0_manual.nii.gz
    "#]],
    );
}

#[test]
fn the_official_mmwhs_layout_keeps_patients_of_equal_number_apart() {
    let files = [
        "ct_train/ct_train_1001_image.nii.gz",
        "ct_train/ct_train_1001_label.nii.gz",
        "mr_train/mr_train_1001_image.nii.gz",
        "mr_train/mr_train_1001_label.nii.gz",
        "ct_test/ct_test_2001_image.nii.gz",
    ];
    lists(
        &Dataset::load("mmwhs").unwrap(),
        &files,
        &expect![[r#"
        CT ct_1001 ct_train/ct_train_1001_image.nii.gz ct_train/ct_train_1001_label.nii.gz
        MR mr_1001 mr_train/mr_train_1001_image.nii.gz mr_train/mr_train_1001_label.nii.gz
        ct_test/ct_test_2001_image.nii.gz: image of patient ct_2001 without a label map
    "#]],
    );
}

#[test]
fn every_file_left_out_has_a_reason() {
    let files = [
        "a/patient1_C0.nii.gz",
        "a/patient1_C0_manual.nii.gz",
        "a/patient1_LGE.nii.gz",
        "a/patient1_LGE_manual.nii.gz",
        "a/patient2_LGE.nii.gz",
        "a/patient3_LGE_manual.nii.gz",
        "a/patient1_T2.nii.gz",
        "b/patient1_LGE.nii.gz",
        "b/subject1_DE_manual.nii.gz",
        "b/atlas.nii.gz",
    ];
    lists(
        &mscmr(),
        &files,
        &expect![[r#"
        LGE 1 a/patient1_LGE.nii.gz a/patient1_LGE_manual.nii.gz
        bSSFP 1 a/patient1_C0.nii.gz a/patient1_C0_manual.nii.gz
        a/patient1_T2.nii.gz: modality T2 is not selected
        a/patient2_LGE.nii.gz: image of patient 2 without a label map
        a/patient3_LGE_manual.nii.gz: label map of patient 3 without an image
        b/atlas.nii.gz: no pattern of the data set matches it
        b/patient1_LGE.nii.gz: patient 1 occurs twice; a/patient1_LGE.nii.gz is used
        b/subject1_DE_manual.nii.gz: patient 1 occurs twice; a/patient1_LGE_manual.nii.gz is used
    "#]],
    );
}

#[test]
fn a_file_that_two_modalities_claim_is_left_out() {
    let greedy = include_str!("../../../../datasets/mscmr.toml").replace(
        "images = [\"patient{patient}_{modality}\"",
        "images = [\"shared{patient}\", \"patient{patient}_{modality}\"",
    );
    let dataset = Dataset::parse(&greedy, "greedy.toml").unwrap();
    let files = [
        "shared7.nii",
        "patient1_C0.nii",
        "patient1_C0_manual.nii",
        "patient1_LGE.nii",
        "patient1_LGE_manual.nii",
    ];
    lists(
        &dataset,
        &files,
        &expect![[r#"
        LGE 1 patient1_LGE.nii patient1_LGE_manual.nii
        bSSFP 1 patient1_C0.nii patient1_C0_manual.nii
        shared7.nii: patterns of both LGE and bSSFP match it
    "#]],
    );
}

#[test]
fn images_without_labels_can_be_predicted() {
    let files = ["patient1_C0.nii", "patient1_C0_manual.nii", "patient2_C0.nii"];
    let folder = folder(files);
    let dataset = mscmr().with_modalities(&["bSSFP"]).unwrap();

    let unlabelled = discover(&dataset, folder.path()).unwrap().unlabelled();

    assert_eq!(unlabelled.len(), 1);
    assert_eq!((unlabelled[0].patient.as_str(), unlabelled[0].modality), ("2", 0));
    assert!(unlabelled[0].image.ends_with("patient2_C0.nii") && unlabelled[0].labels.is_none());
}

#[test]
fn a_folder_that_cannot_be_used_says_what_to_do() {
    let message = |files: &[&str], below: &str| {
        let folder = folder(files);
        let error = discover(&mscmr(), &folder.path().join(below)).unwrap_err().to_string();
        error.replace(folder.path().to_str().unwrap(), "ROOT")
    };

    expect!["ROOT/missing is not a folder; give the folder that holds the images; to obtain the data, register at https://zmiclab.github.io/zxh/0/mscmrseg19/ and unpack C0LET2_nii45_for_challenge19"].assert_eq(&message(&[], "missing"));
    expect!["ROOT/file.nii is not a folder; give the folder that holds the images; to obtain the data, register at https://zmiclab.github.io/zxh/0/mscmrseg19/ and unpack C0LET2_nii45_for_challenge19"].assert_eq(&message(&["file.nii"], "file.nii"));
    expect!["no NIfTI file (.nii, .nii.gz, .hdr) lies under ROOT/; to obtain the data, register at https://zmiclab.github.io/zxh/0/mscmrseg19/ and unpack C0LET2_nii45_for_challenge19"].assert_eq(&message(&["readme.txt"], ""));
    expect!["no LGE image with labels lies under ROOT/: 2 images and 0 label maps match, none of the same patient; expected names like `patient{patient}_(LGE|DE)` with `patient{patient}_(LGE|DE)_manual`, or change the patterns in a data set file of your own"].assert_eq(&message(&["patient1_LGE.nii", "patient2_LGE.nii"], ""));
    let only_lge = ["patient1_LGE.nii", "patient1_LGE_manual.nii", "patient9_C0_manual.nii"];
    expect!["no bSSFP image with labels lies under ROOT/: 0 images and 1 label maps match, none of the same patient; expected names like `patient{patient}_(bSSFP|C0)` with `patient{patient}_(bSSFP|C0)_manual`, or change the patterns in a data set file of your own"].assert_eq(&message(&only_lge, ""));
}
