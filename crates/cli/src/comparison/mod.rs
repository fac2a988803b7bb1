//! Runs beside each other on the same cases, and whether they differ.

mod input;
mod merge;
mod text;

use std::collections::BTreeSet;

use anyhow::Result;
use duomo_metrics::{
    Bootstrap, Summary, Wilcoxon, WilcoxonOptions, bootstrap_mean_difference, holm, wilcoxon,
};
use serde::Serialize;

pub(crate) use input::{Group, ScoredRun, tell_apart};
pub(crate) use merge::check_splits;
pub(crate) use text::{csv, tables};

use crate::exit::Fault;
use crate::scores::Statistic;

/// What `duomo compare --json` prints.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    pub schema: &'static str,
    pub metric: String,
    /// Names of the runs; the first is the baseline.
    pub runs: Vec<String>,
    /// Cases that only some runs hold; they are left out everywhere.
    pub left_out: Vec<String>,
    pub groups: Vec<GroupComparison>,
}

/// One class of one modality.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct GroupComparison {
    #[serde(flatten)]
    pub group: Group,
    /// Per run, over the cases for which the metric is defined.
    pub scores: Vec<Statistic>,
    /// Per run, how many cases have no value.
    pub undefined: Vec<usize>,
    /// Per run after the first.
    pub tests: Vec<PairedTest>,
}

/// A run against the baseline, over the cases with a value in both.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PairedTest {
    pub run: String,
    /// Pairs.
    pub n: usize,
    /// Mean of run − baseline, with its 95 % bootstrap confidence interval.
    pub difference: Option<Difference>,
    /// Two-sided p-value of Wilcoxon's signed-rank test.
    pub p: Option<f64>,
    /// The p-value after Holm's correction for all tests of this comparison.
    pub p_holm: Option<f64>,
}

/// A mean difference and its confidence interval.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Difference {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

impl Comparison {
    /// Compares all runs with the first, group by group.
    ///
    /// # Errors
    ///
    /// Runs without a case in common.
    pub(crate) fn new(metric: &str, runs: &[ScoredRun]) -> Result<Self> {
        let left_out = left_out(runs)?;
        let groups = runs[0].groups.iter().map(|(group, _)| group);
        let groups = groups.filter(|group| runs.iter().all(|run| run.values(group).is_some()));
        let compare = |group: &Group| compare_group(group, runs, &left_out);
        let mut groups: Vec<GroupComparison> = groups.map(compare).collect::<Result<_>>()?;
        correct(&mut groups)?;
        let runs = runs.iter().map(|run| run.name.clone()).collect();
        let left_out = left_out.into_iter().collect();
        Ok(Self { schema: "duomo.compare/1", metric: metric.to_owned(), runs, left_out, groups })
    }
}

/// Cases, as `modality/case`, that some run lacks.
fn left_out(runs: &[ScoredRun]) -> Result<BTreeSet<String>> {
    let cases: Vec<BTreeSet<String>> = runs.iter().map(ScoredRun::cases).collect();
    let all: BTreeSet<String> = cases.iter().flatten().cloned().collect();
    let (common, left_out): (BTreeSet<String>, BTreeSet<String>) =
        all.into_iter().partition(|case| cases.iter().all(|cases| cases.contains(case)));
    if common.is_empty() {
        let names: Vec<&str> = runs.iter().map(|run| &run.name[..]).collect();
        return Err(Fault::Data(format!(
            "{} have no case in common: compare runs that were tested on the same patients",
            names.join(", ")
        ))
        .into());
    }
    Ok(left_out)
}

fn compare_group(
    group: &Group,
    runs: &[ScoredRun],
    left_out: &BTreeSet<String>,
) -> Result<GroupComparison> {
    let values: Vec<Vec<Option<f64>>> = runs
        .iter()
        .map(|run| {
            let cases = run.values(group).into_iter().flatten();
            let common = cases.filter(|(case, _)| !left_out.contains(&group.case_key(case)));
            common.map(|(_, &value)| value).collect()
        })
        .collect();
    let defined = |values: &Vec<Option<f64>>| values.iter().flatten().copied().collect::<Vec<_>>();
    let later = runs.iter().zip(&values).skip(1);
    Ok(GroupComparison {
        group: group.clone(),
        scores: values.iter().map(|values| Summary::of(&defined(values)).into()).collect(),
        undefined: values.iter().map(|values| values.len() - defined(values).len()).collect(),
        tests: later
            .map(|(run, values_of_run)| test(&run.name, values_of_run, &values[0]))
            .collect::<Result<_>>()?,
    })
}

