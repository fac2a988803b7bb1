//! Reads the fixtures; see `tests/fixtures/metrics/README.md`.

use std::path::PathBuf;

use nifti::{NiftiObject as _, NiftiType, NiftiVolume as _, ReaderOptions};
use serde_json::Value;

/// Returns the parsed file `name`.
pub(crate) fn read_json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// Returns the voxels of a mask in `[D, H, W]` order.
pub(crate) fn read_mask(name: &str) -> Vec<u16> {
    let volume = ReaderOptions::new().read_file(path(name)).unwrap().into_volume();
    let bytes = volume.raw_data();
    match volume.data_type() {
        NiftiType::Uint8 => bytes.iter().copied().map(u16::from).collect(),
        NiftiType::Int16 => {
            bytes.as_chunks().0.iter().map(|&pair| u16::from_le_bytes(pair)).collect()
        }
        other => panic!("{name} holds {other:?}"),
    }
}

/// Returns whether the file is part of the tree.
pub(crate) fn exists(name: &str) -> bool {
    path(name).exists()
}

/// Returns three numbers given along `[x, y, z]` in `[D, H, W]` order.
pub(crate) fn reversed<T: Copy>(xyz: &Value, number: impl Fn(&Value) -> Option<T>) -> [T; 3] {
    [2, 1, 0].map(|axis| number(&xyz[axis]).unwrap())
}

fn path(name: &str) -> PathBuf {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/metrics");
    PathBuf::from(fixtures).join(name)
}
