//! gzip in memory: libdeflate where it applies, a stream decoder where it does not.
//!
//! libdeflate needs the size of the result beforehand and reads one member only; header and trailer
//! must agree on it before memory is spent. The stream decoder
//! is slower, takes any number of members, grows with the data that is really there, and says what
//! is wrong with a damaged file, so it also has the last word.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use libdeflater::{CompressionLvl, Compressor, Decompressor};

use super::fault::NiftiFault;

/// Bytes behind the last voxel that are tolerated, since some writers pad their files.
const PADDING_MAX: usize = 1 << 20;

/// The format expands no byte to more than this many.
const EXPANSION_MAX: usize = 1032;

/// Up to this size, or up to [`EXPANSION_TRUSTED`] times the packed bytes, memory is set aside on the word of header and
/// trailer. Larger claims have to be proved by unpacking step by step: label maps, which that is quick for.
const TRUSTED_MAX: usize = 64 << 20;

/// More than scanners' images shrink.
const EXPANSION_TRUSTED: usize = 8;

/// True if the bytes start like a gzip member.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Unpacks at most the first `length` bytes.
pub(super) fn unpack_head(packed: &[u8], length: usize) -> Result<Vec<u8>, NiftiFault> {
    stream(packed, length).map_err(damaged)
}

/// Unpacks everything, knowing that `declared` bytes are needed.
///
/// # Errors
///
/// - [`NiftiFault::Gzip`] if the stream is cut short, corrupt or fails its checksum
/// - [`NiftiFault::Truncated`], [`NiftiFault::Overlong`] if the size is not the declared one
pub(super) fn unpack(packed: &[u8], declared: usize) -> Result<Vec<u8>, NiftiFault> {
    match unpack_one_member(packed, declared) {
        Some(unpacked) => Ok(unpacked),
        None => unpack_members(packed, declared),
    }
}

/// The fast path: `None` if it does not apply, for whatever reason.
pub(super) fn unpack_one_member(packed: &[u8], declared: usize) -> Option<Vec<u8>> {
    let size = declared_size(packed)?;
    let holds = declared..=declared.checked_add(PADDING_MAX)?;
    let trusted = size <= TRUSTED_MAX || size / EXPANSION_TRUSTED <= packed.len();
    if !holds.contains(&size) || size / EXPANSION_MAX > packed.len() || !trusted {
        return None;
    }
    let mut unpacked = vec![0; size];
    let length = Decompressor::new().gzip_decompress(packed, &mut unpacked).ok()?;
    (length == size).then_some(unpacked)
}

/// The size that the last member's trailer gives, modulo 4 GiB.
fn declared_size(packed: &[u8]) -> Option<usize> {
    let trailer = packed.last_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*trailer)).ok()
}

/// The slow path, which also finds out what is wrong.
pub(super) fn unpack_members(packed: &[u8], declared: usize) -> Result<Vec<u8>, NiftiFault> {
    let limit = declared.saturating_add(PADDING_MAX);
    let unpacked = stream(packed, limit.saturating_add(1)).map_err(damaged)?;
    if unpacked.len() > limit {
        return Err(NiftiFault::Overlong { declared });
    }
    if unpacked.len() < declared {
        return Err(NiftiFault::Truncated { declared, held: unpacked.len() });
    }
    Ok(unpacked)
}

/// Packs bytes as one gzip member without a time stamp, so the same bytes give the same file.
pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut packed = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor
        .gzip_compress(bytes, &mut packed)
        .expect("the buffer has the size that libdeflate asks for");
    packed.truncate(length);
    packed
}

/// Unpacks member after member until `limit` bytes; what follows the last member is ignored, as
/// gzip itself does.
fn stream(mut packed: &[u8], limit: usize) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    while is_gzip(packed) && unpacked.len() < limit {
        let mut member = GzDecoder::new(packed).take((limit - unpacked.len()) as u64);
        member.read_to_end(&mut unpacked)?;
        packed = member.into_inner().into_inner();
    }
    Ok(unpacked)
}

#[expect(clippy::needless_pass_by_value, reason = "this is what map_err hands over")]
fn damaged(error: io::Error) -> NiftiFault {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        _ => error.to_string(),
    };
    NiftiFault::Gzip { reason }
}
