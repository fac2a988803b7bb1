//! Scores of label maps: which files are compared, by which classes, and the report.

mod case;
mod classes;
mod csv;
mod pairs;
mod report;
mod text;

/// What the mean over classes is called where classes are listed.
pub(crate) const MEAN: &str = "mean";

pub(crate) use case::{CaseScores, Compared, Extent, Measure, compare};
pub(crate) use classes::{Classes, Indexed};
pub(crate) use csv::csv;
pub(crate) use pairs::{Pair, pair, stem};
pub(crate) use report::{Failure, Report, Statistic};
pub(crate) use text::text;
