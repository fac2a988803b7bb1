//! What two modalities are asked to agree on: class-specific affinity between feature maps.
//!
//! ```text
//! F^c = F ⊙ M^c                                                         (2)
//! a^c_{m,n} = (1/S_c) · cos(F^c_m(l), F^c_n(k))                         (3)
//! L_CSA = (1/C) Σ_c ‖ (1/P) Σ_i (A^{c,1}_i − A^{c,2}_i) ‖²              (4)
//! ```
//!
//! An affinity says which channels of two layers respond together inside one class. It sums over
//! pixels and so forgets *where* they respond: a CT and an MR slice are compared without being
//! registered, or even of the same patient.
//!
//! | module | holds |
//! |---|---|
//! | [`reading`] | every way the paper's sentences can be read, one key each |
//! | [`class_affinity`](mod@class_affinity) | Eqs. (2) and (3): the matrix, `[C, M, N]` |
//! | [`mean_affinity`](mod@mean_affinity) | its mean over entries, `[C]`, without the matrix |
//! | [`class_energy`] | how much of a feature map lies inside each class |
//! | [`loss`] | Eq. (4) over layer pairs and modality pairs |
//!
//! Dimension key, here and in every module: `B` slices in the mini-batch, `H, W` rows and columns
//! of the labels, `h, w` those of a feature map, `M, N` channels of layers l and k, `P = M·N`,
//! `C` classes, `R` regions (a class, or a class within a slice).
//!
//! With the feature `cuda` affinities of `f32` tensors on an NVIDIA card are computed there.
//!
//! # Source
//!
//! \[Chen2020\] J. Chen, W. Li, H. Li, J. Zhang, *Deep Class-Specific Affinity-Guided Convolutional
//! Network for Multimodal Unpaired Image Segmentation*, MICCAI 2020, arXiv 2101.01513.

pub mod class_affinity;
pub mod class_energy;
pub mod loss;
pub mod mean_affinity;
pub mod reading;

mod align;
mod area_average;
mod consistency;
mod norms;
mod real;
mod regions;

#[cfg(test)]
mod testing;

pub use class_affinity::class_affinity;
pub use class_energy::ClassEnergy;
pub use loss::{Side, affinity_loss};
pub use mean_affinity::mean_affinity;
pub use reading::{Consistency, Reading, Scope, SizeNormalization};
