//! Voxel values, datatypes and shapes as real files have them.

use expect_test::expect;

use super::*;

#[test]
fn reads_every_real_and_integer_type_in_both_byte_orders() {
    macro_rules! check {
        ($code:expr, $number:ty) => {
            for big_endian in [false, true] {
                let values: [$number; 2] = [3 as $number, 100 as $number];
                let bytes = values.map(|value| match big_endian {
                    true => value.to_be_bytes(),
                    false => value.to_le_bytes(),
                });
                let file = sample_in_order(big_endian).row($code, &bytes).build();
                assert_eq!(image(&file).voxels, [3.0, 100.0], "image {}", stringify!($number));
                assert_eq!(
                    labels(&file).values.to_vec(),
                    [3, 100],
                    "labels {}",
                    stringify!($number)
                );
            }
        };
    }
    check!(2, u8);
    check!(4, i16);
    check!(8, i32);
    check!(16, f32);
    check!(64, f64);
    check!(256, i8);
    check!(512, u16);
    check!(768, u32);
    check!(1024, i64);
    check!(1280, u64);
}

#[test]
fn puts_the_first_file_axis_last() {
    let image = image(&sample().build());

    assert_eq!(image.geometry.shape, [2, 3, 4]);
    assert_eq!(image.geometry.spacing_mm, [5.0, 1.5, 1.25]);
    assert_eq!(image.voxels, counting(24));
    assert!(image.warnings.is_empty(), "{:?}", image.warnings);
}

#[test]
fn applies_slope_and_intercept_of_images() {
    let file = sample().reals(SCL_SLOPE, &[2.44]).reals(SCL_INTER, &[-7.0]).build();

    let voxels = image(&file).voxels;

    assert!((voxels[0] - -7.0).abs() < 1e-6);
    assert!((voxels[10] - 17.4).abs() < 1e-5);
}

#[test]
fn takes_a_slope_of_zero_or_nan_as_none() {
    for slope in [0.0, f32::NAN, f32::INFINITY] {
        let file = sample().reals(SCL_SLOPE, &[slope, 1000.0]).build();
        assert_eq!(image(&file).voxels, counting(24), "slope {slope}");
    }
    let file = sample().reals(SCL_SLOPE, &[1.0, f32::NAN]).build();
    assert_eq!(image(&file).voxels, counting(24));
}

#[test]
fn rounds_labels_that_were_stored_with_a_slope() {
    // 500 / 0.0457771 = 10922.5, so the writer stored 10922, which decodes to 499.977.
    let raw = [0_u16, 4369, 10922, 13107].map(u16::to_le_bytes);
    let file = sample().row(512, &raw).reals(SCL_SLOPE, &[0.045_777_1]).build();

    assert_eq!(labels(&file).values.to_vec(), [0, 200, 500, 600]);
}

#[test]
fn reads_label_maps_of_reals_near_integers() {
    let file = sample().row(64, &[0.0_f64, 199.995, 500.009, 65535.0].map(f64::to_le_bytes));

    assert_eq!(labels(&file.build()).values.to_vec(), [0, 200, 500, 65535]);
}

#[test]
fn refuses_labels_between_integers() {
    let file = sample().row(16, &[0.0_f32, 1.0, 0.5, 0.98].map(f32::to_le_bytes)).build();

    expect!["cannot use labels.nii: 2 voxels are not labels: the first is 0.5 at voxel [0, 0, 2] of [D, H, W], expected an integer in 0..=65535; is this an image or a probability map?"]
        .assert_eq(&labels_refused(&file));
}

#[test]
fn says_where_the_first_voxel_is_that_is_no_label() {
    // Voxel 22 of [2, 3, 4] is at [1, 2, 2].
    let voxels = (0..24_i16).map(|voxel| if voxel == 22 { -5 } else { voxel });
    let file = sample().voxels(voxels.flat_map(i16::to_le_bytes)).build();

    assert!(labels_refused(&file).contains("the first is -5 at voxel [1, 2, 2] of [D, H, W]"));
}

#[test]
fn refuses_halves_whatever_the_slope() {
    let raw = [0_u8, 1, 2].map(|value| [value]);
    let file = sample().row(2, &raw).reals(SCL_SLOPE, &[1.5]).build();

    assert!(labels_refused(&file).contains("1 voxels are not labels: the first is 1.5"));
}

