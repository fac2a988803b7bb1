//! Runs beside each other on the same cases, and whether they differ.

mod classes;
mod input;
mod merge;
mod text;

use std::collections::BTreeSet;

use anyhow::Result;
use duomo_metrics::{
    Bootstrap, Summary, Wilcoxon, WilcoxonOptions, bootstrap_mean_difference, holm, wilcoxon,
};
use serde::Serialize;

pub(crate) use input::{Group, ScoredRun, Scoring, tell_apart};
pub(crate) use merge::{check_conventions, check_splits};
pub(crate) use text::{csv, tables};

use classes::Common;
use input::Values;

use crate::exit::Fault;
use crate::scores::Statistic;

/// What `duomo compare --json` prints.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    pub schema: &'static str,
    pub metric: String,
    /// What an undefined distance of a missed or spurious class counts as.
    pub penalty: Option<f64>,
    /// Names of the runs; the first is the baseline.
    pub runs: Vec<String>,
    /// Cases that only some runs hold; they are left out everywhere.
    pub left_out: Vec<String>,
    /// Classes that only some runs hold; they are left out everywhere, of the means too.
    pub left_out_classes: Vec<Group>,
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

/// A mean difference and its confidence interval, which one pair does not have.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Difference {
    pub mean: f64,
    #[serde(flatten)]
    pub interval: Option<Interval>,
}

/// Bounds of a confidence interval.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Comparison {
    /// Compares all runs with the first, class by class and in the mean over classes.
    ///
    /// # Errors
    ///
    /// Runs without a class or a case in common.
    pub(crate) fn new(scoring: &Scoring, runs: &[ScoredRun]) -> Result<Self> {
        Self::between(scoring, Common::of(runs)?.with_means())
    }

    /// Compares all runs with the first, in the mean over classes alone: one test per modality on
    /// patient-level values.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub(crate) fn of_means(scoring: &Scoring, runs: &[ScoredRun]) -> Result<Self> {
        Self::between(scoring, Common::of(runs)?.only_means())
    }

    fn between(scoring: &Scoring, common: Common) -> Result<Self> {
        let Common { runs, left_out: left_out_classes } = common;
        let left_out = left_out(&runs)?;
        let groups = runs[0].groups.iter();
        let compare = |(group, _): &(Group, _)| compare_group(group, &runs, &left_out);
        let mut groups: Vec<GroupComparison> = groups.map(compare).collect::<Result<_>>()?;
        correct(&mut groups)?;
        Ok(Self {
            schema: "duomo.compare/1",
            metric: scoring.metric.clone(),
            penalty: scoring.penalty,
            runs: runs.into_iter().map(|run| run.name).collect(),
            left_out: left_out.into_iter().collect(),
            left_out_classes,
            groups,
        })
    }
}

/// The names of runs, as a message lists them.
fn names(runs: &[ScoredRun]) -> String {
    runs.iter().map(|run| &run.name[..]).collect::<Vec<_>>().join(", ")
}

