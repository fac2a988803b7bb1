//! What the operator plans: grid, orientation and quality of one scan.

use crate::Modality;
use crate::anatomy::{HeartFrame, orthogonal_axes};
use crate::draw::Draw;
use crate::vector::{Vector, add, rounded, scale, subtract};

/// One planned scan. Grid axes are `[D, H, W]`.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    pub(crate) shape: [usize; 3],
    /// Step from voxel to voxel along D, H and W, RAS millimetres.
    pub(crate) steps: [Vector; 3],
    /// Centre of the first voxel in the patient's body.
    pub(crate) origin: Vector,
    /// Where the scanner's table puts the body's origin.
    pub(crate) table: Vector,
    /// Reconstructed voxels per acquired one, in plane.
    pub(crate) interpolation: f64,
    /// Points averaged per acquired voxel.
    pub(crate) samples: usize,
    /// Standard deviation of the noise: relative to left blood, or in Hounsfield units for CT.
    pub(crate) noise: f64,
    /// Standard deviation of the position between breath holds.
    pub(crate) breath_mm: f64,
    /// Exponent of the coil sensitivity that is left after the scanner's correction; 0 for CT.
    pub(crate) shading: f64,
    /// Stored value of left blood (MR); 1 for CT.
    pub(crate) gain: f64,
}

/// Least voxels along an edge in plane, acquired and reconstructed.
pub(crate) const LEAST_SIDE: usize = 2;

/// Sides of the official matrices, as often as they are met.
fn matrices(modality: Modality) -> &'static [u32] {
    match modality {
        Modality::Lge => &[480, 480, 480, 512, 512, 432, 400],
        Modality::Bssfp => &[224, 256, 256, 288, 320],
        Modality::T2 => &[224, 256, 288],
        Modality::Ct => &[512],
        Modality::Mr => &[256, 288, 320],
    }
}

fn scaled(matrix: u32, matrix_scale: f64) -> usize {
    rounded(f64::from(matrix) * matrix_scale)
}

/// Whether every matrix of a modality has voxels enough at this scale.
pub(crate) fn is_large_enough(modality: Modality, matrix_scale: f64) -> bool {
    matrices(modality).iter().all(|&matrix| scaled(matrix, matrix_scale) >= LEAST_SIDE)
}

/// Extent and resolution of a scan, before orientation.
struct Extent {
    shape: [usize; 3],
    spacing_mm: [f64; 3],
}

impl Protocol {
    pub(crate) fn new(
        modality: Modality,
        matrix_scale: f64,
        heart: &HeartFrame,
        draw: &mut Draw,
    ) -> Self {
        match modality {
            Modality::Lge | Modality::Bssfp | Modality::T2 => {
                short_axis(modality, matrix_scale, heart, draw)
            }
            Modality::Ct | Modality::Mr => whole_heart(modality, matrix_scale, heart, draw),
        }
    }

    /// Centre of a voxel in the body; fractions of voxels are allowed.
    pub(crate) fn position(&self, d: f64, h: f64, w: f64) -> Vector {
        let along = add(scale(self.steps[0], d), scale(self.steps[1], h));
        add(self.origin, add(along, scale(self.steps[2], w)))
    }

    /// Voxel indices `(W, H, D)` to scanner coordinates, as NIfTI has it.
    pub(crate) fn affine(&self) -> [[f64; 4]; 3] {
        let origin = add(self.origin, self.table);
        let [d, h, w] = self.steps;
        std::array::from_fn(|axis| [w[axis], h[axis], d[axis], origin[axis]])
    }

    /// A grid around `centre` with the unit `directions` of D, H and W.
    fn place(extent: &Extent, directions: [Vector; 3], centre: Vector, draw: &mut Draw) -> Self {
        let steps = std::array::from_fn(|axis| scale(directions[axis], extent.spacing_mm[axis]));
        let half = |axis: usize| scale(steps[axis], (extent.shape[axis] as f64 - 1.0) / 2.0);
        let origin = subtract(centre, add(half(0), add(half(1), half(2))));
        Self {
            shape: extent.shape,
            steps,
            origin,
            table: [
                draw.uniform(-40.0, 20.0),
                draw.uniform(-60.0, 60.0),
                draw.uniform(-80.0, 80.0),
            ],
            interpolation: 1.0,
            samples: 1,
            noise: 0.0,
            breath_mm: 0.0,
            shading: 0.0,
            gain: 1.0,
        }
    }
}

