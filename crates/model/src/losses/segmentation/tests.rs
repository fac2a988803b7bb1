use candle_core::{DType, Device, Result, Tensor, Var};

use super::{reference, segmentation_losses};
use crate::losses::CHUNK;

const CLASSES: usize = 4;

#[test]
fn equals_the_reference() -> Result<()> {
    let (logits, labels) = batch(1, 9, 7);

    let (dice, cross_entropy) = segmentation_losses(&logits, &labels).unwrap();

    let [expected_dice, expected_cross_entropy] = expected(&logits, &labels)?;
    assert!((dice.to_scalar::<f64>()? - expected_dice).abs() < 1e-12);
    assert!((cross_entropy.to_scalar::<f64>()? - expected_cross_entropy).abs() < 1e-12);
    Ok(())
}

#[test]
fn the_gradient_is_the_slope_of_the_reference() -> Result<()> {
    let (logits, labels) = batch(1, 3, 5);
    let logits = Var::from_tensor(&logits)?;
    let (dice, cross_entropy) = segmentation_losses(&logits, &labels).unwrap();

    // Both losses at once, with different weights.
    let loss = ((dice * 0.7)? + (cross_entropy * 1.9)?)?;
    let gradients = loss.backward()?;
    let gradient = gradients.get(&logits).unwrap().flatten_all()?.to_vec1::<f64>()?;

    let values = logits.flatten_all()?.to_vec1::<f64>()?;
    let step = 1e-6;
    for (index, gradient) in gradient.iter().enumerate() {
        let at = |shift: f64| -> Result<f64> {
            let mut values = values.clone();
            values[index] += shift;
            let shifted = Tensor::from_vec(values, logits.shape(), &Device::Cpu)?;
            let [dice, cross_entropy] = expected(&shifted, &labels)?;
            Ok(0.7 * dice + 1.9 * cross_entropy)
        };
        let slope = (at(step)? - at(-step)?) / (2.0 * step);
        // Central differences of f64 values are good to about 1e-10 here.
        assert!((gradient - slope).abs() < 1e-8, "entry {index}: {gradient} against {slope}");
    }
    Ok(())
}

#[test]
fn threads_do_not_change_a_bit() -> Result<()> {
    let (logits, labels) = batch(3, 64, 65);
    assert!(labels.elem_count() > 3 * CHUNK);
    let logits = logits.to_dtype(DType::F32)?;
    let run = |threads: usize| -> Result<(f32, f32, Vec<f32>)> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let logits = Var::from_tensor(&logits.copy()?)?;
            let (dice, cross_entropy) = segmentation_losses(&logits, &labels).unwrap();
            let gradients = (&dice + &cross_entropy)?.backward()?;
            let gradient = gradients.get(&logits).unwrap().flatten_all()?.to_vec1()?;
            Ok((dice.to_scalar()?, cross_entropy.to_scalar()?, gradient))
        })
    };

    assert_eq!(run(1)?, run(5)?);
    Ok(())
}

#[test]
fn a_slice_of_a_larger_tensor_is_read_where_it_lies() -> Result<()> {
    let (logits, labels) = batch(3, 4, 4);
    let (part, labels_part) = (logits.narrow(0, 1, 2)?, labels.narrow(0, 1, 2)?);

    let (dice, _) = segmentation_losses(&part, &labels_part).unwrap();

    let [expected, _] = expected(&part, &labels_part)?;
    assert!((dice.to_scalar::<f64>()? - expected).abs() < 1e-12);
    Ok(())
}

#[test]
fn a_certain_and_right_network_loses_only_the_classes_that_the_batch_lacks() -> Result<()> {
    let (_, three_of_four) = batch(1, 4, 6);
    let four = Tensor::new(&[[[0u8, 1, 2, 3]]], &Device::Cpu)?;
    let classes = Tensor::arange(0u8, 4, &Device::Cpu)?;

    for (labels, expected) in [(four, 0.0), (three_of_four, 0.25)] {
        let one_hot = labels.unsqueeze(3)?.broadcast_eq(&classes)?.to_dtype(DType::F32)?;
        let (dice, cross_entropy) = segmentation_losses(&(one_hot * 60.0)?, &labels).unwrap();

        assert!((dice.to_scalar::<f32>()? - expected).abs() < 1e-6);
        assert!(cross_entropy.to_scalar::<f32>()?.abs() < 1e-12);
    }
    Ok(())
}

#[test]
fn a_label_that_is_no_class_is_named_with_its_place() -> Result<()> {
    let (logits, labels) = batch(2, 3, 5);
    let mut values = labels.flatten_all()?.to_vec1::<u8>()?;
    values[15 + 5 + 3] = 200;
    let labels = Tensor::from_vec(values, (2, 3, 5), &Device::Cpu)?;

    let error = segmentation_losses(&logits, &labels).unwrap_err().to_string();

    let message = "label 200 at slice 1, row 1, column 3 is not a class: the logits have 4 \
                   classes, 0 to 3; map labels to class indices first";
    assert!(error.starts_with(message), "{error}");
    Ok(())
}

#[test]
fn labels_of_another_shape_or_type_are_refused() -> Result<()> {
    let (logits, labels) = batch(2, 3, 5);

    for labels in [labels.narrow(0, 0, 1)?, labels.unsqueeze(3)?, labels.to_dtype(DType::U32)?] {
        let error = segmentation_losses(&logits, &labels).unwrap_err().to_string();
        assert!(error.starts_with("labels have shape ["), "{error}");
        assert!(error.ends_with("expected u8 labels [B, H, W] for logits [B, H, W, C]"), "{error}");
    }
    Ok(())
}

/// Logits far enough apart that some probabilities are clipped, and labels of 3 of 4 classes.
fn batch(slices: usize, height: usize, width: usize) -> (Tensor, Tensor) {
    let pixels = slices * height * width;
    let logits: Vec<f64> =
        (0..pixels * CLASSES).map(|i| 6.0 * (1.3 * i as f64 + 0.1).sin()).collect();
    let labels = (0u8..3).cycle().step_by(7).take(pixels).collect();
    (
        Tensor::from_vec(logits, (slices, height, width, CLASSES), &Device::Cpu).unwrap(),
        Tensor::from_vec::<_, u8>(labels, (slices, height, width), &Device::Cpu).unwrap(),
    )
}

fn expected(logits: &Tensor, labels: &Tensor) -> Result<[f64; 2]> {
    let labels: Vec<usize> =
        labels.flatten_all()?.to_vec1::<u8>()?.into_iter().map(usize::from).collect();
    Ok(reference::losses(&logits.flatten_all()?.to_vec1::<f64>()?, &labels, CLASSES))
}