fn test(run: &str, values: &[Option<f64>], baseline: &[Option<f64>]) -> Result<PairedTest> {
    let pairs = values.iter().zip(baseline).filter_map(|(run, base)| run.zip(*base));
    let (values, baseline): (Vec<f64>, Vec<f64>) = pairs.unzip();
    let (mut difference, mut p) = (None, None);
    if !values.is_empty() {
        let interval = bootstrap_mean_difference(&values, &baseline, Bootstrap::default())?;
        difference =
            Some(Difference { mean: interval.mean, low: interval.low, high: interval.high });
        let Wilcoxon { p_value, .. } = wilcoxon(&values, &baseline, WilcoxonOptions::default())?;
        p = p_value;
    }
    Ok(PairedTest { run: run.to_owned(), n: values.len(), difference, p, p_holm: None })
}

/// Corrects the p-values of all tests together.
fn correct(groups: &mut [GroupComparison]) -> Result<()> {
    let mut tests: Vec<&mut PairedTest> = groups
        .iter_mut()
        .flat_map(|group| &mut group.tests)
        .filter(|test| test.p.is_some())
        .collect();
    let p_values: Vec<f64> = tests.iter().filter_map(|test| test.p).collect();
    for (test, adjusted) in tests.iter_mut().zip(holm(&p_values)?) {
        test.p_holm = Some(adjusted);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, cases: &[(&str, Option<f64>)]) -> ScoredRun {
        let group = Group { modality: "LGE".into(), class: "LV".into() };
        let values = cases.iter().map(|&(case, value)| (case.to_owned(), value)).collect();
        ScoredRun {
            name: name.into(),
            data_hash: None,
            test_patients: None,
            groups: vec![(group, values)],
        }
    }

    #[test]
    fn cases_that_a_run_lacks_count_for_none() {
        let base = run("joint", &[("1", Some(0.5)), ("2", Some(0.6)), ("3", Some(0.1))]);
        let ours = run("csa", &[("1", Some(0.6)), ("2", Some(0.8))]);

        let comparison = Comparison::new("dice", &[base, ours]).unwrap();

        assert_eq!(comparison.left_out, ["LGE/3"]);
        let group = &comparison.groups[0];
        assert_eq!(group.scores.iter().map(|score| score.n).collect::<Vec<_>>(), [2, 2]);
        assert!((group.scores[0].mean.unwrap() - 0.55).abs() < 1e-12);
        let test = &group.tests[0];
        assert!((test.difference.unwrap().mean - 0.15).abs() < 1e-12);
        // Two of two positive: of four sign patterns two are as extreme.
        assert_eq!((test.n, test.p, test.p_holm), (2, Some(0.5), Some(0.5)));
    }

    #[test]
    fn undefined_values_are_counted_and_leave_the_pairs() {
        let base = run("joint", &[("1", Some(3.0)), ("2", None), ("3", Some(4.0))]);
        let ours = run("csa", &[("1", None), ("2", Some(2.0)), ("3", Some(2.0))]);

        let comparison = Comparison::new("hausdorff_mm", &[base, ours]).unwrap();

        let group = &comparison.groups[0];
        assert_eq!((&group.undefined[..], group.tests[0].n), (&[1, 1][..], 1));
    }

    #[test]
    fn runs_on_other_patients_cannot_be_compared() {
        let runs = [run("joint", &[("1", Some(0.5))]), run("csa", &[("2", Some(0.5))])];

        let error = Comparison::new("dice", &runs).unwrap_err().to_string();

        assert!(error.starts_with("joint, csa have no case in common"), "{error}");
    }
}
