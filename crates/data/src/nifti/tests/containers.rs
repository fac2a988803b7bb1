//! gzip in all its forms, pairs, NIfTI-2.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};

use super::*;
use crate::nifti::{NiftiFault, gzip};

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A gzip member with every optional field of RFC 1952 but the header checksum.
fn gzipped_with_optional_fields(bytes: &[u8]) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 4 | 8 | 16, 1, 2, 3, 4, 0, 3];
    member.extend(6_u16.to_le_bytes());
    member.extend(b"BC\x02\0\x10\0"); // FEXTRA
    member.extend(b"patient1_LGE.nii\0"); // FNAME
    member.extend(b"a comment\0"); // FCOMMENT
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    member.extend(encoder.finish().unwrap());
    member.extend(libdeflater::crc32(bytes).to_le_bytes());
    member.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    member
}

#[test]
fn lets_the_bytes_decide_about_packing_not_the_name() {
    let plain = sample().build();

    for (name, bytes) in [("packed.nii", gzipped(&plain)), ("plain.nii.gz", plain)] {
        let file = on_disk(name, &bytes);
        assert_eq!(read_image(&file.path).unwrap().voxels, counting(24), "{name}");
    }
}

#[test]
fn reads_gzip_with_extra_field_name_and_comment() {
    assert_eq!(image(&gzipped_with_optional_fields(&sample().build())).voxels, counting(24));
}

#[test]
fn reads_gzip_of_several_members() {
    let plain = sample().build();
    // Cut inside the header, at its end, and inside a voxel; an empty member ends BGZF files.
    for cuts in [vec![100], vec![348, 360], vec![1, 2, 353, 380]] {
        let mut file = Vec::new();
        let mut start = 0;
        for end in cuts.into_iter().chain([plain.len()]) {
            file.extend(gzipped_with_optional_fields(&plain[start..end]));
            start = end;
        }
        file.extend(gzipped(b""));
        assert_eq!(image(&file).voxels, counting(24));
    }
}

#[test]
fn ignores_what_follows_the_last_member() {
    let mut one = gzipped(&sample().build());
    one.extend([0; 512]);
    let plain = sample().build();
    let mut two = [gzipped(&plain[..200]), gzipped(&plain[200..])].concat();
    two.extend([0; 512]);

    assert_eq!(image(&one).voxels, counting(24));
    assert_eq!(image(&two).voxels, counting(24));
}

#[test]
fn unpacks_the_same_bytes_on_the_fast_and_the_slow_path() {
    for length in [0_usize, 1, 348, 70_000, 1_000_000] {
        let bytes: Vec<u8> =
            (0..length).map(|i| u8::try_from((i * i % 251) ^ ((i >> 9) % 256)).unwrap()).collect();
        for packed in [gzipped(&bytes), gzip::pack(&bytes), gzipped_with_optional_fields(&bytes)] {
            let fast = gzip::unpack_one_member(&packed, length).unwrap();
            let slow = gzip::unpack_members(&packed, length).unwrap();
            assert!(fast == bytes && slow == bytes, "{length} bytes");
        }
    }
}

#[test]
fn even_empty_label_maps_take_the_fast_path_but_lies_about_their_size_do_not() {
    let packed = gzip::pack(&vec![0; 1_000_000]);
    assert!(packed.len() < 2000);
    assert!(gzip::unpack_one_member(&packed, 1_000_000).is_some());

    // Header and trailer agree on 1 GB, which so few bytes cannot hold.
    let mut lie = packed.clone();
    let trailer = lie.len() - 4;
    lie[trailer..].copy_from_slice(&1_000_000_000_u32.to_le_bytes());
    assert!(gzip::unpack_one_member(&lie, 1_000_000_000).is_none());
    assert!(gzip::unpack_one_member(&packed, 2_000_000).is_none());
}

#[test]
fn a_large_claim_about_few_bytes_is_believed_step_by_step() {
    let claim = 65 << 20;
    let mut lie = gzip::pack(&vec![0; claim]);
    assert!(gzip::unpack_one_member(&lie, claim).is_none(), "no memory is set aside for it");
    assert_eq!(gzip::unpack(&lie, claim).map(|bytes| bytes.len()), Ok(claim));

    // The trailer alone proves nothing.
    let trailer = lie.len() - 4;
    lie[trailer..].copy_from_slice(&u32::try_from(claim + 1).unwrap().to_le_bytes());
    assert!(matches!(gzip::unpack(&lie, claim + 1), Err(NiftiFault::Gzip { .. })));
}

