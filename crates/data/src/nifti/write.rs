//! Volumes to NIfTI-1 single files, on the grid of another volume.

use std::path::Path;

use nifti::NiftiHeader;
use nifti::NiftiType;

use super::geometry::Geometry;
use super::gzip;
use crate::Error;
use crate::atomic::atomic_write;

/// Bytes before the first voxel: the header and four bytes that say "no extensions".
const VOXEL_OFFSET: usize = 352;

/// Writes a label map on the grid of another volume, as `u8` if all values fit, else as `u16`.
///
/// Shape, sform, qform, their codes, `pixdim` and units are those of the file that `like` was read
/// from. The name decides about packing: `.nii.gz` or `.nii`. The same labels give the same bytes,
/// and the file appears whole or not at all, see [`atomic_write`].
///
/// # Shapes
///
/// - `values`: `[D, H, W]` of `like`
///
/// # Errors
///
/// - [`Error::VoxelCount`] if `values` does not fill the shape of `like`
/// - [`Error::AxisTooLong`], [`Error::OutputName`] if no NIfTI-1 file can be written
/// - [`Error::Write`] if the file cannot be written
pub fn write_labels(path: &Path, like: &Geometry, values: &[u16]) -> Result<(), Error> {
    let narrow: Option<Vec<u8>> = values.iter().map(|&value| value.try_into().ok()).collect();
    let (datatype, voxels) = match narrow {
        Some(bytes) => (NiftiType::Uint8, bytes),
        None => (NiftiType::Uint16, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
    };
    write(path, like, (datatype, values.len()), 1.0, &voxels)
}

/// Writes grey values as `f32` on the grid of another volume; otherwise as [`write_labels`].
///
/// # Shapes
///
/// - `voxels`: `[D, H, W]` of `like`
///
/// # Errors
///
/// As [`write_labels`].
pub fn write_image(path: &Path, like: &Geometry, voxels: &[f32]) -> Result<(), Error> {
    let bytes: Vec<u8> = voxels.iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
    write(path, like, (NiftiType::Float32, voxels.len()), 1.0, &bytes)
}

/// Writes grey values as `i16`, as scanners do, on the grid of another volume; otherwise as
/// [`write_labels`].
///
/// # Shapes
///
/// - `voxels`: `[D, H, W]` of `like`
///
/// # Errors
///
/// As [`write_labels`].
pub fn write_image_i16(path: &Path, like: &Geometry, voxels: &[i16]) -> Result<(), Error> {
    let bytes: Vec<u8> = voxels.iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
    write(path, like, (NiftiType::Int16, voxels.len()), 1.0, &bytes)
}

/// Writes values of `0..=1` as `u8` with a slope of 1/255, a quarter of what `f32` takes, on the grid of
/// another volume; otherwise as [`write_labels`].
///
/// Each value is rounded to the nearest multiple of 1/255; values outside the interval to its ends.
///
/// # Shapes
///
/// - `values`: `[D, H, W]` of `like`
///
/// # Errors
///
/// As [`write_labels`].
pub fn write_unit_interval(path: &Path, like: &Geometry, values: &[f32]) -> Result<(), Error> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what a byte holds; what is not a number becomes 0"
    )]
    let byte = |value: &f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    let bytes: Vec<u8> = values.iter().map(byte).collect();
    write(path, like, (NiftiType::Uint8, values.len()), 1.0 / 255.0, &bytes)
}

fn write(
    path: &Path,
    like: &Geometry,
    (datatype, given): (NiftiType, usize),
    slope: f32,
    voxels: &[u8],
) -> Result<(), Error> {
    let shape = like.shape;
    if given != like.voxel_count() {
        return Err(Error::VoxelCount { path: path.to_owned(), given, shape });
    }
    let mut header = header_for(like, datatype)
        .ok_or_else(|| Error::AxisTooLong { path: path.to_owned(), shape })?;
    header.scl_slope = slope;
    let mut file = encode(&header);
    file.extend_from_slice(voxels);
    match path.file_name().map(|name| name.to_string_lossy()) {
        Some(name) if name.ends_with(".nii.gz") => atomic_write(path, &gzip::pack(&file)),
        Some(name) if name.ends_with(".nii") => atomic_write(path, &file),
        _ => Err(Error::OutputName { path: path.to_owned() }),
    }
}

/// The header of `like` around voxels of another type; `None` if an axis is too long.
fn header_for(like: &Geometry, datatype: NiftiType) -> Option<NiftiHeader> {
    let mut dim = [1; 8];
    // A volume that came with trailing axes of length 1 keeps them, as its shape is compared.
    dim[0] = like.header.dim[0];
    for (axis, &length) in like.shape.iter().rev().enumerate() {
        dim[axis + 1] = u16::try_from(i16::try_from(length).ok()?).ok()?;
        if length > 1 {
            dim[0] = dim[0].max(u16::try_from(axis + 1).ok()?);
        }
    }
    Some(NiftiHeader {
        sizeof_hdr: 348,
        dim,
        datatype: datatype as i16,
        bitpix: i16::try_from(datatype.size_of() * 8).ok()?,
        vox_offset: VOXEL_OFFSET as f32,
        scl_slope: 1.0,
        scl_inter: 0.0,
        // These describe the grey values of the original.
        cal_max: 0.0,
        cal_min: 0.0,
        glmax: 0,
        glmin: 0,
        intent_p1: 0.0,
        intent_p2: 0.0,
        intent_p3: 0.0,
        intent_code: 0,
        intent_name: [0; 16],
        magic: *b"n+1\0",
        ..like.header.clone()
    })
}

/// A NIfTI-1 header in little endian, and the four zero bytes behind it.
pub(super) fn encode(header: &NiftiHeader) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(VOXEL_OFFSET);
    macro_rules! put {
        ($($number:expr),* $(,)?) => { $(bytes.extend_from_slice(&$number.to_le_bytes()));* };
    }
    let h = header;
    put!(h.sizeof_hdr);
    bytes.extend_from_slice(&h.data_type);
    bytes.extend_from_slice(&h.db_name);
    put!(h.extents, h.session_error, h.regular, h.dim_info);
    h.dim.iter().for_each(|length| put!(length));
    put!(h.intent_p1, h.intent_p2, h.intent_p3, h.intent_code);
    put!(h.datatype, h.bitpix, h.slice_start);
    h.pixdim.iter().for_each(|spacing| put!(spacing));
    put!(h.vox_offset, h.scl_slope, h.scl_inter, h.slice_end, h.slice_code, h.xyzt_units);
    put!(h.cal_max, h.cal_min, h.slice_duration, h.toffset, h.glmax, h.glmin);
    bytes.extend_from_slice(&h.descrip);
    bytes.extend_from_slice(&h.aux_file);
    put!(h.qform_code, h.sform_code);
    put!(h.quatern_b, h.quatern_c, h.quatern_d, h.quatern_x, h.quatern_y, h.quatern_z);
    [h.srow_x, h.srow_y, h.srow_z].iter().flatten().for_each(|value| put!(value));
    bytes.extend_from_slice(&h.intent_name);
    bytes.extend_from_slice(&h.magic);
    bytes.resize(VOXEL_OFFSET, 0);
    bytes
}