fn short_axis(
    modality: Modality,
    matrix_scale: f64,
    heart: &HeartFrame,
    draw: &mut Draw,
) -> Protocol {
    let (matrix, spacing_mm, thickness_mm, range) = match modality {
        Modality::Lge => (
            draw.choose(matrices(modality)),
            draw.uniform(0.729, 0.762),
            5.0,
            [draw.uniform(-5.0, 3.0), heart.length + draw.uniform(-8.0, 2.0)],
        ),
        Modality::Bssfp => (
            draw.choose(matrices(modality)),
            draw.uniform(1.188, 1.25),
            draw.choose(&[8.0, 8.0, 8.0, 10.0, 12.0, 13.0]),
            [draw.uniform(-12.0, -1.0), heart.length + draw.uniform(2.0, 16.0)],
        ),
        _ => (
            draw.choose(matrices(modality)),
            draw.uniform(1.3, 1.4),
            draw.choose(&[12.0, 15.0, 18.0, 23.0]),
            [0.18 * heart.length, 0.95 * heart.length],
        ),
    };
    let slices = rounded((range[1] - range[0]) / thickness_mm).max(2);
    let side = scaled(matrix, matrix_scale);
    let in_plane_mm = spacing_mm * f64::from(matrix) / side as f64;
    let extent = Extent {
        shape: [slices, side, side],
        spacing_mm: [thickness_mm, in_plane_mm, in_plane_mm],
    };

    let [_, v, w] = heart.axes;
    let axes = orthogonal_axes(add(w, draw.normal_vector(0.05)), add(v, draw.normal_vector(0.15)));
    let middle = f64::midpoint(range[0], range[1]);
    let aim = [draw.normal(-14.0, 8.0), draw.normal(0.0, 10.0), middle];
    // Most operators start at the apex.
    let along = if draw.chance(0.93) { axes[2] } else { scale(axes[2], -1.0) };
    let directions = [along, axes[1], axes[0]];
    let protocol = Protocol::place(&extent, directions, heart.to_body(aim), draw);
    let quality = match modality {
        Modality::Lge => (draw.uniform(1.7, 2.1), 6, draw.uniform(0.06, 0.17), 1.6),
        Modality::Bssfp => (draw.uniform(1.0, 1.35), 8, draw.uniform(0.03, 0.08), 1.6),
        _ => (draw.uniform(1.0, 1.3), 9, draw.uniform(0.05, 0.12), 2.0),
    };
    let interpolation = quality.0 * matrix_scale;
    Protocol {
        // A coarse grid has larger voxels than were acquired, and so less noise.
        interpolation: interpolation.max(1.0),
        samples: quality.1,
        noise: quality.2 * interpolation.min(1.0),
        breath_mm: quality.3,
        shading: draw.uniform(0.25, 0.65),
        gain: draw.uniform(150.0, 600.0),
        ..protocol
    }
}

fn whole_heart(
    modality: Modality,
    matrix_scale: f64,
    heart: &HeartFrame,
    draw: &mut Draw,
) -> Protocol {
    let is_ct = modality == Modality::Ct;
    let (matrix, in_plane_mm, thickness_mm) = if is_ct {
        (matrices(modality)[0], draw.uniform(0.36, 0.45), draw.uniform(0.45, 0.63))
    } else {
        (draw.choose(matrices(modality)), draw.uniform(0.9, 1.21), draw.uniform(0.9, 1.6))
    };
    let height_mm = draw.uniform(150.0, 175.0);
    let side = scaled(matrix, matrix_scale);
    let slices = rounded(height_mm / thickness_mm * matrix_scale).max(2);
    let in_plane_mm = in_plane_mm * f64::from(matrix) / side as f64;
    let extent = Extent {
        shape: [slices, side, side],
        spacing_mm: [height_mm / slices as f64, in_plane_mm, in_plane_mm],
    };
    // Axial, rows to the left and columns to the back; MR volumes are a little oblique.
    let tilt = if is_ct { 0.0 } else { 0.07 };
    let [x, y, z] = orthogonal_axes(
        add([0.0, 0.0, 1.0], draw.normal_vector(tilt)),
        add([0.0, 1.0, 0.0], draw.normal_vector(tilt)),
    );
    let directions = [z, scale(y, -1.0), x];
    let centre = add(heart.base(), add([-8.0, 12.0, 8.0], draw.normal_vector(6.0)));
    let protocol = Protocol::place(&extent, directions, centre, draw);
    if is_ct {
        let noise = draw.uniform(18.0, 45.0);
        let interpolation = (1.5 * matrix_scale).max(1.0);
        return Protocol { interpolation, samples: 2, noise, ..protocol };
    }
    Protocol {
        interpolation: (1.35 * matrix_scale).max(1.0),
        samples: 3,
        noise: draw.uniform(0.05, 0.12),
        shading: draw.uniform(0.4, 0.8),
        gain: draw.uniform(150.0, 600.0),
        ..protocol
    }
}