/// Cases, as `modality/case`, that some run lacks.
fn left_out(runs: &[ScoredRun]) -> Result<BTreeSet<String>> {
    let cases: Vec<BTreeSet<String>> = runs.iter().map(ScoredRun::cases).collect();
    let all: BTreeSet<String> = cases.iter().flatten().cloned().collect();
    let (common, left_out): (BTreeSet<String>, BTreeSet<String>) =
        all.into_iter().partition(|case| cases.iter().all(|cases| cases.contains(case)));
    if common.is_empty() {
        return Err(Fault::Data(format!(
            "{} have no case in common: compare runs that were tested on the same patients",
            names(runs)
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
    let of_group: Vec<&Values> = runs.iter().filter_map(|run| run.values(group)).collect();
    let cases: BTreeSet<&String> = of_group.iter().flat_map(|values| values.keys()).collect();
    let is_common = |case: &&String| !left_out.contains(&group.case_key(case));
    let cases: Vec<&String> = cases.into_iter().filter(is_common).collect();
    let of_run = |values: &Values| cases.iter().map(|&case| *values.get(case)?).collect();
    let values: Vec<Vec<Option<f64>>> = of_group.into_iter().map(of_run).collect();
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
        let found = bootstrap_mean_difference(&values, &baseline, Bootstrap::default())?;
        let interval = Interval { low: found.low, high: found.high };
        difference =
            Some(Difference { mean: found.mean, interval: (values.len() > 1).then_some(interval) });
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
            convention: "voxel".into(),
            data_hash: None,
            test_patients: None,
            by_slice: false,
            lacks_misses: false,
            groups: vec![(group, values)],
        }
    }

    fn hausdorff() -> Scoring {
        Scoring { metric: "hausdorff_mm".into(), penalty: None }
    }

    /// A run with one group per class and the values of its cases `0`, `1`, ….
    fn with_classes(name: &str, classes: &[(&str, &[Option<f64>])]) -> ScoredRun {
        let group = |class: &str| Group { modality: String::new(), class: class.into() };
        let values = |values: &[Option<f64>]| {
            values.iter().enumerate().map(|(case, value)| (case.to_string(), *value)).collect()
        };
        let groups = classes.iter().map(|&(class, of_cases)| (group(class), values(of_cases)));
        ScoredRun { groups: groups.collect(), ..run(name, &[]) }
    }

    #[test]
    fn cases_that_a_run_lacks_count_for_none() {
        let base = run("joint", &[("1", Some(0.5)), ("2", Some(0.6)), ("3", Some(0.1))]);
        let ours = run("csa", &[("1", Some(0.6)), ("2", Some(0.8))]);

        let comparison = Comparison::new(&Scoring::dice(), &[base, ours]).unwrap();

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

        let comparison = Comparison::new(&hausdorff(), &[base, ours]).unwrap();

        let group = &comparison.groups[0];
        assert_eq!((&group.undefined[..], group.tests[0].n), (&[1, 1][..], 1));
    }

    #[test]
    fn runs_on_other_patients_cannot_be_compared() {
        let runs = [run("joint", &[("1", Some(0.5))]), run("csa", &[("2", Some(0.5))])];

        let error = Comparison::new(&Scoring::dice(), &runs).unwrap_err().to_string();

        assert!(error.starts_with("joint, csa have no case in common"), "{error}");
    }

    #[test]
    fn a_mean_is_that_of_the_classes_that_all_runs_have() {
        let base = with_classes("a", &[("1", &[Some(0.8), Some(0.8)]), ("2", &[Some(0.4), None])]);
        let other = with_classes(
            "b",
            &[
                ("1", &[Some(0.8), Some(0.8)]),
                ("2", &[Some(0.8), Some(0.6)]),
                ("3", &[Some(0.0), None]),
            ],
        );

        let comparison = Comparison::new(&Scoring::dice(), &[base.clone(), other.clone()]).unwrap();
        let of_means = Comparison::of_means(&Scoring::dice(), &[base, other]).unwrap();

        let left_out = comparison.left_out_classes.iter().map(Group::to_string).collect::<Vec<_>>();
        assert_eq!(left_out, ["3"]);
        let names = comparison.groups.iter().map(|group| group.group.to_string());
        assert_eq!(names.collect::<Vec<_>>(), ["1", "2", "mean"]);
        // Case 1 has no mean in the first run, because class 2 has no value there.
        let mean = &comparison.groups[2];
        assert_eq!((&mean.undefined[..], mean.tests[0].n), (&[1, 0][..], 1));
        assert!((mean.tests[0].difference.unwrap().mean - 0.2).abs() < 1e-12);
        assert_eq!(of_means.groups.len(), 1);
        assert_eq!(of_means.groups[0].scores[1].mean, mean.scores[1].mean);
    }

    #[test]
    fn the_mean_of_a_modality_with_one_class_is_that_class() {
        let runs = [run("a", &[("1", Some(0.5))]), run("b", &[("1", Some(0.6))])];

        let of_means = Comparison::of_means(&Scoring::dice(), &runs).unwrap();

        let names: Vec<String> =
            of_means.groups.iter().map(|group| group.group.to_string()).collect();
        assert_eq!(names, ["LGE LV"]);
    }

    #[test]
    fn runs_without_a_class_in_common_are_refused_with_what_they_have() {
        let runs = [
            with_classes("a", &[("LV", &[Some(0.5)])]),
            with_classes("b", &[("lv", &[Some(0.5)])]),
        ];

        let error = Comparison::new(&Scoring::dice(), &runs).unwrap_err().to_string();

        assert!(
            error.starts_with("a, b have no class in common; there are LV, lv; evaluate"),
            "{error}"
        );
    }

    #[test]
    fn a_case_that_a_class_lacks_in_one_run_pairs_with_nobody() {
        let base =
            with_classes("a", &[("1", &[Some(0.1), Some(0.2), Some(0.3)]), ("2", &[Some(1.0); 3])]);
        let mut other = base.clone();
        other.groups[0].1.remove("0");

        let comparison = Comparison::new(&Scoring::dice(), &[base, other]).unwrap();

        let test = &comparison.groups[0].tests[0];
        assert_eq!((test.n, test.difference.unwrap().mean), (2, 0.0));
    }
}
