//! Whatever the bytes, reading ends with a volume or a fault.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::nifti::{Geometry, file, gzip, voxels};

/// Everything that reading does, without the disk.
fn read(bytes: &[u8]) -> Option<usize> {
    let mut header = file::parse(bytes).ok()?;
    let held = file::voxel_bytes(&mut header, bytes.to_vec()).ok()?;
    let _ = voxels::label_values(&header, held.clone());
    let voxels = voxels::grey_values(&mut header, &held);
    assert_eq!(voxels.len(), header.shape.iter().product::<usize>());
    assert!(voxels.iter().all(|voxel| voxel.is_finite()));
    let geometry = Geometry::from_header(header.shape, header.fields, &mut header.warnings).ok()?;
    assert!(geometry.spacing_mm.iter().all(|spacing| spacing.is_finite() && *spacing > 0.0));
    Some(voxels.len())
}

/// Values that break parsers, besides arbitrary ones.
fn nasty() -> impl Strategy<Value = [u8; 4]> {
    prop_oneof![
        any::<[u8; 4]>(),
        Just([0; 4]),
        Just([0xff; 4]),
        Just([0xff, 0x7f, 0xff, 0x7f]),
        Just([0, 0x80, 0, 0x80]),
        any::<f32>().prop_map(f32::to_le_bytes),
        (-3_i16..9).prop_map(|small| [small.to_le_bytes(), small.to_le_bytes()]
            .concat()
            .try_into()
            .unwrap()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn on_random_bytes(bytes in vec(any::<u8>(), 0..700)) {
        read(&bytes);
    }

    #[test]
    fn on_random_bytes_that_begin_like_a_header(
        bytes in vec(any::<u8>(), 600),
        start in prop_oneof![
            Just(348_i32.to_le_bytes()), Just(348_i32.to_be_bytes()),
            Just(540_i32.to_le_bytes()), Just(540_i32.to_be_bytes()),
        ],
    ) {
        let mut bytes = bytes;
        bytes[..4].copy_from_slice(&start);
        bytes[4..12].copy_from_slice(b"n+2\0\r\n\x1a\n");
        bytes[344..348].copy_from_slice(b"n+1\0");
        read(&bytes);
    }

    #[test]
    fn on_headers_with_fields_overwritten(
        big_endian in any::<bool>(),
        packed in any::<bool>(),
        changes in vec((40_usize..344, nasty()), 1..4),
    ) {
        let mut bytes = sample_in_order(big_endian).build();
        for (offset, value) in changes {
            bytes[offset..offset + 4].copy_from_slice(&value);
        }
        read(&if packed { gzip::pack(&bytes) } else { bytes });
    }

    #[test]
    fn on_damaged_gzip(changes in vec((2_usize..1000, any::<u8>()), 1..4), cut in 0_usize..1000) {
        let mut packed = gzip::pack(&sample().build());
        let length = packed.len();
        for (offset, value) in changes {
            packed[2 + offset % (length - 2)] ^= value;
        }
        packed.truncate(length.saturating_sub(cut % length));
        read(&packed);
    }
}

#[test]
fn reads_the_sample_that_the_properties_start_from() {
    assert_eq!(read(&sample().build()), Some(24));
    assert_eq!(read(&gzip::pack(&sample().build())), Some(24));
}
