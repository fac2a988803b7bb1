//! From a path to a checked header and the bytes of its voxels.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::fault::NiftiFault;
use super::gzip;
use super::header::{self, HEAD_BYTES, Header, Home};
use crate::Error;

/// Reads a file, or both halves of a pair: the header, and bytes that hold the voxels from
/// `header.offset` on.
pub(super) fn load(path: &Path) -> Result<(Header, Vec<u8>), Error> {
    let header_path = match half(path) {
        Some("img") => other_half(path, "hdr")?,
        _ => path.to_owned(),
    };
    let packed = read(&header_path)?;
    let mut header = parse(&packed).map_err(fault_in(&header_path))?;
    if header.home == Home::SameFile {
        let voxels = voxel_bytes(&mut header, packed).map_err(fault_in(&header_path))?;
        return Ok((header, voxels));
    }
    let voxel_path = match half(path) {
        Some("img") => path.to_owned(),
        _ => other_half(path, "img")?,
    };
    let voxels = voxel_bytes(&mut header, read(&voxel_path)?).map_err(fault_in(&voxel_path))?;
    Ok((header, voxels))
}

/// Returns the files that a volume is read from: the one named, or of a `.hdr`/`.img` pair, by either name, the header
/// and then the voxels, if both are there.
pub fn files_of_volume(path: &Path) -> Vec<PathBuf> {
    let (header, voxels) = match half(path) {
        Some("img") => (other_half(path, "hdr").ok(), Some(path.to_owned())),
        Some(_) => (Some(path.to_owned()), other_half(path, "img").ok()),
        None => (None, None),
    };
    header
        .zip(voxels)
        .map_or_else(|| vec![path.to_owned()], |(header, voxels)| vec![header, voxels])
}

/// Adds the file's name to a fault.
pub(super) fn fault_in(path: &Path) -> impl Fn(NiftiFault) -> Error {
    |fault| Error::Nifti { path: path.to_owned(), fault }
}

/// Reads the header at the start of a file that may be packed.
pub(super) fn parse(file: &[u8]) -> Result<Header, NiftiFault> {
    if gzip::is_gzip(file) {
        return header::parse(&gzip::unpack_head(file, HEAD_BYTES)?);
    }
    header::parse(&file[..file.len().min(HEAD_BYTES)])
}

/// The bytes that a header asks for, voxels from `header.offset` on, of a file that may be packed.
pub(super) fn voxel_bytes(header: &mut Header, file: Vec<u8>) -> Result<Vec<u8>, NiftiFault> {
    let declared = header.declared;
    let mut bytes = if gzip::is_gzip(&file) { gzip::unpack(&file, declared)? } else { file };
    if bytes.len() < declared {
        return Err(NiftiFault::Truncated { declared, held: bytes.len() });
    }
    if bytes.len() > declared {
        let excess = bytes.len() - declared;
        header.warnings.push(format!("{excess} bytes behind the last voxel are ignored"));
    }
    bytes.truncate(declared);
    Ok(bytes)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let read = || {
        let kind = fs::metadata(path)?;
        // A pipe or a device may never end.
        if !kind.is_file() && !kind.is_dir() {
            return Err(io::Error::other("it is not a regular file"));
        }
        fs::read(path)
    };
    read().map_err(|reason| Error::Read { path: path.to_owned(), reason })
}

/// `hdr` or `img` if the name ends so, packed or not.
fn half(path: &Path) -> Option<&'static str> {
    let extension = without_gz(path).extension()?.to_owned();
    ["hdr", "img"].into_iter().find(|half| extension == *half)
}

/// The other half of a pair, packed or not, whichever exists.
fn other_half(path: &Path, half: &str) -> Result<PathBuf, Error> {
    let plain = without_gz(path).with_extension(half);
    let packed = plain.with_extension(format!("{half}.gz"));
    [&plain, &packed].into_iter().find(|candidate| candidate.is_file()).cloned().ok_or_else(|| {
        let missing = plain.file_name().unwrap_or_default().to_string_lossy().into_owned();
        fault_in(path)(NiftiFault::HalfPair { missing })
    })
}

fn without_gz(path: &Path) -> PathBuf {
    match path.extension() {
        Some(extension) if extension == "gz" => path.with_extension(""),
        _ => path.to_owned(),
    }
}