#[test]
fn refuses_labels_below_zero_and_above_the_largest() {
    let negative = sample().row(4, &[5_i16, -1].map(i16::to_le_bytes)).build();
    let large = sample().row(8, &[5_i32, 65536].map(i32::to_le_bytes)).build();

    assert!(labels_refused(&negative).contains("the first is -1 at voxel [0, 0, 1]"));
    assert!(labels_refused(&large).contains("the first is 65536 at voxel [0, 0, 1]"));
}

#[test]
fn replaces_voxels_that_are_no_numbers_in_images_and_refuses_them_in_labels() {
    let raw = [1.0_f32, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 5.0].map(f32::to_le_bytes);
    let file = sample().row(16, &raw).build();

    let image = image(&file);

    assert_eq!(image.voxels, [1.0, 0.0, 0.0, 0.0, 5.0]);
    assert_eq!(image.warnings, ["3 voxels are NaN or infinite; replaced by 0"]);
    assert!(labels_refused(&file).contains("3 voxels are not labels: the first is NaN"));
}

#[test]
fn replaces_reals_too_large_for_an_image() {
    let image = image(&sample().row(64, &[1e300_f64, 2.0].map(f64::to_le_bytes)).build());

    assert_eq!(image.voxels, [0.0, 2.0]);
    assert_eq!(image.warnings.len(), 1);
}

#[test]
fn takes_2d_as_one_slice_and_drops_trailing_axes_of_one() {
    let flat = sample().dim(&[2, 4, 6, 0, 0, 0, 0, 0]).build();
    let trailing = sample().dim(&[7, 4, 3, 2, 1, 1, 1, 1]).build();

    assert_eq!(image(&flat).geometry.shape, [1, 6, 4]);
    assert_eq!(image(&trailing).geometry.shape, [2, 3, 4]);
}

#[test]
fn refuses_more_than_one_volume() {
    let frames = sample().dim(&[4, 4, 3, 1, 2, 1, 1, 1]).build();
    let vectors = sample().dim(&[5, 4, 3, 1, 1, 2, 1, 1]).build();

    expect!["cannot use image.nii: field dim[4] is 2, so this 4D file holds more than one volume; split it into 3D files"]
        .assert_eq(&image_refused(&frames));
    assert!(image_refused(&vectors).contains("field dim[5] is 2, so this 5D file"));
}

#[test]
fn says_what_colour_and_complex_files_are() {
    expect!["cannot use image.nii: field datatype is 128 (RGB24, colour), expected one integer or real number per voxel; convert the file to grey values"]
        .assert_eq(&image_refused(&sample().datatype(128, 24).build()));
    for (code, name) in [
        (2304, "RGBA32, colour"),
        (32, "complex numbers"),
        (1792, "complex numbers"),
        (2048, "complex numbers"),
        (1536, "128-bit real numbers"),
    ] {
        let message = image_refused(&sample().datatype(code, 0).build());
        assert!(message.contains(&format!("field datatype is {code} ({name})")), "{message}");
    }
}

#[test]
fn refuses_a_datatype_that_does_not_exist() {
    for code in [0, 1, 3, 77, -4] {
        let message = image_refused(&sample().datatype(code, 16).build());
        assert!(message.contains(&format!("field datatype is {code}, expected")), "{message}");
    }
}

#[test]
fn follows_datatype_where_bitpix_contradicts_it() {
    let image = image(&sample().datatype(4, 8).build());

    assert_eq!(image.voxels, counting(24));
    assert_eq!(
        image.warnings,
        ["field bitpix is 8 but datatype 4 takes 16 bits; datatype is followed"]
    );
}

#[test]
fn honours_the_voxel_offset_behind_header_extensions() {
    for offset in [736_u16, 864, 5968, 13168] {
        let file = sample().reals(VOX_OFFSET, &[offset.into()]).build_at(offset.into());
        assert_eq!(image(&file).voxels, counting(24), "offset {offset}");
    }
}

#[test]
fn reads_a_voxel_offset_of_zero_as_none_given() {
    let image = image(&sample().reals(VOX_OFFSET, &[0.0]).build());

    assert_eq!(image.voxels, counting(24));
    assert_eq!(image.warnings.len(), 1);
}
