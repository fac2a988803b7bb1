//! Everything about all classes of two label maps, in one call.

use rayon::prelude::*;

use crate::confusion::{check_labels, check_lengths};
use crate::distances::Distances;
use crate::surface::Planes;
use crate::{Confusion, Convention, Error, Label, Status, VolumeDistances};

/// Voxel edges that are taken for lengths in millimetres; beyond them squares may overflow.
const SPACING_MM: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

/// How to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Edge of a voxel along `[D, H, W]`, in millimetres.
    pub spacing_mm: [f64; 3],
    /// Volume of a voxel in cubic millimetres: less than the product of its edges where the axes are not
    /// at right angles. Distances take them for right in any case.
    pub voxel_mm3: f64,
    /// Tolerances of the normalised surface distance, in millimetres.
    pub tolerances_mm: Vec<f64>,
    /// What a face neighbour is.
    pub mode: Mode,
    /// What a surface is; read by [`evaluate`] and [`evaluate_slices`] alone.
    pub convention: Convention,
    /// Whether to measure [`ClassResult::hausdorff_volume_mm`], which takes longer than all
    /// the rest together on large structures.
    pub hausdorff_volume: bool,
}

impl Options {
    /// Returns the usual options: axes at right angles, a volume, surfaces of voxels, tolerances of 1 and
    /// 2 mm, and no distance between all voxels.
    pub fn new(spacing_mm: [f64; 3]) -> Self {
        Self {
            spacing_mm,
            voxel_mm3: spacing_mm.iter().product(),
            tolerances_mm: vec![1.0, 2.0],
            mode: Mode::default(),
            convention: Convention::default(),
            hausdorff_volume: false,
        }
    }
}

/// Whether neighbouring slices take part in a surface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// 3D: a voxel has six face neighbours. In a volume of one slice every voxel is on the surface.
    #[default]
    Volume,
    /// 2D: one slice, `D = 1`, in which a pixel has four face neighbours.
    Slice,
}

/// Everything about one class.
///
/// A ratio is `None` where it is 0/0, a distance unless both sides have the class. Distances of
/// surfaces are those of [`Options::convention`]: the methods of the same name of
/// [`SurfaceDistances`](crate::SurfaceDistances) or [`ElementDistances`](crate::ElementDistances)
/// define them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClassResult {
    /// Value of the class in both label maps.
    pub label: u16,
    /// Which sides have the class.
    pub status: Status,
    /// Voxel counts.
    pub counts: Confusion,
    /// [`Confusion::dice`].
    pub dice: Option<f64>,
    /// [`Confusion::jaccard`].
    pub jaccard: Option<f64>,
    /// [`Confusion::sensitivity`].
    pub sensitivity: Option<f64>,
    /// [`Confusion::precision`].
    pub precision: Option<f64>,
    /// [`Confusion::specificity`].
    pub specificity: Option<f64>,
    /// Hausdorff distance of the surfaces.
    pub hausdorff_mm: Option<f64>,
    /// Robust Hausdorff distance of the surfaces, at 95 %.
    pub hausdorff95_mm: Option<f64>,
    /// [`SurfaceDistances::hausdorff95_pooled_mm`](crate::SurfaceDistances::hausdorff95_pooled_mm);
    /// `None` in any other convention, where no tool has such a distance.
    pub hausdorff95_pooled_mm: Option<f64>,
    /// Mean distance of both surfaces together.
    pub assd_mm: Option<f64>,
    /// Mean of the two directed mean distances.
    pub masd_mm: Option<f64>,
    /// Normalised surface distance at each of [`Options::tolerances_mm`], in that order.
    pub nsd: Vec<Option<f64>>,
    /// Hausdorff distance of the surfaces with a spacing of 1 along every axis.
    pub hausdorff_voxels: Option<f64>,
    /// [`VolumeDistances::hausdorff_mm`], the same in every convention; also `None` without
    /// [`Options::hausdorff_volume`].
    pub hausdorff_volume_mm: Option<f64>,
    /// Volume of the class in the prediction, in cubic millimetres.
    pub volume_prediction_mm3: f64,
    /// Volume of the class in the reference, in cubic millimetres.
    pub volume_reference_mm3: f64,
    /// Distance between the centres of opposite corner voxels of the image: no surface distance
    /// can exceed it, so it is the worst case of a [`Penalty`](crate::Penalty).
    pub diagonal_mm: f64,
    /// The same diagonal with a spacing of 1 along every axis.
    pub diagonal_voxels: f64,
}

