//! The plain truth: the eight voxels around every position, one by one. Used by tests only.

use crate::Mode;

/// Returns position `[d, h, w]` and code of every surface element of a mask, in raster order.
///
/// Position `d` lies between the voxels `d − 1` and `d`; in 2D every slice is its own neighbour.
pub(super) fn elements(mask: &[bool], shape: [usize; 3], mode: Mode) -> Vec<([i32; 3], u8)> {
    let [depth, height, width] = shape;
    let inside = |d: usize, h: usize, w: usize| {
        let on_grid = d < depth && h < height && w < width;
        on_grid && mask[(d * height + h) * width + w]
    };
    let slices = if mode == Mode::Slice { 0..depth } else { 0..depth + 1 };
    let positions =
        slices.flat_map(|d| (0..=height).flat_map(move |h| (0..=width).map(move |w| [d, h, w])));
    let coded = positions.map(|[d, h, w]| {
        let code = (0..8u8).fold(0, |code, corner| {
            let step = |bit: u8| usize::from(corner >> bit & 1 == 0);
            let slice = if mode == Mode::Slice { d } else { d.wrapping_sub(step(2)) };
            let inside = inside(slice, h.wrapping_sub(step(1)), w.wrapping_sub(step(0)));
            code | u8::from(inside) << corner
        });
        ([d, h, w].map(|position| i32::try_from(position).unwrap()), code)
    });
    coded.filter(|&(_, code)| code != 0 && code != u8::MAX).collect()
}
