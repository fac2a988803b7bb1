use candle_core::{DType, Device, Result, Tensor, Var};

use super::{distillation_loss, reference};
use crate::Error;

const CLASSES: usize = 3;
const TEMPERATURE: f64 = 2.0;

#[test]
fn equals_the_reference_for_every_pair() -> Result<()> {
    let sides = [side(2, 0.1, &[0, 1, 2]), side(1, 0.7, &[0, 2]), side(3, 1.9, &[1, 0, 2])];
    let (logits, labels): (Vec<Tensor>, Vec<Tensor>) = sides.into_iter().unzip();

    let loss = distillation_loss(&logits, &labels, TEMPERATURE).unwrap();

    let pair = |i: usize, j: usize| expected([&logits[i], &logits[j]], [&labels[i], &labels[j]]);
    let mean = (pair(0, 1)? + pair(0, 2)? + pair(1, 2)?) / 3.0;
    assert!((loss.to_scalar::<f64>()? - mean).abs() < 1e-12);
    Ok(())
}

#[test]
fn the_gradient_is_the_slope_of_the_reference() -> Result<()> {
    let (one, one_labels) = side(1, 0.1, &[0, 1, 2]);
    let (two, two_labels) = side(2, 0.7, &[0, 2]);
    let one = Var::from_tensor(&one)?;
    let labels = [one_labels, two_labels];

    let loss =
        distillation_loss(&[one.as_tensor().clone(), two.clone()], &labels, TEMPERATURE).unwrap();
    let gradients = loss.backward()?;
    let gradient = gradients.get(&one).unwrap().flatten_all()?.to_vec1::<f64>()?;

    let values = one.flatten_all()?.to_vec1::<f64>()?;
    let step = 1e-6;
    for (index, gradient) in gradient.iter().enumerate() {
        let at = |shift: f64| {
            let mut values = values.clone();
            values[index] += shift;
            let shifted = Tensor::from_vec(values, one.shape(), &Device::Cpu)?;
            expected([&shifted, &two], [&labels[0], &labels[1]])
        };
        let slope = (at(step)? - at(-step)?) / (2.0 * step);
        assert!((gradient - slope).abs() < 1e-8, "entry {index}: {gradient} against {slope}");
    }
    Ok(())
}

#[test]
fn modalities_without_a_common_class_have_no_loss_and_no_gradient() -> Result<()> {
    let (one, one_labels) = side(1, 0.1, &[1]);
    let (two, two_labels) = side(1, 0.7, &[0, 2]);
    let one = Var::from_tensor(&one)?;

    let logits = [one.as_tensor().clone(), two];
    let loss = distillation_loss(&logits, &[one_labels, two_labels], TEMPERATURE).unwrap();

    assert!(loss.to_scalar::<f64>()?.abs() < 1e-300);
    let gradients = loss.backward()?;
    let gradient = gradients.get(&one).unwrap().flatten_all()?.to_vec1::<f64>()?;
    assert!(gradient.iter().all(|&value| value == 0.0));
    Ok(())
}

#[test]
fn wrong_calls_are_refused() -> Result<()> {
    let (logits, labels) = side(1, 0.1, &[0, 1]);
    let twice = |x: &Tensor| [x.clone(), x.clone()];
    let refused = |logits: &[Tensor], labels: &[Tensor], temperature: f64| {
        distillation_loss(logits, labels, temperature).unwrap_err()
    };

    let alone = refused(std::slice::from_ref(&logits), std::slice::from_ref(&labels), 2.0);
    assert!(matches!(alone, Error::Sides { logits: 1, labels: 1 }), "{alone}");
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let cold = refused(&twice(&logits), &twice(&labels), temperature);
        assert!(matches!(cold, Error::Temperature(_)), "{cold}");
    }
    let wide = refused(&twice(&logits), &[labels.clone(), labels.to_dtype(DType::U32)?], 2.0);
    assert!(matches!(wide, Error::LabelShape { .. }), "{wide}");
    let high = refused(&twice(&logits), &[labels.clone(), (&labels + 2.0)?], 2.0);
    assert!(high.to_string().starts_with("label 3 at slice 0, row 0, column 1 is not a class"));
    Ok(())
}

/// Logits that are a wave, and labels that repeat `classes`.
fn side(slices: usize, phase: f64, classes: &[u8]) -> (Tensor, Tensor) {
    let pixels = slices * 4 * 5;
    let logits: Vec<f64> =
        (0..pixels * CLASSES).map(|i| 3.0 * (1.1 * i as f64 + phase).sin()).collect();
    let labels: Vec<u8> = classes.iter().copied().cycle().take(pixels).collect();
    (
        Tensor::from_vec(logits, (slices, 4, 5, CLASSES), &Device::Cpu).unwrap(),
        Tensor::from_vec(labels, (slices, 4, 5), &Device::Cpu).unwrap(),
    )
}

fn expected(logits: [&Tensor; 2], labels: [&Tensor; 2]) -> Result<f64> {
    let values = |logits: &Tensor| logits.flatten_all()?.to_vec1::<f64>();
    let (one, two) = (values(logits[0])?, values(logits[1])?);
    let classes = |labels: &Tensor| -> Result<Vec<usize>> {
        Ok(labels.flatten_all()?.to_vec1::<u8>()?.into_iter().map(usize::from).collect())
    };
    let labels = [&classes(labels[0])?[..], &classes(labels[1])?];
    Ok(reference::pair([&one, &two], labels, CLASSES, TEMPERATURE))
}
