//! What is written on a grid reads back on the same grid.

use nifti::NiftiHeader;
use proptest::prelude::*;

use super::*;
use crate::nifti::gzip;
use crate::nifti::write::encode;
use crate::nifti::{Geometry, write_image, write_image_i16, write_labels};

/// Reads what `write_labels` writes on a grid, all labels 0, and the raw file.
fn round_trip(like: &Geometry) -> (Labels, Vec<u8>) {
    let file = on_disk("labels.nii", b"");
    write_labels(&file.path, like, &vec![0; like.voxel_count()]).unwrap();
    (read_labels(&file.path).unwrap(), fs::read(&file.path).unwrap())
}

/// `Rz(γ)·Ry(β)·Rx(α)·diag(spacing)` with a mirrored third axis if `handedness` is -1.
fn oblique(angles: [f64; 3], spacing: [f64; 3], handedness: f64) -> [[f64; 4]; 3] {
    let [(sa, ca), (sb, cb), (sc, cc)] = angles.map(f64::sin_cos);
    let rotation = [
        [cc * cb, cc * sb * sa - sc * ca, cc * sb * ca + sc * sa],
        [sc * cb, sc * sb * sa + cc * ca, sc * sb * ca - cc * sa],
        [-sb, cb * sa, cb * ca],
    ];
    let [x, y, z] = spacing;
    let offsets = [-93.5, 120.25, 7.125];
    std::array::from_fn(|row| {
        let [i, j, k] = rotation[row];
        [i * x, j * y, k * z * handedness, offsets[row]]
    })
}

#[test]
fn values_of_the_unit_interval_come_back_within_half_a_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.nii.gz");
    let geometry = Geometry::from_spacing([1, 2, 3], [8.0, 1.0, 1.0]);
    let values = [0.0, 1.0, 0.5, 0.123, 1.5, f32::NAN];

    crate::write_unit_interval(&path, &geometry, &values).unwrap();

    let found = read_image(&path).unwrap().voxels;
    for (found, expected) in found.iter().zip([0.0, 1.0, 0.5, 0.123, 1.0, 0.0]) {
        assert!((found - expected).abs() <= 0.5 / 255.0 + 1e-6, "{found} {expected}");
    }
}

#[test]
fn keeps_sform_qform_codes_units_and_spacing_of_the_input() {
    // Everything unusual at once: codes 4 and 2, sform ≠ qform, trailing axes, odd units.
    let input = sample_in_order(true)
        .dim(&[4, 4, 3, 2, 1, 1, 1, 1])
        .short(SFORM_CODE, 4)
        .short(QFORM_CODE, 2)
        .reals(PIXDIM, &[-1.0, 1.0, 1.25, 4.5, 0.03])
        .reals(QUATERN, &[0.1, -0.2, 0.3, 1.0, 2.0, 3.0])
        .reals(SCL_SLOPE, &[2.44, 3.0])
        .byte(XYZT_UNITS, 3 | 16)
        .build();
    let geometry = image(&input).geometry;

    let (output, bytes) = round_trip(&geometry);

    let (before, after) = (
        NiftiHeader::from_reader(&input[..]).unwrap(),
        NiftiHeader::from_reader(&bytes[..]).unwrap(),
    );
    let kept = |h: &NiftiHeader| {
        let h = h.clone();
        (
            h.dim,
            h.pixdim,
            h.xyzt_units,
            [h.sform_code, h.qform_code],
            [h.srow_x, h.srow_y, h.srow_z],
        )
    };
    let quaternion = |h: &NiftiHeader| {
        [h.quatern_b, h.quatern_c, h.quatern_d, h.quatern_x, h.quatern_y, h.quatern_z]
    };
    assert_eq!(kept(&after), kept(&before));
    assert_eq!(quaternion(&after), quaternion(&before));
    assert_eq!((after.scl_slope, after.scl_inter), (1.0, 0.0));
    assert_eq!(output.geometry.affine, geometry.affine);
    assert_eq!(output.geometry.shape, geometry.shape);
}

#[test]
fn keeps_a_2d_file_2d() {
    let geometry = image(&sample().dim(&[2, 4, 6, 1, 1, 1, 1, 1]).build()).geometry;

    let (output, bytes) = round_trip(&geometry);

    assert_eq!(NiftiHeader::from_reader(&bytes[..]).unwrap().dim[..3], [2, 4, 6]);
    assert_eq!(output.geometry.shape, [1, 6, 4]);
}

#[test]
fn encodes_every_header_field_where_the_parser_finds_it() {
    // Every byte of the file differs from its neighbours, so any field out of place shows.
    let mut bytes: Vec<u8> = (0..348).map(|i| u8::try_from(i % 251).unwrap()).collect();
    bytes[..4].copy_from_slice(&348_i32.to_le_bytes());
    bytes[40..42].copy_from_slice(&3_i16.to_le_bytes());
    bytes[344..].copy_from_slice(b"n+1\0");

    let encoded = encode(&NiftiHeader::from_reader(&bytes[..]).unwrap());

    assert_eq!(encoded[..348], bytes);
    assert_eq!(encoded[348..], [0; 4]);
}

