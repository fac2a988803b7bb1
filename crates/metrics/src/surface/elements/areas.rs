//! The area of the surface that passes between eight voxels.
//!
//! The eight voxel centres are the corners of a cube. Bit `4·d + 2·h + w` of a code says whether
//! the corner at `[d, h, w]`, each 0 or 1, is inside the mask. The surface cuts every edge between
//! an inside and an outside corner in the middle, and separates the smaller side: corners that no
//! edge joins are cut off one by one. Six shapes of joined corners are left, and their polygons
//! follow from the geometry; `F[a]` is the area of a face of the cube with normal `a`, and a
//! corner is cut off by a triangle of area `c = |F| / 8`:
//!
//! | joined corners | polygon | area |
//! |---|---|---|
//! | 1 | triangle | `c` |
//! | 2: an edge along `a` | rectangle | `½·√(F[b]² + F[c]²)` |
//! | 3, in a face with normal `a` | triangle in the face's plane, trapezoid | `½·F[a] + 3c` |
//! | 4: a face with normal `a` | rectangle | `F[a]` |
//! | 4: a corner and its neighbours | flat hexagon | `6c` |
//! | 4: a path, its middle edge along `a` | four triangles | `¼·√(F[a]² + F[b]²) + ¼·√(F[a]² + F[c]²) + 4c` |
//!
//! `b` and `c` are the other two axes. Two of the polygons are not flat, so that their area
//! depends on how they are cut into triangles; these are the areas that Google `DeepMind`'s
//! surface-distance has for them.

/// Distance between bits of a code whose corners are neighbours along `[d, h, w]`.
const STRIDES: [u32; 3] = [4, 2, 1];

/// Corners at 0 along `[d, h, w]`.
const NEAR: [u8; 3] = [0b0000_1111, 0b0011_0011, 0b0101_0101];

/// Returns the area of the surface for each of the 256 codes, in the square of `spacing`'s unit.
pub(super) fn areas(spacing: [f64; 3]) -> [f64; 256] {
    let [d, h, w] = spacing;
    let faces = [h * w, d * w, d * h];
    let mut areas = [0.0; 256];
    for (code, area) in (0..=u8::MAX).zip(&mut areas) {
        let mut smaller = if code.count_ones() > 4 { !code } else { code };
        while smaller != 0 {
            let joined = joined_with_first(smaller);
            *area += area_of(joined, faces);
            smaller &= !joined;
        }
    }
    areas
}

/// Returns the corners that edges join with the first one.
fn joined_with_first(corners: u8) -> u8 {
    let mut joined = corners & corners.wrapping_neg();
    loop {
        let reached = [0, 1, 2].iter().fold(joined, |all, &axis| all | opposite(joined, axis));
        if reached & corners == joined {
            return joined;
        }
        joined = reached & corners;
    }
}

/// Returns the area that separates joined corners from the rest of the cube.
fn area_of(corners: u8, faces: [f64; 3]) -> f64 {
    let [d, h, w] = faces;
    let triangle = (d * d + h * h + w * w).sqrt() / 8.0;
    // Twice the area that cuts off an edge along the axis.
    let beside = [h.hypot(w), d.hypot(w), d.hypot(h)];
    let on_edge = [0, 1, 2].map(|axis| corners & opposite(corners, axis));
    let beside_edges = |skipped: u8| -> f64 {
        let axes = (0..3).filter(|&axis| on_edge[axis] != skipped);
        axes.map(|axis| beside[axis]).sum()
    };
    match (corners.count_ones(), on_edge.iter().position(|&joined| joined == 0)) {
        (1, _) => triangle,
        (2, _) => beside_edges(0) / 2.0,
        (3, Some(normal)) => faces[normal] / 2.0 + 3.0 * triangle,
        (_, Some(normal)) => faces[normal],
        (_, None) if on_edge[0] & on_edge[1] & on_edge[2] != 0 => 6.0 * triangle,
        // Both corners of the middle edge, and no other, lie on edges along two axes.
        (_, None) => {
            let [d, h, w] = on_edge;
            beside_edges((d & h) | (d & w) | (h & w)) / 4.0 + 4.0 * triangle
        }
    }
}

/// Returns the corners at the other end of the edges along `axis`.
fn opposite(corners: u8, axis: usize) -> u8 {
    (corners & NEAR[axis]) << STRIDES[axis] | (corners >> STRIDES[axis]) & NEAR[axis]
}

#[cfg(test)]
mod tests {
    use super::areas;

    /// Sum of all areas, and with every area weighted by the square of its code, of the published
    /// table of surface-distance (commit 1f805ce).
    #[test]
    fn have_the_sums_of_the_published_table() {
        for (spacing, sum, weighted) in [
            ([1.0; 3], 241.343_139_705_537_37, 5_101_347.181_405_663_5),
            ([0.5, 0.75, 2.0], 250.491_846_660_133_2, 5_349_870.152_384_196),
            ([3.0, 1.25, 0.25], 490.998_540_176_742_5, 10_180_246.754_540_322),
        ] {
            let areas = areas(spacing);
            let weights = (0..=255).map(|code: u32| f64::from(code * code));

            let found: f64 = areas.iter().sum();
            let found_weighted: f64 = areas.iter().zip(weights).map(|(area, it)| area * it).sum();

            assert!((found - sum).abs() < 1e-12 * sum, "{spacing:?}: {found}");
            assert!((found_weighted - weighted).abs() < 1e-12 * weighted, "{spacing:?}");
        }
    }

    #[test]
    fn do_not_tell_inside_from_outside() {
        let areas = areas([0.5, 0.75, 2.0]);
        for code in 0..=255u8 {
            assert_eq!(areas[usize::from(code)].to_bits(), areas[usize::from(!code)].to_bits());
        }
    }

    #[test]
    fn of_flat_surfaces_are_those_of_their_polygons() {
        // A face along each axis, one corner, an edge, and the hexagon of a corner and its three
        // neighbours, for a cube of 2 × 3 × 4.
        let areas = areas([2.0, 3.0, 4.0]);
        let whole = (12.0f64 * 12.0 + 8.0 * 8.0 + 6.0 * 6.0).sqrt();
        for (code, expected) in [
            (0b0000_1111, 12.0),
            (0b0011_0011, 8.0),
            (0b0101_0101, 6.0),
            (0b0000_0001, whole / 8.0),
            (0b0000_0011, 12.0f64.hypot(8.0) / 2.0),
            (0b0001_0111, 0.75 * whole),
        ] {
            assert!((areas[code] - expected).abs() < 1e-12, "{code:#010b}: {}", areas[code]);
        }
        assert_eq!((areas[0], areas[255]), (0.0, 0.0));
    }
}
