//! NIfTI-2 headers, read into the fields of NIfTI-1.
//!
//! NIfTI-2 differs in order and in width only. Its 64-bit reals lose nothing that matters when they
//! become 32-bit (an origin of 1 m moves by 0.06 µm), and predictions are written as NIfTI-1.

use nifti::{Endianness, NiftiHeader};

use super::fault::NiftiFault;
use super::header::{HEAD_BYTES, Home, Unchecked, bad_field};

/// Where voxels start in a NIfTI-2 file without extensions.
const FIRST_OFFSET: i64 = 544;

pub(super) fn parse(head: &[u8], endianness: Endianness) -> Result<Unchecked, NiftiFault> {
    let head = head
        .first_chunk::<HEAD_BYTES>()
        .ok_or(NiftiFault::HeaderTooShort { given: head.len(), expected: HEAD_BYTES })?;
    let home = match &head[4..12] {
        b"n+2\0\r\n\x1a\n" => Home::SameFile,
        b"ni2\0\r\n\x1a\n" => Home::OtherHalf,
        other => {
            let value = format!("\"{}\"", other.escape_ascii());
            return Err(bad_field("magic", value, "\"n+2\" or \"ni2\" with its line-end guard"));
        }
    };
    let view = View { head, endianness };
    Ok(Unchecked {
        dim: view.integers(16),
        vox_offset: view.integer(168),
        fields: narrowed(&view),
        home,
        first_offset: FIRST_OFFSET,
    })
}

/// Every field that is written back; `dim` and `vox_offset` may not fit and are kept apart.
fn narrowed(view: &View) -> NiftiHeader {
    let bytes = view.head;
    NiftiHeader {
        datatype: view.short(12),
        bitpix: view.short(14),
        dim: view.integers(16).map(|length| length.clamp(0, 0x7fff).try_into().unwrap_or(0)),
        pixdim: view.reals(104),
        scl_slope: view.real(176),
        scl_inter: view.real(184),
        cal_max: view.real(192),
        cal_min: view.real(200),
        slice_duration: view.real(208),
        toffset: view.real(216),
        slice_start: clamped(view.integer(224)),
        slice_end: clamped(view.integer(232)),
        descrip: bytes[240..320].to_vec(),
        aux_file: *bytes[320..].first_chunk().expect("the header has 540 bytes"),
        qform_code: clamped(view.code(344)),
        sform_code: clamped(view.code(348)),
        quatern_b: view.real(352),
        quatern_c: view.real(360),
        quatern_d: view.real(368),
        quatern_x: view.real(376),
        quatern_y: view.real(384),
        quatern_z: view.real(392),
        srow_x: view.reals(400),
        srow_y: view.reals(432),
        srow_z: view.reals(464),
        slice_code: view.code(496).try_into().unwrap_or(0),
        xyzt_units: view.code(500).try_into().unwrap_or(0),
        intent_code: clamped(view.code(504)),
        intent_name: *bytes[508..].first_chunk().expect("the header has 540 bytes"),
        dim_info: bytes[524],
        endianness: view.endianness,
        ..NiftiHeader::default()
    }
}

/// Fields by their offset in the specification's table.
struct View<'a> {
    head: &'a [u8; HEAD_BYTES],
    endianness: Endianness,
}

impl View<'_> {
    fn bytes<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes: [u8; N] =
            *self.head[offset..].first_chunk().expect("offsets lie inside the header");
        if self.endianness == Endianness::Big {
            bytes.reverse();
        }
        bytes
    }

    fn short(&self, offset: usize) -> i16 {
        i16::from_le_bytes(self.bytes(offset))
    }

    fn code(&self, offset: usize) -> i64 {
        i32::from_le_bytes(self.bytes(offset)).into()
    }

    fn integer(&self, offset: usize) -> i64 {
        i64::from_le_bytes(self.bytes(offset))
    }

    fn integers<const N: usize>(&self, offset: usize) -> [i64; N] {
        std::array::from_fn(|index| self.integer(offset + 8 * index))
    }

    #[expect(clippy::cast_possible_truncation, reason = "narrowing is this module's purpose")]
    fn real(&self, offset: usize) -> f32 {
        f64::from_le_bytes(self.bytes(offset)) as f32
    }

    fn reals<const N: usize>(&self, offset: usize) -> [f32; N] {
        std::array::from_fn(|index| self.real(offset + 8 * index))
    }
}

fn clamped(value: i64) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()).try_into().unwrap_or(0)
}