impl ClassResult {
    /// Returns prediction minus reference, in cubic millimetres.
    pub fn volume_difference_mm3(&self) -> f64 {
        self.volume_prediction_mm3 - self.volume_reference_mm3
    }

    /// Returns the volume of the class in the prediction, in millilitres.
    pub fn volume_prediction_ml(&self) -> f64 {
        self.volume_prediction_mm3 / 1000.0
    }

    /// Returns the volume of the class in the reference, in millilitres.
    pub fn volume_reference_ml(&self) -> f64 {
        self.volume_reference_mm3 / 1000.0
    }
}

/// Returns all metrics of every label in `labels`, in that order.
///
/// # Shapes
///
/// - `prediction`, `reference`: label maps `[D, H, W]`, row-major, on the same grid
///
/// # Errors
///
/// - [`Error::VoxelCount`] if a map does not fill `shape`
/// - [`Error::DuplicateLabel`] if a label is listed twice
/// - [`Error::Spacing`], [`Error::Tolerance`] if a length makes no sense
/// - [`Error::NotOneSlice`] if [`Mode::Slice`] meets a volume
///
/// # Examples
///
/// ```
/// use duomo_metrics::{Options, Status, evaluate};
///
/// let prediction = [1u8, 1, 0, 0];
/// let reference = [0u8, 1, 0, 2];
/// let results = evaluate(&prediction, &reference, [1, 1, 4], &[1, 2], &Options::new([1.0; 3]))?;
/// assert_eq!(results[0].dice, Some(2.0 / 3.0));
/// assert_eq!(results[0].hausdorff_mm, Some(1.0));
/// assert_eq!((results[1].status, results[1].hausdorff_mm), (Status::Missed, None));
/// # Ok::<(), duomo_metrics::Error>(())
/// ```
pub fn evaluate<L: Label>(
    prediction: &[L],
    reference: &[L],
    shape: [usize; 3],
    labels: &[u16],
    options: &Options,
) -> Result<Vec<ClassResult>, Error> {
    check(prediction.len(), reference.len(), shape, labels, options)?;
    let planes = Planes::pack(prediction, reference, shape, labels);
    let classes = labels.par_iter().enumerate();
    Ok(classes.map(|(index, &label)| class_result(&planes, index, label, shape, options)).collect())
}

/// Returns the metrics of every slice on its own in 2D: for each slice, those of every label.
///
/// `options.mode` is not read. Volumes are those of the slices, spacing along `D` included.
///
/// # Shapes
///
/// - `prediction`, `reference`: label maps `[D, H, W]`, row-major, on the same grid
///
/// # Errors
///
/// As [`evaluate`].
///
/// # Examples
///
/// ```
/// use duomo_metrics::{Options, Status, evaluate_slices};
///
/// let slices = evaluate_slices(&[1u8, 0, 0, 0], &[0, 1, 0, 1], [2, 1, 2], &[1], &Options::new([1.0; 3]))?;
/// assert_eq!(slices[0][0].hausdorff_mm, Some(1.0));
/// assert_eq!(slices[1][0].status, Status::Missed);
/// # Ok::<(), duomo_metrics::Error>(())
/// ```
pub fn evaluate_slices<L: Label>(
    prediction: &[L],
    reference: &[L],
    shape: [usize; 3],
    labels: &[u16],
    options: &Options,
) -> Result<Vec<Vec<ClassResult>>, Error> {
    let options = Options { mode: Mode::Slice, ..options.clone() };
    let slice_shape = [1, shape[1], shape[2]];
    check_lengths(prediction.len(), reference.len(), shape)?;
    let pixels = shape[1] * shape[2];
    (0..shape[0])
        .into_par_iter()
        .map(|slice| {
            let voxels = slice * pixels..(slice + 1) * pixels;
            let (prediction, reference) = (&prediction[voxels.clone()], &reference[voxels]);
            evaluate(prediction, reference, slice_shape, labels, &options)
        })
        .collect()
}

