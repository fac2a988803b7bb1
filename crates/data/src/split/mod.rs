//! Which patients train, validate and test.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::discover::natural_order;
use crate::random::{Purpose, keyed, shuffle};
use crate::{Case, Error};

/// How patients are divided.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitOptions {
    /// Seed of the draw; recorded in the split.
    pub seed: u64,
    /// Share of the patients that is put aside for testing, in `0..1`.
    pub test_fraction: f64,
    /// These patients test, and none are drawn.
    pub test_patients: Vec<String>,
    /// Share of the other patients that validates, in `0..1`, if there is one fold.
    pub validation_fraction: f64,
    /// Number of folds; with two or more, each patient that does not test validates in one of them,
    /// but for the only one left of a modality, who trains in all.
    pub folds: usize,
    /// Which fold validates, counted from 0.
    pub fold: usize,
}

impl Default for SplitOptions {
    /// The paper's 80 % and 20 %, one fold, a tenth of the training patients to validate.
    fn default() -> Self {
        Self {
            seed: 0,
            test_fraction: 0.2,
            test_patients: Vec::new(),
            validation_fraction: 0.1,
            folds: 1,
            fold: 0,
        }
    }
}

/// Which patients train, validate and test; each list in natural order.
///
/// A patient's scans of all modalities are on the same side.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Seed of the draw.
    pub seed: u64,
    /// Which fold validates, counted from 0.
    pub fold: usize,
    /// Number of folds.
    pub folds: usize,
    /// Patients to learn from.
    pub train: Vec<String>,
    /// Patients to choose by.
    pub validation: Vec<String>,
    /// Patients to report on.
    pub test: Vec<String>,
}

/// Divides the patients of these cases.
///
/// Patients are drawn, not slices, once over all modalities, from each group of patients who have
/// the same modalities in proportion to its size. So every modality is split by the same fraction,
/// and every modality with two patients or more gets one of them on each drawn side, as long as one
/// is left to train on: nobody is drawn who is the only one left of a modality. The test patients
/// depend on the seed and the cases alone, not on the folds.
///
/// # Errors
///
/// - [`Error::InvalidOption`] if a fraction, a fold or a named patient cannot be
/// - [`Error::TooFewPatients`] if all patients of a modality are named to test
///
/// # Examples
///
/// ```
/// use duomo_data::{Case, SplitOptions, split};
///
/// let case = |n: usize| Case {
///     patient: n.to_string(),
///     modality: n % 2,
///     image: "scan.nii.gz".into(),
///     labels: None,
/// };
/// let cases: Vec<_> = (1..=40).map(case).collect();
/// let split = split(&cases, &SplitOptions::default())?;
/// assert_eq!([split.train.len(), split.validation.len(), split.test.len()], [29, 3, 8]);
/// # Ok::<(), duomo_data::Error>(())
/// ```
pub fn split(cases: &[Case], options: &SplitOptions) -> Result<Split, Error> {
    let modalities = modalities_of_patients(cases);
    options.validate(&modalities)?;
    let shuffled = shuffled_groups(&modalities, options.seed);
    let test = if options.test_patients.is_empty() {
        draw(&shuffled, options.test_fraction)
    } else {
        options.test_patients.iter().map(String::as_str).collect()
    };
    let rest: Vec<Patient<'_>> =
        shuffled.iter().filter(|patient| !test.contains(patient.name)).copied().collect();
    let validation = if options.folds > 1 {
        let fold = rest.iter().skip(options.fold).step_by(options.folds);
        let mut fold = fold.map(|patient| patient.name).collect();
        give_back_the_only_ones(&rest, &mut fold);
        fold
    } else {
        draw(&rest, options.validation_fraction)
    };
    let train: BTreeSet<&str> =
        rest.iter().map(|patient| patient.name).filter(|name| !validation.contains(name)).collect();
    check_training(cases, &train)?;
    Ok(Split {
        seed: options.seed,
        fold: options.fold,
        folds: options.folds,
        train: listed(&train),
        validation: listed(&validation),
        test: listed(&test),
    })
}

/// A patient and the set of modalities they have, in ascending order.
#[derive(Clone, Copy)]
struct Patient<'a> {
    name: &'a str,
    modalities: &'a BTreeSet<usize>,
}

