//! From volumes on scanner grids to square slices of one size, and back.
//!
//! The steps, in this order: check that image and labels share a grid; turn the volume so that
//! slices run along the wanted axis; cut the top of the histogram; resample in the plane; crop a
//! square; z-score every slice by itself. [`Placement`] remembers what was done and maps
//! predictions back onto the input's grid.
//!
//! Dimension key: `D, H, W` input grid; `S` side of the crop; `C` classes. A *plane grid* is the
//! turned volume before resampling: slices, rows, columns.

mod component;
mod intensity;
mod options;
mod orientation;
mod placement;
mod resample;
#[cfg(test)]
mod tests;
mod window;

use std::path::Path;

use rayon::prelude::*;

pub use options::{GeometryCheck, LabelResampling, Plane, Preparation};
pub use orientation::Orientation;
pub use placement::Placement;
pub use window::{CropCentre, PlaneBox};

use crate::{Case, Error, Geometry, Image, LabelMap, Labels, read_image, read_labels};
pub(crate) use intensity::only_value;
use orientation::turned_as_stored;
use resample::Axis;
pub(crate) use resample::whole;

/// How the warning about an image without contrast begins.
pub(crate) const BLANK: &str = "every voxel is";

/// A case as the network sees it.
#[derive(Clone, Debug)]
pub struct PreparedCase {
    /// Whose scan it is.
    pub case: Case,
    /// Number of slices.
    pub slices: usize,
    /// Side of every slice, in pixels.
    pub side: usize,
    /// `[slices, side, side]`, each slice z-scored.
    pub images: Vec<f32>,
    /// `[slices, side, side]` class indices, if the case has labels.
    pub labels: Option<Vec<u8>>,
    /// The way back to the input's grid.
    pub placement: Placement,
    /// What was odd but could be prepared, one sentence each.
    pub warnings: Vec<String>,
}

/// Returns a case ready for the network, read from its files.
///
/// # Errors
///
/// - [`Error::Read`] and [`Error::Nifti`] as in [`read_image`]
/// - [`Error::ShapeMismatch`] and [`Error::GeometryMismatch`] if image and labels are on two grids
/// - [`Error::TooManyPixels`] if the header's spacing makes a slice or the volume larger than any scan
/// - [`Error::UnknownLabels`] if label values have no class
/// - [`Error::InvalidOption`] if a value of `preparation` cannot be
pub fn prepare(
    case: &Case,
    label_map: &LabelMap,
    preparation: &Preparation,
    centre: CropCentre,
) -> Result<PreparedCase, Error> {
    let image = read_image(&case.image)?;
    let labels = case.labels.as_deref().map(read_labels).transpose()?;
    let labels = labels.as_ref().map(|labels| (labels, label_map));
    prepare_volume(case, &image, labels, preparation, centre)
}

/// Returns every case ready for the network, or why it is not, in the order of `cases`.
///
/// Files are read and prepared in parallel; the result does not depend on the number of threads.
///
/// # Errors
///
/// Each failure is an [`Error::Case`] that names the patient and holds the reason.
pub fn prepare_all(
    cases: &[Case],
    label_map: &LabelMap,
    preparation: &Preparation,
    centre: CropCentre,
) -> Vec<Result<PreparedCase, Error>> {
    let one = |case: &Case| {
        prepare(case, label_map, preparation, centre).map_err(|reason| Error::Case {
            patient: case.patient.clone(),
            reason: Box::new(reason),
        })
    };
    cases.par_iter().map(one).collect()
}

/// Returns a case ready for the network, from volumes in memory; paths are only for messages.
///
/// # Errors
///
/// As [`prepare`], without those of reading.
pub fn prepare_volume(
    case: &Case,
    image: &Image,
    labels: Option<(&Labels, &LabelMap)>,
    preparation: &Preparation,
    centre: CropCentre,
) -> Result<PreparedCase, Error> {
    preparation.validate()?;
    let mut warnings = image.warnings.clone();
    if let Some(value) = only_value(&image.voxels) {
        warnings.push(format!("{BLANK} {value}: nothing is to be seen; export the image again"));
    }
    if preparation.plane == Plane::Stored {
        warnings.extend(turned_as_stored(&image.geometry));
    }
    let orientation = Orientation::new(&image.geometry.affine, preparation.plane);
    let axes = in_plane_axes(&image.geometry, &orientation, preparation.spacing_mm);
    check_size((image, &case.image), &orientation, axes, preparation.crop)?;
    let labels = match labels {
        None => None,
        Some((labels, label_map)) => {
            let path = case.labels.as_deref().unwrap_or(Path::new("labels in memory"));
            check_geometry((image, &case.image), (labels, path), preparation)?;
            warnings.extend(labels.warnings.iter().map(|warning| format!("label map: {warning}")));
            let classes = label_map.classes(labels, path)?;
            Some(orientation.turn_planes(&classes, image.geometry.shape, |plane| {
                resample::labels(plane, axes, preparation.label_resampling)
            }))
        }
    };
    let starts = window::starts(centre, labels.as_deref(), axes, preparation.crop, &mut warnings);
    let placement = Placement {
        input_shape: image.geometry.shape,
        orientation,
        axes,
        starts,
        side: preparation.crop,
    };
    Ok(PreparedCase {
        case: case.clone(),
        slices: placement.slices(),
        side: placement.side,
        images: images(image, preparation, &placement),
        labels: labels.map(|labels| placement.cut_labels(&labels)),
        placement,
        warnings,
    })
}

