//! Folders with known faults.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::{Geometry, read_image, read_labels, write_image, write_image_i16, write_labels};

/// Two modalities, a hole for the patient, values 10 and 20.
const DATASET: &str = r#"
name = "hearts"
title = "Hearts"
crop = 8
labels = [{ name = "LV", values = [10] }, { name = "RV", values = [20] }]
[[modalities]]
name = "CT"
images = ["{patient}_ct"]
labels = ["{patient}_ct_seg"]
[[modalities]]
name = "MR"
images = ["{patient}_mr"]
labels = ["{patient}_mr_seg"]
"#;

struct Folder(TempDir);

impl Folder {
    /// Seven sound patients of each modality, of 3 × 8 × 8 voxels.
    fn sound() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for patient in 0..7 {
            for (modality, low) in [("ct", -1000.0), ("mr", 0.0)] {
                let (image, labels) = folder.case(patient, modality);
                write_image(&image, &grid(0.0), &grey(patient, low)).unwrap();
                write_labels(&labels, &grid(0.0), &drawn(10)).unwrap();
            }
        }
        folder
    }

    fn case(&self, patient: u8, modality: &str) -> (PathBuf, PathBuf) {
        let path = |name: String| self.0.path().join(name);
        (
            path(format!("{patient}_{modality}.nii.gz")),
            path(format!("{patient}_{modality}_seg.nii.gz")),
        )
    }

    fn inspected(&self) -> Inspection {
        inspect(&dataset(), self.0.path()).unwrap()
    }

    /// Kind, file name, and what was found.
    fn findings(&self) -> Vec<(FindingKind, String, String)> {
        let findings = self.inspected().findings.into_iter();
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        findings.map(|finding| (finding.kind, name(finding.path), finding.found)).collect()
    }
}

fn dataset() -> Dataset {
    Dataset::parse(DATASET, "hearts.toml").unwrap()
}

fn grid(shift_mm: f64) -> Geometry {
    let mut affine = Geometry::from_spacing([3, 8, 8], [5.0, 1.5, 1.5]).affine;
    affine[0][3] += shift_mm;
    Geometry::from_affine([3, 8, 8], affine)
}

/// A ramp that differs a little from patient to patient.
fn grey(patient: u8, low: f32) -> Vec<f32> {
    (0..192_u16).map(|at| low + f32::from(at) * 5.0 + f32::from(patient) * 0.3).collect()
}

/// Slice 1 shows a block of one value.
fn drawn(value: u16) -> Vec<u16> {
    (0..192).map(|at| if (70..90).contains(&at) { value } else { 0 }).collect()
}

/// Writes two shorts or more into a plain NIfTI file.
fn patch(path: &Path, offset: usize, bytes: &[u8]) {
    let mut file = fs::read(path).unwrap();
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
    fs::write(path, file).unwrap();
}

#[test]
fn a_sound_folder_has_no_finding_and_shows_the_slice_with_the_largest_annotation() {
    let inspection = Folder::sound().inspected();

    assert!(inspection.findings.is_empty(), "{:?}", inspection.findings);
    assert_eq!(inspection.cases.len(), 14);
    let case = &inspection.cases[0];
    assert_eq!((case.slices, &case.slices_with[..]), (3, &[1, 0][..]));
    assert_eq!((case.glimpse.slice, case.glimpse.spacing_mm), (1, [1.5, 1.5]));
    assert_eq!(case.glimpse.labels.iter().map(|&class| u32::from(class)).sum::<u32>(), 20);
}

#[test]
fn every_fault_of_a_folder_is_found_at_once() {
    use FindingKind as Kind;

    let folder = Folder::sound();
    fs::write(folder.case(0, "ct").0, "not NIfTI").unwrap();
    write_labels(&folder.case(1, "ct").1, &grid(12.0), &drawn(10)).unwrap();
    write_labels(&folder.case(2, "ct").1, &grid(0.0), &drawn(1220)).unwrap();
    write_labels(&folder.case(3, "ct").1, &grid(0.0), &drawn(0)).unwrap();
    write_image(&folder.case(4, "ct").0, &grid(0.0), &[7.0; 192]).unwrap();
    let flat = Geometry::from_spacing([2, 8, 8], [5.0, 1.5, 1.5]);
    write_labels(&folder.case(5, "ct").1, &flat, &[10; 128]).unwrap();
    fs::copy(folder.case(0, "mr").0, folder.case(6, "mr").0).unwrap();
    fs::remove_file(folder.case(1, "mr").0).unwrap();
    let mut holed = grey(2, 0.0);
    holed[5..8].copy_from_slice(&[f32::NAN; 3]);
    write_image(&folder.case(2, "mr").0, &grid(0.0), &holed).unwrap();
    fs::create_dir(folder.0.path().join("again")).unwrap();
    fs::copy(folder.case(3, "mr").0, folder.0.path().join("again/3_mr.nii.gz")).unwrap();

    let found = folder.findings();

    let kinds_and_files: Vec<_> = found.iter().map(|(kind, file, _)| (*kind, &file[..])).collect();
    assert_eq!(
        kinds_and_files,
        [
            (Kind::Unreadable, "0_ct.nii.gz"),
            (Kind::Unpaired, "1_mr_seg.nii.gz"),
            (Kind::Ambiguous, "3_mr.nii.gz"),
            (Kind::Shape, "5_ct_seg.nii.gz"),
            (Kind::Geometry, "1_ct_seg.nii.gz"),
            (Kind::UnknownLabels, "2_ct_seg.nii.gz"),
            (Kind::EmptyImage, "4_ct.nii.gz"),
            (Kind::Duplicate, "6_mr.nii.gz"),
            (Kind::EmptyLabels, "3_ct_seg.nii.gz"),
            (Kind::NotFinite, "2_mr.nii.gz"),
        ]
    );
    let words = |kind| &found.iter().find(|(other, ..)| *other == kind).unwrap().2[..];
    assert_eq!(words(Kind::Geometry), "a corner 12.0 mm from the image's");
    assert_eq!(words(Kind::UnknownLabels), "1220 in 20 voxels");
    assert_eq!(words(Kind::EmptyImage), "every voxel is 7");
    assert_eq!(words(Kind::NotFinite), "3 voxels are NaN or infinite; replaced by 0");
    assert!(words(Kind::Duplicate).ends_with("0_mr.nii.gz"));
    let inspection = folder.inspected();
    assert!(
        inspection.findings.iter().all(|one| !one.remedy.is_empty() && !one.expected.is_empty())
    );
    assert_eq!(inspection.cases.len(), 12, "an unreadable image and a missing one");
}