impl SplitOptions {
    fn validate(&self, patients: &BTreeMap<&str, BTreeSet<usize>>) -> Result<(), Error> {
        let invalid = |key, problem| Err(Error::InvalidOption { key, problem });
        for (key, fraction) in [
            ("test_fraction", self.test_fraction),
            ("validation_fraction", self.validation_fraction),
        ] {
            if !(0.0..1.0).contains(&fraction) {
                return invalid(
                    key,
                    format!("expected at least 0 and less than 1, got {fraction}"),
                );
            }
        }
        if self.fold >= self.folds {
            let problem = format!("expected less than {} folds, got {}", self.folds, self.fold);
            return invalid("fold", problem);
        }
        match self.test_patients.iter().find(|name| !patients.contains_key(name.as_str())) {
            Some(name) => invalid("test_patients", format!("no case is of patient `{name}`")),
            None => Ok(()),
        }
    }
}

fn modalities_of_patients(cases: &[Case]) -> BTreeMap<&str, BTreeSet<usize>> {
    let mut patients = BTreeMap::<&str, BTreeSet<usize>>::new();
    for case in cases {
        patients.entry(&case.patient).or_default().insert(case.modality);
    }
    patients
}

/// Every group of patients with the same modalities in a random order, one group after another.
fn shuffled_groups<'a>(
    patients: &'a BTreeMap<&'a str, BTreeSet<usize>>,
    seed: u64,
) -> Vec<Patient<'a>> {
    let mut groups = BTreeMap::<&BTreeSet<usize>, Vec<&str>>::new();
    for (name, modalities) in patients {
        groups.entry(modalities).or_default().push(name);
    }
    let mut random = keyed(Purpose::Split, [seed, 0, 0, 0]);
    let mut shuffled = Vec::with_capacity(patients.len());
    for (modalities, mut names) in groups {
        names.sort_by(|a, b| natural_order(a, b));
        shuffle(&mut names, &mut random);
        shuffled.extend(names.into_iter().map(|name| Patient { name, modalities }));
    }
    shuffled
}

/// Takes a fraction from the front of every group, rounding sums over groups, not each group; then
/// one patient more for every modality that got none and can spare one. Of no modality are all taken.
fn draw<'a>(shuffled: &[Patient<'a>], fraction: f64) -> BTreeSet<&'a str> {
    let mut drawn = BTreeSet::new();
    if fraction == 0.0 {
        return drawn;
    }
    let mut seen = 0;
    for group in shuffled.chunk_by(|a, b| a.modalities == b.modalities) {
        let before = drawn.len();
        seen += group.len();
        let wanted = crate::prepare::whole((fraction * seen as f64).round()).saturating_sub(before);
        drawn.extend(group.iter().take(wanted).map(|patient| patient.name));
    }
    give_back_the_only_ones(shuffled, &mut drawn);
    for modality in modalities_of(shuffled) {
        let mut having = shuffled.iter().filter(|patient| patient.modalities.contains(&modality));
        if !having.clone().any(|patient| drawn.contains(patient.name)) {
            let spare = having.find(|patient| !is_only_one(patient, shuffled, &drawn));
            drawn.extend(spare.map(|patient| patient.name));
        }
    }
    drawn
}

/// Takes one patient out of `drawn` for every modality whose patients are all in it, the last.
fn give_back_the_only_ones(patients: &[Patient<'_>], drawn: &mut BTreeSet<&str>) {
    for modality in modalities_of(patients) {
        let mut having = patients.iter().filter(|patient| patient.modalities.contains(&modality));
        if having.clone().all(|patient| drawn.contains(patient.name)) {
            having.next_back().map(|patient| drawn.remove(patient.name));
        }
    }
}

/// Whether nobody else is left of one of the patient's modalities.
fn is_only_one(patient: &Patient<'_>, patients: &[Patient<'_>], drawn: &BTreeSet<&str>) -> bool {
    patient.modalities.iter().any(|modality| {
        let left = patients.iter().filter(|other| !drawn.contains(other.name));
        left.filter(|other| other.modalities.contains(modality)).count() < 2
    })
}

fn modalities_of(patients: &[Patient<'_>]) -> BTreeSet<usize> {
    patients.iter().flat_map(|patient| patient.modalities).copied().collect()
}

fn check_training(cases: &[Case], train: &BTreeSet<&str>) -> Result<(), Error> {
    let all: BTreeSet<usize> = cases.iter().map(|case| case.modality).collect();
    for modality in all {
        let of_modality = || cases.iter().filter(move |case| case.modality == modality);
        if !of_modality().any(|case| train.contains(case.patient.as_str())) {
            return Err(Error::TooFewPatients { modality, patients: of_modality().count() });
        }
    }
    Ok(())
}

fn listed(names: &BTreeSet<&str>) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    names.sort_by(|a, b| natural_order(a, b));
    names
}
