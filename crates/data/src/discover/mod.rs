//! Which files of a folder form cases, and which are left out and why.

mod matching;
mod natural;
mod pattern;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::dataset::Dataset;

use matching::{Key, Matchers, Role};
pub(crate) use natural::natural_order;
pub(crate) use pattern::Pattern;
pub use walk::nifti_stem;
use walk::{Found, nifti_files};

/// One scan of one patient.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The patient, alike in all modalities.
    pub patient: String,
    /// Index among the data set's selected modalities.
    pub modality: usize,
    /// The image.
    pub image: PathBuf,
    /// The label map, if there is one.
    pub labels: Option<PathBuf>,
}

/// What a folder holds of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovery {
    /// Images paired with label maps, by modality, then by patient in natural order.
    pub cases: Vec<Case>,
    /// NIfTI files that are in no case, in the order of their paths.
    pub left_out: Vec<LeftOut>,
}

/// A file that is in no case.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: Reason,
}

/// Why a file is in no case; prints as a phrase.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// An image whose label map was not found; it can be predicted, not trained on.
    ImageWithoutLabels {
        /// The patient.
        patient: String,
        /// Index among the selected modalities.
        modality: usize,
    },
    /// A label map whose image was not found.
    LabelsWithoutImage {
        /// The patient.
        patient: String,
    },
    /// The patient already has such a file.
    SamePatientTwice {
        /// The patient.
        patient: String,
        /// The file that is used.
        first: PathBuf,
    },
    /// The file belongs to a modality that the data set knows and nobody selected.
    ModalityNotSelected(
        /// The modality's name.
        String,
    ),
    /// Two selected modalities claim the file.
    TwoModalities(
        /// Their names.
        [String; 2],
    ),
    /// A pattern matches, and no modality lists the patient.
    PatientNotListed {
        /// The patient, without prefix.
        patient: String,
    },
    /// No pattern of the data set matches the file's name.
    NoPattern,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ImageWithoutLabels { patient, .. } => {
                write!(f, "image of patient {patient} without a label map")
            }
            Self::LabelsWithoutImage { patient } => {
                write!(f, "label map of patient {patient} without an image")
            }
            Self::SamePatientTwice { patient, first } => {
                write!(f, "patient {patient} occurs twice; {} is used", first.display())
            }
            Self::ModalityNotSelected(name) => write!(f, "modality {name} is not selected"),
            Self::TwoModalities([one, other]) => {
                write!(f, "patterns of both {one} and {other} match it")
            }
            Self::PatientNotListed { patient } => write!(
                f,
                "no modality lists case {patient}; add it to `modality` in dataset.json, or to \
                 `patients` in a data set file of your own"
            ),
            Self::NoPattern => write!(f, "no pattern of the data set matches it"),
        }
    }
}

impl Discovery {
    /// Returns the images without label maps as cases: what can be predicted.
    pub fn unlabelled(&self) -> Vec<Case> {
        let case = |left_out: &LeftOut| match &left_out.reason {
            Reason::ImageWithoutLabels { patient, modality } => Some(Case {
                patient: patient.clone(),
                modality: *modality,
                image: left_out.path.clone(),
                labels: None,
            }),
            _ => None,
        };
        self.left_out.iter().filter_map(case).collect()
    }
}

/// Returns the cases of a data set below a folder, at any depth.
///
/// Every case has an image and a label map. Where a patient has two files for one role, the first
/// path in natural order is used. All files that are in no case are listed with the reason.
///
/// # Errors
///
/// - [`Error::MissingFolder`] if `root` is not a folder
/// - [`Error::NoFiles`] if it holds no NIfTI file
/// - [`Error::NoCases`] if a selected modality has no image with labels
/// - [`Error::Read`] if a folder cannot be listed
pub fn discover(dataset: &Dataset, root: &Path) -> Result<Discovery, Error> {
    let (discovery, missing) = survey(dataset, root)?;
    missing.into_iter().next().map_or(Ok(discovery), Err)
}

/// As [`discover`], with an [`Error::NoCases`] for each modality that has no image with labels beside what was found.
pub(crate) fn survey(dataset: &Dataset, root: &Path) -> Result<(Discovery, Vec<Error>), Error> {
    let obtain = || dataset.obtain.clone();
    if !root.is_dir() {
        return Err(Error::MissingFolder { path: root.to_owned(), obtain: obtain() });
    }
    let files = nifti_files(root)?;
    if files.is_empty() {
        return Err(Error::NoFiles { path: root.to_owned(), obtain: obtain() });
    }
    let sorted = sort(dataset, &files);
    let mut missing = Vec::new();
    for (modality, expected) in dataset.modalities.iter().enumerate() {
        let count = |role: Role| {
            sorted.roles[role as usize].keys().filter(|key| key.modality == modality).count()
        };
        if !sorted.pairs().any(|(key, ..)| key.modality == modality) {
            missing.push(Error::NoCases {
                modality: expected.name.clone(),
                root: root.to_owned(),
                images: count(Role::Image),
                label_maps: count(Role::Labels),
                expected: expected.examples(),
            });
        }
    }
    Ok((sorted.into_discovery(&files), missing))
}

/// Files by role; numbers are places in the list of files.
#[derive(Default)]
struct Sorted {
    /// Images, then label maps.
    roles: [BTreeMap<Key, usize>; 2],
    left_out: BTreeMap<usize, Reason>,
}

fn sort(dataset: &Dataset, files: &[Found]) -> Sorted {
    let matchers = Matchers::new(dataset);
    let mut sorted = Sorted::default();
    for (place, found) in files.iter().enumerate() {
        let reason = match matchers.classify(found) {
            Err(reason) => reason,
            Ok((role, key)) => match sorted.roles[role as usize].entry(key) {
                Entry::Vacant(free) => {
                    free.insert(place);
                    continue;
                }
                Entry::Occupied(taken) => Reason::SamePatientTwice {
                    patient: taken.key().patient.clone(),
                    first: files[*taken.get()].path.clone(),
                },
            },
        };
        sorted.left_out.insert(place, reason);
    }
    sorted
}

impl Sorted {
    /// Every case's key with the places of its image and its label map.
    fn pairs(&self) -> impl Iterator<Item = (&Key, usize, usize)> {
        let [images, labels] = &self.roles;
        images.iter().filter_map(|(key, &image)| Some((key, image, *labels.get(key)?)))
    }

    fn into_discovery(mut self, files: &[Found]) -> Discovery {
        let cases = self
            .pairs()
            .map(|(key, image, labels)| Case {
                patient: key.patient.clone(),
                modality: key.modality,
                image: files[image].path.clone(),
                labels: Some(files[labels].path.clone()),
            })
            .collect();
        let [images, labels] = std::mem::take(&mut self.roles);
        for (key, &place) in images.iter().filter(|(key, _)| !labels.contains_key(key)) {
            let Key { patient, modality } = key.clone();
            self.left_out.insert(place, Reason::ImageWithoutLabels { patient, modality });
        }
        for (key, &place) in labels.iter().filter(|(key, _)| !images.contains_key(key)) {
            let patient = key.patient.clone();
            self.left_out.insert(place, Reason::LabelsWithoutImage { patient });
        }
        let left_out =
            |(place, reason): (usize, _)| LeftOut { path: files[place].path.clone(), reason };
        Discovery { cases, left_out: self.left_out.into_iter().map(left_out).collect() }
    }
}
