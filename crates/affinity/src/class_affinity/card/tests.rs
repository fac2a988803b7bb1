//! Eqs. 2 and 3 on a card against the CPU twin. Needs a card; says so where there is none.

use candle_core::{DType, Device, Result, Tensor, Var};
use duomo_ops::cuda::{Precision, runners::card, with_precision};

use crate::{
    class_affinity,
    reading::{Reading, Scope},
    testing::{Noise, numbers, relative_difference},
};

#[test]
fn nvrtc_takes_the_kernels() {
    use candle_core::cuda_backend::cudarc::nvrtc;

    for source in [super::launches::SOURCE, super::launches::ON_TENSOR_CORES] {
        let options = nvrtc::CompileOptions { arch: source.architecture, ..Default::default() };
        let ptx = nvrtc::compile_ptx_with_opts(source.text, options).map(|ptx| ptx.to_src());

        let ptx = ptx.unwrap_or_else(|error| panic!("{error:?}"));
        for kernel in source.kernels {
            assert!(ptx.contains(&format!(".visible .entry {kernel}(")), "{kernel}");
        }
    }
}

#[test]
fn equals_the_cpu_twin_forward_and_backward() -> Result<()> {
    let Some(device) = card() else { return Ok(()) };
    for (seed, [b, side, m, n]) in
        [[1, 1, 1, 1], [2, 9, 65, 63], [3, 21, 130, 70], [8, 28, 256, 256], [8, 32, 512, 512]]
            .into_iter()
            .enumerate()
    {
        let mut noise = Noise(seed as u64);
        let l = noise.features((b, side, side, m), DType::F32);
        let k = noise.features((b, side, side, n), DType::F32);
        let labels = noise.labels((b, side, side), 4);
        for (scope, background) in [Scope::Batch, Scope::Slice].into_iter().zip([true, false]) {
            let reading = Reading { scope, background, ..Reading::default() };

            let expected = all(&l, &k, &labels, reading)?;
            let to_card = |var: &Var| Var::from_tensor(&var.to_device(&device)?);
            for (precision, bound) in
                [(Precision::Tf32, 1e-3), (Precision::Bf16, 8e-3), (Precision::F32, 2e-5)]
            {
                let there = (to_card(&l)?, to_card(&k)?);
                let actual =
                    with_precision(precision, || all(&there.0, &there.1, &labels, reading))?;

                for (actual, expected) in actual.iter().zip(&expected) {
                    let off = relative_difference(actual, expected);
                    let is_flat = m == 1 && precision != Precision::F32;
                    let what = format!("{b} {side} {m} {n} {reading:?} {precision:?}");
                    assert!(off < bound || is_flat, "{what}: {off:e}");
                }
            }
        }
    }
    Ok(())
}

/// The affinity and both gradients of its sum of squares.
fn all(l: &Var, k: &Var, labels: &Tensor, reading: Reading) -> Result<[Vec<f64>; 3]> {
    let affinity = class_affinity(l, k, labels, 4, &reading)?;
    let gradients = affinity.sqr()?.sum_all()?.backward()?;
    let of = |var: &Var| gradients.get(var).map(numbers).expect("the loss depends on both maps");
    Ok([numbers(&affinity), of(l), of(k)])
}

#[test]
fn says_that_cards_compute_in_f32() -> Result<()> {
    let Some(device) = card() else { return Ok(()) };
    let map = Tensor::zeros((1, 2, 2, 3), DType::F64, &device)?;
    let labels = Tensor::zeros((1, 2, 2), DType::U8, &Device::Cpu)?;

    let error = class_affinity(&map, &map, &labels, 1, &Reading::default()).unwrap_err();

    let start = "class_affinity: got elements of type F64, expected F32 on a card";
    assert!(error.to_string().starts_with(start), "{error}");
    Ok(())
}
