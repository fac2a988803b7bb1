//! The classes that all runs have, and their mean.

use std::collections::BTreeSet;

use anyhow::Result;

use super::input::{Group, Values};
use super::{ScoredRun, names};
use crate::exit::Fault;
use crate::scores::MEAN;

/// Runs that have the same classes.
#[derive(Debug)]
pub(super) struct Common {
    pub runs: Vec<ScoredRun>,
    /// Classes that some run lacks.
    pub left_out: Vec<Group>,
}

impl Common {
    /// Leaves out what some run lacks, so that no mean is one over other classes.
    ///
    /// # Errors
    ///
    /// Runs without a class in common.
    pub(super) fn of(runs: &[ScoredRun]) -> Result<Self> {
        let mut left_out: Vec<Group> = Vec::new();
        for (group, _) in runs.iter().flat_map(|run| &run.groups) {
            if runs.iter().any(|run| run.values(group).is_none()) && !left_out.contains(group) {
                left_out.push(group.clone());
            }
        }
        let mut common = runs.to_vec();
        for run in &mut common {
            run.groups.retain(|(group, _)| !left_out.contains(group));
        }
        match common.first() {
            Some(run) if !run.groups.is_empty() => Ok(Self { runs: common, left_out }),
            _ => Err(Fault::Data(format!(
                "{} have no class in common; there are {}; evaluate all with the same --labels, and \
                 compare run folders with run folders",
                names(runs),
                left_out.iter().map(Group::to_string).collect::<Vec<_>>().join(", ")
            ))
            .into()),
        }
    }

    /// Adds to each modality of several classes their mean per case, defined where all are.
    pub(super) fn with_means(mut self) -> Self {
        self.runs.iter_mut().for_each(add_means);
        self
    }

    /// Keeps one group per modality: the mean of its classes, or its only class.
    pub(super) fn only_means(self) -> Self {
        let mut common = self.with_means();
        for run in &mut common.runs {
            let has_mean = |group: &Group| {
                group.class != MEAN
                    && run.values(&Group { class: MEAN.to_owned(), ..group.clone() }).is_some()
            };
            let classes: Vec<Group> =
                run.groups.iter().map(|(group, _)| group.clone()).filter(has_mean).collect();
            run.groups.retain(|(group, _)| !classes.contains(group));
        }
        common
    }
}

fn add_means(run: &mut ScoredRun) {
    let mut seen = BTreeSet::new();
    let modalities = run.groups.iter().map(|(group, _)| &group.modality[..]);
    let mut groups = Vec::new();
    for modality in modalities.filter(|modality| seen.insert(*modality)) {
        let of_modality: Vec<&(Group, Values)> =
            run.groups.iter().filter(|(group, _)| group.modality == modality).collect();
        groups.extend(of_modality.iter().map(|&group| group.clone()));
        if of_modality.len() > 1 {
            let cases: BTreeSet<&String> =
                of_modality.iter().flat_map(|(_, values)| values.keys()).collect();
            let mean = |case: &String| {
                let of_case = of_modality.iter().map(|(_, values)| *values.get(case)?);
                Some(of_case.sum::<Option<f64>>()? / of_modality.len() as f64)
            };
            let values = cases.into_iter().map(|case| (case.clone(), mean(case))).collect();
            let group = Group { modality: modality.to_owned(), class: MEAN.to_owned() };
            groups.push((group, values));
        }
    }
    run.groups = groups;
}
