//! Whether a class is there to be compared at all.

use crate::Confusion;

/// On which side of the comparison a class has voxels.
///
/// A surface distance exists for [`Status::Ok`] only. Well-known tools give 0, 1, NaN, infinity
/// or an exception for the other three, and one scores a missed structure as perfect; here they
/// are counted and the caller chooses the [`Penalty`](crate::Penalty).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Prediction and reference both contain the class.
    Ok,
    /// Only the reference contains the class.
    Missed,
    /// Only the prediction contains the class.
    Spurious,
    /// Neither contains the class.
    AbsentBoth,
}

impl Status {
    /// Returns the status of a class with these counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use duomo_metrics::{Status, count_confusion};
    ///
    /// let confusion = count_confusion(&[0u8, 0, 1], &[2, 0, 1], &[1, 2, 3])?;
    /// let statuses: Vec<_> = confusion.iter().map(Status::of).collect();
    /// assert_eq!(statuses, [Status::Ok, Status::Missed, Status::AbsentBoth]);
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn of(confusion: &Confusion) -> Self {
        match (confusion.predicted() > 0, confusion.expected() > 0) {
            (true, true) => Self::Ok,
            (false, true) => Self::Missed,
            (true, false) => Self::Spurious,
            (false, false) => Self::AbsentBoth,
        }
    }

    /// Returns the name used in reports: `ok`, `missed`, `spurious` or `absent-both`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missed => "missed",
            Self::Spurious => "spurious",
            Self::AbsentBoth => "absent-both",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}
