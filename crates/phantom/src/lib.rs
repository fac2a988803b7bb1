//! What a synthetic heart looks like in five modalities: anatomy, contrast, scanner artefacts.
//!
//! A patient is a parametric body (chest, lungs, diaphragm, abdomen, heart) under a smooth random
//! deformation. A modality turns tissues into signal by the equation of its pulse sequence, and a
//! scanner with thick slices, coils and noise turns signal into voxels. Labels follow the same
//! body, so image and label agree as far as partial volume lets them.
//!
//! No two scans share a body: patient 1 in one modality and patient 1 in the other have the same
//! number and nothing else in common. That is what *unpaired* means here.
//!
//! Every patient has its own random streams, so a scan depends on seed, modality and patient number
//! only, not on how many patients there are or on threads. `matrix_scale` changes the grid and
//! leaves the body as it is.

#![forbid(unsafe_code)]

mod anatomy;
mod contrast;
mod deformation;
mod draw;
mod error;
mod layout;
mod options;
mod protocol;
mod resample;
mod scanner;
mod simulate;
mod texture;
mod vector;

pub use error::Error;
pub use layout::{Written, WrittenCase, write_dataset};
pub use options::{Kind, Modality, Options};
pub use simulate::{SimulatedCase, simulate};
