//! A file packed as one or two gzip members holds the same image as the plain one. The checksum keeps random bytes from
//! getting past gzip, so the bytes are packed here.
#![no_main]

use std::io::Write as _;

use duomo_data::read_image;
use duomo_fuzz::{file, within_memory};
use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let (head, tail) = bytes.split_at(bytes.len() * usize::from(cut) / 255);
    let mut packed = member(head);
    if !tail.is_empty() {
        packed.write_all(&member(tail)).expect("memory");
    }
    let plain = read_image(&file("plain.nii", bytes));
    let path = file("packed.nii.gz", &packed);
    let packed = within_memory(packed.len(), || read_image(&path));
    match (plain, packed) {
        (Ok(plain), Ok(packed)) => {
            assert_eq!(plain.voxels, packed.voxels);
            assert_eq!(plain.geometry.affine, packed.geometry.affine);
        }
        // Long tails are ignored behind plain voxels and refused in a stream; other sentences may differ as well.
        (plain, packed) => {
            assert!(packed.is_err() || plain.is_ok(), "only the packed file can be read")
        }
    }
});

fn member(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
