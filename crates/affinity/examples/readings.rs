//! How much of a gradient each reading of Eqs. (3) and (4) leaves.
//!
//! Random features of two modalities at the size of the paper's middle layers, four classes in
//! proportions like a heart's. Prints the loss, the length of its gradient with respect to all four
//! feature maps, and which class's pixels hold it: `cargo run --release -p duomo-affinity --example readings`.

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

mod common;

use candle_core::{Result, Tensor};
use common::Modality;
use duomo_affinity::{Consistency, Reading, Scope, SizeNormalization};

fn main() -> Result<()> {
    let modalities = [Modality::random(1, [8, 28, 128])?, Modality::random(2, [8, 28, 128])?];
    println!("B = 8, h = w = 28, M = N = 128, C = 4; features uniform in -0.75..1.25");
    println!("classes 0 to 3 have 75, 12, 6 and 6 % of the pixels");
    println!("{:32} {:>11} {:>11}   % of its square by class", "reading", "loss", "|gradient|");
    for scope in [Scope::Batch, Scope::Slice] {
        for consistency in [Consistency::Elementwise, Consistency::MeanDifference] {
            for size_normalization in
                [SizeNormalization::Pixels, SizeNormalization::Fraction, SizeNormalization::None]
            {
                let reading =
                    Reading { scope, size_normalization, consistency, ..Reading::default() };
                let loss = common::loss(&modalities, reading)?;
                let squares = gradient_squares(&loss, &modalities)?;
                let total: f64 = squares.iter().sum();
                let name = format!("{scope:?}, {size_normalization:?}, {consistency:?}");
                let shares = squares.map(|square| format!("{:5.1}", 100.0 * square / total));
                let (loss, norm, shares) =
                    (loss.to_scalar::<f32>()?, total.sqrt(), shares.join(" "));
                println!("{name:32} {loss:11.2e} {norm:11.2e}   {shares}");
            }
        }
    }
    Ok(())
}

/// The squared length of the gradient with respect to all feature maps, by the pixels' class.
fn gradient_squares(loss: &Tensor, modalities: &[Modality]) -> Result<[f64; 4]> {
    let gradients = loss.backward()?;
    let mut squares = [0.0; 4];
    for modality in modalities {
        for gradient in modality.features.values().filter_map(|map| gradients.get(map)) {
            let (b, h, w, _) = gradient.dims4()?;
            let pixels: Vec<f32> = gradient.sqr()?.sum(3)?.flatten_all()?.to_vec1()?;
            let labels = modality.labels.reshape((b, h, 8, w, 8))?;
            let labels = labels.narrow(2, 0, 1)?.narrow(4, 0, 1)?.flatten_all()?.to_vec1::<u8>()?;
            for (square, label) in pixels.into_iter().zip(labels) {
                squares[usize::from(label)] += f64::from(square);
            }
        }
    }
    Ok(squares)
}
