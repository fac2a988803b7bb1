//! The plain truth: surfaces by definition, distances over every pair. Used by tests only.

use super::SurfaceDistances;
use crate::Mode;

/// Returns the distances between two masks of `shape` `[D, H, W]`, `None` if one is empty.
pub(super) fn surface_distances(
    prediction: &[bool],
    reference: &[bool],
    shape: [usize; 3],
    spacing_mm: [f64; 3],
    mode: Mode,
) -> Option<SurfaceDistances> {
    let predicted = surface(prediction, shape, mode);
    let expected = surface(reference, shape, mode);
    (!predicted.is_empty() && !expected.is_empty()).then(|| SurfaceDistances {
        prediction_to_reference_mm: directed(&predicted, &expected, spacing_mm),
        reference_to_prediction_mm: directed(&expected, &predicted, spacing_mm),
    })
}

/// Returns the voxels of `mask` with a face neighbour outside it, in raster order.
fn surface(mask: &[bool], shape: [usize; 3], mode: Mode) -> Vec<[i32; 3]> {
    let [depth, height, width] = shape.map(|n| i32::try_from(n).unwrap());
    let inside = |[d, h, w]: [i32; 3]| {
        let on_grid =
            (0..depth).contains(&d) && (0..height).contains(&h) && (0..width).contains(&w);
        on_grid && mask[usize::try_from((d * height + h) * width + w).unwrap()]
    };
    let neighbours: &[[i32; 3]] = match mode {
        Mode::Volume => &[[0, 0, -1], [0, 0, 1], [0, -1, 0], [0, 1, 0], [-1, 0, 0], [1, 0, 0]],
        Mode::Slice => &[[0, 0, -1], [0, 0, 1], [0, -1, 0], [0, 1, 0]],
    };
    let voxels =
        (0..depth).flat_map(|d| (0..height).flat_map(move |h| (0..width).map(move |w| [d, h, w])));
    voxels
        .filter(|&[d, h, w]| {
            let open = |&[dd, dh, dw]: &[i32; 3]| !inside([d + dd, h + dh, w + dw]);
            inside([d, h, w]) && neighbours.iter().any(open)
        })
        .collect()
}

/// Returns the distance from every position of `from` to the nearest of `to`.
pub(super) fn directed(from: &[[i32; 3]], to: &[[i32; 3]], [sd, sh, sw]: [f64; 3]) -> Vec<f64> {
    let distance = |a: &[i32; 3], b: &[i32; 3]| {
        let [dd, dh, dw] = [0, 1, 2].map(|axis| f64::from(a[axis] - b[axis]));
        ((dw * sw) * (dw * sw) + (dh * sh) * (dh * sh)) + (dd * sd) * (dd * sd)
    };
    from.iter()
        .map(|a| to.iter().map(|b| distance(a, b)).fold(f64::INFINITY, f64::min).sqrt())
        .collect()
}