#[test]
fn warns_about_bytes_behind_the_voxels() {
    let mut file = sample().build();
    file.extend([7; 160]);

    for bytes in [gzipped(&file), file] {
        let image = image(&bytes);
        assert_eq!(image.voxels, counting(24));
        assert_eq!(image.warnings, ["160 bytes behind the last voxel are ignored"]);
    }
}

#[test]
fn reads_pairs_by_either_name_packed_or_mixed() {
    let sample = sample().bytes(MAGIC, b"ni1\0").reals(VOX_OFFSET, &[0.0]);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (header, voxels) = (sample.header.to_vec(), sample.voxels);
    for (stem, hdr, img) in [
        ("a", ("hdr", header.clone()), ("img", voxels.clone())),
        ("b", ("hdr.gz", gzipped(&header)), ("img.gz", gzipped(&voxels))),
        ("c.d", ("hdr", header.clone()), ("img.gz", gzipped(&voxels))),
    ] {
        let names = [format!("{stem}.{}", hdr.0), format!("{stem}.{}", img.0)];
        fs::write(at(&names[0]), hdr.1).unwrap();
        fs::write(at(&names[1]), img.1).unwrap();
        for name in &names {
            assert_eq!(read_image(&at(name)).unwrap().voxels, counting(24), "{name}");
            assert_eq!(crate::files_of_volume(&at(name)), [at(&names[0]), at(&names[1])]);
        }
    }
}

#[test]
fn names_the_missing_half_of_a_pair() {
    let header = sample().bytes(MAGIC, b"ni1\0").reals(VOX_OFFSET, &[0.0]).header;
    for (name, missing) in [("x.hdr", "x.img"), ("x.img.gz", "x.hdr")] {
        let file = on_disk(name, &header);
        let message = message(&file, &read_image(&file.path).unwrap_err());
        assert_eq!(
            message,
            format!(
                "cannot use {name}: this is half of a .hdr/.img pair, but {missing} does not exist beside it"
            )
        );
    }
}

#[test]
fn names_the_half_that_is_too_short() {
    let sample = sample().bytes(MAGIC, b"ni1\0").reals(VOX_OFFSET, &[0.0]);
    let file = on_disk("x.hdr", &sample.header);
    fs::write(file.path.with_extension("img"), &sample.voxels[..40]).unwrap();

    let message = message(&file, &read_image(&file.path).unwrap_err());

    assert!(
        message.starts_with("cannot use x.img: fields dim, datatype and vox_offset declare 48")
    );
}

/// The default sample as NIfTI-2, offsets from nifti2.h.
fn nifti2(big_endian: bool) -> Vec<u8> {
    let mut file = vec![0; 544];
    let mut put = |offset: usize, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        if big_endian {
            bytes.reverse();
        }
        file[offset..offset + bytes.len()].copy_from_slice(&bytes);
    };
    put(0, &540_i32.to_le_bytes());
    put(12, &4_i16.to_le_bytes());
    put(14, &16_i16.to_le_bytes());
    for (axis, length) in [3_i64, 4, 3, 2, 1, 1, 1, 1].iter().enumerate() {
        put(16 + 8 * axis, &length.to_le_bytes());
    }
    for (axis, spacing) in [-1.0_f64, 1.25, 1.5, 5.0].iter().enumerate() {
        put(104 + 8 * axis, &spacing.to_le_bytes());
    }
    put(168, &544_i64.to_le_bytes());
    put(176, &2.0_f64.to_le_bytes());
    put(344, &1_i32.to_le_bytes()); // qform_code
    put(376, &(-10.0_f64).to_le_bytes()); // qoffset_x
    put(500, &2_i32.to_le_bytes());
    file[4..12].copy_from_slice(b"n+2\0\r\n\x1a\n");
    file.extend(sample_in_order(big_endian).voxels);
    file
}

#[test]
fn reads_nifti_2_in_both_byte_orders() {
    for big_endian in [false, true] {
        let image = image(&nifti2(big_endian));

        assert_eq!(image.geometry.shape, [2, 3, 4]);
        assert_eq!(
            image.geometry.affine,
            [[1.25, 0.0, 0.0, -10.0], [0.0, 1.5, 0.0, 0.0], [0.0, 0.0, -5.0, 0.0]]
        );
        assert_eq!(image.voxels, (0..24_u16).map(|v| f32::from(2 * v)).collect::<Vec<_>>());
        assert!(image.warnings.is_empty(), "{:?}", image.warnings);
    }
}

#[test]
fn refuses_nifti_2_with_a_converted_line_end() {
    let mut file = nifti2(false);
    file[8] = b' ';

    let message = image_refused(&file);

    assert!(message.contains(r#"field magic is "n+2\x00 \n"#), "{message}");
}
