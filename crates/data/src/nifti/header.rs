//! The first bytes of a file: which format, which voxels, where.
//!
//! NIfTI-1 fields are read by the `nifti` crate, whose [`NiftiHeader`] keeps the specification's
//! names; everything that can be wrong is checked here first, in the file's own byte order.

use std::fmt;

use nifti::{Endianness, NiftiHeader, NiftiType};

use super::fault::NiftiFault;
use super::nifti2;

/// Bytes that decide everything: the NIfTI-2 header, the longer one.
pub(super) const HEAD_BYTES: usize = 540;

/// Bytes of a NIfTI-1 header.
pub(super) const NIFTI1_BYTES: usize = 348;

/// Where voxels start in a NIfTI-1 file without extensions.
const FIRST_OFFSET: i64 = 352;

/// A header that passed every check that needs no voxels.
#[derive(Debug)]
pub(super) struct Header {
    /// All fields, those of NIfTI-2 narrowed.
    pub(super) fields: NiftiHeader,
    /// `[D, H, W]`.
    pub(super) shape: [usize; 3],
    /// One integer or real number per voxel.
    pub(super) datatype: NiftiType,
    /// Where voxels start in the file that holds them.
    pub(super) offset: usize,
    /// Bytes that this file must hold: `offset` and all voxels.
    pub(super) declared: usize,
    /// Whether the voxels are here or in the `.img` half of a pair.
    pub(super) home: Home,
    /// What is odd but harmless.
    pub(super) warnings: Vec<String>,
}

/// Where the voxels of a header are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Home {
    SameFile,
    OtherHalf,
}

/// Fields of either version, before they are checked.
pub(super) struct Unchecked {
    pub(super) fields: NiftiHeader,
    pub(super) dim: [i64; 8],
    pub(super) vox_offset: i64,
    pub(super) home: Home,
    /// Smallest offset of voxels in the same file.
    pub(super) first_offset: i64,
}

/// Reads and checks the header at the start of `head`.
pub(super) fn parse(head: &[u8]) -> Result<Header, NiftiFault> {
    let size = head.first_chunk::<4>().ok_or(match head.len() {
        0 => NiftiFault::Empty,
        given => NiftiFault::HeaderTooShort { given, expected: NIFTI1_BYTES },
    })?;
    let unchecked = match (i32::from_le_bytes(*size), i32::from_be_bytes(*size)) {
        (348, _) => nifti1(head, Endianness::Little)?,
        (_, 348) => nifti1(head, Endianness::Big)?,
        (540, _) => nifti2::parse(head, Endianness::Little)?,
        (_, 540) => nifti2::parse(head, Endianness::Big)?,
        (sizeof_hdr, _) => return Err(NiftiFault::NotNifti { sizeof_hdr }),
    };
    check(unchecked)
}

/// The specification's fault for a field.
pub(super) fn bad_field(
    field: impl Into<String>,
    value: impl fmt::Display,
    expected: &'static str,
) -> NiftiFault {
    NiftiFault::Field { field: field.into(), value: value.to_string(), expected }
}

fn nifti1(head: &[u8], endianness: Endianness) -> Result<Unchecked, NiftiFault> {
    let head = head
        .first_chunk::<NIFTI1_BYTES>()
        .ok_or(NiftiFault::HeaderTooShort { given: head.len(), expected: NIFTI1_BYTES })?;
    let home = match &head[344..] {
        b"n+1\0" => Home::SameFile,
        b"ni1\0" => Home::OtherHalf,
        [0, ..] => return Err(NiftiFault::Analyze),
        other => {
            let value = format!("\"{}\"", other.escape_ascii());
            return Err(bad_field("magic", value, "\"n+1\" or \"ni1\""));
        }
    };
    // The crate takes the byte order from dim[0], which therefore has to be sound first.
    let axes = match endianness {
        Endianness::Little => i16::from_le_bytes([head[40], head[41]]),
        Endianness::Big => i16::from_be_bytes([head[40], head[41]]),
    };
    check_axes(axes.into())?;
    let fields = NiftiHeader::from_reader(&head[..])
        .map_err(|error| bad_field("magic", error, "a NIfTI-1 header"))?;
    Ok(Unchecked {
        dim: fields.dim.map(|length| length.cast_signed().into()),
        vox_offset: whole_offset(fields.vox_offset)?,
        fields,
        home,
        first_offset: FIRST_OFFSET,
    })
}