#[test]
fn two_faults_of_one_case_are_both_found() {
    let folder = Folder::sound();
    write_labels(&folder.case(1, "ct").1, &grid(12.0), &drawn(1220)).unwrap();
    write_image(&folder.case(1, "ct").0, &grid(0.0), &[7.0; 192]).unwrap();

    let kinds: Vec<FindingKind> = folder.findings().into_iter().map(|(kind, ..)| kind).collect();

    let expected = [FindingKind::Geometry, FindingKind::UnknownLabels, FindingKind::EmptyImage];
    assert_eq!(kinds, expected);
}

#[test]
fn a_folder_without_a_pair_of_one_modality_still_lists_the_faults_of_the_other() {
    let folder = Folder::sound();
    for patient in 0..7 {
        fs::remove_file(folder.case(patient, "mr").1).unwrap();
    }
    write_labels(&folder.case(1, "ct").1, &grid(0.0), &drawn(1220)).unwrap();

    let inspection = folder.inspected();

    let kinds: Vec<FindingKind> = inspection.findings.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [FindingKind::NoCases, FindingKind::UnknownLabels]);
    assert_eq!(inspection.cases.len(), 14, "images without labels are read, too");
    assert_eq!(inspection.left_out.len(), 7);
}

#[test]
fn cases_unlike_the_others_are_named() {
    let folder = Folder::sound();
    // A CT among the MR, other pixels, and a label map in an image's place.
    write_image(&folder.case(1, "mr").0, &grid(0.0), &grey(9, -1000.0)).unwrap();
    let fine = Geometry::from_spacing([3, 8, 8], [5.0, 0.3, 1.5]);
    write_image(&folder.case(2, "mr").0, &fine, &grey(2, 0.0)).unwrap();
    write_labels(&folder.case(2, "mr").1, &fine, &drawn(10)).unwrap();
    let mask: Vec<f32> = drawn(10).into_iter().map(f32::from).collect();
    write_image(&folder.case(3, "mr").0, &grid(0.0), &mask).unwrap();

    let found = folder.findings();

    let [spacing, ct, mask] = &found[..] else { panic!("{found:?}") };
    assert_eq!((spacing.0, &spacing.1[..]), (FindingKind::Spacing, "2_mr.nii.gz"));
    assert_eq!(spacing.2, "a spacing of 0.300 mm along H");
    assert_eq!((ct.0, &ct.1[..]), (FindingKind::Intensities, "1_mr.nii.gz"));
    assert!(ct.2.starts_with("the 1 % quantile"), "{}", ct.2);
    assert_eq!((mask.0, &mask.1[..]), (FindingKind::Intensities, "3_mr.nii.gz"));
    assert_eq!(mask.2, "2 different grey values");
    assert!(found.iter().all(|(kind, ..)| !kind.is_fault()));
}

#[test]
fn corrected_copies_have_no_finding_and_the_originals_stay() {
    let folder = Folder::sound();
    let (image, labels) = folder.case(1, "ct");
    write_labels(&labels, &grid(12.0), &drawn(10)).unwrap();
    // The qform of another image lies 30 mm away; integers stay integers.
    let (plain, other) = (folder.case(2, "mr").0, folder.0.path().join("2_mr.nii"));
    fs::remove_file(plain).unwrap();
    let numbers: Vec<i16> = (0..192).map(|at| at * 5 - 3).collect();
    write_image_i16(&other, &grid(0.0), &numbers).unwrap();
    patch(&other, 268, &30.0_f32.to_le_bytes());
    let before = fs::read(&labels).unwrap();
    let out = tempfile::tempdir().unwrap();

    let inspection = folder.inspected();
    let fixed = fix_headers(&inspection, folder.0.path(), out.path()).unwrap();

    let names: Vec<_> =
        fixed.iter().map(|one| one.to.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["1_ct_seg.nii.gz", "2_mr.nii.gz"]);
    assert!(fixed[0].changes[0].contains("has the geometry of"), "{fixed:?}");
    assert!(fixed[1].changes[0].contains("30.000 mm apart"), "{fixed:?}");
    let copy = read_labels(&fixed[0].to).unwrap();
    let distance_mm = copy.geometry.max_corner_distance_mm(&read_image(&image).unwrap().geometry);
    assert!(distance_mm < 1e-6, "{distance_mm}");
    assert_eq!(copy.values.to_vec(), drawn(10));
    let copy = read_image(&fixed[1].to).unwrap();
    assert!(copy.warnings.is_empty(), "{:?}", copy.warnings);
    assert_eq!(copy.voxels, numbers.iter().map(|&n| f32::from(n)).collect::<Vec<_>>());
    assert_eq!(fs::read(&labels).unwrap(), before);

    let again = fix_headers(&inspection, folder.0.path(), out.path()).unwrap_err();
    assert!(again.to_string().ends_with("it exists already"), "{again}");
}
