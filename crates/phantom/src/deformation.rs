//! A smooth random displacement of the body, so that no two patients have the same shape.
//!
//! Cubic B-splines on a lattice of random control points (Rueckert et al., IEEE Trans. Med. Imaging
//! 18, 1999). Control points are far apart compared with how far they move, so the map does not
//! fold.

use crate::draw::Draw;
use crate::vector::{Vector, add, cell};

/// Half the edge of the deformed box, millimetres along R, A and S.
const REACH_MM: Vector = [240.0, 200.0, 240.0];
/// Distance of the stored displacements; between them interpolation is linear.
const STEP_MM: f64 = 10.0;

/// Displacements on a regular grid around the origin, constant beyond its faces.
pub(crate) struct Deformation {
    counts: [usize; 3],
    displacements: Vec<[f32; 3]>,
}

impl Deformation {
    /// Sums one layer per `(spacing of the control points, standard deviation)`, millimetres.
    pub(crate) fn new(layers: &[(f64, f64)], draw: &mut Draw) -> Self {
        let counts = REACH_MM.map(|reach| crate::vector::rounded(2.0 * reach / STEP_MM) + 1);
        let mut sums = vec![[0.0; 3]; counts.iter().product()];
        for &(spacing_mm, deviation_mm) in layers {
            let lattice = Lattice::new(spacing_mm, deviation_mm, draw);
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum = add(*sum, lattice.at(position(index, counts)));
            }
        }
        Self { counts, displacements: sums.into_iter().map(|sum| sum.map(single)).collect() }
    }

    /// Where the material at `point` sits in the undeformed body.
    pub(crate) fn apply(&self, point: Vector) -> Vector {
        let (x, fx) = self.clamped(point, 0);
        let (y, fy) = self.clamped(point, 1);
        let (z, fz) = self.clamped(point, 2);
        let mut moved = point;
        for (plane, wz) in [(z, 1.0 - fz), (z + 1, fz)] {
            for (row, wy) in [(y, 1.0 - fy), (y + 1, fy)] {
                let start = (plane * self.counts[1] + row) * self.counts[0] + x;
                for (displacement, wx) in self.displacements[start..].iter().zip([1.0 - fx, fx]) {
                    let weight = wx * wy * wz;
                    for (coordinate, along) in moved.iter_mut().zip(displacement) {
                        *coordinate += weight * f64::from(*along);
                    }
                }
            }
        }
        moved
    }

    fn clamped(&self, point: Vector, axis: usize) -> (usize, f64) {
        let last = (self.counts[axis] - 1) as f64;
        let coordinate = ((point[axis] + REACH_MM[axis]) / STEP_MM).clamp(0.0, last - 1e-9);
        let (index, fraction) = cell(coordinate);
        (usize::try_from(index).expect("clamped to the grid above"), fraction)
    }
}

/// Control points of one layer.
struct Lattice {
    spacing_mm: f64,
    counts: [usize; 3],
    controls: Vec<Vector>,
}

impl Lattice {
    fn new(spacing_mm: f64, deviation_mm: f64, draw: &mut Draw) -> Self {
        // Three more than the cells: a cubic spline looks one point back and two ahead.
        let counts = REACH_MM.map(|reach| crate::vector::rounded(2.0 * reach / spacing_mm) + 5);
        let total = counts.iter().product::<usize>();
        let controls = (0..total).map(|_| draw.normal_vector(deviation_mm)).collect();
        Self { spacing_mm, counts, controls }
    }

    fn at(&self, point: Vector) -> Vector {
        let mut starts = [0; 3];
        let mut weights = [[0.0; 4]; 3];
        for axis in 0..3 {
            let (start, fraction) = cell((point[axis] + REACH_MM[axis]) / self.spacing_mm);
            starts[axis] = usize::try_from(start).expect("points lie inside the box");
            weights[axis] = spline_weights(fraction);
        }
        let mut sum = [0.0; 3];
        for (k, wz) in weights[2].iter().enumerate() {
            for (j, wy) in weights[1].iter().enumerate() {
                let row = (starts[2] + k) * self.counts[1] + starts[1] + j;
                for (i, wx) in weights[0].iter().enumerate() {
                    let control = self.controls[row * self.counts[0] + starts[0] + i];
                    sum = add(sum, control.map(|value| value * wx * wy * wz));
                }
            }
        }
        sum
    }
}

/// The four cubic B-spline weights of a point at `t` in its cell; they sum to 1.
fn spline_weights(t: f64) -> [f64; 4] {
    [
        (1.0 - t).powi(3) / 6.0,
        (3.0 * t.powi(3) - 6.0 * t.powi(2) + 4.0) / 6.0,
        (-3.0 * t.powi(3) + 3.0 * t.powi(2) + 3.0 * t + 1.0) / 6.0,
        t.powi(3) / 6.0,
    ]
}

fn position(index: usize, counts: [usize; 3]) -> Vector {
    let x = index % counts[0];
    let y = index / counts[0] % counts[1];
    let z = index / counts[0] / counts[1];
    let at = |i: usize, axis: usize| i as f64 * STEP_MM - REACH_MM[axis];
    [at(x, 0), at(y, 1), at(z, 2)]
}

#[expect(clippy::cast_possible_truncation, reason = "micrometres are precise enough")]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anatomy::DEFORMATION_LAYERS;
    use crate::vector::{cross, dot, scale, subtract};

    #[test]
    fn spline_weights_sum_to_one_so_a_constant_lattice_is_a_translation() {
        for t in [0.0, 0.3, 0.99] {
            assert!((spline_weights(t).iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn never_folds_the_body() {
        for seed in 0..4 {
            let deformation = Deformation::new(&DEFORMATION_LAYERS, &mut Draw::new(seed, 0));
            for index in 0..20_usize.pow(3) {
                let grid = [index % 20, index / 20 % 20, index / 400];
                let point = grid.map(|i| i as f64 * 10.0 - 95.0);
                let column = |axis: usize| {
                    let mut ahead = point;
                    ahead[axis] += 0.5;
                    let moved = subtract(deformation.apply(ahead), deformation.apply(point));
                    scale(moved, 2.0)
                };
                let determinant = dot(column(0), cross(column(1), column(2)));
                assert!(determinant > 0.2, "seed {seed} at {point:?}: {determinant}");
            }
        }
    }

    #[test]
    fn moves_points_by_millimetres() {
        let deformation = Deformation::new(&DEFORMATION_LAYERS, &mut Draw::new(1, 0));
        let moved = |x: f64| {
            let point = [x, 5.0, -20.0];
            crate::vector::length(subtract(deformation.apply(point), point))
        };
        let mean = (0..40).map(|i| moved(f64::from(i) * 4.0 - 80.0)).sum::<f64>() / 40.0;
        assert!((0.5..12.0).contains(&mean), "{mean}");
    }
}
