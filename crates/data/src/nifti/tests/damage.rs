//! Files that are broken, or lie.

use std::path::Path;

use expect_test::expect;

use super::*;
use crate::nifti::{NiftiFault, gzip};

#[test]
fn names_a_file_that_is_not_there() {
    let error = read_image(Path::new("no/patient1_C0.nii.gz")).unwrap_err();

    assert!(error.to_string().starts_with("cannot read no/patient1_C0.nii.gz: No such file"));
}

#[test]
fn refuses_a_folder() {
    let folder = tempfile::tempdir().unwrap();

    assert!(matches!(read_image(folder.path()), Err(Error::Read { .. })));
}

#[cfg(target_os = "linux")]
#[test]
fn refuses_a_device_that_never_ends() {
    let error = read_image(Path::new("/dev/zero")).unwrap_err();

    assert_eq!(error.to_string(), "cannot read /dev/zero: it is not a regular file");
}

#[test]
fn says_that_an_empty_file_is_empty() {
    expect!["cannot use image.nii: the file is empty, expected a NIfTI header of 348 bytes"]
        .assert_eq(&image_refused(&[]));
    expect!["cannot use image.nii: the file is empty, expected a NIfTI header of 348 bytes"]
        .assert_eq(&image_refused(&gzip::pack(&[])));
}

#[test]
fn says_where_a_header_ends_too_early() {
    expect!["cannot use image.nii: the file ends after 200 bytes, expected a NIfTI header of 348"]
        .assert_eq(&image_refused(&sample().build()[..200]));
    expect!["cannot use image.nii: the file ends after 3 bytes, expected a NIfTI header of 348"]
        .assert_eq(&image_refused(b"abc"));
}

#[test]
fn says_that_a_file_is_not_nifti() {
    expect!["cannot use image.nii: this is not NIfTI: field sizeof_hdr is 1146245710, expected 348 (NIfTI-1) or 540 (NIfTI-2)"]
        .assert_eq(&image_refused(&b"NRRD0004\n".repeat(100)));
    expect!["cannot use image.nii: this is not NIfTI: field sizeof_hdr is 1146245710, expected 348 (NIfTI-1) or 540 (NIfTI-2)"]
        .assert_eq(&image_refused(&gzip::pack(&b"NRRD0004\n".repeat(100))));
}

#[test]
fn says_that_a_file_is_analyze_or_has_another_magic() {
    expect!["cannot use image.nii: this is an ANALYZE 7.5 header (field magic is empty), which does not say how the patient lies; convert it to NIfTI"]
        .assert_eq(&image_refused(&sample().bytes(MAGIC, &[0; 4]).build()));
    expect![[r#"cannot use image.nii: field magic is "n+9\x00", expected "n+1" or "ni1""#]]
        .assert_eq(&image_refused(&sample().bytes(MAGIC, b"n+9\0").build()));
}

#[test]
fn says_that_a_file_is_truncated() {
    let file = sample().build();

    expect!["cannot use image.nii: fields dim, datatype and vox_offset declare 400 bytes, but the file holds 399; it is truncated or its header is damaged"]
        .assert_eq(&image_refused(&file[..399]));
    expect!["cannot use image.nii: fields dim, datatype and vox_offset declare 400 bytes, but the file holds 390; it is truncated or its header is damaged"]
        .assert_eq(&image_refused(&gzip::pack(&file[..390])));
}

#[test]
fn says_what_is_wrong_with_a_gzip_stream() {
    let packed = gzip::pack(&sample().build());
    let cut = &packed[..packed.len() - 20];
    let mut wrong_crc = packed.clone();
    wrong_crc[packed.len() - 8] ^= 1;
    let mut wrong_length = packed.clone();
    wrong_length[packed.len() - 1] ^= 1;

    expect!["cannot use image.nii: the gzip stream is damaged: it ends too early"]
        .assert_eq(&image_refused(cut));
    expect!["cannot use image.nii: the gzip stream is damaged: corrupt gzip stream does not have a matching checksum"]
        .assert_eq(&image_refused(&wrong_crc));
    assert!(image_refused(&wrong_length).contains("the gzip stream is damaged"));
    assert!(image_refused(&packed[..5]).contains("the gzip stream is damaged"));
}

#[test]
fn names_bad_axes() {
    for axes in [0, -3, 8, 348, i16::MAX] {
        let message = image_refused(&sample().short(DIM, axes).build());
        let expected =
            format!("cannot use image.nii: field dim[0] is {axes}, expected 1 to 7 axes");
        assert_eq!(message, expected);
    }
    for (axis, length) in [(1, 0), (2, -1), (3, i16::MIN), (4, -7)] {
        let file = sample().short(DIM, 4).short(DIM + 2 * axis, length).build();
        let expected = format!("field dim[{axis}] is {length}, expected at least 1");
        assert!(image_refused(&file).ends_with(&expected));
    }
}

#[test]
fn names_a_bad_voxel_offset() {
    for offset in [-8.0, 352.5, 100.0, f32::NAN, f32::INFINITY, 3e30] {
        let message = image_refused(&sample().reals(VOX_OFFSET, &[offset]).build());
        assert!(message.contains(&format!("field vox_offset is {offset}")), "{message}");
    }
    let far = image_refused(&sample().reals(VOX_OFFSET, &[1e12]).build());
    assert!(far.contains("declare 999999995952 bytes, but the file holds 400"), "{far}");
}

#[test]
fn allocates_nothing_for_a_small_file_that_declares_100_gigabytes() {
    // 4000 × 4000 × 3200 voxels of 2 bytes.
    let mut file = sample().dim(&[3, 4000, 4000, 3200, 1, 1, 1, 1]).build();
    file.resize(2048, 0);

    for bytes in [gzip::pack(&file), file] {
        let message = image_refused(&bytes);
        let expected = "declare 102400000352 bytes, but the file holds 2048";
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn refuses_dimensions_that_overflow() {
    // NIfTI-2, whose axes are 64 bits long.
    let mut file = vec![0; 600];
    file[..4].copy_from_slice(&540_i32.to_le_bytes());
    file[4..12].copy_from_slice(b"n+2\0\r\n\x1a\n");
    file[12..14].copy_from_slice(&64_i16.to_le_bytes());
    file[14..16].copy_from_slice(&64_i16.to_le_bytes());
    for (axis, length) in [3, i64::MAX, i64::MAX, 2].iter().enumerate() {
        file[16 + 8 * axis..24 + 8 * axis].copy_from_slice(&length.to_le_bytes());
    }

    expect!["cannot use image.nii: fields dim [9223372036854775807, 9223372036854775807, 2] declare more voxels than this machine can address"]
        .assert_eq(&image_refused(&file));
}

#[test]
fn stops_unpacking_behind_what_the_header_declares() {
    let mut file = sample().build();
    file.resize(64 << 20, 0);
    let bomb = gzip::pack(&file);
    assert!(bomb.len() < 100_000);

    let unpacked = gzip::unpack(&bomb, 400);

    assert_eq!(unpacked, Err(NiftiFault::Overlong { declared: 400 }));
    assert!(image_refused(&bomb).contains("unpacks to more than the 400 bytes"));
}
