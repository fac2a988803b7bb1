//! Everything around the heart that a network must learn to ignore.
//!
//! Coordinates are millimetres along right, front and head (RAS); the origin lies in the middle
//! of the chest at the height of the mitral valve.

use crate::anatomy::tissue::Tissue;
use crate::draw::Draw;
use crate::texture::Texture;
use crate::vector::{Vector, radius};

const SPINE_RADIUS_MM: f64 = 19.0;
const SKIN_MM: f64 = 2.0;
/// Farther than the deformation moves anything.
const CLEARANCE_MM: f64 = 22.0;
/// Exponent of the superellipse of a chest.
const ROUNDNESS: f64 = 2.4;

/// Chest wall, spine, lungs, diaphragm and upper abdomen of one patient.
pub(crate) struct Torso {
    /// Half axes of the space inside the ribs, along right and front.
    cavity: [f64; 2],
    muscle_mm: f64,
    fat_mm: f64,
    spine: [f64; 2],
    /// Height of the diaphragm below the heart, and of its right and left dome above that.
    diaphragm: f64,
    domes: [f64; 2],
    liver_edge: f64,
    stomach: (Vector, Vector),
    gas: f64,
    spleen: (Vector, Vector),
    /// Epicardial fat: least thickness and how much it varies.
    heart_fat: [f64; 2],
    corner_fat: f64,
    rib_phase: f64,
}

impl Torso {
    /// Fits a body around a heart: its foremost extent and its lowest point in the body's frame.
    pub(crate) fn new(surface: &[Vector], base: Vector, draw: &mut Draw) -> Self {
        let width = draw.normal(128.0, 8.0);
        let needed = surface
            .iter()
            .map(|point| {
                let aside = (point[0].abs() / width).min(0.95).powf(ROUNDNESS);
                point[1] / (1.0 - aside).powf(1.0 / ROUNDNESS)
            })
            .fold(60.0, f64::max);
        let lowest = surface.iter().map(|point| point[2]).fold(0.0, f64::min);
        let diaphragm = lowest + draw.uniform(-2.0, 8.0);
        let left_dome = draw.uniform(5.0, 22.0);
        Self {
            cavity: [width, needed + draw.uniform(2.0, 9.0)],
            muscle_mm: draw.uniform(11.0, 16.0),
            fat_mm: draw.uniform(5.0, 26.0),
            spine: [base[0] + draw.normal(12.0, 3.0), base[1] + draw.normal(-74.0, 3.0)],
            diaphragm,
            domes: [draw.uniform(22.0, 42.0), left_dome],
            liver_edge: draw.uniform(-55.0, 5.0),
            stomach: (
                [draw.normal(-72.0, 8.0), draw.normal(5.0, 12.0), diaphragm + left_dome - 36.0],
                [draw.uniform(30.0, 42.0), draw.uniform(30.0, 45.0), draw.uniform(28.0, 38.0)],
            ),
            gas: draw.uniform(0.0, 35.0),
            spleen: (
                [draw.normal(-95.0, 6.0), draw.normal(-48.0, 6.0), diaphragm + left_dome - 34.0],
                [draw.uniform(22.0, 30.0), draw.uniform(30.0, 38.0), draw.uniform(30.0, 45.0)],
            ),
            heart_fat: [draw.uniform(-0.5, 1.8), draw.uniform(1.0, 3.0)],
            corner_fat: draw.uniform(0.0, 4.0),
            rib_phase: draw.uniform(0.0, 1.0),
        }
    }

    /// Tissue at a point that is not in the heart; `heart_mm` is how far away the heart is.
    pub(crate) fn at(&self, point: Vector, heart_mm: f64, texture: &Texture) -> Tissue {
        if let Some(tissue) = self.spine_at(point) {
            return tissue;
        }
        let beyond = self.beyond_ribs(point);
        if beyond > 0.0 {
            return self.wall_at(point, beyond, texture);
        }
        let above = point[2] - self.diaphragm_height(point, texture);
        if let Some(tissue) = self.around_heart(point, heart_mm, above, texture) {
            return tissue;
        }
        if above < 0.0 {
            return self.abdomen_at(point, -above, texture);
        }
        self.chest_at(point, texture)
    }

    /// Whether a point is so far out that no deformation can bring it into the body.
    pub(crate) fn is_clear_of(&self, point: Vector) -> bool {
        let wall = 1.2 * (self.muscle_mm + self.fat_mm + SKIN_MM) + CLEARANCE_MM;
        let (x, y) = (point[0] / (self.cavity[0] + wall), point[1] / (self.cavity[1] + wall));
        // The superellipse sticks out of the ellipse by less than 6 %.
        radius(x, y) > 1.06
    }

    /// Half depth of the chest from breastbone to back, for placing coils.
    pub(crate) fn half_depth(&self) -> f64 {
        self.cavity[1] + self.muscle_mm + self.fat_mm + SKIN_MM
    }

    fn beyond_ribs(&self, point: Vector) -> f64 {
        let (x, y) = (point[0].abs() / self.cavity[0], point[1].abs() / self.cavity[1]);
        let plain = radius(x, y);
        let smallest = self.cavity[0].min(self.cavity[1]);
        // An ellipse lies inside the superellipse; powers are slow and most points are inside.
        if plain < 1.0 {
            return (plain - 1.0) * smallest;
        }
        ((x.powf(ROUNDNESS) + y.powf(ROUNDNESS)).powf(1.0 / ROUNDNESS) - 1.0) * smallest
    }

