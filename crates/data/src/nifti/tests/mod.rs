//! Files built byte by byte from the specification, independent of the writer.

mod containers;
mod damage;
mod geometry;
mod never_panics;
mod traps;
mod write;

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Image, Labels, read_image, read_labels};
use crate::Error;

// Field offsets of NIfTI-1, from nifti1.h.
const DIM: usize = 40;
const DATATYPE: usize = 70;
const BITPIX: usize = 72;
const PIXDIM: usize = 76;
const VOX_OFFSET: usize = 108;
const SCL_SLOPE: usize = 112;
const SCL_INTER: usize = 116;
const XYZT_UNITS: usize = 123;
const QFORM_CODE: usize = 252;
const SFORM_CODE: usize = 254;
const QUATERN: usize = 256;
const QOFFSET: usize = 268;
const SROW: usize = 280;
const MAGIC: usize = 344;

/// A NIfTI-1 file under construction: by default i16, `[D, H, W] = [2, 3, 4]`, voxels 0, 1, 2, …,
/// 5 × 1.5 × 1.25 mm, sform only.
#[derive(Clone)]
struct Sample {
    header: [u8; 348],
    big_endian: bool,
    voxels: Vec<u8>,
}

fn sample() -> Sample {
    sample_in_order(false)
}

fn sample_in_order(big_endian: bool) -> Sample {
    let voxels = Vec::new();
    let sample = Sample { header: [0; 348], big_endian, voxels };
    let mut sample = sample
        .dim(&[3, 4, 3, 2, 1, 1, 1, 1])
        .datatype(4, 16)
        .reals(PIXDIM, &[1.0, 1.25, 1.5, 5.0])
        .reals(VOX_OFFSET, &[352.0])
        .byte(XYZT_UNITS, 2)
        .short(SFORM_CODE, 1)
        .reals(SROW, &[1.25, 0.0, 0.0, -10.0, 0.0, 1.5, 0.0, -20.0, 0.0, 0.0, 5.0, -30.0])
        .bytes(MAGIC, b"n+1\0");
    sample.put(0, 348_i32.to_le_bytes());
    for voxel in 0..24_i16 {
        let bytes = if big_endian { voxel.to_be_bytes() } else { voxel.to_le_bytes() };
        sample.voxels.extend(bytes);
    }
    sample
}

impl Sample {
    /// Little-endian bytes of one number, turned around if the file is big endian.
    fn put<const N: usize>(&mut self, offset: usize, mut bytes: [u8; N]) {
        if self.big_endian {
            bytes.reverse();
        }
        self.header[offset..offset + N].copy_from_slice(&bytes);
    }

    fn byte(mut self, offset: usize, value: u8) -> Self {
        self.header[offset] = value;
        self
    }

    fn bytes(mut self, offset: usize, value: &[u8]) -> Self {
        self.header[offset..offset + value.len()].copy_from_slice(value);
        self
    }

    fn short(mut self, offset: usize, value: i16) -> Self {
        self.put(offset, value.to_le_bytes());
        self
    }

    fn reals(mut self, offset: usize, values: &[f32]) -> Self {
        for (index, value) in values.iter().enumerate() {
            self.put(offset + 4 * index, value.to_le_bytes());
        }
        self
    }

    fn dim(mut self, dim: &[i16]) -> Self {
        for (axis, &length) in dim.iter().enumerate() {
            self.put(DIM + 2 * axis, length.to_le_bytes());
        }
        self
    }

    fn datatype(self, code: i16, bits: i16) -> Self {
        self.short(DATATYPE, code).short(BITPIX, bits)
    }

    /// Replaces the voxels, written as they are.
    fn voxels(mut self, bytes: impl IntoIterator<Item = u8>) -> Self {
        self.voxels = bytes.into_iter().collect();
        self
    }

    /// `[D, H, W] = [1, 1, n]` voxels of a type, in little endian.
    fn row<const N: usize>(self, code: i16, voxels: &[[u8; N]]) -> Self {
        let length = i16::try_from(voxels.len()).unwrap();
        self.dim(&[3, length, 1, 1, 1, 1, 1, 1])
            .datatype(code, i16::try_from(8 * N).unwrap())
            .voxels(voxels.iter().flatten().copied())
    }

    fn build(&self) -> Vec<u8> {
        self.build_at(352)
    }

    /// With header extensions up to an offset, which the caller also declares.
    fn build_at(&self, offset: usize) -> Vec<u8> {
        let mut file = self.header.to_vec();
        file.resize(offset, 0xEE);
        file.extend(&self.voxels);
        file
    }
}

/// A file on disk that is gone with the value.
struct OnDisk {
    _folder: TempDir,
    path: PathBuf,
}

fn on_disk(name: &str, bytes: &[u8]) -> OnDisk {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    OnDisk { _folder: folder, path }
}

fn image(bytes: &[u8]) -> Image {
    read_image(&on_disk("image.nii", bytes).path).unwrap()
}

fn labels(bytes: &[u8]) -> Labels {
    read_labels(&on_disk("labels.nii", bytes).path).unwrap()
}

/// The message without the folder, which differs from run to run.
fn message(file: &OnDisk, error: &Error) -> String {
    let folder = format!("{}/", file.path.parent().unwrap().display());
    error.to_string().replace(&folder, "")
}

fn image_refused(bytes: &[u8]) -> String {
    let file = on_disk("image.nii", bytes);
    message(&file, &read_image(&file.path).unwrap_err())
}

fn labels_refused(bytes: &[u8]) -> String {
    let file = on_disk("labels.nii", bytes);
    message(&file, &read_labels(&file.path).unwrap_err())
}

fn counting(n: u16) -> Vec<f32> {
    (0..n).map(f32::from).collect()
}
