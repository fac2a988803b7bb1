//! A batch that tests train on: real slices of synthetic patients.

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

/// A method on that network, with changed keys.
pub(crate) fn experiment(method: &str, changes: &[&str]) -> Experiment {
    let overrides: Vec<String> =
        SMALL.iter().chain(changes).map(|&change| change.to_owned()).collect();
    Experiment::load(Dataset::load("mscmr").unwrap(), method, "quick", 1, &overrides).unwrap()
}

/// The two slices of each modality's first patient with the most foreground.
pub(crate) fn batches(experiment: &Experiment) -> Vec<DrawnBatch> {
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
