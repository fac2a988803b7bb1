//! A comparison as tables and as CSV.

use std::fmt::Write as _;

use super::{Comparison, Difference, Interval};
use crate::scores::Statistic;
use crate::table::{Align, Table, UNDEFINED, number, quoted};

/// Means side by side, and the paired tests.
pub(crate) fn tables(comparison: &Comparison) -> [Table; 2] {
    [means(comparison), tests(comparison)]
}

fn means(comparison: &Comparison) -> Table {
    let mut columns =
        vec![("modality", Align::Left), ("class", Align::Left), ("cases", Align::Right)];
    columns.extend(comparison.runs.iter().map(|run| (&run[..], Align::Right)));
    let mut table = Table::new(&columns);
    for group in &comparison.groups {
        let cases = group.scores[0].n + group.undefined[0];
        let names = [group.group.modality.clone(), group.group.class.clone(), cases.to_string()];
        let scores = group.scores.iter().zip(&group.undefined);
        let means = scores.map(|(score, &undefined)| mean_and_sd(score, undefined));
        table.push(names.into_iter().chain(means));
    }
    table
}

/// `mean ± sd`, with the number of cases that it leaves out.
fn mean_and_sd(score: &Statistic, undefined: usize) -> String {
    let Some(mean) = score.mean else { return UNDEFINED.to_owned() };
    let decimals = decimals(mean);
    let text = match score.n {
        1 => format!("{mean:.decimals$}"),
        _ => format!("{mean:.decimals$} ± {}", number(score.sd, decimals)),
    };
    if undefined == 0 { text } else { format!("{text} ({undefined} undefined)") }
}

/// Ratios need a digit more than distances.
fn decimals(value: f64) -> usize {
    if value.abs() <= 1.0 { 3 } else { 2 }
}

fn tests(comparison: &Comparison) -> Table {
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("modality", Align::Left),
        ("class", Align::Left),
        ("pairs", Align::Right),
        ("difference", Align::Right),
        ("95 % interval", Align::Right),
        ("p", Align::Right),
        ("p (Holm)", Align::Right),
    ]);
    for at in 1..comparison.runs.len() {
        for group in &comparison.groups {
            let test = &group.tests[at - 1];
            let undefined = || UNDEFINED.to_owned();
            let (difference, interval) = test.difference.map_or_else(
                || (undefined(), undefined()),
                |Difference { mean, interval }| {
                    let decimals = decimals(group.scores[0].mean.unwrap_or(mean));
                    let interval = interval.map_or_else(undefined, |Interval { low, high }| {
                        format!("{low:+.decimals$} … {high:+.decimals$}")
                    });
                    (format!("{mean:+.decimals$}"), interval)
                },
            );
            table.push([
                test.run.clone(),
                group.group.modality.clone(),
                group.group.class.clone(),
                test.n.to_string(),
                difference,
                interval,
                p_value(test.p),
                p_value(test.p_holm),
            ]);
        }
    }
    table
}

/// A p-value with four decimals; one that would read as 0 is below them.
fn p_value(p: Option<f64>) -> String {
    match p {
        Some(p) if p < 0.5e-4 => "<0.0001".to_owned(),
        p => number(p, 4),
    }
}

/// One line per run and group; an undefined value is an empty field.
pub(crate) fn csv(comparison: &Comparison) -> String {
    let mut text = String::from(
        "metric,run,modality,class,mean,sd,median,n,undefined,pairs,difference,low,high,p,p_holm,penalty\n",
    );
    for (at, run) in comparison.runs.iter().enumerate() {
        for group in &comparison.groups {
            let score = &group.scores[at];
            let paired = at.checked_sub(1).map(|at| &group.tests[at]);
            let difference = paired.and_then(|paired| paired.difference);
            let interval = difference.and_then(|difference| difference.interval);
            let numbers = [
                score.mean,
                score.sd,
                score.median,
                Some(score.n as f64),
                Some(group.undefined[at] as f64),
                paired.map(|paired| paired.n as f64),
                difference.map(|difference| difference.mean),
                interval.map(|interval| interval.low),
                interval.map(|interval| interval.high),
                paired.and_then(|paired| paired.p),
                paired.and_then(|paired| paired.p_holm),
                comparison.penalty,
            ];
            let numbers = numbers.map(|value| value.map_or_else(String::new, |v| v.to_string()));
            let _ = writeln!(
                text,
                "{},{},{},{},{}",
                comparison.metric,
                quoted(run),
                quoted(&group.group.modality),
                quoted(&group.group.class),
                numbers.join(",")
            );
        }
    }
    text
}
