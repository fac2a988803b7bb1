//! How many voxels agree: the counts of one class and every ratio of them.
//!
//! | | reference has the class | reference has not |
//! |---|---|---|
//! | prediction has the class | `true_positives` | `false_positives` |
//! | prediction has not | `false_negatives` | `true_negatives` |

#![expect(clippy::inline_always, reason = "callers compile these for the widest vectors there are")]

use std::collections::BTreeSet;

use crate::gather::{Gather, Packing, pack};
use crate::label::Columns;
use crate::runs::{CHUNK, for_each_run, starts};
use crate::{Error, Label};

/// Voxels of one class, split by where prediction and reference have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Voxels that both have.
    pub true_positives: u64,
    /// Voxels that only the prediction has.
    pub false_positives: u64,
    /// Voxels that only the reference has.
    pub false_negatives: u64,
    /// Voxels that neither has.
    pub true_negatives: u64,
}

impl Confusion {
    /// Returns the voxels of the class in the prediction.
    pub fn predicted(&self) -> u64 {
        self.true_positives + self.false_positives
    }

    /// Returns the voxels of the class in the reference.
    pub fn expected(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// Returns the Dice coefficient, `2·TP / (2·TP + FP + FN)`.
    ///
    /// In `[0, 1]`, 1 is best. 0 if only one side has the class, `None` if neither has: 0/0. Tools
    /// agree except there (MedPy and MONAI give NaN, SimpleITK 0, MetricsReloaded 1) and where
    /// only the reference is empty (MONAI gives NaN). Not to be confused with
    /// [`SurfaceDistances::nsd`](crate::SurfaceDistances::nsd).
    ///
    /// # Source
    ///
    /// Dice 1945, Measures of the amount of ecologic association between species.
    ///
    /// # Examples
    ///
    /// ```
    /// let confusion = duomo_metrics::count_confusion(&[1u8, 1, 0, 0], &[0, 1, 1, 0], &[1])?;
    /// assert_eq!(confusion[0].dice(), Some(0.5));
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn dice(&self) -> Option<f64> {
        ratio(2 * self.true_positives, self.predicted() + self.expected())
    }

    /// Returns the Jaccard index (intersection over union), `TP / (TP + FP + FN)`.
    ///
    /// In `[0, 1]`, 1 is best. 0 if only one side has the class, `None` if neither has.
    ///
    /// # Examples
    ///
    /// ```
    /// let confusion = duomo_metrics::count_confusion(&[1u8, 1, 0, 0], &[0, 1, 0, 0], &[1])?;
    /// assert_eq!(confusion[0].jaccard(), Some(0.5));
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn jaccard(&self) -> Option<f64> {
        let union = self.true_positives + self.false_positives + self.false_negatives;
        ratio(self.true_positives, union)
    }

    /// Returns the sensitivity (recall), `TP / (TP + FN)`.
    ///
    /// In `[0, 1]`, 1 is best. `None` if the reference has not the class.
    ///
    /// # Examples
    ///
    /// ```
    /// let confusion = duomo_metrics::count_confusion(&[1u8, 0, 0, 0], &[1, 1, 1, 1], &[1])?;
    /// assert_eq!(confusion[0].sensitivity(), Some(0.25));
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn sensitivity(&self) -> Option<f64> {
        ratio(self.true_positives, self.expected())
    }

    /// Returns the precision, `TP / (TP + FP)`.
    ///
    /// In `[0, 1]`, 1 is best. `None` if the prediction has not the class.
    ///
    /// # Examples
    ///
    /// ```
    /// let confusion = duomo_metrics::count_confusion(&[1u8, 1, 1, 1], &[1, 0, 0, 0], &[1])?;
    /// assert_eq!(confusion[0].precision(), Some(0.25));
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn precision(&self) -> Option<f64> {
        ratio(self.true_positives, self.predicted())
    }

    /// Returns the specificity, `TN / (TN + FP)`.
    ///
    /// In `[0, 1]`, 1 is best. `None` if the reference fills the image. Background that no one
    /// would ever call foreground counts too, so the value rises with the field of view.
    ///
    /// # Examples
    ///
    /// ```
    /// let confusion = duomo_metrics::count_confusion(&[1u8, 1, 0, 0], &[1, 0, 0, 0], &[1])?;
    /// assert_eq!(confusion[0].specificity(), Some(2.0 / 3.0));
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn specificity(&self) -> Option<f64> {
        ratio(self.true_negatives, self.true_negatives + self.false_positives)
    }
}

/// Returns the confusion counts of every label in `labels`, in that order, in one pass.
///
/// Values that are not in `labels` count as background.
///
/// # Shapes
///
/// - `prediction`, `reference`: the voxels of one grid in the same order; any shape
///
/// # Errors
///
/// - [`Error::VoxelCount`] if the maps differ in length
/// - [`Error::DuplicateLabel`] if a label is listed twice
///
/// # Examples
///
/// ```
/// let confusion = duomo_metrics::count_confusion(&[7u16, 7, 300], &[7, 300, 300], &[300, 7])?;
/// assert_eq!((confusion[0].true_positives, confusion[0].false_negatives), (1, 1));
/// assert_eq!((confusion[1].true_positives, confusion[1].false_positives), (1, 1));
/// # Ok::<(), duomo_metrics::Error>(())
/// ```
pub fn count_confusion<L: Label>(
    prediction: &[L],
    reference: &[L],
    labels: &[u16],
) -> Result<Vec<Confusion>, Error> {
    check_lengths(prediction.len(), reference.len(), [1, 1, reference.len()])?;
    check_labels(labels)?;
    let columns = Columns::new(labels);
    let mut tallies = vec![Tally::default(); columns.count()];
    pack(Counting { prediction, reference, columns: &columns, tallies: &mut tallies });
    Ok(tallies.iter().map(|tally| tally.confusion(reference.len() as u64)).collect())
}

/// Counts all voxels, run by run.
struct Counting<'a, L> {
    prediction: &'a [L],
    reference: &'a [L],
    columns: &'a Columns,
    tallies: &'a mut [Tally],
}