impl PreparedCase {
    /// Returns a slice with its neighbours as channels, `[side, side, input_slices]`.
    ///
    /// The first and last slice stand in for neighbours beyond the ends.
    ///
    /// # Panics
    ///
    /// If `input_slices` is even or there is no such slice.
    pub fn neighbours(&self, slice: usize, input_slices: usize) -> Vec<f32> {
        let mut channels = vec![0.0; self.side * self.side * input_slices];
        self.write_neighbours(slice, input_slices, &mut channels);
        channels
    }

    /// As [`PreparedCase::neighbours`], into a place of that length.
    ///
    /// # Panics
    ///
    /// As [`PreparedCase::neighbours`].
    pub fn write_neighbours(&self, slice: usize, input_slices: usize, out: &mut [f32]) {
        assert!(input_slices % 2 == 1, "input_slices must be odd, got {input_slices}");
        assert!(slice < self.slices, "slice {slice} of a case with {} slices", self.slices);
        let pixels = self.side * self.side;
        for channel in 0..input_slices {
            let source = (slice + channel).saturating_sub(input_slices / 2).min(self.slices - 1);
            let plane = &self.images[source * pixels..][..pixels];
            for (target, &value) in out.chunks_exact_mut(input_slices).zip(plane) {
                target[channel] = value;
            }
        }
    }
}

/// Rows, then columns.
fn in_plane_axes(
    geometry: &Geometry,
    orientation: &Orientation,
    spacing_mm: Option<f64>,
) -> [Axis; 2] {
    let [_, rows, columns] = orientation.turned(geometry.shape);
    let [_, row_mm, column_mm] = orientation.turned(geometry.spacing_mm);
    match spacing_mm {
        None => [Axis::native(rows), Axis::native(columns)],
        Some(target) => {
            [Axis::resampled(rows, row_mm, target), Axis::resampled(columns, column_mm, target)]
        }
    }
}

/// Edges of a pixel of a case's squares along rows' and columns' axes, in millimetres.
pub(crate) fn square_spacing(geometry: &Geometry, preparation: &Preparation) -> [f64; 2] {
    let orientation = Orientation::new(&geometry.affine, preparation.plane);
    let [_, row_mm, column_mm] = orientation.turned(geometry.spacing_mm);
    preparation.spacing_mm.map_or([row_mm, column_mm], |target| [target; 2])
}

/// Pixels of a slice along an axis, more than any scanner's; a network's maps of such a slice take some gigabytes.
const MAX_SIDE: usize = 4096;

/// Pixels of a volume's squares: 4 GiB.
const MAX_PIXELS: usize = 1 << 30;

/// Refuses what a wrong spacing makes of a small file before memory is asked for.
fn check_size(
    (image, path): (&Image, &Path),
    orientation: &Orientation,
    axes: [Axis; 2],
    crop: usize,
) -> Result<(), Error> {
    let [slices, ..] = orientation.turned(image.geometry.shape);
    let [rows, columns] = axes.map(|axis| axis.size);
    let pixels = |side: usize| side.saturating_mul(side).saturating_mul(slices);
    let side = rows.max(columns).max(crop);
    if side > MAX_SIDE || pixels(side) > MAX_PIXELS {
        let [_, row_mm, column_mm] = orientation.turned(image.geometry.spacing_mm);
        return Err(Error::TooManyPixels {
            path: path.to_owned(),
            shape: [slices, rows, columns],
            spacing_mm: [row_mm, column_mm],
        });
    }
    Ok(())
}

fn check_geometry(
    (image, image_path): (&Image, &Path),
    (labels, labels_path): (&Labels, &Path),
    preparation: &Preparation,
) -> Result<(), Error> {
    let paths = || (image_path.to_owned(), labels_path.to_owned());
    let shapes = (image.geometry.shape, labels.geometry.shape);
    if shapes.0 != shapes.1 {
        return Err(Error::ShapeMismatch { paths: paths(), shapes });
    }
    let distance_mm = image.geometry.max_corner_distance_mm(&labels.geometry);
    let tolerance_mm = preparation.geometry_tolerance_mm;
    if preparation.geometry == GeometryCheck::Match && distance_mm > tolerance_mm {
        return Err(Error::GeometryMismatch { paths: paths(), distance_mm, tolerance_mm });
    }
    Ok(())
}

fn images(image: &Image, preparation: &Preparation, placement: &Placement) -> Vec<f32> {
    let clip = preparation.clip_top_percent;
    let ceiling = clip.map_or(f32::INFINITY, |top| intensity::ceiling(&image.voxels, top));
    let pixels = placement.side * placement.side;
    let mut images = vec![0.0; placement.slices() * pixels];
    images.par_chunks_exact_mut(pixels).enumerate().for_each(|(slice, out)| {
        let mut plane = placement.orientation.plane(&image.voxels, placement.input_shape, slice);
        for value in &mut plane {
            *value = value.min(ceiling);
        }
        let plane = resample::image(plane, placement.axes);
        let darkest = plane.iter().copied().fold(f32::INFINITY, f32::min);
        placement.cut(&plane, darkest, out);
        intensity::z_score(out);
    });
    images
}
