//! Scores as CSV in long form: one line per case, class and metric.

use std::fmt::Write as _;

use super::Report;
use super::case::ClassScores;
use crate::table::quoted;

/// The report as CSV with a header line; an undefined value is an empty field.
pub(crate) fn csv(report: &Report) -> String {
    let mut text = String::from("case,slice,label,class,status,metric,value,unit,convention\n");
    for case in &report.cases {
        let slice = case.slice.map_or_else(String::new, |slice| slice.to_string());
        for (label, scores) in &case.classes {
            let (name, class) = (quoted(&case.case), quoted(&scores.name));
            let status = scores.result.status;
            for (metric, value) in values(scores) {
                let unit = unit(&metric);
                let value = value.map_or_else(String::new, |value| value.to_string());
                let _ = writeln!(
                    text,
                    "{name},{slice},{label},{class},{status},{metric},{value},{unit},{}",
                    report.convention
                );
            }
        }
    }
    text
}

fn values(scores: &ClassScores) -> Vec<(String, Option<f64>)> {
    let result = &scores.result;
    let metrics = scores.metrics().into_iter();
    let mut values: Vec<_> = metrics.map(|(name, metric)| (name, metric.of(result))).collect();
    values.push(("volume_reference_mm3".into(), Some(result.volume_reference_mm3)));
    values.push(("volume_prediction_mm3".into(), Some(result.volume_prediction_mm3)));
    values
}

/// The unit that a metric's name ends in.
fn unit(metric: &str) -> &str {
    let units = ["mm", "mm3", "voxels"];
    let last = metric.rsplit('_').next().unwrap_or_default();
    units.into_iter().find(|&unit| unit == last).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_from_names() {
        let units = ["dice", "assd_mm", "volume_reference_mm3", "hausdorff_voxels"].map(unit);

        assert_eq!(units, ["", "mm", "mm3", "voxels"]);
    }
}
