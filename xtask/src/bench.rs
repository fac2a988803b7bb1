//! Benches that compare with other tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::console;

/// What can be timed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Bench {
    /// Every metric of four labels on three volumes, beside mikan-rs, DeepMind, MONAI, SimpleITK.
    Metrics,
    /// Convolutions of 3×3 taps, directly and by Winograd's algorithm, beside PyTorch.
    Ops,
    /// Whole training steps of three networks, beside PyTorch.
    Step,
    /// Whole volumes through the paper's and the quick network, beside PyTorch and ONNX Runtime.
    Predict,
}

/// What `cargo bench` is told.
struct Parts {
    package: &'static str,
    bench: &'static str,
    /// Which part of the bench.
    arguments: &'static [&'static str],
    /// Lists the tools to compare with, one a line.
    peers: &'static str,
}

impl Bench {
    fn parts(self) -> Parts {
        let (package, bench, arguments, peers): (_, _, &[_], _) = match self {
            Self::Metrics => ("duomo-metrics", "metrics", &[], "scripts/bench_metrics_peers.txt"),
            Self::Ops => ("duomo-ops", "ops", &[], "scripts/bench_ops_peers.txt"),
            Self::Step => ("duomo-train", "network", &["step"], "scripts/bench_step_peers.txt"),
            Self::Predict => {
                ("duomo-train", "network", &["predict"], "scripts/bench_predict_peers.txt")
            }
        };
        Parts { package, bench, arguments, peers }
    }
}

/// Where results and other tools go.
const FOLDER: &str = "target/bench";

/// Runs a bench with `extra` arguments of its own; results go to `target/bench`.
///
/// # Errors
///
/// If the bench cannot be built or fails. A tool that cannot be installed is named and left out.
pub(crate) fn run(root: &Path, bench: Bench, extra: &[String]) -> Result<()> {
    let Parts { package, bench, arguments, peers } = bench.parts();
    let mut command = Command::new("cargo");
    command.args(["bench", "--package", package, "--bench", bench, "--"]).args(arguments);
    let folder = root.join(FOLDER).join(arguments.first().unwrap_or(&bench));
    command.arg("--out").arg(folder);
    match install(root, peers) {
        Ok(python) => drop(command.arg("--python").arg(python)),
        Err(error) => console::say(&format!("no other tools to compare with: {error:#}")),
    }
    let status = command.args(extra).current_dir(root).status().context("cannot start cargo")?;
    if !status.success() {
        bail!("the bench ended with {status}");
    }
    Ok(())
}

/// Makes a virtual environment with what a file of requirements lists; returns its interpreter.
fn install(root: &Path, requirements: &str) -> Result<PathBuf> {
    let environment = root.join(FOLDER).join("peers");
    let python = environment.join("bin/python");
    if !python.is_file() {
        let mut make = Command::new("python3");
        let status = make.args(["-m", "venv"]).arg(&environment).status();
        if !status.context("cannot start python3")?.success() {
            bail!("python3 cannot make a virtual environment");
        }
    }
    let text = fs::read_to_string(root.join(requirements))
        .with_context(|| format!("cannot read {requirements}"))?;
    // One by one, so that a tool that cannot be installed does not keep the others away.
    for requirement in text.lines().filter(|line| !line.starts_with('#')) {
        let mut pip = Command::new(&python);
        let status = pip.args(["-m", "pip", "install", "--quiet", requirement]).status()?;
        if !status.success() {
            console::say(&format!("cannot install {requirement}; going on without it"));
        }
    }
    Ok(python)
}
