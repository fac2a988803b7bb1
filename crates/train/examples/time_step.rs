//! Times whole training steps on the first NVIDIA card: the paper's network and CSA, slices of 224², 8 of each modality.
//!
//! `cargo run --release -p duomo-train --features cuda --example time_step FILE` prints milliseconds per step, and how
//! many of them the host needs to ask for it; start values and data are left in FILE, from which
//! `scripts/gpu_check_step.py` times the same in PyTorch.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

#[path = "../benches/network/case.rs"]
#[expect(dead_code, reason = "the bench also tells its cases to other processes")]
mod case;

use std::path::Path;
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
            let (step, asking) = time(&case)?;
            let [step, asking] = [step, asking].map(|time| 1e3 * time.as_secs_f64() / STEPS as f64);
            println!("step 8 + 8 of 224², width 16, {name:4} {step:8.2} ms  (host {asking:.2} ms)");
        }
    }
    Ok(())
}

/// Some steps as training does them, each read when the next is asked for: all of the time, and the time
/// spent on asking.
fn time(case: &Case) -> Result<(Duration, Duration)> {
    let experiment = case.experiment()?;
    let device = Compute::Cuda(0).open()?;
    let network = TrainedNetwork::of_experiment(&experiment, &device)?.remove(0);
    let batches = [0, 1].map(|modality| case.batch(modality));
    for step in 1..=WARMUP {
        network.step(&batches, &experiment, step)?;
    }
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
    Ok((start.elapsed(), asking))
}