/// NIfTI-1 stores the offset as a real number, a legacy of ANALYZE.
fn whole_offset(vox_offset: f32) -> Result<i64, NiftiFault> {
    if !(0.0..9e15).contains(&vox_offset) || vox_offset.fract() != 0.0 {
        return Err(bad_field("vox_offset", vox_offset, "a whole number of bytes"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and within i64, checked above")]
    let offset = vox_offset as i64;
    Ok(offset)
}

fn check_axes(axes: i64) -> Result<(), NiftiFault> {
    match axes {
        1..=7 => Ok(()),
        _ => Err(bad_field("dim[0]", axes, "1 to 7 axes")),
    }
}

fn check(unchecked: Unchecked) -> Result<Header, NiftiFault> {
    let mut warnings = Vec::new();
    let [width, height, depth] = lengths(&unchecked.dim)?;
    let datatype = datatype(&unchecked.fields, &mut warnings)?;
    let offset = offset(&unchecked, &mut warnings)?;
    let size = [width, height, depth]
        .into_iter()
        .try_fold(datatype.size_of(), |bytes, length| bytes.checked_mul(length.try_into().ok()?))
        .and_then(|bytes| Some((bytes, bytes.checked_add(usize::try_from(offset).ok()?)?)));
    // A Vec never holds more than isize::MAX bytes, and voxels become four bytes each.
    let Some((bytes, declared)) = size.filter(|(_, declared)| *declared < usize::MAX / 16) else {
        return Err(NiftiFault::TooLarge { dim: [width, height, depth] });
    };
    let in_memory = |length| usize::try_from(length).expect("the product fits into usize");
    Ok(Header {
        fields: unchecked.fields,
        shape: [depth, height, width].map(in_memory),
        datatype,
        offset: declared - bytes,
        declared,
        home: unchecked.home,
        warnings,
    })
}

/// Lengths of the first three axes, 1 where the file has fewer.
fn lengths(dim: &[i64; 8]) -> Result<[i64; 3], NiftiFault> {
    check_axes(dim[0])?;
    let axes = usize::try_from(dim[0]).expect("dim[0] is in 1..=7");
    for (axis, &length) in dim.iter().enumerate().take(axes + 1).skip(1) {
        if length < 1 {
            return Err(bad_field(format!("dim[{axis}]"), length, "at least 1"));
        }
        if axis > 3 && length > 1 {
            let field = format!("dim[{axis}]");
            return Err(NiftiFault::SeveralVolumes { field, value: length, axes: dim[0] });
        }
    }
    Ok([1, 2, 3].map(|axis| if axis <= axes { dim[axis] } else { 1 }))
}

fn datatype(fields: &NiftiHeader, warnings: &mut Vec<String>) -> Result<NiftiType, NiftiFault> {
    let code = fields.datatype;
    let unsupported = |name| Err(NiftiFault::Datatype { code, name });
    let datatype = fields
        .data_type()
        .map_err(|_| bad_field("datatype", code, "a code that the specification lists"))?;
    match datatype {
        NiftiType::Rgb24 => return unsupported("RGB24, colour"),
        NiftiType::Rgba32 => return unsupported("RGBA32, colour"),
        NiftiType::Complex64 | NiftiType::Complex128 | NiftiType::Complex256 => {
            return unsupported("complex numbers");
        }
        NiftiType::Float128 => return unsupported("128-bit real numbers"),
        _ => {}
    }
    let bits = datatype.size_of() * 8;
    if usize::try_from(fields.bitpix) != Ok(bits) {
        warnings.push(format!(
            "field bitpix is {} but datatype {code} takes {bits} bits; datatype is followed",
            fields.bitpix
        ));
    }
    Ok(datatype)
}

fn offset(unchecked: &Unchecked, warnings: &mut Vec<String>) -> Result<i64, NiftiFault> {
    match (unchecked.home, unchecked.vox_offset) {
        (Home::SameFile, 0) => {
            warnings.push(format!(
                "field vox_offset is 0; voxels are read from byte {}, right behind the header",
                unchecked.first_offset
            ));
            Ok(unchecked.first_offset)
        }
        (Home::SameFile, given) if given < unchecked.first_offset => {
            Err(bad_field("vox_offset", given, "a position behind the header"))
        }
        (_, given) if given < 0 => Err(bad_field("vox_offset", given, "a position in the file")),
        (_, given) => Ok(given),
    }
}
