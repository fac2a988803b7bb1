//! What reading holds at once, counted by the allocator: one test, because others beside it would count too.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use duomo_data::{read_image, read_labels};
use flate2::Compression;
use flate2::write::GzEncoder;
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

#[global_allocator]
static ALLOCATIONS: PeakAlloc = PeakAlloc;

/// What a gzip trailer is trusted with before a byte is unpacked, and room for the rest of the program.
const BOUND: usize = (64 << 20) + (4 << 20);

/// Runs `read` and returns how many bytes it held at once.
fn held<T>(read: impl FnOnce() -> T) -> usize {
    let before = ALLOCATIONS.current_usage();
    ALLOCATIONS.reset_peak_usage();
    drop(read());
    ALLOCATIONS.peak_usage().saturating_sub(before)
}

/// Holds no more than the packed file, twice what is unpacked (a buffer that doubles as it grows), and four bytes per byte
/// of voxels.
fn assert_bounded(path: &Path, packed: usize, unpacked: usize) {
    let allowed = packed + 6 * unpacked + BOUND;
    for held in [held(|| read_image(path)), held(|| read_labels(path))] {
        assert!(held <= allowed, "{held} bytes for {packed} packed and {unpacked} unpacked");
    }
}

/// A header of `[slices, 512, 512]` voxels of one byte.
fn header(slices: i16) -> Vec<u8> {
    let mut header = vec![0; 352];
    header[..4].copy_from_slice(&348_i32.to_le_bytes());
    for (axis, length) in [3, 512, 512, slices, 1, 1, 1, 1].into_iter().enumerate() {
        header[40 + 2 * axis..][..2].copy_from_slice(&i16::to_le_bytes(length));
    }
    header[70..74].copy_from_slice(&[2, 0, 8, 0]);
    for (axis, spacing) in [1.0_f32, 1.0, 1.0, 5.0].into_iter().enumerate() {
        header[76 + 4 * axis..][..4].copy_from_slice(&spacing.to_le_bytes());
    }
    header[108..112].copy_from_slice(&352.0_f32.to_le_bytes());
    header[344..348].copy_from_slice(b"n+1\0");
    header
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn written(path: &Path, bytes: &[u8]) -> usize {
    fs::write(path, bytes).expect("a temporary file can be written");
    bytes.len()
}

#[test]
fn reading_holds_no_more_than_the_file_and_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("a.nii.gz");

    // 100 MiB that are there, though hardly any packed.
    let mut honest = header(400);
    honest.resize(352 + (100 << 20), 0);
    let length = honest.len();
    let honest = packed(&honest);
    assert_bounded(&path, written(&path, &honest), length);
    assert_eq!(read_labels(&path).unwrap().values.len(), 100 << 20);

    // Header and trailer agree on 8 GB (4 modulo), or on 250 MB; the file is 352 bytes and noise as large as allowed.
    for (slices, trailer) in [(32767_i16, u32::MAX), (950, (950 << 18) + 352)] {
        let mut lie = packed(&header(slices));
        lie.resize(1 << 20, 0x55);
        let end = lie.len() - 4;
        lie[end..].copy_from_slice(&trailer.to_le_bytes());
        assert_bounded(&path, written(&path, &lie), 1 << 20);
    }

    // A bomb: a small header, and zeros behind what it declares.
    let mut bomb = header(1);
    bomb.resize(200 << 20, 0);
    let bomb = packed(&bomb);
    assert_bounded(&path, written(&path, &bomb), (1 << 18) + (1 << 20));

    let fields = (40_usize..348, any::<[u8; 4]>(), any::<bool>());
    TestRunner::new(ProptestConfig::with_cases(64))
        .run(&fields, |(offset, value, is_packed)| {
            let mut file = header(1);
            file.resize(352 + (1 << 18), 0);
            file[offset..offset + 4].copy_from_slice(&value);
            let bytes = if is_packed { packed(&file) } else { file.clone() };
            assert_bounded(&path, written(&path, &bytes), file.len());
            Ok(())
        })
        .unwrap();
}
