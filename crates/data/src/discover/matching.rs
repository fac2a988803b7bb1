//! Which modality, role and patient a file's name stands for.

use std::cmp::Ordering;

use super::walk::Found;
use super::{Pattern, Reason, natural_order};
use crate::dataset::{Dataset, ModalityFiles};

/// What a file is to its case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    Image = 0,
    Labels = 1,
}

/// Modality and patient of a file; ordered by modality, then by patient in natural order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Key {
    pub(super) modality: usize,
    pub(super) patient: String,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let patients = || natural_order(&self.patient, &other.patient);
        self.modality.cmp(&other.modality).then_with(patients)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The patterns of a data set, ready to be matched.
pub(super) struct Matchers<'a> {
    selected: Vec<Matcher<'a>>,
    unselected: Vec<Matcher<'a>>,
}

impl<'a> Matchers<'a> {
    pub(super) fn new(dataset: &'a Dataset) -> Self {
        Self {
            selected: dataset.modalities.iter().map(Matcher::new).collect(),
            unselected: dataset.unselected.iter().map(Matcher::new).collect(),
        }
    }

    /// Returns what the file is, or why it is nothing.
    ///
    /// Patterns of label maps go first: a pattern of images like `{patient}` may match a label
    /// map's name too, while `{patient}_manual` matches no image.
    pub(super) fn classify(&self, found: &Found) -> Result<(Role, Key), Reason> {
        for role in [Role::Labels, Role::Image] {
            let mut keys = keys(&self.selected, found, role);
            match (keys.pop(), keys.pop()) {
                (Some(key), None) => return Ok((role, key)),
                (Some(last), Some(other)) => {
                    let name = |key: Key| self.selected[key.modality].files.name.clone();
                    return Err(Reason::TwoModalities([name(other), name(last)]));
                }
                (None, _) => {}
            }
        }
        let roles = [Role::Labels, Role::Image];
        let claims =
            |other: &&Matcher<'_>| roles.iter().any(|&role| other.patient(found, role).is_some());
        if let Some(other) = self.unselected.iter().find(claims) {
            return Err(Reason::ModalityNotSelected(other.files.name.clone()));
        }
        let mut unlisted = roles.iter().flat_map(|&role| {
            self.selected.iter().filter_map(move |matcher| matcher.patients(found, role).next())
        });
        Err(match unlisted.next() {
            Some(patient) => Reason::PatientNotListed { patient },
            None => Reason::NoPattern,
        })
    }
}

fn keys(matchers: &[Matcher<'_>], found: &Found, role: Role) -> Vec<Key> {
    let key = |(modality, matcher): (usize, &Matcher<'_>)| {
        matcher.patient(found, role).map(|patient| Key { modality, patient })
    };
    matchers.iter().enumerate().filter_map(key).collect()
}

/// One modality with its patterns for every spelling of its name: images, then label maps.
struct Matcher<'a> {
    files: &'a ModalityFiles,
    patterns: [Vec<Pattern>; 2],
}

impl<'a> Matcher<'a> {
    fn new(files: &'a ModalityFiles) -> Self {
        let compile = |pattern: &String| -> Vec<Pattern> {
            files.spellings().filter_map(|spelling| Pattern::new(pattern, spelling).ok()).collect()
        };
        let patterns =
            [&files.images, &files.labels].map(|list| list.iter().flat_map(compile).collect());
        Self { files, patterns }
    }

    fn patient(&self, found: &Found, role: Role) -> Option<String> {
        let listed = |patient: &String| {
            self.files.patients.is_empty() || self.files.patients.contains(patient)
        };
        let patient = self.patients(found, role).find(listed)?;
        Some(format!("{}{patient}", self.files.patient_prefix))
    }

    /// What each pattern takes for the patient, whoever is listed.
    fn patients(&self, found: &Found, role: Role) -> impl Iterator<Item = String> {
        let path: Vec<&str> = found.components.iter().map(String::as_str).collect();
        self.patterns[role as usize].iter().filter_map(move |pattern| pattern.patient(&path))
    }
}
