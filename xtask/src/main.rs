//! Recipes for the source tree: `cargo xtask train-mscmr`, `reproduce-tables`, `test`, `ci`, `tidy`, `check-cuda`, `bench`.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

mod bench;
mod check_cuda;
mod ci;
mod console;
mod recipes;
mod reproduce;
mod tidy;

use recipes::TrainArgs;

/// Recipes for the source tree of Duomo.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Recipe {
    /// Train CSA on LGE and bSSFP MR: on a phantom data set, or on the real one with --data.
    TrainMscmr(MscmrArgs),
    /// Train CSA on CT and MR: on a phantom data set, or on the real one with --data.
    TrainMmwhs(MmwhsArgs),
    /// Train the six methods on both data sets and write the paper's tables and figures.
    ReproduceTables(reproduce::ReproduceArgs),
    /// Run every test of the workspace, doc tests included.
    Test {
        /// Arguments passed on to `cargo test`, after `--`.
        #[arg(last = true)]
        extra: Vec<String>,
    },
    /// Run what CI runs: format, lints, tidy, tests, docs, check-cuda.
    Ci,
    /// Check the rules that compilers do not know: layers, lengths, printing, equations.
    Tidy,
    /// Check the CUDA code without a card: lint the host code behind a stand-in for nvcc.
    CheckCuda {
        /// Also compile every kernel with the nvcc of this CUDA toolkit.
        #[arg(long, value_name = "DIR")]
        toolkit: Option<PathBuf>,
    },
    /// Time one part beside other tools; installs them under target/.
    Bench {
        #[arg(value_enum)]
        what: bench::Bench,
        /// Arguments of the bench itself, such as `--rounds 3 "paper 4"` for one case of `step`.
        #[arg(last = true)]
        extra: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
struct MscmrArgs {
    /// Folder of the MS-CMRSeg 2019 challenge; a phantom data set is made when it is left out.
    #[arg(long, env = "DUOMO_MSCMR", value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    train: TrainArgs,
}

#[derive(Debug, clap::Args)]
struct MmwhsArgs {
    /// Folder of the MM-WHS 2017 challenge; a phantom data set is made when it is left out.
    #[arg(long, env = "DUOMO_MMWHS", value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    train: TrainArgs,
}

fn main() -> ExitCode {
    match run(&Recipe::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(recipe: &Recipe) -> anyhow::Result<()> {
    let root = workspace_root();
    match recipe {
        Recipe::TrainMscmr(args) => {
            recipes::train(root, "mscmr", args.data.as_deref(), &args.train)
        }
        Recipe::TrainMmwhs(args) => {
            recipes::train(root, "mmwhs", args.data.as_deref(), &args.train)
        }
        Recipe::ReproduceTables(args) => reproduce::run(root, args),
        Recipe::Test { extra } => ci::test(root, extra),
        Recipe::Ci => ci::run(root),
        Recipe::Tidy => tidy::run(root),
        Recipe::CheckCuda { toolkit } => {
            toolkit.as_deref().map_or(Ok(()), |toolkit| check_cuda::compile(root, toolkit))?;
            check_cuda::lint(root)
        }
        Recipe::Bench { what, extra } => bench::run(root, *what, extra),
    }
}

/// The folder that holds the workspace's `Cargo.toml`.
fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies inside the workspace")
}
