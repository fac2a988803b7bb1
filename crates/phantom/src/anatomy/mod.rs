//! The body of one patient: what lies where, before any scanner looks at it.

mod scar;
pub(crate) mod tissue;
mod torso;
mod ventricles;
mod vessels;

use crate::deformation::Deformation;
use crate::draw::Draw;
use crate::texture::Texture;
use crate::vector::{Vector, add, cross, dot, normalized, scale, subtract};

use tissue::Tissue;
use torso::Torso;
use ventricles::Ventricles;
use vessels::Structure;

/// Control-point spacing and movement of the patients' random deformation, millimetres.
pub(crate) const DEFORMATION_LAYERS: [(f64, f64); 2] = [(60.0, 6.0), (26.0, 1.6)];

/// Direction of the average long axis from apex to base, and of the heart's upper side (RAS).
const LONG_AXIS: Vector = [0.6, -0.68, 0.42];
const UPWARDS: Vector = [-0.35, 0.2, 0.9];

/// Nothing of the heart is farther than this from the mitral plane's centre, millimetres.
const HEART_REACH_MM: f64 = 230.0;
/// The same for the ventricles alone.
const VENTRICLE_REACH_MM: f64 = 130.0;

/// Width of the grooves between ventricles, atria and vessels; no wider than what is measured.
const GROOVE_MM: f64 = vessels::MARGIN_MM;

/// One patient, seeded.
pub(crate) struct Anatomy {
    deformation: Deformation,
    pub(crate) texture: Texture,
    pub(crate) frame: HeartFrame,
    ventricles: Ventricles,
    structures: Vec<Structure>,
    torso: Torso,
}

/// Position and direction of the heart in the body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeartFrame {
    /// Epicardial apex of the left ventricle, RAS millimetres.
    pub(crate) apex: Vector,
    /// Unit vectors `u` (away from the right ventricle), `v` (upwards), `w` (apex to base), RAS.
    pub(crate) axes: [Vector; 3],
    /// Distance from the apex to the mitral plane.
    pub(crate) length: f64,
}

impl Anatomy {
    pub(crate) fn new(draw: &mut Draw) -> Self {
        let texture = Texture::new(draw);
        let deformation = Deformation::new(&DEFORMATION_LAYERS, draw);
        let ventricles = Ventricles::new(draw);
        let average = orthogonal_axes(LONG_AXIS, UPWARDS);
        let axes = orthogonal_axes(
            add(LONG_AXIS, draw.normal_vector(0.08)),
            add(UPWARDS, draw.normal_vector(0.08)),
        );
        let length = ventricles.left().length;
        let base = [draw.normal(-17.0, 4.0), draw.normal(8.0, 3.0), 0.0];
        let frame = HeartFrame { apex: subtract(base, scale(axes[2], length)), axes, length };
        let size = ventricles.left().radius / 36.0;
        let structures = vessels::draw_structures(draw, |offset| {
            let turned = axes.map(|axis| scale(axis, size));
            average
                .iter()
                .zip(turned)
                .fold(base, |sum, (axis, to)| add(sum, scale(to, dot(offset, *axis))))
        });
        let surface = ventricle_surface(&frame, ventricles.left().radius);
        let torso = Torso::new(&surface, base, draw);
        Self { deformation, texture, frame, ventricles, structures, torso }
    }

    /// Tissue at a point of the body, RAS millimetres.
    pub(crate) fn tissue(&self, point: Vector) -> Tissue {
        if self.torso.is_clear_of(point) {
            return Tissue::Air;
        }
        let point = self.deformation.apply(point);
        match self.heart(point) {
            Ok(tissue) => tissue,
            Err(distance) => self.torso.at(point, distance, &self.texture),
        }
    }

    /// Tissue at a point if it belongs to the heart or its vessels, without looking further.
    pub(crate) fn heart_tissue(&self, point: Vector) -> Option<Tissue> {
        self.heart(self.deformation.apply(point)).ok()
    }

    /// Half depth of the body from breastbone to back.
    pub(crate) fn half_depth(&self) -> f64 {
        self.torso.half_depth()
    }

    fn heart(&self, point: Vector) -> Result<Tissue, f64> {
        let offset = subtract(point, self.frame.base());
        let squared = dot(offset, offset);
        if squared > HEART_REACH_MM * HEART_REACH_MM {
            return Err(f64::MAX);
        }
        let mut distance = f64::MAX;
        if squared < VENTRICLE_REACH_MM * VENTRICLE_REACH_MM {
            match self.ventricles.at(self.frame.to_heart(point), &self.texture) {
                Ok(tissue) => return Ok(tissue),
                Err(nearest) => distance = nearest,
            }
        }
        vessels::tissue_at(&self.structures, point)
            .map_err(|nearest| smooth_minimum(nearest, distance))
    }
}

impl HeartFrame {
    /// Centre of the mitral plane.
    pub(crate) fn base(&self) -> Vector {
        add(self.apex, scale(self.axes[2], self.length))
    }

    /// Body coordinates of a point `[u, v, w]` of the heart.
    pub(crate) fn to_body(self, heart: Vector) -> Vector {
        (0..3).fold(self.apex, |sum, axis| add(sum, scale(self.axes[axis], heart[axis])))
    }

    fn to_heart(self, body: Vector) -> Vector {
        let offset = subtract(body, self.apex);
        self.axes.map(|axis| dot(offset, axis))
    }
}

/// The smaller of two distances, less where both are small: the grooves of a heart hold fat.
fn smooth_minimum(a: f64, b: f64) -> f64 {
    let overlap = (1.0 - a.max(b).max(0.0) / GROOVE_MM).max(0.0);
    a.min(b) - overlap * overlap * GROOVE_MM / 2.0
}

/// The axes `u`, `v`, `w` for a long axis and a roughly upward direction.
pub(crate) fn orthogonal_axes(long_axis: Vector, upwards: Vector) -> [Vector; 3] {
    let w = normalized(long_axis);
    let v = normalized(subtract(upwards, scale(w, dot(upwards, w))));
    [cross(w, v), v, w]
}

/// Points around both ventricles that the chest must hold.
fn ventricle_surface(frame: &HeartFrame, radius: f64) -> Vec<Vector> {
    let heights = [0.0, 0.15, 0.35, 0.55, 0.75, 0.95].map(|t| t * frame.length);
    let turns = (0..24).map(|turn| f64::from(turn) * std::f64::consts::TAU / 24.0);
    turns
        .flat_map(|angle| heights.map(|w| (angle, w)))
        .map(|(angle, w)| {
            let taper = (w / (0.6 * frame.length)).min(1.0).sqrt();
            // The right ventricle doubles the heart's width on its side.
            let reach = if angle.cos() < 0.0 { 2.0 } else { 1.0 };
            let u = angle.cos() * radius * taper * reach;
            frame.to_body([u, angle.sin() * radius * 1.1 * taper, w])
        })
        .collect()
}
