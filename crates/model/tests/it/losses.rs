//! `losses_*.safetensors`: values and gradients of the losses.

use candle_core::{Result, Tensor, Var};
use duomo_model::{distillation_loss, segmentation_losses};
use duomo_ops::cuda::runners::places;

use crate::fixture::{Fixture, tolerance};
use crate::network::of_modalities;

const CASES: [&str; 4] =
    ["losses_plain", "losses_clipped", "losses_absent_class", "losses_three_modalities"];

#[test]
fn segmentation_losses_and_gradients_are_as_published() -> Result<()> {
    for place in places() {
        let tolerance = tolerance(&place);
        for case in CASES {
            let fixture = Fixture::open(case)?;
            let labels = of_modalities(&fixture, "labels");
            for (m, logits) in of_modalities(&fixture, "logits").iter().enumerate() {
                let logits = Var::from_tensor(&place.put(logits)?)?;

                let (dice, cross_entropy) = segmentation_losses(&logits, &labels[m]).unwrap();

                for (name, loss) in [("dice", dice), ("ce", cross_entropy)] {
                    fixture.assert_close(&format!("m{m}.{name}"), &loss, tolerance);
                    let gradients = loss.backward()?;
                    let gradient = gradients.get(&logits).unwrap();
                    fixture.assert_close(&format!("m{m}.grad_{name}"), gradient, tolerance);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn distillation_loss_and_gradients_are_as_published() -> Result<()> {
    for place in places() {
        let tolerance = tolerance(&place);
        for case in CASES {
            let fixture = Fixture::open(case)?;
            let labels = of_modalities(&fixture, "labels");
            let var = |logits: Tensor| Var::from_tensor(&place.put(&logits)?);
            let logits: Vec<Var> =
                of_modalities(&fixture, "logits").into_iter().map(var).collect::<Result<_>>()?;
            let tensors: Vec<Tensor> = logits.iter().map(|z| z.as_tensor().clone()).collect();

            let loss = distillation_loss(&tensors, &labels, 2.0).unwrap();

            fixture.assert_close("kd", &loss, tolerance);
            let gradients = loss.backward()?;
            for (m, logits) in logits.iter().enumerate() {
                let gradient = gradients.get(logits).unwrap();
                fixture.assert_close(&format!("m{m}.grad_kd"), gradient, tolerance);
            }
        }
    }
    Ok(())
}
