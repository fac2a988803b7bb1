//! A file of any bytes, read as an image: header, gzip, voxels, geometry.
#![no_main]

use duomo_data::read_image;
use duomo_fuzz::{file, within_memory};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = file("image.nii", bytes);
    let Ok(image) = within_memory(bytes.len(), || read_image(&path)) else { return };
    assert_eq!(image.voxels.len(), image.geometry.voxel_count());
    assert!(image.voxels.iter().all(|voxel| voxel.is_finite()));
    assert!(image.geometry.spacing_mm.iter().all(|&mm| mm.is_finite() && mm > 0.0));
});
