use candle_core::Device;

use super::*;
use crate::network::testing::{batches, experiment};

fn network(experiment: &Experiment) -> TrainedNetwork {
    TrainedNetwork::of_experiment(experiment, &Device::Cpu).unwrap().remove(0)
}

#[test]
fn the_parts_add_up_to_the_gradient_of_the_whole_loss() {
    let experiment = experiment("csa", &[]);
    let batches = batches(&experiment);
    let network = network(&experiment);

    let norms = network.gradient_norms(&batches, &experiment, 3).unwrap().unwrap();

    let (output, loss, _) = network.loss(&batches, &experiment, 3).unwrap();
    let whole = output.backward(&loss).unwrap();
    let kernels = network.fcn.parameters().kernels();
    let squares = kernels.map(|(name, _)| inner_product(&whole[name], &whole[name]).unwrap());
    let cross = 2.0 * norms.rest * norms.transfer * norms.cosine.unwrap();
    let of_parts = norms.rest.powi(2) + norms.transfer.powi(2) + cross;
    let of_whole = squares.sum::<f64>();
    assert!((of_parts / of_whole - 1.0).abs() < 1e-4, "{of_parts} {of_whole}");
    assert!(norms.rest > 0.0 && norms.transfer > 0.0, "{norms:?}");
}

#[test]
fn weights_and_running_statistics_stay_as_they_are() {
    let experiment = experiment("csa", &[]);
    let batches = batches(&experiment);
    let network = network(&experiment);
    let before = network.fcn.parameters().to_tensors().unwrap();

    network.gradient_norms(&batches, &experiment, 1).unwrap();

    for (name, after) in network.fcn.parameters().to_tensors().unwrap() {
        let [before, after] =
            [&before[&name], &after].map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        assert_eq!(before, after, "{name}");
    }
}

#[test]
fn the_transfer_norm_grows_with_its_weight() {
    let norms = |weight: &str| {
        let experiment = experiment("csa", &[weight]);
        let batches = batches(&experiment);
        network(&experiment).gradient_norms(&batches, &experiment, 1).unwrap().unwrap()
    };
    let [none, half, five] =
        ["0.0", "0.5", "5.0"].map(|weight| norms(&format!("method.transfer.0.weight={weight}")));

    assert_eq!((none.transfer, none.cosine, none.ratio()), (0.0, None, Some(0.0)));
    assert!((five.transfer / half.transfer - 10.0).abs() < 1e-3, "{half:?} {five:?}");
    assert!((five.rest / half.rest - 1.0).abs() < 1e-6, "{half:?} {five:?}");
}

#[test]
fn without_a_transfer_loss_there_is_nothing_to_measure() {
    for method in ["msbn", "single"] {
        let experiment = experiment(method, &[]);
        let batches = batches(&experiment);

        let norms = network(&experiment).gradient_norms(&batches, &experiment, 1).unwrap();

        assert_eq!(norms, None, "{method}");
    }
}
