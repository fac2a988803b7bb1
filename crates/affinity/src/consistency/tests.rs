use candle_core::{DType, Device, Result, Tensor};
use duomo_ops::cuda::runners::devices;

use super::consistency;
use crate::testing::{Noise, central_differences, gradient, numbers, relative_difference};

#[test]
fn is_the_mean_squared_difference_over_present_classes_and_all_of_them() -> Result<()> {
    let a = Tensor::new(&[[[1f64, 2.0]], [[9.0, 9.0]]], &Device::Cpu)?; // [C, M, N]
    let b = Tensor::new(&[[[0f64, 4.0]], [[0.0, 0.0]]], &Device::Cpu)?;

    let both = consistency(&a, &b, vec![true, true])?.to_scalar::<f64>()?;
    let first = consistency(&a, &b, vec![true, false])?.to_scalar::<f64>()?;

    assert!((both - (1.0 + 4.0 + 81.0 + 81.0) / 4.0).abs() < 1e-15);
    assert!((first - (1.0 + 4.0) / 4.0).abs() < 1e-15);
    Ok(())
}

#[test]
fn gradient_equals_central_differences_and_is_zero_for_absent_classes() -> Result<()> {
    let mut noise = Noise(8);
    let (a, b) = (noise.features((3, 2, 4), DType::F64), noise.features((3, 2, 4), DType::F64));
    let loss = || consistency(&a, &b, vec![true, false, true])?.affine(3.0, 0.0);

    for var in [&a, &b] {
        let expected = central_differences(var, loss);
        let actual = gradient(&loss()?, var);
        assert!(relative_difference(&actual, &expected) < 1e-8);
        assert!(actual[8..16].iter().all(|&value| value == 0.0));
    }
    Ok(())
}

#[test]
fn sums_more_numbers_than_one_task_takes() -> Result<()> {
    let mut noise = Noise(9);
    let mut map = || noise.features((2, 150, 150), DType::F32);
    let (a, b) = (map(), map());
    let (x, y) = (numbers(&a), numbers(&b));
    let expected = x.iter().zip(&y).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / x.len() as f64;
    for device in devices() {
        let loss = consistency(&a.to_device(&device)?, &b.to_device(&device)?, vec![true, true])?;

        assert!(relative_difference(&numbers(&loss), &[expected]) < 1e-6, "{device:?}");
    }
    Ok(())
}

#[test]
fn names_the_shapes_that_do_not_match() {
    let mut noise = Noise(10);
    let (a, b) = (noise.features((2, 3, 4), DType::F32), noise.features((2, 3, 5), DType::F32));

    let error = consistency(&a, &b, vec![true; 2]).unwrap_err().to_string();

    let expected =
        "affinity_loss: affinities of two modalities have shapes [2, 3, 4] and [2, 3, 5]";
    assert!(error.starts_with(expected), "{error}");
}
