//! How much of a gradient each reading of Eqs. (3) and (4) leaves.
//!
//! Random features of two modalities at the size of the paper's middle layers, four classes in
//! proportions like a heart's. Prints the loss and the length of its gradient with respect to all
//! four feature maps: `cargo run --release -p duomo-affinity --example readings`.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

mod common;

use candle_core::{Result, Tensor};
use common::Modality;
use duomo_affinity::{Consistency, Reading, Scope, SizeNormalization};

fn main() -> Result<()> {
    let modalities = [Modality::random(1, [8, 28, 128])?, Modality::random(2, [8, 28, 128])?];
    println!("B = 8, h = w = 28, M = N = 128, C = 4; features uniform in -0.75..1.25");
    println!("{:36} {:>12} {:>14}", "reading", "loss", "gradient norm");
    for scope in [Scope::Batch, Scope::Slice] {
        for consistency in [Consistency::Elementwise, Consistency::MeanDifference] {
            for size_normalization in
                [SizeNormalization::Pixels, SizeNormalization::Fraction, SizeNormalization::None]
            {
                let reading =
                    Reading { scope, size_normalization, consistency, ..Reading::default() };
                let loss = common::loss(&modalities, &reading)?;
                let norm = gradient_norm(&loss, &modalities)?;
                let name = format!("{scope:?}, {size_normalization:?}, {consistency:?}");
                println!("{name:36} {:12.3e} {norm:14.3e}", loss.to_scalar::<f32>()?);
            }
        }
    }
    Ok(())
}

/// Euclidean length of the gradient with respect to all feature maps together.
fn gradient_norm(loss: &Tensor, modalities: &[Modality]) -> Result<f64> {
    let gradients = loss.backward()?;
    let mut squares = 0.0;
    for features in modalities.iter().flat_map(|modality| modality.features.values()) {
        if let Some(gradient) = gradients.get(features) {
            squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
    }
    Ok(squares.sqrt())
}
