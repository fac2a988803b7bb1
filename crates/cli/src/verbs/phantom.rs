//! `duomo phantom`: a synthetic data set.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{ValueEnum, value_parser};
use duomo_phantom::{Kind, Modality, Options, Written, WrittenCase, write_dataset};
use serde_json::{Value, json};

use super::SEEDS;
use crate::console;
use crate::exit::{Fault, Outcome, usage};

/// Arguments of `duomo phantom`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which data set the phantom looks like.
    kind: Layout,
    /// Folder to write; it must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Patients of each modality.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000))]
    patients: Option<u32>,
    /// Voxels per edge relative to a real scan, in (0, 1]; smaller is quicker.
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share)]
    matrix_scale: f64,
    /// Seed; the same seed gives the same bytes.
    #[arg(long, default_value_t = 0, value_parser = value_parser!(u64).range(SEEDS))]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Layout {
    /// MS-CMRSeg 2019: LGE and bSSFP MR with left cavity, myocardium and right cavity.
    Mscmr,
    /// MM-WHS 2017: CT and MR with seven structures of the heart.
    Mmwhs,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("expected a number above 0 and at most 1".to_owned()),
    }
}

/// Writes the data set and says what it wrote.
///
/// # Errors
///
/// If the folder is not empty or cannot be written to.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    let out = &arguments.out;
    if std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Fault::Usage(format!(
            "{} is not empty; give another --out, so that nothing is overwritten",
            out.display()
        ))
        .into());
    }
    let options = options(arguments);
    options.check().map_err(|error| usage(&error.into()))?;
    console::note(&format!("writing {} below {}", describe(&options), out.display()));
    let written = write_dataset(&options, out)
        .with_context(|| format!("cannot write a phantom data set to {}", out.display()))?;
    if arguments.json {
        console::print_json(&report(arguments, &written), "-")?;
    } else {
        console::print(&format!("{} ({} scans)", out.display(), written.cases.len()))?;
    }
    Ok(Outcome::Done)
}

fn options(arguments: &Arguments) -> Options {
    let kind = match arguments.kind {
        Layout::Mscmr => Kind::Mscmr,
        Layout::Mmwhs => Kind::Mmwhs,
    };
    let mut options = Options::new(kind, arguments.seed);
    options.matrix_scale = arguments.matrix_scale;
    if let Some(patients) = arguments.patients {
        options.patients.iter_mut().for_each(|(_, count)| *count = patients as usize);
    }
    options
}

fn describe(options: &Options) -> String {
    let counts = options.patients.iter().map(|(modality, n)| format!("{n} {}", name(*modality)));
    counts.collect::<Vec<_>>().join(" and ")
}

fn name(modality: Modality) -> &'static str {
    match modality {
        Modality::Lge => "LGE",
        Modality::Bssfp => "bSSFP",
        Modality::T2 => "T2",
        Modality::Ct => "CT",
        Modality::Mr => "MR",
    }
}

fn report(arguments: &Arguments, written: &Written) -> Value {
    let case = |case: &WrittenCase| {
        json!({
            "modality": name(case.modality),
            "patient": case.patient,
            "image": case.image,
            "labels": case.labels,
        })
    };
    json!({
        "schema": "duomo.phantom/1",
        "out": arguments.out,
        "seed": arguments.seed,
        "cases": written.cases.iter().map(case).collect::<Vec<_>>(),
    })
}