/// Refuses input that no metric is defined for.
pub(crate) fn check(
    prediction: usize,
    reference: usize,
    shape: [usize; 3],
    labels: &[u16],
    options: &Options,
) -> Result<(), Error> {
    check_lengths(prediction, reference, shape)?;
    check_labels(labels)?;
    if !options.spacing_mm.iter().all(|edge| SPACING_MM.contains(edge)) {
        return Err(Error::Spacing(options.spacing_mm));
    }
    let is_length = |tolerance: &f64| tolerance.is_finite() && *tolerance >= 0.0;
    if let Some(&tolerance) = options.tolerances_mm.iter().find(|&tolerance| !is_length(tolerance))
    {
        return Err(Error::Tolerance(tolerance));
    }
    if options.mode == Mode::Slice && shape[0] != 1 {
        return Err(Error::NotOneSlice { slices: shape[0] });
    }
    Ok(())
}

/// Measures one class of packed label maps.
fn class_result(
    planes: &Planes,
    index: usize,
    label: u16,
    shape: [usize; 3],
    options: &Options,
) -> ClassResult {
    let Options { spacing_mm, voxel_mm3, .. } = *options;
    let distances = Distances::of(planes, index, options);
    let of = |metric: fn(&Distances) -> f64| distances.as_ref().map(metric);
    let nsd = |at: usize| distances.as_ref().map(|distances| distances.nsd[at]);
    let volumes = || VolumeDistances::of(planes, index, options.mode, &spacing_mm);

    let counts = planes.confusion[index];
    ClassResult {
        label,
        status: Status::of(&counts),
        counts,
        dice: counts.dice(),
        jaccard: counts.jaccard(),
        sensitivity: counts.sensitivity(),
        precision: counts.precision(),
        specificity: counts.specificity(),
        hausdorff_mm: of(|distances| distances.hausdorff_mm),
        hausdorff95_mm: of(|distances| distances.hausdorff95_mm),
        hausdorff95_pooled_mm: distances.as_ref().and_then(|it| it.hausdorff95_pooled_mm),
        assd_mm: of(|distances| distances.assd_mm),
        masd_mm: of(|distances| distances.masd_mm),
        nsd: (0..options.tolerances_mm.len()).map(nsd).collect(),
        hausdorff_voxels: of(|distances| distances.hausdorff_voxels),
        hausdorff_volume_mm: options
            .hausdorff_volume
            .then(volumes)
            .flatten()
            .map(|distances| distances.hausdorff_mm()),
        volume_prediction_mm3: counts.predicted() as f64 * voxel_mm3,
        volume_reference_mm3: counts.expected() as f64 * voxel_mm3,
        diagonal_mm: diagonal(shape, spacing_mm),
        diagonal_voxels: diagonal(shape, [1.0; 3]),
    }
}

/// Returns the distance between the centres of opposite corner voxels.
fn diagonal(shape: [usize; 3], spacing: [f64; 3]) -> f64 {
    let edges = [2, 1, 0].map(|axis| shape[axis].saturating_sub(1) as f64 * spacing[axis]);
    edges.iter().map(|edge| edge * edge).sum::<f64>().sqrt()
}
