//! How far two surfaces are apart.
//!
//! The surface of a mask is made of its voxels that have a face neighbour (6 in 3D, 4 in 2D)
//! outside the mask; what lies beyond the image is outside. Distances run between voxel centres:
//!
//! ```text
//! d(p, r)² = ((dw·sw)² + (dh·sh)²) + (dd·sd)²        d(p, R) = min { d(p, r) : r ∈ R }
//! ```
//!
//! in `f64` and in this order, which gives the same last digit as `scipy.ndimage`. The fast search
//! (bit planes, tiles, a field) and the plain one (every pair) give the same bits.
//!
//! The same search serves two other sets of points: [`elements`], the pieces of a surface that runs
//! between the voxels, and [`volume`], all voxels of the masks.

mod bits;
mod border;
mod elements;
mod field;
mod groups;
mod near;
mod pair;
mod passes;
mod planes;
mod profile;
mod queries;
mod receiver;
#[cfg(test)]
mod reference;
mod row;
mod search;
mod statistics;
mod tally;
#[cfg(test)]
mod tests;
mod tiles;
mod total;
mod upper;
mod volume;

pub(crate) use elements::ElementPair;
pub use elements::{ElementDistances, element_distances};
pub(crate) use pair::Pair;
pub(crate) use planes::Planes;
pub(crate) use statistics::Statistics;
pub use volume::{VolumeDistances, volume_distances};

use total::Total;

use crate::evaluate::check;
use crate::percentile::percentile;
use crate::{Error, Label, Options};

/// Distance from every surface voxel of one side to the surface of the other, in both directions.
///
/// Both lists hold at least one value; a comparison with an empty side has no distances at all,
/// and [`surface_distances`] returns `None` for it.
#[derive(Clone, Debug, PartialEq)]
pub struct SurfaceDistances {
    prediction_to_reference_mm: Vec<f64>,
    reference_to_prediction_mm: Vec<f64>,
}

/// Returns the distances between the surfaces of one label, or `None` if a side has no voxel of it.
///
/// # Shapes
///
/// - `prediction`, `reference`: `[D, H, W]`, row-major, on the same grid
/// - distances: millimetres, in raster order of the surface voxels
///
/// With a spacing of 1 along every axis the distances are in voxels.
///
/// # Errors
///
/// - [`Error::VoxelCount`] if a map does not fill `shape`
/// - [`Error::Spacing`], [`Error::Tolerance`], [`Error::NotOneSlice`] if `options` make no sense
///
/// # Examples
///
/// ```
/// use duomo_metrics::{Options, surface_distances};
///
/// // One voxel against two; a voxel is 2 mm wide.
/// let options = Options::new([5.0, 1.0, 2.0]);
/// let distances = surface_distances(&[1u8, 0, 0, 0], &[0, 1, 0, 1], [1, 1, 4], 1, &options)?
///     .expect("both sides have label 1");
/// assert_eq!(distances.prediction_to_reference_mm(), [2.0]);
/// assert_eq!(distances.reference_to_prediction_mm(), [2.0, 6.0]);
/// # Ok::<(), duomo_metrics::Error>(())
/// ```
pub fn surface_distances<L: Label>(
    prediction: &[L],
    reference: &[L],
    shape: [usize; 3],
    label: u16,
    options: &Options,
) -> Result<Option<SurfaceDistances>, Error> {
    check(prediction.len(), reference.len(), shape, &[label], options)?;
    let planes = Planes::pack(prediction, reference, shape, &[label]);
    let pair = Pair::new(&planes, 0, options.mode, &[options.spacing_mm]);
    Ok(pair.map(|pair| pair.distances(&options.spacing_mm)))
}

impl SurfaceDistances {
    /// Returns the distance from every surface voxel of the prediction to the reference.
    pub fn prediction_to_reference_mm(&self) -> &[f64] {
        &self.prediction_to_reference_mm
    }

    /// Returns the distance from every surface voxel of the reference to the prediction.
    pub fn reference_to_prediction_mm(&self) -> &[f64] {
        &self.reference_to_prediction_mm
    }

    /// Returns the Hausdorff distance in millimetres, the largest of all distances.
    ///
    /// ```text
    /// HD = max( max { d(p, R) : p ∈ P }, max { d(r, P) : r ∈ R } )
    /// ```
    ///
    /// 0 or more, 0 is best. Equal to MedPy, MetricsReloaded and scipy. SimpleITK's filter
    /// measures from all voxels of a mask instead of its surface: see
    /// [`VolumeDistances::hausdorff_mm`](crate::VolumeDistances::hausdorff_mm).
    ///
    /// # Source
    ///
    /// Huttenlocher et al. 1993, Comparing images using the Hausdorff distance, Eqs. (1), (2).
    ///
    /// # Examples
    ///
    /// ```
    /// # use duomo_metrics::{Options, surface_distances};
    /// # let options = Options::new([1.0; 3]);
    /// let distances = surface_distances(&[1u8, 0, 0, 0], &[0, 1, 0, 1], [1, 1, 4], 1, &options)?;
    /// assert_eq!(distances.map(|distances| distances.hausdorff_mm()), Some(3.0));
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn hausdorff_mm(&self) -> f64 {
        self.pooled().fold(0.0, f64::max)
    }

