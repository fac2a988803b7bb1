//! `duomo features`: how class-specific a run's features are, in numbers and pictures.

use std::path::PathBuf;

use anyhow::Result;

use crate::console;
use crate::exit::Outcome;
use crate::feature_files::{FeatureFiles, study, tables};

/// Arguments of `duomo features`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Finished run folders; what is found is written into the folder `features` of each.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Group of the network whose maps are drawn, 1 to 8; the first that the method compares when left out.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    group: Option<u8>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Measures the features of each run, before and after training, and prints the numbers.
///
/// # Errors
///
/// As [`study`].
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome> {
    let mut found = Vec::new();
    for folder in &arguments.runs {
        let table = study(folder, arguments.group.map(usize::from))?;
        if !arguments.json {
            console::print(&format!("{}\n", table.method))?;
            for (caption, text) in tables(&table) {
                console::print(&format!("{caption}\n\n{}\n", text.aligned()))?;
            }
        }
        let files = FeatureFiles::of(folder);
        console::note(&format!("maps, affinities and numbers: {}", files.folder().display()));
        found.push(table);
    }
    if arguments.json {
        console::print_json(&found, "-")?;
    }
    Ok(Outcome::Done)
}
