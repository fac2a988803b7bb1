use candle_core::{DType, Device, Tensor, Var};

use super::{AdamOptions, AdamVariable, adam_update, adam_update_all};
use crate::cuda::runners::places;
use crate::testing::{random, relative_difference, values};

const OPTIONS: AdamOptions = AdamOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/// Weights after some steps of PyTorch's `Adam(lr, weight_decay)`, by its documented formulas.
fn reference(weight: &Tensor, gradients: &[Tensor], rate: f64, l2: f64) -> Vec<f64> {
    let mut w = values(weight);
    let (mut m, mut v) = (vec![0.0; w.len()], vec![0.0; w.len()]);
    for (t, gradient) in (1..).zip(gradients) {
        for (i, g) in values(gradient).into_iter().enumerate() {
            let g = g + l2 * w[i];
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            let mean = m[i] / (1.0 - 0.9f64.powi(t));
            let square = v[i] / (1.0 - 0.999f64.powi(t));
            w[i] -= rate * mean / (square.sqrt() + 1e-8);
        }
    }
    w
}

#[test]
fn equals_the_formulas_of_pytorch() {
    let shape = (7, 3000);
    let weight = random(shape, 1);
    let gradients: Vec<Tensor> = (2..7).map(|seed| random(shape, seed)).collect();
    for place in places() {
        let tolerance = if place.dtype == DType::F64 { 1e-12 } else { 1e-6 };
        for l2 in [0.0, 0.01] {
            let var = Var::from_tensor(&place.put(&weight).unwrap()).unwrap();
            let zeros = || Var::zeros(shape, place.dtype, &place.device).unwrap();
            let moments = [zeros(), zeros()];
            for (step, gradient) in (1..).zip(&gradients) {
                let gradient = place.put(gradient).unwrap();
                let moments = (&moments[0], &moments[1]);
                adam_update(&var, &gradient, moments, 0.01, l2, step, OPTIONS).unwrap();
            }
            let expected = reference(&weight, &gradients, 0.01, l2);
            let expected = Tensor::from_vec(expected, shape, &Device::Cpu).unwrap();
            let difference = relative_difference(&var, &expected);
            assert!(difference < tolerance, "{place:?} l2 {l2}: {difference:e}");
        }
    }
}

#[test]
fn takes_a_gradient_that_is_not_contiguous() {
    let gradient = random((3, 4), 2);
    let [plain, turned] =
        [gradient.clone(), gradient.t().unwrap().contiguous().unwrap().t().unwrap()].map(
            |gradient| {
                let [var, mean, square] =
                    [1, 2, 3].map(|_| Var::zeros((3, 4), DType::F64, &Device::Cpu).unwrap());
                adam_update(&var, &gradient, (&mean, &square), 0.1, 0.0, 1, OPTIONS).unwrap();
                values(&var)
            },
        );
    assert_eq!(plain, turned);
}

#[test]
fn errors_instead_of_locking_a_storage_twice() {
    let var = Var::zeros(3, DType::F32, &Device::Cpu).unwrap();
    let moment = Var::zeros(3, DType::F32, &Device::Cpu).unwrap();
    let gradient = random(3, 1).to_dtype(DType::F32).unwrap();
    let same = adam_update(&var, &gradient, (&moment, &moment), 0.1, 0.0, 1, OPTIONS);
    assert!(same.unwrap_err().to_string().contains("must not share storage"));
    let late = adam_update(&var, &gradient, (&moment, &moment), 0.1, 0.0, 0, OPTIONS);
    assert!(late.is_err());
}

#[test]
fn errors_on_mixed_element_types() {
    let [var, mean, square] = [1, 2, 3].map(|_| Var::zeros(3, DType::F32, &Device::Cpu).unwrap());
    let error = adam_update(&var, &random(3, 1), (&mean, &square), 0.1, 0.0, 1, OPTIONS);
    assert!(error.unwrap_err().to_string().contains("unexpected dtype"));
}

#[test]
fn all_variables_at_once_move_as_each_alone() {
    let shapes = [(3, 4), (1, 7)];
    let vars = || shapes.map(|shape| Var::from_tensor(&random(shape, 1)).unwrap());
    let zeros = || shapes.map(|shape| Var::zeros(shape, DType::F64, &Device::Cpu).unwrap());
    let gradients = shapes.map(|shape| random(shape, 2));
    let moved = |together: bool| {
        let (vars, means, squares) = (vars(), zeros(), zeros());
        let variables = [0, 1].map(|i| AdamVariable {
            var: &vars[i],
            moments: (&means[i], &squares[i]),
            gradient: &gradients[i],
            l2: 0.1 * i as f64,
        });
        if together {
            let loss = Tensor::new(1f32, &Device::Cpu).unwrap();
            adam_update_all(&variables, &loss, 0.1, 1, OPTIONS).unwrap();
        } else {
            for AdamVariable { var, moments, gradient, l2 } in variables {
                adam_update(var, gradient, moments, 0.1, l2, 1, OPTIONS).unwrap();
            }
        }
        vars.map(|var| values(&var))
    };
    assert_eq!(moved(true), moved(false));
    assert_ne!(moved(true), vars().map(|var| values(&var)));
}