    /// Returns the larger of the two directed 95th percentiles, in millimetres.
    ///
    /// ```text
    /// HD95 = max( P95 { d(p, R) : p ∈ P }, P95 { d(r, P) : r ∈ R } )
    /// ```
    ///
    /// with numpy's linear interpolation between order statistics. 0 or more, 0 is best. Equal to
    /// MONAI and MetricsReloaded; MedPy pools first, see
    /// [`hausdorff95_pooled_mm`](Self::hausdorff95_pooled_mm), and the two can differ by
    /// centimetres. The DeepMind tool weights by area.
    ///
    /// # Examples
    ///
    /// ```
    /// # use duomo_metrics::{Options, surface_distances};
    /// # let options = Options::new([1.0; 3]);
    /// let distances = surface_distances(&[1u8, 0, 0, 0], &[0, 1, 0, 1], [1, 1, 4], 1, &options)?;
    /// // From the reference: 95 % of the way from 1 mm to 3 mm.
    /// assert_eq!(distances.map(|distances| distances.hausdorff95_mm()), Some(2.9));
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn hausdorff95_mm(&self) -> f64 {
        let directed = |distances: &[f64]| percentile(&[distances], 0.95);
        directed(&self.prediction_to_reference_mm).max(directed(&self.reference_to_prediction_mm))
    }

    /// Returns the 95th percentile of the distances of both directions together, in millimetres.
    ///
    /// 0 or more, 0 is best. Equal to MedPy's `hd95`. A small structure against a large one
    /// hardly shows in it, because the large surface holds most of the values.
    ///
    /// # Examples
    ///
    /// ```
    /// # use duomo_metrics::{Options, surface_distances};
    /// # let options = Options::new([1.0; 3]);
    /// let distances = surface_distances(&[1u8, 0, 0, 0], &[0, 1, 0, 1], [1, 1, 4], 1, &options)?;
    /// // Of 1, 1 and 3 mm: 90 % of the way from the second to the third.
    /// assert_eq!(distances.map(|distances| distances.hausdorff95_pooled_mm()), Some(2.8));
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn hausdorff95_pooled_mm(&self) -> f64 {
        percentile(&[&self.prediction_to_reference_mm, &self.reference_to_prediction_mm], 0.95)
    }

    /// Returns the average symmetric surface distance in millimetres: the mean of the distances of
    /// both directions together.
    ///
    /// 0 or more, 0 is best. Equal to MedPy's and MONAI's symmetric average; MetricsReloaded
    /// calls this ASSD too. DeepMind's tool weights by area.
    ///
    /// # Examples
    ///
    /// ```
    /// # use duomo_metrics::{Options, surface_distances};
    /// # let options = Options::new([1.0; 3]);
    /// let distances = surface_distances(&[1u8, 0, 0, 0], &[0, 1, 0, 1], [1, 1, 4], 1, &options)?;
    /// assert_eq!(distances.map(|distances| distances.assd_mm()), Some(5.0 / 3.0));
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn assd_mm(&self) -> f64 {
        let sides = [&self.prediction_to_reference_mm, &self.reference_to_prediction_mm];
        sides.map(|side| sum(side)).iter().sum::<f64>() / self.pooled().count() as f64
    }

    /// Returns the mean average surface distance in millimetres: the mean of the two directed
    /// means.
    ///
    /// 0 or more, 0 is best. Equal to MetricsReloaded. Both directions count the same, however
    /// many surface voxels they have.
    ///
    /// # Examples
    ///
    /// ```
    /// # use duomo_metrics::{Options, surface_distances};
    /// # let options = Options::new([1.0; 3]);
    /// let distances = surface_distances(&[1u8, 0, 0, 0], &[0, 1, 0, 1], [1, 1, 4], 1, &options)?;
    /// assert_eq!(distances.map(|distances| distances.masd_mm()), Some(1.5));
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn masd_mm(&self) -> f64 {
        let mean = |distances: &[f64]| sum(distances) / distances.len() as f64;
        f64::midpoint(
            mean(&self.prediction_to_reference_mm),
            mean(&self.reference_to_prediction_mm),
        )
    }

    /// Returns the normalised surface distance (surface Dice): the share of surface voxels of both
    /// sides within `tolerance_mm` of the other side.
    ///
    /// In `[0, 1]`, 1 is best; a distance equal to the tolerance is within. Equal to MONAI (without
    /// subvoxels) and MetricsReloaded; DeepMind's tool weights by area. Not to be confused with
    /// [`Confusion::dice`](crate::Confusion::dice).
    ///
    /// # Source
    ///
    /// Nikolov et al. 2021, Clinically applicable segmentation of head and neck anatomy for
    /// radiotherapy, with voxels counted instead of areas summed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use duomo_metrics::{Options, surface_distances};
    /// # let options = Options::new([1.0; 3]);
    /// let distances = surface_distances(&[1u8, 0, 0, 0], &[0, 1, 0, 1], [1, 1, 4], 1, &options)?;
    /// assert_eq!(distances.map(|distances| distances.nsd(1.0)), Some(2.0 / 3.0));
    /// # Ok::<(), duomo_metrics::Error>(())
    /// ```
    pub fn nsd(&self, tolerance_mm: f64) -> f64 {
        let within = self.pooled().filter(|&distance| distance <= tolerance_mm).count();
        within as f64 / self.pooled().count() as f64
    }

    /// Visits the distances of both directions.
    fn pooled(&self) -> impl Iterator<Item = f64> {
        self.prediction_to_reference_mm.iter().chain(&self.reference_to_prediction_mm).copied()
    }
}

/// Returns the sum of some values, see [`Total`].
fn sum(values: &[f64]) -> f64 {
    let mut total = Total::default();
    total.add(values);
    total.sum()
}
