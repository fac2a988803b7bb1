//! Are two label maps alike, and is one method better? Dice, surface distances, statuses.
//!
//! [`evaluate()`] measures all classes of two label maps at once, [`evaluate_slices`] does it slice
//! by slice in 2D, [`summarize`] condenses many cases, and [`wilcoxon`], [`holm`] and
//! [`bootstrap_mean_difference`] compare two methods on the same cases.
//!
//! With `P` and `R` the surface voxels of prediction and reference, `d(p, R)` the distance from `p`
//! to the nearest of `R`, and `TP`, `FP`, `FN`, `TN` the voxel counts of one class:
//!
//! | metric | definition | range, best | a side is empty | who differs |
//! |---|---|---|---|---|
//! | [`Confusion::dice`] | `2·TP / (2·TP + FP + FN)` | `[0, 1]`, 1 | 0; both: `None` | both empty: MedPy NaN, SimpleITK 0, MetricsReloaded 1; no reference: MONAI NaN |
//! | [`Confusion::jaccard`] | `TP / (TP + FP + FN)` | `[0, 1]`, 1 | 0; both: `None` | both empty: MedPy 1, SimpleITK 0 |
//! | [`Confusion::sensitivity`] | `TP / (TP + FN)` | `[0, 1]`, 1 | reference: `None` | MedPy NaN |
//! | [`Confusion::precision`] | `TP / (TP + FP)` | `[0, 1]`, 1 | prediction: `None` | MedPy NaN |
//! | [`Confusion::specificity`] | `TN / (TN + FP)` | `[0, 1]`, 1 | `None` if the reference fills the image | |
//! | volumes | voxels · voxel volume | mm³, ml | 0 | |
//! | [`SurfaceDistances::hausdorff_mm`] | `max(max d(p, R), max d(r, P))` | `≥ 0`, 0 | `None` | SimpleITK's filter uses all voxels: [`VolumeDistances`] |
//! | [`SurfaceDistances::hausdorff95_mm`] | `max(P95 d(p, R), P95 d(r, P))` | `≥ 0`, 0 | `None` | MedPy pools first; DeepMind weights by area |
//! | [`SurfaceDistances::hausdorff95_pooled_mm`] | `P95` of both directions together | `≥ 0`, 0 | `None` | MONAI, MetricsReloaded take it per direction |
//! | [`SurfaceDistances::assd_mm`] | mean of both directions together | `≥ 0`, 0 | `None` | DeepMind weights by area |
//! | [`SurfaceDistances::masd_mm`] | mean of the two directed means | `≥ 0`, 0 | `None` | often called ASSD |
//! | [`SurfaceDistances::nsd`] | share of `P` and `R` within a tolerance | `[0, 1]`, 1 | `None` | DeepMind weights by area; one side empty: 0 elsewhere |
//! | [`ClassResult::hausdorff_voxels`] | Hausdorff distance at spacing 1 | `≥ 0`, 0 | `None` | |
//! | [`VolumeDistances::hausdorff_mm`] | `hausdorff_mm` with `P`, `R` all voxels of the masks | `≥ 0`, 0 | `None` | all but SimpleITK take surfaces |
//! | [`ElementDistances::hausdorff_mm`] | `max(max d(p, R), max d(r, P))` | `≥ 0`, 0 | `None` | others take voxels, here and below; one side empty: DeepMind infinity |
//! | [`ElementDistances::hausdorff95_mm`] | `max` of the distances within which 95 % of the area of `P` and `R` lie | `≥ 0`, 0 | `None` | |
//! | [`ElementDistances::assd_mm`] | mean of both directions together, by area | `≥ 0`, 0 | `None` | DeepMind gives the directed means |
//! | [`ElementDistances::masd_mm`] | mean of the two directed means, by area | `≥ 0`, 0 | `None` | |
//! | [`ElementDistances::nsd`] | share of the area of `P` and `R` within a tolerance | `[0, 1]`, 1 | `None` | MONAI has it with subvoxels |
//!
//! A surface voxel has a face neighbour (6 in 3D, 4 in 2D) outside its mask, and what lies beyond
//! the image is outside. Percentiles interpolate linearly, as numpy's do. For [`ElementDistances`],
//! `P` and `R` are the marching-cube elements between voxels: [`Convention`] says which of the two
//! [`evaluate()`] returns.
//!
//! **Undefined is not a number.** For a missed structure MedPy raises an error, MONAI gives a
//! Hausdorff distance of infinity and an HD95 of NaN, MetricsReloaded NaN (and 0, a perfect score,
//! if both sides are empty). Leaving such cases out of a mean makes the method look better that
//! misses more. So every [`ClassResult`] has a [`Status`], [`count_statuses`] counts them, and
//! [`Penalty`] says what a miss costs.
//!
//! Axis order is `[D, H, W]`, row-major: slices, rows, columns. Distances are `f64` and have the
//! same last digit as scipy's. The same input gives the same bits on any number of threads.
//!
//! # Examples
//!
//! ```
//! use duomo_metrics::{Metric, Options, Penalty, evaluate, summarize};
//!
//! // Two cases of one class on a 1 × 1 × 4 grid of 1 mm; the second misses it.
//! let options = Options::new([1.0; 3]);
//! let mut results = evaluate(&[1u8, 1, 0, 0], &[0, 1, 0, 0], [1, 1, 4], &[1], &options)?;
//! results.extend(evaluate(&[0u8, 0, 0, 0], &[0, 1, 0, 0], [1, 1, 4], &[1], &options)?);
//!
//! let forgiving = summarize(&results, Metric::HausdorffMm, Penalty::None);
//! assert_eq!((forgiving.mean, forgiving.n), (Some(1.0), 1));
//! let strict = summarize(&results, Metric::HausdorffMm, Penalty::WorstCase);
//! assert_eq!((strict.mean, strict.n), (Some(2.0), 2));
//! # Ok::<(), duomo_metrics::Error>(())
//! ```

#![forbid(unsafe_code)]

mod comparison;
mod confusion;
mod distances;
mod error;
mod evaluate;
mod gather;
mod label;
mod percentile;
mod runs;
mod status;
mod summary;
mod surface;
#[cfg(test)]
mod tests;

pub use comparison::{
    Alternative, Bootstrap, Interval, Method, Wilcoxon, WilcoxonOptions, ZeroMethod,
    bootstrap_mean_difference, holm, wilcoxon,
};
pub use confusion::{Confusion, count_confusion};
pub use distances::Convention;
pub use error::Error;
pub use evaluate::{ClassResult, Mode, Options, evaluate, evaluate_slices};
pub use label::Label;
pub use status::Status;
pub use summary::{Metric, Penalty, StatusCounts, Summary, count_statuses, summarize};
pub use surface::{
    ElementDistances, SurfaceDistances, VolumeDistances, element_distances, surface_distances,
    volume_distances,
};
