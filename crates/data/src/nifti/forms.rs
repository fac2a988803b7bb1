//! The three ways in which a header places voxels in space, and how they are weighed.
//!
//! The sform is an affine, the qform a quaternion with `pixdim`, and the oldest way `pixdim` alone.
//! All map voxel `(i, j, k)`, first axis of the file first, to RAS+.
//!
//! Source: `nifti1.h`, section "3D IMAGE (VOLUME) ORIENTATION AND LOCATION IN SPACE".

use nifti::NiftiHeader;

use super::fault::NiftiFault;
use super::header::bad_field;

type Affine = [[f64; 4]; 3];

/// Corners of sform and qform farther apart than this are worth a warning.
const DISAGREEMENT_MM: f64 = 0.1;

/// What only the warning about sform and qform that disagree holds.
pub(crate) const FORMS_DISAGREE: &str = "place a corner of the volume";

/// Cosine from which on two axes are not at right angles; headers hold 32-bit reals, and 1e-4 moves a corner 300 mm away by 0.03 mm.
const SHEAR_MAX: f64 = 1e-4;

/// The affine that a header means, in its own unit of so many millimetres: sform, else qform, else `pixdim`.
pub(super) fn affine(
    header: &NiftiHeader,
    shape: [usize; 3],
    millimetres_per_unit: f64,
    warnings: &mut Vec<String>,
) -> Result<Affine, NiftiFault> {
    if header.sform_code > 0 {
        let sform = sform(header);
        if spans_space(&sform) {
            warn_if_forms_disagree(header, (&sform, shape), millimetres_per_unit, warnings);
            return Ok(sform);
        }
        if header.qform_code <= 0 {
            return Err(NiftiFault::Affine { form: "sform", matrix: sform.into() });
        }
        warnings.push(format!("the sform {sform:?} does not span space; the qform is used"));
    }
    if header.qform_code > 0 {
        let qform = qform(header, pixdim(header, shape, warnings)?);
        if !spans_space(&qform) {
            return Err(NiftiFault::Affine { form: "qform", matrix: qform.into() });
        }
        return Ok(qform);
    }
    warnings.push(
        "neither sform nor qform is set; orientation is unknown and axes are taken as RAS".into(),
    );
    let [x, y, z] = pixdim(header, shape, warnings)?;
    Ok([[x, 0.0, 0.0, 0.0], [0.0, y, 0.0, 0.0], [0.0, 0.0, z, 0.0]])
}

/// True for a finite affine with a volume.
pub(super) fn spans_space(affine: &Affine) -> bool {
    let finite = affine.iter().flatten().all(|value| value.is_finite());
    // Relative to the spacings, so that micrometres in metres still count.
    let scale: f64 = spacing(affine).iter().product();
    finite && determinant(affine).abs() > 1e-6 * scale
}

/// Lengths of the columns as `[D, H, W]`.
pub(super) fn spacing(affine: &Affine) -> [f64; 3] {
    [2, 1, 0].map(|axis| affine.iter().map(|row| row[axis] * row[axis]).sum::<f64>().sqrt())
}

/// Largest distance between corresponding corners of two grids, each an affine and a shape.
pub(super) fn max_corner_distance(one: (&Affine, [usize; 3]), two: (&Affine, [usize; 3])) -> f64 {
    corners(one).zip(corners(two)).map(|(one, two)| distance(one, two)).fold(0.0, f64::max)
}

/// Largest distance from a corner of one grid to the nearest of another.
pub(super) fn max_box_distance(one: (&Affine, [usize; 3]), two: (&Affine, [usize; 3])) -> f64 {
    let nearest =
        |corner| corners(two).map(|other| distance(corner, other)).fold(f64::INFINITY, f64::min);
    corners(one).map(nearest).fold(0.0, f64::max)
}

fn corners(grid: (&Affine, [usize; 3])) -> impl Iterator<Item = [f64; 3]> {
    (0..8).map(move |corner| corner_position(grid, corner))
}

