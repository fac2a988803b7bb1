//! Everything that is wrong with a folder of cases, or odd about it, at once.
//!
//! Cases are read a few at a time; of each only what comparisons need is kept: a digest, statistics, and one slice.

mod case;
mod compare;
mod finding;
mod fix;
mod statistics;
#[cfg(test)]
mod tests;

use std::path::Path;

use rayon::prelude::*;

pub use case::{Glimpse, InspectedCase};
pub use finding::{Finding, FindingKind};
pub use fix::{FixedHeader, fix_headers};

use crate::discover::survey;
use crate::{Case, Dataset, Error, LeftOut, Reason};
use case::{Observed, observe};

/// Cases read at once; a whole CT takes a few hundred megabytes.
const CASES_AT_ONCE: usize = 4;

/// What a folder holds of a data set, and everything that deserves attention.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Cases that could be read, those with labels first.
    pub cases: Vec<InspectedCase>,
    /// Files that are in no case and need not be: images without labels are read nevertheless.
    pub left_out: Vec<LeftOut>,
    /// Faults first, then warnings, each in the order of the cases.
    pub findings: Vec<Finding>,
}

/// Reads every image and label map of a data set below a folder, as training and prediction would, and returns what was
/// found; one fault never hides another.
///
/// # Errors
///
/// - [`Error::MissingFolder`], [`Error::NoFiles`] or [`Error::Read`] if there is no folder to inspect
///
/// # Examples
///
/// ```
/// use duomo_data::{Dataset, FindingKind, Geometry, inspect, write_image, write_labels};
///
/// let folder = tempfile::tempdir()?;
/// let grid = Geometry::from_spacing([2, 8, 8], [8.0, 1.25, 1.25]);
/// write_image(&folder.path().join("patient1_LGE.nii.gz"), &grid, &[7.0; 128])?;
/// write_labels(&folder.path().join("patient1_LGE_manual.nii.gz"), &grid, &[1220; 128])?;
///
/// let inspection = inspect(&Dataset::load("mscmr")?, folder.path())?;
///
/// let kinds: Vec<_> = inspection.findings.iter().map(|finding| finding.kind).collect();
/// assert_eq!(kinds, [FindingKind::NoCases, FindingKind::UnknownLabels, FindingKind::EmptyImage]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn inspect(dataset: &Dataset, root: &Path) -> Result<Inspection, Error> {
    let (discovery, missing) = survey(dataset, root)?;
    let mut findings: Vec<Finding> = missing.iter().map(|error| no_cases(error, root)).collect();
    let unlabelled = discovery.unlabelled();
    let mut left_out = Vec::new();
    for file in discovery.left_out {
        match unpaired(&file) {
            Some(finding) => findings.push(finding),
            None => left_out.push(file),
        }
    }

    let mut observed = Vec::new();
    let cases: Vec<Case> = discovery.cases.into_iter().chain(unlabelled).collect();
    for some in cases.chunks(CASES_AT_ONCE) {
        let read: Vec<Observed> = some.par_iter().map(|case| observe(dataset, case)).collect();
        observed.extend(read);
    }
    for one in &mut observed {
        findings.append(&mut one.findings);
    }
    findings.extend(compare::duplicates(dataset, &observed));
    findings.extend(compare::outliers(dataset, &observed));
    // Stable, so that findings of one kind keep the order of the cases.
    findings.sort_by_key(|finding| finding.kind);
    let cases = observed.into_iter().filter_map(|one| one.inspected).collect();
    Ok(Inspection { cases, left_out, findings })
}

fn no_cases(error: &Error, root: &Path) -> Finding {
    let Error::NoCases { modality, images, label_maps, expected, .. } = error else {
        unreachable!("the survey lists modalities without cases only")
    };
    Finding {
        kind: FindingKind::NoCases,
        modality: Some(modality.clone()),
        patient: None,
        path: root.to_owned(),
        found: format!("{images} images and {label_maps} label maps, none of the same patient"),
        expected: format!("names like {expected}"),
        remedy: "rename the files, or change the patterns in a data set file of your own".into(),
    }
}

/// A file that is left out, if leaving it out is a fault of the folder.
fn unpaired(file: &LeftOut) -> Option<Finding> {
    let (kind, patient, expected, remedy) = match &file.reason {
        Reason::LabelsWithoutImage { patient } => (
            FindingKind::Unpaired,
            Some(patient.clone()),
            "an image of the same patient",
            "add the image or remove the label map",
        ),
        Reason::SamePatientTwice { patient, .. } => (
            FindingKind::Ambiguous,
            Some(patient.clone()),
            "one file for each patient",
            "remove or rename one of the two",
        ),
        Reason::TwoModalities(_) => (
            FindingKind::Ambiguous,
            None,
            "one modality for each file",
            "make the patterns of the data set more specific",
        ),
        _ => return None,
    };
    Some(Finding {
        kind,
        modality: None,
        patient,
        path: file.path.clone(),
        found: file.reason.to_string(),
        expected: expected.into(),
        remedy: remedy.into(),
    })
}
