//! How scanner files become unpaired batches: NIfTI, geometry, discovery, preparation, sampling.
//!
//! Volumes are `[D, H, W]`, row-major, with `W` along the first axis of the NIfTI file. Everything
//! that leaves this crate is a plain `Vec` with its shape; no tensor library is involved.

#![forbid(unsafe_code)]

mod atomic;
mod augment;
mod components;
mod dataset;
mod discover;
mod error;
mod inspect;
mod nifti;
mod prepare;
mod random;
mod sampler;
mod split;

pub use self::nifti::{
    Geometry, Image, LabelValues, Labels, NiftiFault, files_of_volume, read_image, read_labels,
    write_image, write_image_i16, write_labels, write_unit_interval,
};
pub use atomic::{atomic_write, make_folder, remove_leftovers};
pub use augment::{Augmentation, AugmentationKey};
pub use components::for_each_component;
pub use dataset::{Dataset, LabelClass, LabelMap, ModalityFiles, Role, UnknownLabels};
pub use discover::{Case, Discovery, LeftOut, Reason, discover, nifti_stem};
pub use error::Error;
pub use inspect::{
    Finding, FindingKind, FixedHeader, Glimpse, InspectedCase, Inspection, fix_headers, inspect,
};
pub use prepare::{
    CropCentre, GeometryCheck, LabelResampling, Orientation, Placement, Plane, PlaneBox,
    Preparation, PreparedCase, prepare, prepare_all, prepare_volume,
};
pub use sampler::{Batch, Sampler, SliceId, slices_of};
pub use split::{Split, SplitOptions, split};