impl<L: Label> Packing for Counting<'_, L> {
    #[inline(always)]
    fn pack<G: Gather>(self, gather: G) {
        let chunks = self.prediction.chunks(CHUNK).zip(self.reference.chunks(CHUNK));
        for (prediction, reference) in chunks {
            let starts = starts(prediction, reference, gather);
            for_each_run(prediction, reference, starts, |run| {
                let predicted = self.columns.of(run.prediction);
                let expected = self.columns.of(run.reference);
                count_run(self.tallies, predicted, expected, run.length as u64);
            });
        }
    }
}

/// Voxels of one label: enough to fill in a [`Confusion`] once the total is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    predicted: u64,
    expected: u64,
    both: u64,
}

impl Tally {
    /// Completes the counts for an image of `voxels` voxels.
    pub(crate) fn confusion(&self, voxels: u64) -> Confusion {
        Confusion {
            true_positives: self.both,
            false_positives: self.predicted - self.both,
            false_negatives: self.expected - self.both,
            true_negatives: voxels - (self.predicted + self.expected - self.both),
        }
    }

    /// Adds the counts of another part of the same image.
    pub(crate) fn add(&mut self, other: &Self) {
        self.predicted += other.predicted;
        self.expected += other.expected;
        self.both += other.both;
    }
}

/// Counts the voxels of a word of bits per map.
#[inline(always)]
pub(crate) fn count_word(tally: &mut Tally, predicted: u64, expected: u64) {
    tally.predicted += u64::from(predicted.count_ones());
    tally.expected += u64::from(expected.count_ones());
    tally.both += u64::from((predicted & expected).count_ones());
}

/// Counts `length` voxels that all have this pair of columns.
#[inline(always)]
pub(crate) fn count_run(
    tallies: &mut [Tally],
    predicted: Option<usize>,
    expected: Option<usize>,
    length: u64,
) {
    if let Some(column) = predicted {
        tallies[column].predicted += length;
        if predicted == expected {
            tallies[column].both += length;
        }
    }
    if let Some(column) = expected {
        tallies[column].expected += length;
    }
}

/// Refuses label maps that do not fill `shape`.
pub(crate) fn check_lengths(
    prediction: usize,
    reference: usize,
    shape: [usize; 3],
) -> Result<(), Error> {
    let expected =
        shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n)).unwrap_or(usize::MAX);
    for (side, voxels) in [("prediction", prediction), ("reference", reference)] {
        if voxels != expected {
            return Err(Error::VoxelCount { side, voxels, shape, expected });
        }
    }
    Ok(())
}

/// Refuses a label that is listed twice.
pub(crate) fn check_labels(labels: &[u16]) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    match labels.iter().find(|&&label| !seen.insert(label)) {
        Some(&label) => Err(Error::DuplicateLabel(label)),
        None => Ok(()),
    }
}

/// Returns a quotient of two counts, `None` for 0/0.
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
