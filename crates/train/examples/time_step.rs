//! Times whole training steps on the first NVIDIA card: the paper's network and CSA, slices of 224², 8 of each modality.
//!
//! `cargo run --release -p duomo-train --features cuda --example time_step FILE` prints milliseconds per step, how
//! many of them the host needs to ask for it, and how much of the time `nvidia-smi` saw the card work; start values and
//! data are left in FILE, from which `scripts/gpu_check_step.py` times the same in PyTorch.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

#[path = "../benches/network/case.rs"]
#[expect(dead_code, reason = "the bench also tells its cases to other processes")]
mod case;

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use duomo_train::{Compute, Precision, TrainedNetwork, set_precision};

use case::Case;

/// Schedule, width, side, slices of each modality and dropout of the paper's step.
const CASE: &str = "step paper 16 224 8 0.25";

const WARMUP: u64 = 10;
const STEPS: u64 = 50;

fn main() -> Result<()> {
    Compute::Cuda(0).check(Precision::F32)?;
    let case = Case::parse(CASE)?;
    let path = std::env::args().nth(1).context("give a file to leave start values and data in")?;
    case.save(Path::new(&path))?;
    for (precision, name) in
        [(Precision::F32, "f32"), (Precision::Tf32, "TF32"), (Precision::Bf16, "bf16")]
    {
        if Compute::Cuda(0).check(precision).is_ok() {
            set_precision(precision);
            let (step, asking, busy) = time(&case)?;
            let [step, asking] = [step, asking].map(|time| 1e3 * time.as_secs_f64() / STEPS as f64);
            let busy = busy.map_or_else(|| "?".to_owned(), |busy| format!("{busy:.0}"));
            println!(
                "step 8 + 8 of 224², width 16, {name:4} {step:8.2} ms  (host {asking:.2} ms, card busy {busy} %)"
            );
        }
    }
    Ok(())
}

/// Some steps as training does them, each read when the next is asked for: all of the time, the time spent on
/// asking, and the share of it, in per cent, in which the card was busy.
fn time(case: &Case) -> Result<(Duration, Duration, Option<f64>)> {
    let experiment = case.experiment()?;
    let device = Compute::Cuda(0).open()?;
    let network = TrainedNetwork::of_experiment(&experiment, &device)?.remove(0);
    let batches = [0, 1].map(|modality| case.batch(modality));
    for step in 1..=WARMUP {
        network.step(&batches, &experiment, step)?;
    }
    let watch = watch();
    let (start, mut asking) = (Instant::now(), Duration::ZERO);
    let mut coming = None;
    for step in WARMUP + 1..=WARMUP + STEPS {
        let asked = Instant::now();
        let next = network.begin_step(&batches, &experiment, step)?;
        asking += asked.elapsed();
        if let Some(last) = coming.replace(next) {
            last.finish()?;
        }
    }
    coming.context("there were steps")?.finish()?;
    Ok((start.elapsed(), asking, watch.and_then(mean_utilization)))
}

/// Has `nvidia-smi` say ten times a second for how much of the last moments, in per cent, the card has worked.
fn watch() -> Option<Child> {
    let arguments =
        ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--loop-ms=100"];
    Command::new("nvidia-smi").args(["-i", "0"]).args(arguments).stdout(Stdio::piped()).spawn().ok()
}

/// The mean of what it said so far, but for the first moments, which also saw what was before.
fn mean_utilization(mut watch: Child) -> Option<f64> {
    watch.kill().ok()?;
    let mut said = String::new();
    watch.stdout.take()?.read_to_string(&mut said).ok()?;
    watch.wait().ok()?;
    let per_cent: Vec<f64> =
        said.lines().skip(5).filter_map(|line| line.trim().parse().ok()).collect();
    (!per_cent.is_empty()).then(|| per_cent.iter().sum::<f64>() / per_cent.len() as f64)
}
