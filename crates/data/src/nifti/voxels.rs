//! Voxel bytes to grey values and labels.

use nifti::{Endianness, NiftiHeader, NiftiType};

use super::fault::NiftiFault;
use super::header::Header;
use super::label_values::LabelValues;

/// How far a value may lie from the integer that it stands for.
const INTEGER_TOLERANCE: f64 = 0.01;

/// Farthest that a scaled integer may lie from its label: a quarter, so that halves stay faults.
const SCALED_TOLERANCE_MAX: f64 = 0.25;

/// What the warning about [`grey_values`] that are no numbers ends with.
pub(crate) const NOT_FINITE: &str = "voxels are NaN or infinite; replaced by 0";

/// Grey values after scaling, with NaN and ±∞ replaced by 0 and counted in a warning.
pub(super) fn grey_values(header: &mut Header, bytes: &[u8]) -> Vec<f32> {
    let (slope, inter) = scaling(&header.fields);
    let mut not_finite = 0_usize;
    #[expect(clippy::cast_possible_truncation, reason = "images are worked on as f32")]
    let grey = |raw: f64| {
        let value = (raw * slope + inter) as f32;
        not_finite += usize::from(!value.is_finite());
        if value.is_finite() { value } else { 0.0 }
    };
    let voxels: Vec<f32> = map_voxels(header, bytes, grey);
    if not_finite > 0 {
        header.warnings.push(format!("{not_finite} {NOT_FINITE}"));
    }
    voxels
}

/// Label values after scaling and rounding.
///
/// A value must lie within 0.01 of its integer. Integers stored with a slope may be off by half a
/// slope more, which is what their writer rounded away.
pub(super) fn label_values(header: &Header, mut bytes: Vec<u8>) -> Result<LabelValues, NiftiFault> {
    let (slope, inter) = scaling(&header.fields);
    if header.datatype == NiftiType::Uint8 && (slope, inter) == (1.0, 0.0) {
        bytes.drain(..header.offset);
        return Ok(LabelValues::Narrow(bytes));
    }
    let stored_as_real = matches!(header.datatype, NiftiType::Float32 | NiftiType::Float64);
    let tolerance = if stored_as_real || (slope, inter) == (1.0, 0.0) {
        INTEGER_TOLERANCE
    } else {
        (INTEGER_TOLERANCE + slope.abs() / 2.0).min(SCALED_TOLERANCE_MAX)
    };

    let (mut index, mut count, mut first) = (0, 0, None);
    let label = |raw: f64| {
        let value = raw * slope + inter;
        let nearest = value.round();
        let is_label = (value - nearest).abs() <= tolerance && (0.0..=65535.0).contains(&nearest);
        if !is_label {
            count += 1;
            first.get_or_insert((index, value));
        }
        index += 1;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in 0..=65535, or the volume is refused"
        )]
        let label = nearest as u16;
        label
    };
    let labels = map_voxels(header, &bytes, label);
    match first {
        None => Ok(labels),
        Some((index, value)) => {
            Err(NiftiFault::NotLabels { count, value, voxel: position(index, header.shape) })
        }
    }
}

/// Slope and intercept; a slope of 0 or that is no number means that there is none.
fn scaling(fields: &NiftiHeader) -> (f64, f64) {
    let (slope, inter) = (f64::from(fields.scl_slope), f64::from(fields.scl_inter));
    if slope == 0.0 || !slope.is_finite() {
        return (1.0, 0.0);
    }
    (slope, if inter.is_finite() { inter } else { 0.0 })
}

fn position(index: usize, [_, height, width]: [usize; 3]) -> [usize; 3] {
    [index / width / height, index / width % height, index % width]
}

/// Applies `convert` to every voxel in order, as `f64`; 64-bit integers keep 53 bits.
#[expect(clippy::cast_lossless, reason = "one line serves types with and without `From`")]
fn map_voxels<T, C: FromIterator<T>>(
    header: &Header,
    bytes: &[u8],
    convert: impl FnMut(f64) -> T,
) -> C {
    macro_rules! read {
        ($number:ty) => {{
            let (voxels, _) = bytes[header.offset..].as_chunks::<{ size_of::<$number>() }>();
            match header.fields.endianness {
                Endianness::Little => {
                    let values = voxels.iter().map(|&voxel| <$number>::from_le_bytes(voxel) as f64);
                    values.map(convert).collect()
                }
                Endianness::Big => {
                    let values = voxels.iter().map(|&voxel| <$number>::from_be_bytes(voxel) as f64);
                    values.map(convert).collect()
                }
            }
        }};
    }
    match header.datatype {
        NiftiType::Uint8 => read!(u8),
        NiftiType::Int8 => read!(i8),
        NiftiType::Uint16 => read!(u16),
        NiftiType::Int16 => read!(i16),
        NiftiType::Uint32 => read!(u32),
        NiftiType::Int32 => read!(i32),
        NiftiType::Uint64 => read!(u64),
        NiftiType::Int64 => read!(i64),
        NiftiType::Float32 => read!(f32),
        NiftiType::Float64 => read!(f64),
        other => unreachable!("{other:?} was refused with the header"),
    }
}
