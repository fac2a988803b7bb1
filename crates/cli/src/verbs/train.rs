//! `duomo train`: one run.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{ValueEnum, value_parser};
use duomo_data::Dataset;
use duomo_train::{
    AbsentClass, Experiment, METHODS, Resume, RunFolder, SCHEDULES, Statistic, Summary,
    TrainRequest, train,
};

use super::SEEDS;
use super::device::DeviceArguments;
use crate::console;
use crate::exit::{Outcome, usage};
use crate::progress::{Progress, clock};
use crate::run_pictures::write_run_pictures;
use crate::table::{Align, Table, UNDEFINED};

/// Arguments of `duomo train`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Data set: mscmr, mmwhs, a .toml file, or a folder in nnU-Net's layout.
    #[arg(long, value_name = "NAME|FILE")]
    dataset: String,
    /// Modalities to train, in this order; those of the data set if left out.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    modalities: Vec<String>,
    /// What is trained.
    #[arg(long, value_name = "NAME|FILE", help = format!("Method: {}", known(&METHODS)))]
    method: String,
    /// How long and how wide.
    #[arg(long, value_name = "NAME|FILE", help = format!("Schedule: {}", known(&SCHEDULES)))]
    schedule: String,
    /// Folder with the data set's files, at any depth.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Run folder to write.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Seed of everything random; the same seed gives the same bytes on the same machine.
    #[arg(long, default_value_t = 0, value_parser = value_parser!(u64).range(SEEDS))]
    seed: u64,
    /// Fold K of N, counted from 0, that validates.
    #[arg(long, value_name = "K/N", value_parser = fold)]
    fold: Option<(usize, usize)>,
    #[command(flatten)]
    device: DeviceArguments,
    /// What to do when the run folder already holds a run.
    #[arg(long, value_enum, default_value_t = WhenFound::Auto)]
    resume: WhenFound,
    /// Change one key of the experiment, such as schedule.steps=200; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON: the run's summary.json.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WhenFound {
    /// Go on from its last checkpoint, or begin if there is none.
    Auto,
    /// Go on, and fail when there is nothing to go on from.
    Must,
    /// Begin, and fail when the folder is not empty.
    Never,
}

/// Trains, tests and prints the test patients' scores.
///
/// # Errors
///
/// An experiment that makes no sense (2), data that cannot be used (3), or a run that fails (1).
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    let request = TrainRequest {
        experiment: experiment(arguments)?,
        data: arguments.data.clone(),
        out: arguments.out.clone(),
        resume: match arguments.resume {
            WhenFound::Auto => Resume::Auto,
            WhenFound::Must => Resume::Must,
            WhenFound::Never => Resume::Never,
        },
        absent_class: AbsentClass::Warn,
        compute: arguments.device.compute()?,
    };
    let start = Instant::now();
    let schedule = &request.experiment.schedule;
    console::note(&format!(
        "schedule {}: {} steps of {} slices per modality, width {}",
        schedule.label, schedule.steps, schedule.batch, schedule.network.width
    ));
    let summary = train(&request, &mut Progress::new())
        .with_context(|| format!("cannot finish {}", arguments.out.display()))?;
    let pictures = RunFolder::pictures_of(&arguments.out);
    for picture in write_run_pictures(&summary, &request.experiment.dataset, &pictures)? {
        console::note(&format!("best, median and worst case: {}", picture.display()));
    }
    console::note(&format!(
        "done in {}; model, predictions and scores are in {}",
        clock(start.elapsed()),
        arguments.out.display()
    ));
    if arguments.json {
        console::print_json(&summary, "-")?;
    } else {
        let table = score_table(&summary).aligned();
        console::print(&format!("{table}post-processing: {}", summary.postprocessing))?;
    }
    Ok(Outcome::Done)
}

/// What an argument may be that names one of these, or a file.
pub(super) fn known(built_in: &[(&str, &str)]) -> String {
    let names: Vec<&str> = built_in.iter().map(|(name, _)| *name).collect();
    format!("{}, or a .toml file", names.join(", "))
}

fn experiment(arguments: &Arguments) -> Result<Experiment> {
    let Arguments { method, schedule, seed, set, .. } = arguments;
    let dataset = Dataset::load(&arguments.dataset).map_err(|error| usage(&error.into()))?;
    let names: Vec<&str> = arguments.modalities.iter().map(String::as_str).collect();
    let dataset = if names.is_empty() { Ok(dataset) } else { dataset.with_modalities(&names) };
    let dataset = dataset.map_err(|error| usage(&error.into()))?;
    // Keys are set last, the fold like the seed.
    let fold = arguments.fold.map(|(fold, folds)| format!("fold=[{fold},{folds}]"));
    let set: Vec<String> = fold.into_iter().chain(set.iter().cloned()).collect();
    Experiment::load(dataset, method, schedule, *seed, &set).map_err(|error| usage(&error))
}

fn fold(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((fold, folds)) if fold < folds && folds > 1 => Ok((fold, folds)),
        _ => Err("expected K/N with K below N, counted from 0, such as 0/5".to_owned()),
    }
}

/// One row per modality and class.
pub(crate) fn score_table(summary: &Summary) -> Table {
    let mut table = Table::new(&[
        ("modality", Align::Left),
        ("class", Align::Left),
        ("cases", Align::Right),
        ("Dice", Align::Right),
        ("Dice, own crop", Align::Right),
        ("HD95 mm", Align::Right),
        ("HD mm", Align::Right),
        ("missed", Align::Right),
        ("spurious", Align::Right),
    ]);
    for modality in &summary.modalities {
        let mut name = modality.name.clone();
        for class in &modality.classes {
            let count = |status| class.counts.get(status).copied().unwrap_or(0).to_string();
            table.push([
                std::mem::take(&mut name),
                class.name.clone(),
                modality.cases.to_string(),
                spread(class.dice.as_ref(), 3),
                spread(class.automatic_box_dice.as_ref(), 3),
                spread(class.hausdorff95_mm.as_ref(), 2),
                spread(class.hausdorff_mm.as_ref(), 2),
                count("missed"),
                count("spurious"),
            ]);
        }
    }
    table
}

fn spread(statistic: Option<&Statistic>, decimals: usize) -> String {
    match statistic {
        None => UNDEFINED.to_owned(),
        Some(Statistic { mean, sd: None, .. }) => format!("{mean:.decimals$}"),
        Some(Statistic { mean, sd: Some(sd), .. }) => {
            format!("{mean:.decimals$} ± {sd:.decimals$}")
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn a_fold_can_be_set_as_any_other_key() {
        let needed = ["--dataset=mscmr", "--method=csa", "--schedule=quick", "--data=.", "--out=."];
        let fold = |extra: &[&str]| {
            let words = ["train"].iter().chain(&needed).chain(extra);
            experiment(&Alone::parse_from(words).arguments).unwrap().fold
        };

        assert_eq!(fold(&[]), None);
        assert_eq!(fold(&["--fold", "2/5"]), Some((2, 5)));
        assert_eq!(fold(&["--set", "fold=[1,4]"]), Some((1, 4)));
        assert_eq!(fold(&["--set", "fold=[1,4]", "--fold", "2/5"]), Some((1, 4)));
    }

    #[test]
    fn folds_are_counted_from_zero() {
        assert_eq!(fold("0/5"), Ok((0, 5)));
        assert_eq!(fold("4/5"), Ok((4, 5)));
        for wrong in ["5/5", "0/1", "1", "a/b", "-1/5"] {
            assert!(fold(wrong).unwrap_err().contains("such as 0/5"), "{wrong}");
        }
    }
}
