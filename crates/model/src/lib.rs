//! The fully convolutional network with its modality switch, and its own losses.
//!
//! All modalities share every convolution kernel; each has its own batch normalisation
//! (\[Chen2020\], Eq. 1). A modality is an index here, never a name.
//!
//! - [`Architecture`]: the sizes and choices that make a network, with the table of its layers
//! - [`GROUPS`], [`STRIDE`], [`NORM`]: what of that table is the same in all networks
//! - [`Parameters`]: its weights by name, their start values, saving and loading
//! - [`Fcn`]: the network; [`Fcn::forward_train`] for training, [`Fcn::forward`] for use
//! - [`segmentation_losses`], [`distillation_loss`], [`l2_loss`]: the terms of Eq. 5 that need no
//!   feature maps
//!
//! Dimension key: `B` slices, `H`, `W` rows and columns of the image, `h`, `w` those of a feature
//! map, `s` input slices (channels of the image), `C` classes with background, `b` base width.
//!
//! # Sources
//!
//! - \[Chen2020\] J. Chen, W. Li, H. Li, J. Zhang, *Deep Class-Specific Affinity-Guided
//!   Convolutional Network for Multimodal Unpaired Image Segmentation*, MICCAI 2020, arXiv
//!   2101.01513.
//! - \[Dou2020\] Q. Dou, Q. Liu, P. A. Heng, B. Glocker, *Unpaired Multi-modal Segmentation via
//!   Knowledge Distillation*, IEEE TMI 2020, arXiv 2001.03111.
//! - \[He2015\] K. He, X. Zhang, S. Ren, J. Sun, *Delving Deep into Rectifiers*, ICCV 2015.
#![forbid(unsafe_code)]

mod architecture;
mod error;
mod init;
mod layers;
mod losses;
mod memory;
mod network;
mod parameters;

#[cfg(test)]
#[path = "../tests/it/fixture.rs"]
mod fixture;

pub use architecture::{Architecture, Head, Init, Normalization};
pub use error::{Error, ShapeConflict};
pub use layers::{After, GROUPS, GroupPlan, NORM, STRIDE};
pub use losses::{distillation_loss, l2_loss, segmentation_losses};
pub use network::{Fcn, Output};
pub use parameters::Parameters;
