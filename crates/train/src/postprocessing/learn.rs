//! Which rules help: tried one after another on the validation patients.

use duomo_metrics::Confusion;

use super::{ClassRules, PostProcessing};

/// Smallest volumes that are tried, in cubic millimetres: from a speck to a large lesion.
const MIN_MM3: [f64; 7] = [10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0];

/// A case that rules are tried on.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Index of its modality.
    pub(crate) modality: usize,
    /// `[D, H, W]`.
    pub(crate) shape: [usize; 3],
    /// Volume of a voxel.
    pub(crate) voxel_mm3: f64,
    /// What the network says, class indices.
    pub(crate) prediction: Vec<u8>,
    /// What an expert drew, class indices.
    pub(crate) reference: Vec<u8>,
}

/// Returns the rules that raise the validation score, for `classes` foreground classes.
///
/// Rules are tried in the order in which they are applied: the largest foreground component, then for
/// each class its largest component and its smallest volume. Each is kept only if the score is higher
/// with it than without, all rules kept before being on; a tie leaves it off. Without cases all are off.
///
/// The score is the one that chooses the weights: the mean over modalities of the mean Dice over cases
/// and classes for which it is defined.
pub(crate) fn learn(cases: &[Candidate], classes: usize) -> PostProcessing {
    let mut best =
        PostProcessing { largest_foreground: false, classes: vec![ClassRules::default(); classes] };
    let Some(mut best_score) = score(cases, &best, classes) else { return best };
    let mut attempt = |best: &mut PostProcessing, change: &dyn Fn(&mut PostProcessing)| {
        let mut tried = best.clone();
        change(&mut tried);
        if let Some(score) = score(cases, &tried, classes).filter(|&score| score > best_score) {
            (*best, best_score) = (tried, score);
        }
    };
    attempt(&mut best, &|rules| rules.largest_foreground = true);
    for class in 0..classes {
        attempt(&mut best, &|rules| rules.classes[class].largest = true);
        for mm3 in MIN_MM3 {
            attempt(&mut best, &|rules| rules.classes[class].min_mm3 = mm3);
        }
    }
    best
}

fn score(cases: &[Candidate], rules: &PostProcessing, classes: usize) -> Option<f64> {
    let labels: Vec<u16> = (1..).take(classes).collect();
    let modalities = cases.iter().map(|case| case.modality + 1).max()?;
    let mut dice = vec![Vec::new(); modalities];
    for case in cases {
        let mut prediction = case.prediction.clone();
        rules.apply(&mut prediction, case.shape, case.voxel_mm3);
        let counts = duomo_metrics::count_confusion(&prediction, &case.reference, &labels)
            .expect("prediction and reference lie on one grid");
        dice[case.modality].extend(counts.iter().filter_map(Confusion::dice));
    }
    mean(dice.into_iter().filter_map(mean))
}

fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) =
        values.into_iter().fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}
