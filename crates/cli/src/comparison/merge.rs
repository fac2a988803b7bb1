//! Several runs of one method as one, and whether runs may be compared at all.

use std::collections::BTreeSet;

use anyhow::Result;
use duomo_train::Statistic;

use super::input::Values;
use super::{ScoredRun, Scoring};
use crate::exit::Fault;

/// Patients that a message names.
const NAMED: usize = 3;

/// Refuses runs whose splits put other patients aside for testing: a patient who tests in one may
/// have trained the other.
///
/// # Errors
///
/// The first run that differs from the first one, with patients that only one of them tests.
pub(crate) fn check_splits(runs: &[ScoredRun]) -> Result<()> {
    let mut split = runs.iter().filter_map(|run| Some((run, run.test_patients.as_ref()?)));
    let Some((first, expected)) = split.next() else { return Ok(()) };
    let expected: BTreeSet<&String> = expected.iter().collect();
    for (run, patients) in split {
        let patients: BTreeSet<&String> = patients.iter().collect();
        let differing: Vec<&str> =
            patients.symmetric_difference(&expected).take(NAMED).map(|name| &name[..]).collect();
        if !differing.is_empty() {
            let message = format!(
                "{} and {} were tested on different patients ({} only in one of them), and a patient \
                 who tests in one may have trained the other; compare runs of one seed, or train \
                 both with the same schedule.split.test_patients",
                first.name,
                run.name,
                differing.join(", ")
            );
            return Err(Fault::Data(message).into());
        }
    }
    Ok(())
}

/// Refuses distances between surfaces of different kinds.
///
/// # Errors
///
/// The first run that has another convention than the first one.
pub(crate) fn check_conventions(scoring: &Scoring, runs: &[ScoredRun]) -> Result<()> {
    let Some(first) = runs.first().filter(|_| scoring.is_of_surfaces()) else { return Ok(()) };
    match runs.iter().find(|run| run.convention != first.convention) {
        None => Ok(()),
        Some(run) => Err(Fault::Data(format!(
            "{} of {} is measured by the convention {} and that of {} by {}, which are not \
             comparable; evaluate both with the same --convention",
            scoring.metric, first.name, first.convention, run.name, run.convention
        ))
        .into()),
    }
}

impl ScoredRun {
    /// Runs of one method with other seeds or folds as one: each case has the mean of its values.
    pub(crate) fn merged(name: &str, runs: &[Self]) -> Self {
        let mut merged = Self {
            name: name.to_owned(),
            convention: runs.first().map(|run| run.convention.clone()).unwrap_or_default(),
            data_hash: None,
            test_patients: None,
            by_slice: runs.iter().any(|run| run.by_slice),
            lacks_misses: runs.iter().any(|run| run.lacks_misses),
            groups: Vec::new(),
        };
        for (group, _) in runs.iter().flat_map(|run| &run.groups) {
            if merged.values(group).is_some() {
                continue;
            }
            let of_group: Vec<&Values> = runs.iter().filter_map(|run| run.values(group)).collect();
            let cases: BTreeSet<&String> =
                of_group.iter().flat_map(|values| values.keys()).collect();
            let mean = |case: &String| {
                let values = of_group.iter().map(|values| values.get(case).copied().flatten());
                Statistic::of(values).map(|statistic| statistic.mean)
            };
            let values = cases.into_iter().map(|case| (case.clone(), mean(case))).collect();
            merged.groups.push((group.clone(), values));
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::Group;

    fn run(name: &str, test: &[&str], cases: &[(&str, Option<f64>)]) -> ScoredRun {
        let values: Values = cases.iter().map(|&(case, value)| (case.to_owned(), value)).collect();
        let group = |class: &str| Group { modality: "CT".into(), class: class.into() };
        ScoredRun {
            name: name.into(),
            convention: "voxel".into(),
            data_hash: None,
            by_slice: false,
            lacks_misses: false,
            test_patients: Some(test.iter().map(|&patient| patient.to_owned()).collect()),
            groups: vec![(group("LV"), values.clone()), (group("RV"), values)],
        }
    }

    #[test]
    fn runs_on_the_same_split_may_be_compared() {
        let runs = [run("a", &["1", "2"], &[]), run("b", &["2", "1"], &[])];

        assert!(check_splits(&runs).is_ok());
    }

    #[test]
    fn runs_on_other_splits_name_the_patients() {
        let runs = [run("a", &["1", "2"], &[]), run("b", &["2", "3"], &[])];

        let error = check_splits(&runs).unwrap_err().to_string();

        assert!(
            error.starts_with("a and b were tested on different patients (1, 3 only"),
            "{error}"
        );
    }

    #[test]
    fn a_case_of_two_runs_has_the_mean_of_its_defined_values() {
        let one = run("a", &[], &[("1", Some(0.5)), ("2", Some(0.5)), ("3", None)]);
        let other = run("a", &[], &[("1", Some(0.7)), ("2", None)]);

        let merged = ScoredRun::merged("method", &[one, other]);

        let values: Vec<Option<f64>> = merged.groups[0].1.values().copied().collect();
        assert_eq!(values, [Some(0.6), Some(0.5), None]);
        assert_eq!(merged.groups.len(), 2);
    }

    #[test]
    fn distances_by_other_conventions_are_refused_and_overlaps_are_not() {
        let voxel = run("a", &[], &[]);
        let deepmind = ScoredRun { convention: "deepmind".into(), ..run("b", &[], &[]) };
        let runs = [voxel, deepmind];
        let check = |metric: &str| {
            check_conventions(&Scoring { metric: metric.into(), penalty: None }, &runs)
        };

        assert!(
            ["dice", "volume_reference_mm3", "hausdorff_volume_mm"]
                .iter()
                .all(|it| check(it).is_ok())
        );
        for metric in ["nsd@2", "assd_mm", "hausdorff_voxels"] {
            let error = check(metric).unwrap_err().to_string();
            assert!(
                error
                    .contains("of a is measured by the convention voxel and that of b by deepmind"),
                "{error}"
            );
        }
    }
}
