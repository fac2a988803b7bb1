use duomo_data::{Batch, CropCentre, Dataset, PreparedCase, SliceId, discover, prepare_all};
use duomo_phantom::{Kind, Modality, Options, write_dataset};

use super::*;

/// A network small enough for a test, and no dropout: it should learn its batch by heart.
const SMALL: [&str; 6] = [
    "schedule.network.width=4",
    "schedule.network.dropout=0.0",
    "schedule.optimizer.rate=0.005",
    "schedule.optimizer.decay=1.0",
    "schedule.preparation.crop=64",
    "schedule.preparation.spacing_mm=2.5",
];

fn experiment() -> Experiment {
    let overrides = SMALL.map(str::to_owned);
    Experiment::load(Dataset::load("mscmr").unwrap(), "csa", "quick", 1, &overrides).unwrap()
}

/// The two slices of each modality's first patient with the most foreground.
fn batches(experiment: &Experiment) -> Vec<DrawnBatch> {
    let folder = tempfile::tempdir().unwrap();
    let patients = vec![(Modality::Lge, 1), (Modality::Bssfp, 1)];
    let options = Options { kind: Kind::Mscmr, seed: 5, patients, matrix_scale: 0.4 };
    write_dataset(&options, folder.path()).unwrap();
    let cases = discover(&experiment.dataset, folder.path()).unwrap().cases;
    let label_map = experiment.dataset.label_map();
    let prepared =
        prepare_all(&cases, &label_map, &experiment.preparation(), CropCentre::Annotation);
    prepared.into_iter().map(|case| fullest_slices(&case.unwrap())).collect()
}

fn fullest_slices(case: &PreparedCase) -> DrawnBatch {
    let labels = case.labels.as_ref().unwrap();
    let foreground = |slice: &usize| {
        let pixels = labels.chunks_exact(case.side * case.side).nth(*slice).unwrap();
        pixels.iter().filter(|&&class| class > 0).count()
    };
    let mut slices: Vec<usize> = (0..case.slices).collect();
    slices.sort_by_key(|slice| std::cmp::Reverse(foreground(slice)));
    let ids: Vec<SliceId> = slices[..2].iter().map(|&slice| SliceId { case: 0, slice }).collect();
    let batch = Batch::gather(std::slice::from_ref(case), &ids, 1).unwrap();
    DrawnBatch { batch, names: vec!["patient/slice".to_owned(); 2] }
}

#[test]
fn one_batch_of_two_slices_per_modality_is_learnt_by_heart() {
    let experiment = experiment();
    let batches = batches(&experiment);
    let network = TrainedNetwork::of_experiment(&experiment, &Device::Cpu).unwrap().remove(0);

    for step in 1..=160 {
        network.step(&batches, &experiment, step).unwrap();
    }

    let images: Vec<Tensor> =
        batches.iter().map(|batch| images(batch, &Device::Cpu).unwrap()).collect();
    let output = network.fcn.forward_train(&images, &[], 0).unwrap();
    for (logits, batch) in output.logits.iter().zip(&batches) {
        let predicted = logits.argmax(3).unwrap().flatten_all().unwrap().to_vec1::<u32>().unwrap();
        let predicted: Vec<u16> =
            predicted.into_iter().map(|class| u16::try_from(class).unwrap()).collect();
        let reference: Vec<u16> = batch.batch.labels.iter().map(|&class| class.into()).collect();
        let counts = duomo_metrics::count_confusion(&predicted, &reference, &[1, 2, 3]).unwrap();
        let dice: Vec<f64> = counts.iter().filter_map(duomo_metrics::Confusion::dice).collect();
        let mean = dice.iter().sum::<f64>() / dice.len() as f64;
        assert!(mean > 0.98, "mean Dice {mean}, per class {dice:?}");
    }
}

#[test]
fn a_loss_that_is_not_finite_names_step_and_slices_and_leaves_the_weights() {
    let experiment = experiment();
    let mut batches = batches(&experiment);
    batches[1].batch.images[0] = f32::NAN;
    let network = TrainedNetwork::of_experiment(&experiment, &Device::Cpu).unwrap().remove(0);
    let before = network.fcn.parameters().trainable()["stem"].to_vec1_flat();

    let error = network.step(&batches, &experiment, 7).unwrap_err().to_string();

    assert!(error.contains("step 7") && error.contains("patient/slice"), "{error}");
    assert_eq!(network.fcn.parameters().trainable()["stem"].to_vec1_flat(), before);
}

trait Flat {
    fn to_vec1_flat(&self) -> Vec<f32>;
}

impl Flat for Var {
    fn to_vec1_flat(&self) -> Vec<f32> {
        self.flatten_all().unwrap().to_vec1().unwrap()
    }
}
