//! The two ventricles in the frame of the left one.
//!
//! Coordinates `[u, v, w]` in millimetres: `w` runs along the long axis from the epicardial apex
//! (0) to the mitral plane (`length`), `-u` points to the right ventricle and `v` upwards.
//! Signed distances are negative inside and only approximate away from the surface.

use crate::anatomy::scar::Scar;
use crate::anatomy::tissue::Tissue;
use crate::draw::Draw;
use crate::texture::Texture;
use crate::vector::{Vector, mix, radius};

/// Thickness of the right ventricle's free wall.
const RIGHT_WALL_MM: f64 = 2.2;

/// Both ventricles of one patient.
pub(crate) struct Ventricles {
    left: Left,
    right: Right,
    scars: Vec<Scar>,
}

/// Left ventricle: two half ellipsoids, one inside the other, above them a slightly narrowing cup.
pub(crate) struct Left {
    pub(crate) length: f64,
    pub(crate) radius: f64,
    wall: f64,
    apex_wall: f64,
    /// Amplitudes of cos 2θ, sin 2θ, cos 3θ, sin 3θ in the radius of a cross-section.
    ripple: [f64; 4],
    /// Slope of the mitral plane along `u` and `v`.
    tilt: [f64; 2],
    papillaries: [Papillary; 2],
    /// How far trabeculae reach into the cavity.
    trabeculae_mm: f64,
}

struct Papillary {
    direction: [f64; 2],
    radius: f64,
    /// Where it leaves the wall and where it ends, as fractions of the long axis.
    range: [f64; 2],
}

/// Right ventricle: an ellipse per cross-section that hugs the left one.
struct Right {
    /// Half height relative to the left ventricle's outer radius.
    height: f64,
    /// How far the free wall stands off the left ventricle.
    stand_off: f64,
    rise: f64,
    start: f64,
    trabeculae_mm: f64,
}

impl Ventricles {
    pub(crate) fn new(draw: &mut Draw) -> Self {
        let left = Left::new(draw);
        let right = Right::new(&left, draw);
        let count = draw.choose(&[0, 1, 1, 1, 2, 2]);
        let scars = (0..count).map(|_| Scar::new(left.length, draw)).collect();
        Self { left, right, scars }
    }

    pub(crate) fn left(&self) -> &Left {
        &self.left
    }

    /// The tissue at a point, or the distance to the nearer ventricle.
    pub(crate) fn at(&self, point: Vector, texture: &Texture) -> Result<Tissue, f64> {
        let section = self.left.section(point);
        let outside = section.epicardium.max(point[2] - self.left.top(point));
        if outside < 0.0 {
            return Ok(self.inside_left(&section, point, texture));
        }
        let right = self.right.distance(&self.left, point);
        if right < 0.0 {
            return Ok(self.right.inside(-right, point, texture));
        }
        Err(outside.min(right))
    }

    fn inside_left(&self, section: &Section, point: Vector, texture: &Texture) -> Tissue {
        if section.endocardium < 0.0 {
            return self.left.cavity(section, point, texture);
        }
        let depth = section.endocardium / (section.endocardium - section.epicardium);
        let ragged = 0.25 * texture.sample(point, 9.0);
        self.scars
            .iter()
            .find_map(|scar| scar.at(point, depth + ragged))
            .unwrap_or(Tissue::Myocardium)
    }
}

/// Where a point lies in a cross-section of the left ventricle.
struct Section {
    /// Signed distance to the inner and to the outer surface.
    endocardium: f64,
    epicardium: f64,
}

impl Left {
    fn new(draw: &mut Draw) -> Self {
        let radius = draw.normal(36.0, 2.6);
        let papillary = |angle: f64, draw: &mut Draw| {
            let angle = draw.normal(angle, 0.2);
            Papillary {
                direction: [angle.cos(), angle.sin()],
                radius: draw.uniform(3.5, 7.5),
                range: [draw.uniform(0.15, 0.3), draw.uniform(0.55, 0.72)],
            }
        };
        Self {
            length: draw.normal(78.0, 6.0),
            radius,
            wall: draw.normal(10.5, 1.3),
            apex_wall: draw.uniform(5.0, 9.0),
            ripple: [0.03, 0.03, 0.012, 0.012].map(|deviation| draw.normal(0.0, deviation)),
            tilt: [draw.normal(0.0, 0.06), draw.normal(0.0, 0.06)],
            papillaries: [papillary(0.75, draw), papillary(-1.1, draw)],
            trabeculae_mm: draw.uniform(3.0, 6.5),
        }
    }

    /// Height of the mitral plane above the apex at `[u, v]`.
    pub(crate) fn top(&self, point: Vector) -> f64 {
        self.length + self.tilt[0] * point[0] + self.tilt[1] * point[1]
    }

    /// Outer radius of the cross-section at height `w`.
    pub(crate) fn outer_radius(&self, w: f64) -> f64 {
        let widest = self.widest();
        if w < widest {
            self.radius * (1.0 - (1.0 - w / widest).min(1.0).powi(2)).sqrt()
        } else {
            self.radius * self.narrowing(w)
        }
    }

