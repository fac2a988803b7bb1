//! What can be wrong inside a NIfTI file, said in the words of its header.

/// Why a file cannot be read as one NIfTI volume.
///
/// The file itself is named by the [`Error`](crate::Error) that carries the fault.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NiftiFault {
    /// A file of zero bytes.
    #[error("the file is empty, expected a NIfTI header of 348 bytes")]
    Empty,
    /// A file too short for its header.
    #[error("the file ends after {given} bytes, expected a NIfTI header of {expected}")]
    HeaderTooShort {
        /// Bytes in the file, after unpacking.
        given: usize,
        /// Bytes that the header takes.
        expected: usize,
    },
    /// The first four bytes are no NIfTI header size in either byte order.
    #[error(
        "this is not NIfTI: field sizeof_hdr is {sizeof_hdr}, expected 348 (NIfTI-1) or 540 (NIfTI-2)"
    )]
    NotNifti {
        /// The field, read as little endian.
        sizeof_hdr: i32,
    },
    /// The header of the format that NIfTI grew out of.
    #[error(
        "this is an ANALYZE 7.5 header (field magic is empty), which does not say how the patient lies; convert it to NIfTI"
    )]
    Analyze,
    /// A header field with a value that the format forbids.
    #[error("field {field} is {value}, expected {expected}")]
    Field {
        /// Name of the field in the specification, with its index.
        field: String,
        /// What the file holds.
        value: String,
        /// What the format allows.
        expected: &'static str,
    },
    /// Several volumes, time frames or vectors in one file.
    #[error(
        "field {field} is {value}, so this {axes}D file holds more than one volume; split it into 3D files"
    )]
    SeveralVolumes {
        /// The first axis beyond the third that is longer than 1.
        field: String,
        /// Its length.
        value: i64,
        /// Field `dim[0]`.
        axes: i64,
    },
    /// A datatype that is not one number per voxel.
    #[error(
        "field datatype is {code} ({name}), expected one integer or real number per voxel; convert the file to grey values"
    )]
    Datatype {
        /// Field `datatype`.
        code: i16,
        /// Its name in the specification.
        name: &'static str,
    },
    /// Dimensions whose product no memory can hold.
    #[error("fields dim {dim:?} declare more voxels than this machine can address")]
    TooLarge {
        /// Axis lengths, first axis (`W`) first.
        dim: [i64; 3],
    },
    /// Fewer bytes than the header declares.
    #[error(
        "fields dim, datatype and vox_offset declare {declared} bytes, but the file holds {held}; it is truncated or its header is damaged"
    )]
    Truncated {
        /// Bytes that the header asks for.
        declared: usize,
        /// Bytes present, after unpacking.
        held: usize,
    },
    /// A gzip stream that keeps growing past what the header declares.
    #[error(
        "the gzip stream unpacks to more than the {declared} bytes that fields dim, datatype and vox_offset declare"
    )]
    Overlong {
        /// Bytes that the header asks for.
        declared: usize,
    },
    /// A gzip stream that is cut short, corrupt or fails its checksum.
    #[error("the gzip stream is damaged: {reason}")]
    Gzip {
        /// What the decoder said.
        reason: String,
    },
    /// A `.hdr` without its `.img`, or the reverse.
    #[error("this is half of a .hdr/.img pair, but {missing} does not exist beside it")]
    HalfPair {
        /// File name of the other half.
        missing: String,
    },
    /// An affine that squeezes the volume flat, or is not made of numbers.
    #[error("the {form} does not map voxels to space: its matrix is {matrix:?}")]
    Affine {
        /// `sform` or `qform`.
        form: &'static str,
        /// The three rows.
        matrix: Box<[[f64; 4]; 3]>,
    },
    /// Label voxels that no label value can be read from.
    #[error(
        "{count} voxels are not labels: the first is {value} at voxel {voxel:?} of [D, H, W], expected an integer in 0..=65535; is this an image or a probability map?"
    )]
    NotLabels {
        /// How many voxels are affected.
        count: usize,
        /// The first such value, after `scl_slope` and `scl_inter`.
        value: f64,
        /// Where it is, `[D, H, W]`.
        voxel: [usize; 3],
    },
}
