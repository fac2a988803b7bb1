//! How far two surfaces are apart, element by element: the convention of Google `DeepMind`'s
//! surface-distance.
//!
//! A surface element sits where eight voxels meet (four pixels in 2D) if some of them are inside
//! the mask and others outside; what lies beyond the image is outside. Its weight is the area that
//! marching cubes put between these eight (in 2D the length of the contour between the four), so a
//! staircase weighs as much as the slope that it stands for. Distances run from element to element
//! by the same formula and search as in [`super`].

mod areas;
mod grid;
mod pair;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub(crate) use pair::ElementPair;

use super::{Planes, SurfaceDistances};
use crate::evaluate::check;
use crate::percentile::weighted_percentile;
use crate::{Error, Label, Options};

/// Distance from every surface element of one side to those of the other, in both directions, with
/// the area that each element stands for.
///
/// All lists hold at least one value; a comparison with an empty side has no distances at all, and
/// [`element_distances`] returns `None` for it.
#[derive(Clone, Debug, PartialEq)]
pub struct ElementDistances {
    distances: SurfaceDistances,
    prediction_areas: Vec<f64>,
    reference_areas: Vec<f64>,
}

/// Returns the distances between the surface elements of one label, or `None` if a side has no
/// voxel of it.
///
/// # Shapes
///
/// - `prediction`, `reference`: `[D, H, W]`, row-major, on the same grid
/// - distances: millimetres, in raster order of the elements
/// - areas: square millimetres, or lengths in millimetres with [`Mode::Slice`](crate::Mode::Slice); in the same order
///
/// # Errors
///
/// - [`Error::VoxelCount`] if a map does not fill `shape`
/// - [`Error::Spacing`], [`Error::Tolerance`], [`Error::NotOneSlice`] if `options` make no sense
///
/// # Source
///
/// Nikolov et al. 2021, Clinically applicable segmentation of head and neck anatomy for
/// radiotherapy, and its code, surface-distance. The lists have another order than there.
///
/// # Examples
///
/// ```
/// use duomo_metrics::{Options, element_distances};
///
/// // One voxel each, side by side: four of its eight corners are corners of the other, too.
/// let options = Options::new([1.0; 3]);
/// let distances = element_distances(&[1u8, 0], &[0, 1], [1, 1, 2], 1, &options)?
///     .expect("both sides have label 1");
/// assert_eq!(distances.prediction_to_reference_mm(), [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
/// // A corner of a cube is cut off by a triangle with an area of √3 / 8.
/// assert_eq!(distances.prediction_areas(), [3.0f64.sqrt() / 8.0; 8]);
/// # Ok::<(), duomo_metrics::Error>(())
/// ```
pub fn element_distances<L: Label>(
    prediction: &[L],
    reference: &[L],
    shape: [usize; 3],
    label: u16,
    options: &Options,
) -> Result<Option<ElementDistances>, Error> {
    check(prediction.len(), reference.len(), shape, &[label], options)?;
    let planes = Planes::pack(prediction, reference, shape, &[label]);
    let pair = ElementPair::new(&planes, 0, options.mode, &[options.spacing_mm]);
    Ok(pair.map(|pair| pair.distances(&options.spacing_mm)))
}

impl ElementDistances {
    /// Returns the distance from every element of the prediction to the reference.
    pub fn prediction_to_reference_mm(&self) -> &[f64] {
        self.distances.prediction_to_reference_mm()
    }

    /// Returns the distance from every element of the reference to the prediction.
    pub fn reference_to_prediction_mm(&self) -> &[f64] {
        self.distances.reference_to_prediction_mm()
    }

    /// Returns the area of every element of the prediction.
    pub fn prediction_areas(&self) -> &[f64] {
        &self.prediction_areas
    }

    /// Returns the area of every element of the reference.
    pub fn reference_areas(&self) -> &[f64] {
        &self.reference_areas
    }

    /// Returns the Hausdorff distance in millimetres, the largest of all distances.
    ///
    /// 0 or more, 0 is best. Equal to surface-distance at 100 percent.
    ///
    /// # Examples
    ///
    /// ```
    /// # use duomo_metrics::{Options, element_distances};
    /// # let options = Options::new([1.0, 1.0, 2.5]);
    /// let distances = element_distances(&[1u8, 0], &[0, 1], [1, 1, 2], 1, &options)?;
    /// assert_eq!(distances.map(|distances| distances.hausdorff_mm()), Some(2.5));
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn hausdorff_mm(&self) -> f64 {
        self.distances.hausdorff_mm()
    }

    /// Returns the robust Hausdorff distance at 0.95, in millimetres; see
    /// [`robust_hausdorff_mm`](Self::robust_hausdorff_mm).
    pub fn hausdorff95_mm(&self) -> f64 {
        self.weighted_hausdorff_mm(0.95)
    }

    /// Returns the distance within which the share `fraction` of either surface lies, in
    /// millimetres.
    ///
    /// ```text
    /// HD_q = max( min { d : area(P within d of R) ≥ q·area(P) },
    ///             min { d : area(R within d of P) ≥ q·area(R) } )
    /// ```
    ///
    /// 0 or more, 0 is best; never between two distances, whereas
    /// [`SurfaceDistances::hausdorff95_mm`] interpolates. `fraction = 1` gives the Hausdorff
    /// distance.
    ///
    /// # Errors
    ///
    /// - [`Error::Fraction`] if `fraction` is not in `0..=1`
    ///
    /// # Examples
    ///
    /// ```
    /// # use duomo_metrics::{Options, element_distances};
    /// # let options = Options::new([1.0; 3]);
    /// let distances = element_distances(&[1u8, 0], &[0, 1], [1, 1, 2], 1, &options)?
    ///     .expect("both sides have label 1");
    /// assert_eq!(distances.robust_hausdorff_mm(0.5)?, 0.0);
    /// assert_eq!(distances.robust_hausdorff_mm(0.6)?, 1.0);
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn robust_hausdorff_mm(&self, fraction: f64) -> Result<f64, Error> {
        match fraction {
            // No sum of areas, however rounded, may end the search before the last element.
            1.0 => Ok(self.hausdorff_mm()),
            0.0..1.0 => Ok(self.weighted_hausdorff_mm(fraction)),
            _ => Err(Error::Fraction(fraction)),
        }
    }

