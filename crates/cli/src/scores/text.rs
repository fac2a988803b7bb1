//! Scores for the terminal.

use super::Report;
use super::report::{STATUSES, Statistic};
use crate::table::{Align, Table, UNDEFINED, number};

/// More cases than this are summarised only; `--json` and `--csv` hold them all.
const CASES_MAX: usize = 40;

/// The report as aligned or Markdown tables: cases, then means, then what a surface is.
pub(crate) fn text(report: &Report, render: fn(&Table) -> String) -> String {
    let mut parts = Vec::new();
    if report.cases.len() <= CASES_MAX {
        parts.push(render(&case_table(report)));
    }
    if report.cases.len() > 1 {
        parts.push(render(&mean_table(report)));
    }
    let penalty = match report.penalty.as_str() {
        Some("none") => String::new(),
        Some(name) => format!("; penalty: {name}"),
        None => format!("; penalty: {}", report.penalty),
    };
    parts.push(format!("Surface convention: {}{penalty}\n", report.convention));
    parts.join("\n")
}

fn case_table(report: &Report) -> Table {
    let mut table = Table::new(&[
        ("case", Align::Left),
        ("class", Align::Left),
        ("status", Align::Left),
        ("Dice", Align::Right),
        ("HD95 mm", Align::Right),
        ("HD mm", Align::Right),
        ("ASSD mm", Align::Right),
        ("volume ml", Align::Right),
        ("reference ml", Align::Right),
    ]);
    for case in &report.cases {
        let mut title = case.title();
        for class in case.classes.values() {
            let result = &class.result;
            table.push([
                std::mem::take(&mut title),
                class.name.clone(),
                result.status.as_str().to_owned(),
                number(result.dice, 3),
                number(result.hausdorff95_mm, 2),
                number(result.hausdorff_mm, 2),
                number(result.assd_mm, 2),
                number(result.volume_prediction_ml().into(), 2),
                number(result.volume_reference_ml().into(), 2),
            ]);
        }
    }
    table
}

fn mean_table(report: &Report) -> Table {
    let mut columns = vec![("mean ± sd", Align::Left)];
    columns.extend(["Dice", "HD95 mm", "HD mm", "ASSD mm"].map(|title| (title, Align::Right)));
    columns.extend(STATUSES.map(|status| (status.as_str(), Align::Right)));
    let mut table = Table::new(&columns);
    for (value, means) in &report.mean {
        let mean = |name: &str, decimals| spread(means.get(name), decimals);
        let name = report.cases.first().and_then(|case| case.classes.get(value));
        let mut row = vec![
            name.map_or_else(|| value.to_string(), |class| class.name.clone()),
            mean("dice", 3),
            mean("hausdorff95_mm", 2),
            mean("hausdorff_mm", 2),
            mean("assd_mm", 2),
        ];
        let count = |status| report.counts.get(value).and_then(|counts| counts.get(status));
        row.extend(STATUSES.map(|status| count(status.as_str()).copied().unwrap_or(0).to_string()));
        table.push(row);
    }
    table
}

fn spread(statistic: Option<&Statistic>, decimals: usize) -> String {
    match statistic {
        Some(Statistic { mean: Some(mean), n: 1, .. }) => format!("{mean:.decimals$}"),
        Some(Statistic { mean: Some(mean), sd: Some(sd), .. }) => {
            format!("{mean:.decimals$} ± {sd:.decimals$}")
        }
        _ => UNDEFINED.to_owned(),
    }
}
