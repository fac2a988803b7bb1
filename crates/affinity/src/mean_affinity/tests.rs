use candle_core::{DType, Result};

use super::mean_affinity;
use crate::{
    class_affinity,
    reading::{Reading, Scope, SizeNormalization},
    testing::{Noise, central_differences, gradient, numbers, relative_difference},
};

#[test]
fn equals_the_mean_of_the_matrix_under_every_scope_and_size() -> Result<()> {
    let mut noise = Noise(21);
    let (l, k) =
        (noise.features((3, 20, 17, 6), DType::F64), noise.features((3, 20, 17, 5), DType::F64));
    let labels = noise.labels((3, 40, 34), 4);
    for scope in [Scope::Batch, Scope::Slice] {
        for size_normalization in
            [SizeNormalization::Pixels, SizeNormalization::Fraction, SizeNormalization::None]
        {
            let reading = Reading { scope, size_normalization, ..Reading::default() };

            let mean = mean_affinity(&l, &k, &labels, 4, &reading)?;

            let matrix = class_affinity(&l, &k, &labels, 4, &reading)?;
            let expected = numbers(&matrix.mean((1, 2))?);
            assert!(relative_difference(&numbers(&mean), &expected) < 1e-12, "{reading:?}");
            for var in [&l, &k] {
                let of_mean = gradient(&mean.sqr()?.sum_all()?, var);
                let of_matrix = gradient(&matrix.mean((1, 2))?.sqr()?.sum_all()?, var);
                assert!(relative_difference(&of_mean, &of_matrix) < 1e-11, "{reading:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn gradient_equals_central_differences() -> Result<()> {
    let mut noise = Noise(22);
    let (l, k) =
        (noise.features((2, 3, 4, 2), DType::F64), noise.features((2, 3, 4, 3), DType::F64));
    let labels = noise.labels((2, 3, 4), 2);
    for scope in [Scope::Batch, Scope::Slice] {
        let reading = Reading { scope, background: false, ..Reading::default() };
        let loss = || mean_affinity(&l, &k, &labels, 2, &reading)?.sqr()?.sum_all();

        for var in [&l, &k] {
            let expected = central_differences(var, loss);
            assert!(relative_difference(&gradient(&loss()?, var), &expected) < 1e-7);
        }
    }
    Ok(())
}