    fn widest(&self) -> f64 {
        0.68 * self.length
    }

    fn narrowing(&self, w: f64) -> f64 {
        1.0 - 0.1 * ((w - self.widest()) / (self.length - self.widest())).powi(2)
    }

    fn section(&self, point: Vector) -> Section {
        let [u, v, w] = point;
        let plain = radius(u, v).max(1e-6);
        let (x, y) = (u / plain, v / plain);
        let ripple = self.ripple[0] * (x * x - y * y)
            + self.ripple[1] * 2.0 * x * y
            + self.ripple[2] * (x * x * x - 3.0 * x * y * y)
            + self.ripple[3] * (3.0 * x * x * y - y * y * y);
        let r = plain / (1.0 + ripple);
        let inner = self.radius - self.wall;
        Section {
            endocardium: self.bowl(r, w, inner, self.widest() - self.apex_wall),
            epicardium: self.bowl(r, w, self.radius, self.widest()),
        }
    }

    /// Signed distance to a half ellipsoid that stands on its tip and continues as a cup.
    fn bowl(&self, r: f64, w: f64, radius: f64, depth: f64) -> f64 {
        if w < self.widest() {
            let below = (self.widest() - w) / depth;
            (crate::vector::radius(r / radius, below) - 1.0) * radius
        } else {
            r - radius * self.narrowing(w)
        }
    }

    fn cavity(&self, section: &Section, point: Vector, texture: &Texture) -> Tissue {
        let t = point[2] / self.length;
        let inside = -section.endocardium;
        let stretched = [point[0], point[1], 0.45 * point[2]];
        let reach = self.trabeculae_mm * if t < 0.35 { 1.6 } else { 1.0 };
        let ragged = t < 0.75 && texture.sample(stretched, 8.0) > 0.2 + 1.6 * inside / reach;
        let papillary = || {
            let inner = self.outer_radius(point[2]) - self.wall;
            let bulge = 1.0 + 0.22 * texture.sample(point, 10.0);
            self.papillaries.iter().any(|papillary| papillary.contains(point, t, (inner, bulge)))
        };
        if ragged || papillary() { Tissue::Papillary } else { Tissue::LeftVentricle }
    }
}

impl Papillary {
    /// Whether it fills a point of a cavity with this inner radius; `bulge` scales its own radius.
    fn contains(&self, point: Vector, t: f64, (inner_radius, bulge): (f64, f64)) -> bool {
        let along = (t - self.range[0]) / (self.range[1] - self.range[0]);
        if !(0.0..1.0).contains(&along) {
            return false;
        }
        let radius = bulge * self.radius * mix(1.2, 0.7, along);
        let centre = inner_radius - mix(0.0, 2.2, along) * self.radius;
        let (du, dv) =
            (point[0] - centre * self.direction[0], point[1] - centre * self.direction[1]);
        du * du + dv * dv < radius * radius
    }
}

impl Right {
    fn new(left: &Left, draw: &mut Draw) -> Self {
        Self {
            height: draw.normal(1.25, 0.06),
            stand_off: draw.normal(42.0, 3.0),
            rise: draw.normal(-6.0, 3.0),
            start: left.length * draw.uniform(0.1, 0.32),
            trabeculae_mm: draw.uniform(5.0, 10.0),
        }
    }

    /// Signed distance to the epicardium of the right ventricle.
    fn distance(&self, left: &Left, point: Vector) -> f64 {
        let [u, v, w] = point;
        let size = ((w - self.start) / (0.62 * left.length)).clamp(0.02, 1.0).sqrt();
        let outer = left.outer_radius(w.max(self.start));
        // Centred behind the septum, so that the free wall leaves the left ventricle at a tangent.
        let centre = -0.72 * outer;
        let a = 0.28 * outer + self.stand_off * size;
        let b = outer * mix(0.7, self.height, size);
        // A shear makes the section a rounded triangle.
        let x = u - centre - 0.15 * (v - self.rise);
        let aside = (radius(x / a, (v - self.rise) / b) - 1.0) * a.min(b);
        aside.max(self.start - w).max(w - tricuspid_height(left, v))
    }

    fn inside(&self, depth: f64, point: Vector, texture: &Texture) -> Tissue {
        if depth < RIGHT_WALL_MM {
            return Tissue::RightWall;
        }
        let stretched = [point[0], point[1], 0.6 * point[2]];
        let ragged =
            texture.sample(stretched, 10.0) > 0.55 + (depth - RIGHT_WALL_MM) / self.trabeculae_mm;
        let band = texture.in_tree(point, 40.0, 0.08);
        if ragged || band { Tissue::RightTrabecula } else { Tissue::RightVentricle }
    }
}

/// Where the right ventricle ends: at the tricuspid valve below, at the outflow tract above.
fn tricuspid_height(left: &Left, v: f64) -> f64 {
    left.length - 5.0 + (0.45 * (v + 5.0)).clamp(-6.0, 18.0)
}
