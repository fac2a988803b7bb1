//! Everything that can go wrong while a data set is made.

use crate::{Kind, Modality};

/// Why a synthetic data set could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A resolution outside its range.
    #[error("matrix_scale must lie in (0, 1], got {0}; 1 is the official resolution")]
    MatrixScale(f64),
    /// A resolution that leaves less than two voxels along an edge.
    #[error(
        "matrix_scale {given} leaves less than 2 voxels along an edge; give {smallest} or more"
    )]
    TooCoarse {
        /// The resolution asked for.
        given: f64,
        /// The smallest that is possible.
        smallest: f64,
    },
    /// A modality that the data set does not have.
    #[error("{kind:?} has no modality {modality:?}, only {:?}", kind.modalities())]
    ForeignModality {
        /// The modality asked for.
        modality: Modality,
        /// The data set.
        kind: Kind,
    },
    /// A folder or volume that could not be written.
    #[error(transparent)]
    Data(#[from] duomo_data::Error),
}