#[test]
fn writes_a_qform_that_agrees_with_the_sform() {
    let half_turn = std::f64::consts::PI;
    for angles in [
        [0.0, 0.0, 0.0],
        [half_turn, 0.0, 0.0],
        [0.0, half_turn, 0.0],
        [0.0, 0.0, half_turn],
        [0.3, -1.1, 2.9],
        [-2.5, 0.7, 0.1],
    ] {
        for handedness in [1.0, -1.0] {
            let affine = oblique(angles, [0.75, 0.8, 5.0], handedness);
            let geometry = Geometry::from_affine([12, 240, 200], affine);
            let (output, mut bytes) = round_trip(&geometry);
            assert_eq!(output.geometry.affine, geometry.affine);
            assert!(output.warnings.is_empty(), "{angles:?}: {:?}", output.warnings);

            bytes[SFORM_CODE] = 0;
            let by_qform = labels(&bytes).geometry;
            let distance_mm = by_qform.max_corner_distance_mm(&geometry);
            // Quaternions of 32-bit reals lose half their digits near a = 0.
            assert!(distance_mm < 0.02, "{angles:?} × {handedness}: {distance_mm} mm");
        }
    }
}

#[test]
fn writes_no_qform_for_an_affine_with_shear() {
    let mut affine = oblique([0.1, 0.2, 0.3], [1.0, 1.0, 3.0], 1.0);
    affine[0][2] += 0.3;

    let (output, bytes) = round_trip(&Geometry::from_affine([4, 5, 6], affine));

    assert_eq!(bytes[QFORM_CODE..SFORM_CODE + 2], [0, 0, 1, 0]);
    assert!(output.warnings.is_empty(), "{:?}", output.warnings);
}

#[test]
fn writes_labels_as_bytes_where_they_fit() {
    let like = Geometry::from_spacing([1, 1, 3], [1.0; 3]);
    for (values, datatype) in [([0, 4, 255], 2), ([0, 256, 65535], 512)] {
        let file = on_disk("labels.nii", b"");
        write_labels(&file.path, &like, &values).unwrap();
        assert_eq!(i16::from(fs::read(&file.path).unwrap()[DATATYPE]), datatype & 255);
        assert_eq!(read_labels(&file.path).unwrap().values.to_vec(), values);
    }
}

#[test]
fn writes_images_as_reals_and_as_integers() {
    let like = Geometry::from_spacing([1, 2, 2], [5.0, 1.0, 1.0]);
    let file = on_disk("image.nii.gz", b"");

    write_image(&file.path, &like, &[-1.5, 0.0, 2.25, 1e9]).unwrap();
    assert_eq!(read_image(&file.path).unwrap().voxels, [-1.5, 0.0, 2.25, 1e9]);

    write_image_i16(&file.path, &like, &[-1000, 0, 7, 32767]).unwrap();
    assert_eq!(read_image(&file.path).unwrap().voxels, [-1000.0, 0.0, 7.0, 32767.0]);
}

#[test]
fn writes_the_same_bytes_every_time_without_a_time_stamp() {
    let like = Geometry::from_spacing([3, 20, 20], [5.0, 1.0, 1.0]);
    let values: Vec<u16> = (0..1200).map(|i| i % 7 * 100).collect();
    let write = |name| {
        let file = on_disk(name, b"");
        write_labels(&file.path, &like, &values).unwrap();
        fs::read(&file.path).unwrap()
    };

    let first = write("a.nii.gz");

    assert_eq!(first, write("b.nii.gz"));
    assert!(gzip::is_gzip(&first));
    assert_eq!(first[4..8], [0; 4]);
}

#[test]
fn refuses_what_it_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let like = Geometry::from_spacing([2, 3, 4], [1.0; 3]);
    let long = Geometry::from_spacing([1, 1, 32768], [1.0; 3]);
    let write = |name: &str, like: &Geometry, count: usize| {
        let path = folder.path().join(name);
        let error = write_labels(&path, like, &vec![0; count]).unwrap_err().to_string();
        error.replace(&format!("{}/", folder.path().display()), "")
    };

    assert_eq!(
        write("a.nii.gz", &like, 23),
        "cannot write a.nii.gz: 23 voxels were given for shape [2, 3, 4], which has 24"
    );
    assert_eq!(
        write("a.nii.gz", &long, 32768),
        "cannot write a.nii.gz: shape [1, 1, 32768] has an axis longer than the 32767 voxels of NIfTI-1"
    );
    assert_eq!(
        write("a.mha", &like, 24),
        "cannot write a.mha: the name must end in .nii.gz or .nii"
    );
    assert!(write("no/a.nii.gz", &like, 24).starts_with("cannot write no/a.nii.gz: No such file"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn keeps_any_affine_bit_by_bit(
        angles in [-3.2_f64..3.2, -3.2_f64..3.2, -3.2_f64..3.2],
        spacing in [0.2_f64..20.0, 0.2_f64..20.0, 0.2_f64..20.0],
        mirrored in any::<bool>(),
        shape in [1_usize..6, 1_usize..6, 1_usize..6],
    ) {
        let affine = oblique(angles, spacing, if mirrored { -1.0 } else { 1.0 });
        let geometry = Geometry::from_affine(shape, affine);

        let (output, _) = round_trip(&geometry);

        prop_assert_eq!(output.geometry.affine, geometry.affine);
        prop_assert_eq!(output.geometry.shape, shape);
        prop_assert_eq!(output.geometry.max_corner_distance_mm(&geometry), 0.0);
        prop_assert!(output.warnings.is_empty(), "{:?}", output.warnings);
    }
}