fn distance(one: [f64; 3], two: [f64; 3]) -> f64 {
    one.iter().zip(two).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// Sets qform, `pixdim` and their code from an affine; an affine with shear gets code 0, because
/// the qform cannot express it.
pub(super) fn set_qform(header: &mut NiftiHeader, affine: &Affine, code: i16) {
    let [z, y, x] = spacing(affine);
    let qfac = determinant(affine).signum();
    let rotation = affine.map(|row| [row[0] / x, row[1] / y, qfac * row[2] / z]);
    let [b, c, d] = quaternion(&rotation);

    #[expect(clippy::cast_possible_truncation, reason = "files hold 32-bit reals")]
    let narrow = |value: f64| value as f32;
    [qfac, x, y, z].into_iter().zip(&mut header.pixdim).for_each(|(v, p)| *p = narrow(v));
    header.qform_code = if is_sheared(affine) { 0 } else { code };
    [header.quatern_b, header.quatern_c, header.quatern_d] = [b, c, d].map(narrow);
    [header.quatern_x, header.quatern_y, header.quatern_z] = affine.map(|row| narrow(row[3]));
}

pub(super) fn sform(header: &NiftiHeader) -> Affine {
    [header.srow_x, header.srow_y, header.srow_z].map(|row| row.map(f64::from))
}

/// Method 2 of the specification: `R · diag(dx, dy, qfac·dz)` and an offset.
fn qform(header: &NiftiHeader, [dx, dy, dz]: [f64; 3]) -> Affine {
    // Only the sign of qfac counts, and 0 means 1.
    let dz = if header.pixdim[0] < 0.0 { -dz } else { dz };
    let rotation = rotation([header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from));
    let offset = [header.quatern_x, header.quatern_y, header.quatern_z].map(f64::from);
    std::array::from_fn(|row| {
        let [x, y, z] = rotation[row];
        [x * dx, y * dy, z * dz, offset[row]]
    })
}

/// Spacings of the first three file axes; a single slice may lack its thickness.
fn pixdim(
    header: &NiftiHeader,
    shape: [usize; 3],
    warnings: &mut Vec<String>,
) -> Result<[f64; 3], NiftiFault> {
    let mut spacings = [1.0; 3];
    for (axis, spacing) in spacings.iter_mut().enumerate() {
        let given = f64::from(header.pixdim[axis + 1]).abs();
        if given > 0.0 && given.is_finite() {
            *spacing = given;
        } else if shape[2 - axis] == 1 {
            warnings.push(format!(
                "field pixdim[{}] is {given} along an axis of one voxel; taken as 1 mm",
                axis + 1
            ));
        } else {
            let field = format!("pixdim[{}]", axis + 1);
            return Err(bad_field(field, given, "a positive spacing"));
        }
    }
    Ok(spacings)
}

fn warn_if_forms_disagree(
    header: &NiftiHeader,
    (sform, shape): (&Affine, [usize; 3]),
    millimetres_per_unit: f64,
    warnings: &mut Vec<String>,
) {
    // Whatever is wrong with pixdim is no fault as long as the sform is sound.
    let Ok(pixdim) = pixdim(header, shape, &mut Vec::new()) else { return };
    if header.qform_code > 0 {
        let qform = qform(header, pixdim);
        let distance = max_corner_distance((sform, shape), (&qform, shape));
        let distance_mm = distance * millimetres_per_unit;
        if !spans_space(&qform) {
            warnings.push(format!("the qform {qform:?} does not span space; the sform is used"));
        } else if distance_mm > DISAGREEMENT_MM {
            warnings.push(format!(
                "sform (code {}) and qform (code {}) {FORMS_DISAGREE} {distance_mm:.3} mm apart; the sform is used",
                header.sform_code, header.qform_code
            ));
        }
        return;
    }
    let [z, y, x] = spacing(sform);
    let far = |(a, b): (f64, f64)| (a - b).abs() > 0.01 * b;
    if pixdim.into_iter().zip([x, y, z]).any(far) {
        warnings.push(format!(
            "pixdim says spacings of {pixdim:?} but the sform {:?}; the sform is used",
            [x, y, z]
        ));
    }
}

fn corner_position(
    (affine, [depth, height, width]): (&Affine, [usize; 3]),
    corner: usize,
) -> [f64; 3] {
    let along = |bit: usize, length: usize| match corner >> bit & 1 {
        0 => -0.5,
        _ => length as f64 - 0.5,
    };
    let [i, j, k] = [along(0, width), along(1, height), along(2, depth)];
    affine.map(|[x, y, z, offset]| x * i + y * j + z * k + offset)
}

fn determinant(affine: &Affine) -> f64 {
    let [[a, b, c, _], [d, e, f, _], [g, h, i, _]] = affine;
    a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
}

/// Whether the columns are not at right angles.
pub(super) fn is_sheared(affine: &Affine) -> bool {
    let [z, y, x] = spacing(affine);
    let lengths = [x, y, z];
    let cosine = |a: usize, b: usize| {
        affine.iter().map(|row| row[a] / lengths[a] * (row[b] / lengths[b])).sum::<f64>()
    };
    [(0, 1), (0, 2), (1, 2)].into_iter().any(|(a, b)| cosine(a, b).abs() >= SHEAR_MAX)
}

/// The rotation of a unit quaternion whose real part `a ≥ 0` is left out.
fn rotation([b, c, d]: [f64; 3]) -> [[f64; 3]; 3] {
    let square = b * b + c * c + d * d;
    // Rounding may leave a vector part a little above 1: a half turn.
    let (a, scale) =
        if square < 1.0 { ((1.0 - square).sqrt(), 1.0) } else { (0.0, 1.0 / square.sqrt()) };
    let [b, c, d] = [b, c, d].map(|part| part * scale);
    [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ]
}

/// Vector part `(b, c, d)` of the unit quaternion of a rotation, with real part `a ≥ 0`.
///
/// Divides by the largest of the four parts, which is at least ½.
fn quaternion(r: &[[f64; 3]; 3]) -> [f64; 3] {
    let trace = r[0][0] + r[1][1] + r[2][2];
    let squares =
        [trace, r[0][0], r[1][1], r[2][2]].map(|diagonal| (1.0 + 2.0 * diagonal - trace).max(0.0)); // 4a², 4b², 4c², 4d²
    let largest = (0..4).max_by(|&m, &n| squares[m].total_cmp(&squares[n])).unwrap_or(0);
    let products = [
        [squares[0], r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]],
        [r[2][1] - r[1][2], squares[1], r[0][1] + r[1][0], r[0][2] + r[2][0]],
        [r[0][2] - r[2][0], r[0][1] + r[1][0], squares[2], r[1][2] + r[2][1]],
        [r[1][0] - r[0][1], r[0][2] + r[2][0], r[1][2] + r[2][1], squares[3]],
    ][largest]; // four times the largest part, times each part
    let [a, b, c, d] = products.map(|product| product / (2.0 * squares[largest].sqrt()));
    let sign = if a < 0.0 { -1.0 } else { 1.0 };
    [b, c, d].map(|part| sign * part)
}
