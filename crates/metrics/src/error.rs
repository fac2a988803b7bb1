//! What can be wrong with the numbers handed to this crate.

/// Why a metric could not be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A label map does not fill the grid.
    #[error(
        "the {side} has {voxels} voxels but the shape {shape:?} needs {expected}; \
         bring prediction and reference onto one grid first"
    )]
    VoxelCount {
        /// `"prediction"` or `"reference"`.
        side: &'static str,
        /// Voxels that were given.
        voxels: usize,
        /// `[D, H, W]` that was given.
        shape: [usize; 3],
        /// Product of `shape`, or the largest count there is if it overflows.
        expected: usize,
    },
    /// A voxel edge that is no length a scanner could have.
    #[error(
        "spacing_mm must lie between 1e-6 and 1e6 along every axis, got {0:?} along [D, H, W]; \
         check the header of the image"
    )]
    Spacing([f64; 3]),
    /// A tolerance that no distance can be compared with.
    #[error("a tolerance must be a finite number of millimetres, 0 or more, got {0}")]
    Tolerance(f64),
    /// A share of a surface outside its domain.
    #[error("a fraction of the surface must lie in 0..=1, got {0}; 0.95 is usual")]
    Fraction(f64),
    /// One label asked for twice.
    #[error("label {0} is listed twice; list every label once")]
    DuplicateLabel(u16),
    /// A volume where one slice was expected.
    #[error(
        "mode `Slice` takes one slice, got {slices}; \
         use `evaluate_slices` for a volume slice by slice"
    )]
    NotOneSlice {
        /// Slices that were given.
        slices: usize,
    },
    /// Two samples that cannot be paired.
    #[error("paired samples must be equally long, got {first} and {second} values")]
    UnpairedSamples {
        /// Values in the first sample.
        first: usize,
        /// Values in the second sample.
        second: usize,
    },
    /// A sample without a single value.
    #[error("a sample needs at least one value, got none")]
    EmptySample,
    /// A value that cannot be ranked or averaged.
    #[error("every value must be finite, got {value} at position {position}; drop the pair first")]
    NotFinite {
        /// Position in the sample, from 0.
        position: usize,
        /// The value found there.
        value: f64,
    },
    /// Something that is no probability.
    #[error("a p-value must lie in 0..=1, got {0}")]
    PValue(f64),
    /// A confidence level outside its domain.
    #[error("confidence must lie strictly between 0 and 1, got {0}; 0.95 is usual")]
    Confidence(f64),
    /// A bootstrap without resamples.
    #[error("a bootstrap needs at least one resample, got 0; 10000 is usual")]
    NoResamples,
}
