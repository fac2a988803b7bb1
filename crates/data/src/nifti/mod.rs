//! NIfTI files in and out, without losing geometry.
//!
//! Reads NIfTI-1 and NIfTI-2, single files and `.hdr`/`.img` pairs, packed by gzip or not (the
//! bytes decide, not the name), in both byte orders, with one number per voxel. Everything else is
//! refused with a sentence that says what it is. Writes NIfTI-1 single files.
//!
//! Volumes are `[D, H, W]`, row-major: `W` is the first axis of the file. Memory is never spent on
//! what a header merely claims: it stays within a small multiple of the bytes that are there, and 64 MiB.
//!
//! Spacings and distances follow the header. A header whose in-plane spacing went stale when
//! somebody resampled the voxels looks like any other, and cannot be detected.

use std::path::Path;

mod fault;
mod file;
mod forms;
mod geometry;
mod gzip;
mod header;
mod label_values;
mod nifti2;
mod voxels;
mod write;

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "what is read is exactly what the file holds")]
mod tests;

pub use self::fault::NiftiFault;
pub use self::file::files_of_volume;
pub(crate) use self::forms::FORMS_DISAGREE;
pub use self::geometry::Geometry;
pub use self::label_values::LabelValues;
pub(crate) use self::voxels::NOT_FINITE;
pub use self::write::{write_image, write_image_i16, write_labels, write_unit_interval};
use crate::Error;

/// A grey-value volume.
#[derive(Clone, Debug)]
pub struct Image {
    /// Where the voxels lie.
    pub geometry: Geometry,
    /// `[D, H, W]`, after `scl_slope` and `scl_inter`; all finite.
    pub voxels: Vec<f32>,
    /// What was odd but could be read, one sentence each.
    pub warnings: Vec<String>,
}

/// A label map, with the values that the file holds.
#[derive(Clone, Debug)]
pub struct Labels {
    /// Where the voxels lie.
    pub geometry: Geometry,
    /// `[D, H, W]`, after `scl_slope` and `scl_inter`, rounded.
    pub values: LabelValues,
    /// What was odd but could be read, one sentence each.
    pub warnings: Vec<String>,
}

/// Reads a grey-value volume.
///
/// The sform places it if `sform_code > 0`, else the qform if `qform_code > 0`, else `pixdim`. Where
/// sform and qform disagree a warning says by how much. NaN and infinite voxels become 0, counted in
/// a warning. Of a `.hdr`/`.img` pair either name will do.
///
/// # Errors
///
/// - [`Error::Read`] if the file cannot be read
/// - [`Error::Nifti`] if it is not one volume of one number per voxel, or is damaged
///
/// # Examples
///
/// ```
/// use duomo_data::{Geometry, read_image, write_image};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("patient1_C0.nii.gz");
/// let geometry = Geometry::from_spacing([1, 2, 3], [8.0, 1.25, 1.25]);
/// write_image(&path, &geometry, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.5])?;
///
/// let image = read_image(&path)?;
/// assert_eq!(image.geometry.spacing_mm, [8.0, 1.25, 1.25]);
/// assert_eq!(image.voxels[5], 5.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_image(path: &Path) -> Result<Image, Error> {
    let (mut header, bytes) = file::load(path)?;
    let voxels = voxels::grey_values(&mut header, &bytes);
    let mut warnings = header.warnings;
    let geometry = Geometry::from_header(header.shape, header.fields, &mut warnings)
        .map_err(file::fault_in(path))?;
    Ok(Image { geometry, voxels, warnings })
}

/// Reads a label map, keeping the values of the file.
///
/// Values are rounded: a map stored as `u16` with slope 0.0457771 holds 499.977 for 500. Whether a
/// value means a class is for the data set to say. Geometry as in [`read_image`].
///
/// # Errors
///
/// - [`Error::Read`] if the file cannot be read
/// - [`Error::Nifti`] as in [`read_image`], and if a voxel is not within 0.01 of an integer in
///   `0..=65535` (half a slope more where integers are stored with a slope)
///
/// # Examples
///
/// ```
/// use duomo_data::{Geometry, read_labels, write_labels};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("patient1_C0_manual.nii.gz");
/// write_labels(&path, &Geometry::from_spacing([1, 1, 4], [8.0, 1.25, 1.25]), &[0, 200, 500, 600])?;
///
/// assert_eq!(read_labels(&path)?.values.to_vec(), [0, 200, 500, 600]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_labels(path: &Path) -> Result<Labels, Error> {
    let (header, bytes) = file::load(path)?;
    let values = voxels::label_values(&header, bytes).map_err(file::fault_in(path))?;
    let mut warnings = header.warnings;
    let geometry = Geometry::from_header(header.shape, header.fields, &mut warnings)
        .map_err(file::fault_in(path))?;
    Ok(Labels { geometry, values, warnings })
}