    fn wall_at(&self, point: Vector, beyond: f64, texture: &Texture) -> Tissue {
        let muscle = self.muscle_mm + 2.0 * texture.sample(point, 45.0);
        let fat = muscle + self.fat_mm;
        if beyond > fat + SKIN_MM {
            return Tissue::Air;
        }
        if beyond > fat {
            return Tissue::Skin;
        }
        if beyond > muscle {
            return Tissue::Fat;
        }
        // Ribs climb from front to back; the breastbone closes the front.
        let across = (point[2] / 25.0 - 0.012 * point[1] + self.rib_phase).rem_euclid(1.0) - 0.5;
        let inwards = beyond - 5.5;
        let rib = radius(across * 25.0, inwards * 1.3);
        let breastbone = point[1] > 0.0 && point[0].abs() < 17.0 && inwards.abs() < 4.5;
        if rib < 3.6 || (breastbone && inwards.abs() < 3.0) {
            return Tissue::Marrow;
        }
        if rib < 5.4 || breastbone {
            return Tissue::Bone;
        }
        if texture.sample(point, 22.0) > 1.1 { Tissue::Fat } else { Tissue::Muscle }
    }

    fn spine_at(&self, point: Vector) -> Option<Tissue> {
        let (x, y) = (point[0] - self.spine[0], point[1] - self.spine[1]);
        let off_axis = radius(x, y);
        if off_axis < SPINE_RADIUS_MM {
            let disc = (point[2] / 27.0 + self.rib_phase).rem_euclid(1.0) < 0.2;
            return Some(match (disc, off_axis > SPINE_RADIUS_MM - 1.8) {
                (true, _) => Tissue::Muscle,
                (false, true) => Tissue::Bone,
                (false, false) => Tissue::Marrow,
            });
        }
        let canal = radius(x, y + SPINE_RADIUS_MM + 8.0);
        if canal < 8.5 {
            return Some(if canal < 5.0 { Tissue::Muscle } else { Tissue::SpinalFluid });
        }
        (canal < 11.0).then_some(Tissue::Bone)
    }

    fn diaphragm_height(&self, point: Vector, texture: &Texture) -> f64 {
        let dome = |x: f64, y: f64, width: f64| {
            let (dx, dy) = ((point[0] - x) / width, (point[1] - y) / width);
            (-(dx * dx + dy * dy)).exp()
        };
        // It falls away towards the back.
        self.diaphragm
            + self.domes[0] * dome(72.0, 5.0, 58.0)
            + self.domes[1] * dome(-78.0, -10.0, 50.0)
            + 3.5 * texture.sample([point[0], point[1], 0.0], 90.0)
            - 0.25 * (-point[1] - 25.0).max(0.0)
    }

    /// Fat around the heart, most in the angle with the diaphragm, and the pericardium around it.
    fn around_heart(
        &self,
        point: Vector,
        heart_mm: f64,
        above: f64,
        texture: &Texture,
    ) -> Option<Tissue> {
        if heart_mm > 9.0 {
            return None;
        }
        let corner = self.corner_fat * (-above.abs() / 7.0).exp();
        let varied = texture.sample(point, 50.0) + 0.5 * texture.sample(point, 17.0);
        let thickness = (self.heart_fat[0] + self.heart_fat[1] * varied + corner).max(0.0);
        if heart_mm < thickness {
            return Some(Tissue::Fat);
        }
        (heart_mm < thickness + 0.9).then_some(Tissue::Pericardium)
    }

    fn abdomen_at(&self, point: Vector, below: f64, texture: &Texture) -> Tissue {
        if below < 3.0 {
            return Tissue::Muscle;
        }
        let edge = self.liver_edge - 0.35 * (point[1] - 10.0) + 6.0 * texture.sample(point, 60.0);
        if point[0] > edge && (point[0] > 25.0 || point[1] > -40.0) {
            let vessel = texture.in_tree(point, 55.0, 0.2);
            return if vessel { Tissue::LiverVessel } else { Tissue::Liver };
        }
        let uneven = 0.2 * texture.sample(point, 70.0);
        if ellipsoid(point, self.spleen) + uneven < 1.0 {
            return Tissue::Spleen;
        }
        let stomach = ellipsoid(point, self.stomach) - uneven;
        if stomach < 1.0 {
            let gas = stomach < 0.8 && point[1] > self.stomach.0[1] + 35.0 - self.gas;
            return if gas { Tissue::Air } else { Tissue::Stomach };
        }
        // The rest is bowel in fat.
        if texture.sample(point, 45.0) > -0.2 { Tissue::Stomach } else { Tissue::Fat }
    }

    fn chest_at(&self, point: Vector, texture: &Texture) -> Tissue {
        let (x, y) = (point[0] - self.spine[0], point[1] - self.spine[1]);
        let beside_spine = radius(x, y) < SPINE_RADIUS_MM + 7.0;
        let hilum = 20.0 + 5.0 * texture.sample(point, 60.0);
        let between_lungs = (x + 12.0).abs() < hilum && point[2] > 20.0 && point[1] < 25.0;
        let behind_breastbone = point[0].abs() < 14.0 && point[1] > self.cavity[1] - 7.0;
        if beside_spine || between_lungs || behind_breastbone {
            let node = texture.sample(point, 18.0) > 0.9;
            return if node { Tissue::Muscle } else { Tissue::Fat };
        }
        let vessel = texture.in_tree(point, 34.0, 0.12) || texture.in_tree(point, 60.0, 0.1);
        if vessel { Tissue::LungVessel } else { Tissue::Lung }
    }
}

fn ellipsoid(point: Vector, (centre, radii): (Vector, Vector)) -> f64 {
    (0..3).map(|axis| ((point[axis] - centre[axis]) / radii[axis]).powi(2)).sum()
}