    /// Returns the mean distance of the prediction's surface to the reference, in millimetres.
    ///
    /// ```text
    /// Σ area(p)·d(p, R) / Σ area(p)        p ∈ P
    /// ```
    ///
    /// 0 or more, 0 is best. Equal to the second value of surface-distance's
    /// `compute_average_surface_distance`.
    pub fn average_prediction_to_reference_mm(&self) -> f64 {
        mean(self.weighted_predictions())
    }

    /// Returns the mean distance of the reference's surface to the prediction, in millimetres.
    ///
    /// 0 or more, 0 is best. Equal to the first value of surface-distance's
    /// `compute_average_surface_distance`.
    pub fn average_reference_to_prediction_mm(&self) -> f64 {
        mean(self.weighted_references())
    }

    /// Returns the mean distance of both surfaces together, weighted by area, in millimetres.
    ///
    /// 0 or more, 0 is best. surface-distance leaves it to the caller to combine its two directed
    /// means; this weighs each by the area of its surface, [`masd_mm`](Self::masd_mm) does not.
    ///
    /// # Examples
    ///
    /// ```
    /// # use duomo_metrics::{Options, element_distances};
    /// # let options = Options::new([1.0; 3]);
    /// let distances = element_distances(&[1u8, 0], &[0, 1], [1, 1, 2], 1, &options)?
    ///     .expect("both sides have label 1");
    /// assert!((distances.assd_mm() - 0.5).abs() < 1e-12);
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn assd_mm(&self) -> f64 {
        mean(self.weighted_predictions().chain(self.weighted_references()))
    }

    /// Returns the mean of the two directed means, in millimetres.
    ///
    /// 0 or more, 0 is best.
    pub fn masd_mm(&self) -> f64 {
        f64::midpoint(
            self.average_prediction_to_reference_mm(),
            self.average_reference_to_prediction_mm(),
        )
    }

    /// Returns the share of the prediction's surface within `tolerance_mm` of the reference.
    ///
    /// In `[0, 1]`, 1 is best; a distance equal to the tolerance is within. Equal to the second
    /// value of surface-distance's `compute_surface_overlap_at_tolerance`.
    pub fn overlap_prediction(&self, tolerance_mm: f64) -> f64 {
        share_within(self.weighted_predictions(), tolerance_mm)
    }

    /// Returns the share of the reference's surface within `tolerance_mm` of the prediction.
    ///
    /// In `[0, 1]`, 1 is best; a distance equal to the tolerance is within. Equal to the first
    /// value of surface-distance's `compute_surface_overlap_at_tolerance`.
    pub fn overlap_reference(&self, tolerance_mm: f64) -> f64 {
        share_within(self.weighted_references(), tolerance_mm)
    }

    /// Returns the normalised surface distance (surface Dice): the share of both surfaces, by
    /// area, within `tolerance_mm` of the other side.
    ///
    /// In `[0, 1]`, 1 is best; a distance equal to the tolerance is within. Equal to
    /// surface-distance's `compute_surface_dice_at_tolerance` and to MONAI with subvoxels.
    ///
    /// # Examples
    ///
    /// ```
    /// # use duomo_metrics::{Options, element_distances};
    /// # let options = Options::new([1.0; 3]);
    /// let distances = element_distances(&[1u8, 0], &[0, 1], [1, 1, 2], 1, &options)?
    ///     .expect("both sides have label 1");
    /// assert!((distances.nsd(0.0) - 0.5).abs() < 1e-12);
    /// assert_eq!(distances.nsd(1.0), 1.0);
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn nsd(&self, tolerance_mm: f64) -> f64 {
        share_within(self.weighted_predictions().chain(self.weighted_references()), tolerance_mm)
    }

    fn weighted_hausdorff_mm(&self, fraction: f64) -> f64 {
        let prediction: &mut Vec<_> = &mut self.weighted_predictions().collect();
        let reference: &mut Vec<_> = &mut self.weighted_references().collect();
        weighted_percentile(prediction, fraction).max(weighted_percentile(reference, fraction))
    }

    /// Visits `(distance, area)` of the prediction's elements.
    fn weighted_predictions(&self) -> impl Iterator<Item = (f64, f64)> {
        let distances = self.prediction_to_reference_mm().iter().copied();
        distances.zip(self.prediction_areas.iter().copied())
    }

    /// Visits `(distance, area)` of the reference's elements.
    fn weighted_references(&self) -> impl Iterator<Item = (f64, f64)> {
        let distances = self.reference_to_prediction_mm().iter().copied();
        distances.zip(self.reference_areas.iter().copied())
    }
}

/// Returns the mean of `(value, weight)`.
fn mean(weighted: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (sum, weights) = weighted.fold((0.0, 0.0), |(sum, weights), (value, weight)| {
        (sum + value * weight, weights + weight)
    });
    sum / weights
}

/// Returns the share of the weights whose values are at most `limit`.
fn share_within(weighted: impl Iterator<Item = (f64, f64)>, limit: f64) -> f64 {
    mean(weighted.map(|(value, weight)| (f64::from(u8::from(value <= limit)), weight)))
}
