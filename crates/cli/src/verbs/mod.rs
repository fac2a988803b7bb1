//! One file per verb: its arguments and what it does.

use anyhow::Result;
use clap::Subcommand;

use crate::exit::Outcome;
pub(crate) use train::score_table;

mod check;
mod compare;
mod device;
mod doctor;
mod evaluate;
mod export;
mod features;
mod grid;
mod merge_manifests;
mod phantom;
mod predict;
mod report;
mod train;

/// Seeds that TOML, whose whole numbers have a sign, can hold.
const SEEDS: std::ops::RangeInclusive<u64> = 0..=i64::MAX.unsigned_abs();

/// What `duomo` can be asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Write a synthetic data set in the official layout, as NIfTI.
    Phantom(phantom::Arguments),
    /// List what a data folder holds, and every fault with its remedy.
    Check(check::Arguments),
    /// Train one method on one data set and test it.
    Train(train::Arguments),
    /// Segment images with a trained model.
    Predict(predict::Arguments),
    /// Prove that a batch of predictions is complete: nothing lost, nothing done twice.
    MergeManifests(merge_manifests::Arguments),
    /// Write one modality's network as an ONNX file.
    Export(export::Arguments),
    /// Compare predictions with references: every metric, every class.
    Evaluate(evaluate::Arguments),
    /// Compare runs on the same cases: means, differences, paired tests.
    Compare(compare::Arguments),
    /// Measure how class-specific the features of some runs are, before and after training, and draw them.
    Features(features::Arguments),
    /// Write one page with scores, curves and pictures of some runs.
    Report(report::Arguments),
    /// Do, list and tabulate many runs: methods on data sets with seeds and folds.
    Grid(grid::Arguments),
    /// Say what this build and this machine can do.
    Doctor(doctor::Arguments),
}

/// Runs a verb.
///
/// # Errors
///
/// Whatever kept the verb from its work as a whole; see [`crate::exit::code_of`].
pub(crate) fn run(verb: &Verb) -> Result<Outcome> {
    match verb {
        Verb::Phantom(arguments) => phantom::run(arguments),
        Verb::Check(arguments) => check::run(arguments),
        Verb::Train(arguments) => train::run(arguments),
        Verb::Predict(arguments) => predict::run(arguments),
        Verb::MergeManifests(arguments) => merge_manifests::run(arguments),
        Verb::Export(arguments) => export::run(arguments),
        Verb::Evaluate(arguments) => evaluate::run(arguments),
        Verb::Compare(arguments) => compare::run(arguments),
        Verb::Features(arguments) => features::run(arguments),
        Verb::Report(arguments) => report::run(arguments),
        Verb::Grid(arguments) => grid::run(arguments),
        Verb::Doctor(arguments) => doctor::run(arguments),
    }
}
