//! A `.hdr` and an `.img` of any bytes; the first two bytes of the input say where it is cut.
#![no_main]

use duomo_data::read_image;
use duomo_fuzz::{file, within_memory};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, halves)) = bytes.split_first_chunk::<2>() else { return };
    let cut = usize::from(u16::from_le_bytes(*cut)).min(halves.len());
    let (header, voxels) = halves.split_at(cut);
    let path = file("pair.hdr", header);
    file("pair.img", voxels);
    let Ok(image) = within_memory(bytes.len(), || read_image(&path)) else { return };
    assert_eq!(image.voxels.len(), image.geometry.voxel_count());
});
