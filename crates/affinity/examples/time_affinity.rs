//! Times the affinity loss forward and backward, two modalities, against the reference.
//!
//! Prints milliseconds per pass of both modalities; the reference is run once and its affinities and
//! gradients compared: `cargo run --release -p duomo-affinity --example time_affinity`.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

mod common;

use std::time::Instant;

use candle_core::{DType, Result};
use common::Modality;
use duomo_affinity::{Consistency, Reading, Scope, class_affinity, class_affinity::reference};

const REPEATS: usize = 15;

fn main() -> Result<()> {
    println!(
        "B = 8, h = w = 28, C = 4, {} threads; best of {REPEATS}",
        rayon::current_num_threads()
    );
    for channels in [256, 512] {
        let modalities =
            [Modality::random(1, [8, 28, channels])?, Modality::random(2, [8, 28, channels])?];
        println!("M = N = {channels}");
        for (scope, consistency) in [
            (Scope::Batch, Consistency::Elementwise),
            (Scope::Slice, Consistency::Elementwise),
            (Scope::Batch, Consistency::MeanDifference),
        ] {
            let reading = Reading { scope, consistency, ..Reading::default() };
            let forward = best_ms(|| common::loss(&modalities, reading).map(drop))?;
            let both = best_ms(|| common::loss(&modalities, reading)?.backward().map(drop))?;
            let name = format!("{scope:?}, {consistency:?}");
            println!("  {name:24} forward {forward:8.1} ms, forward + backward {both:8.1} ms");
        }
        let reference = reference_ms(&modalities[0])?;
        println!("  reference, one modality  forward + backward {reference:8.1} ms");
    }
    Ok(())
}

fn best_ms(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(best)
}

/// Times the truth once and panics if the fast path strays from it by more than 1e-4.
fn reference_ms(modality: &Modality) -> Result<f64> {
    let (l, k) = (&modality.features[&5], &modality.features[&6]);
    let reading = Reading::default();
    let start = Instant::now();
    let affinity = reference::affinity(l, k, &modality.labels, 4, &reading)?;
    reference::gradients([l, k], &modality.labels, 4, &reading, &affinity)?;
    let elapsed = start.elapsed().as_secs_f64() * 1e3;

    let fast = class_affinity(l, k, &modality.labels, 4, &reading)?;
    let fast = fast.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    let difference = fast.iter().zip(&affinity).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(difference < 1e-4, "the fast path differs by {difference:e}");
    Ok(elapsed)
}
