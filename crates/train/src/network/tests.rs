use duomo_ops::cuda::runners::{devices, runners};

use super::testing::{batches, experiment};
use super::*;

#[test]
fn one_batch_of_two_slices_per_modality_is_learnt_by_heart() {
    let experiment = experiment("csa", &[]);
    let batches = batches(&experiment);
    for device in devices() {
        assert_learns(&experiment, &batches, &device);
    }
}

fn assert_learns(experiment: &Experiment, batches: &[DrawnBatch], device: &Device) {
    let network = TrainedNetwork::of_experiment(experiment, device).unwrap().remove(0);

    for step in 1..=160 {
        network.step(batches, experiment, step).unwrap();
    }

    let images: Vec<Tensor> = batches.iter().map(|batch| images(batch, device).unwrap()).collect();
    let output = network.fcn.forward_train(&images, &[], 0).unwrap();
    for (logits, batch) in output.logits.iter().zip(batches) {
        let predicted = logits.argmax(3).unwrap().flatten_all().unwrap().to_vec1::<u32>().unwrap();
        let predicted: Vec<u16> =
            predicted.into_iter().map(|class| u16::try_from(class).unwrap()).collect();
        let reference: Vec<u16> = batch.batch.labels.iter().map(|&class| class.into()).collect();
        let counts = duomo_metrics::count_confusion(&predicted, &reference, &[1, 2, 3]).unwrap();
        let dice: Vec<f64> = counts.iter().filter_map(duomo_metrics::Confusion::dice).collect();
        let mean = dice.iter().sum::<f64>() / dice.len() as f64;
        assert!(mean > 0.98, "{device:?}: mean Dice {mean}, per class {dice:?}");
    }
}

#[test]
fn no_seed_network_step_or_layer_has_the_dropout_of_another() {
    let mut seen = std::collections::HashMap::new();
    for seed in 0..4 {
        for network in 0..2 {
            for step in 1..=50 {
                for layer in 0..50 {
                    // As the network draws for its layers.
                    let drawn = split_mix(dropout_seed(seed, network, step), layer);
                    let at = (seed, network, step, layer);
                    assert_eq!(seen.insert(drawn, at), None, "{at:?} has the seed of another");
                }
            }
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_names_step_and_slices_and_leaves_the_weights() {
    let experiment = experiment("csa", &[]);
    let mut batches = batches(&experiment);
    batches[1].batch.images[0] = f32::NAN;
    for device in devices() {
        let network = TrainedNetwork::of_experiment(&experiment, &device).unwrap().remove(0);
        let before = network.fcn.parameters().trainable()["stem"].to_vec1_flat();

        let error = network.step(&batches, &experiment, 7).unwrap_err().to_string();

        assert!(error.contains("step 7") && error.contains("patient/slice"), "{error}");
        assert_eq!(network.fcn.parameters().trainable()["stem"].to_vec1_flat(), before);
    }
}

#[test]
fn a_step_on_a_card_is_that_of_the_cpu() {
    let small = ["schedule.network.width=1", "schedule.preparation.crop=24"];
    let experiment = experiment("csa", &small);
    let batches = batches(&experiment);
    let two_steps = |device: &Device| {
        let network = TrainedNetwork::of_experiment(&experiment, device).unwrap().remove(0);
        let terms = [1, 2].map(|step| network.step(&batches, &experiment, step).unwrap());
        let weights = network.fcn.parameters().trainable().values();
        (terms, weights.flat_map(Flat::to_vec1_flat).collect::<Vec<_>>())
    };

    let (expected, moved_by_cpu) = two_steps(&Device::Cpu);
    let numbers = |terms: &LossTerms| {
        let all = terms.dice.iter().chain(&terms.cross_entropy).chain(terms.transfer.values());
        [terms.total].into_iter().chain(all.copied()).collect::<Vec<f64>>()
    };
    for runner in runners() {
        let (actual, moved) = runner.compute(two_steps);

        for (actual, expected) in actual.iter().zip(&expected) {
            for (actual, expected) in numbers(actual).iter().zip(numbers(expected)) {
                assert!((actual - expected).abs() < 1e-4 * expected.abs(), "{actual} {expected}");
            }
        }
        assert!(moved != moved_by_cpu, "the CPU has computed both");
    }
}

trait Flat {
    fn to_vec1_flat(&self) -> Vec<f32>;
}

impl Flat for Var {
    fn to_vec1_flat(&self) -> Vec<f32> {
        self.flatten_all().unwrap().to_vec1().unwrap()
    }
}
