//! Contact sheets: one telling slice of every case of a modality.

use std::path::{Path, PathBuf};

use anyhow::Result;
use duomo_data::{Dataset, InspectedCase, Inspection, Plane};

use crate::console;
use crate::pictures::{Thumb, Volumes, contact_sheet, png, reversed_in_plane};

/// Cases on one picture; more would not fit a screen's width and a few screens' height.
const CASES_PER_SHEET: usize = 96;

/// Writes the sheets of all modalities and returns their paths.
///
/// # Errors
///
/// A folder that cannot be written to.
pub(super) fn write(
    dataset: &Dataset,
    inspection: &Inspection,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let classes: Vec<String> = dataset.class_names().into_iter().map(str::to_owned).collect();
    let mut paths = Vec::new();
    for (modality, files) in dataset.modalities.iter().enumerate() {
        let cases: Vec<&InspectedCase> =
            inspection.cases.iter().filter(|case| case.case.modality == modality).collect();
        for (sheet, cases) in cases.chunks(CASES_PER_SHEET).enumerate() {
            let thumbs: Vec<Thumb<'_>> =
                cases.iter().map(|case| thumb(case, dataset.plane, inspection)).collect();
            let name = match sheet {
                0 => format!("{}.png", files.name),
                _ => format!("{}-{}.png", files.name, sheet + 1),
            };
            let path = folder.join(name);
            console::write_file(&path, &png(&contact_sheet(&thumbs, &classes))?)?;
            paths.push(path);
        }
    }
    Ok(paths)
}

fn thumb<'a>(case: &'a InspectedCase, plane: Plane, inspection: &Inspection) -> Thumb<'a> {
    let glimpse = &case.glimpse;
    let [row_mm, column_mm] = glimpse.spacing_mm;
    let files = || std::iter::once(&case.case.image).chain(&case.case.labels);
    Thumb {
        caption: case.case.patient.clone(),
        remark: format!("{}/{}", glimpse.slice + 1, case.slices),
        marked: inspection.findings.iter().any(|one| files().any(|file| *file == one.path)),
        volumes: Volumes {
            shape: [1, glimpse.side, glimpse.side],
            spacing_mm: [1.0, row_mm, column_mm],
            reversed: reversed_in_plane(&case.affine, plane),
            image: Some(&glimpse.image),
            reference: None,
            prediction: &glimpse.labels,
        },
    }
}
