//! Myocardial infarction: a region of the wall that grows outwards from the inner surface.

use crate::anatomy::tissue::Tissue;
use crate::draw::Draw;
use crate::vector::{Vector, radius};

/// One scar in the frame of the left ventricle.
pub(crate) struct Scar {
    direction: [f64; 2],
    /// `1 - cos` of half the opening angle.
    opening: f64,
    centre: f64,
    half_length: f64,
    /// Share of the wall it takes at its centre, 1 being transmural.
    transmurality: f64,
    core: f64,
}

impl Scar {
    pub(crate) fn new(length: f64, draw: &mut Draw) -> Self {
        let angle = draw.uniform(-3.2, 3.2);
        let half_opening = draw.uniform(0.5, 1.25_f64);
        Self {
            direction: [angle.cos(), angle.sin()],
            opening: 1.0 - half_opening.cos(),
            centre: length * draw.uniform(0.2, 0.7),
            half_length: length * draw.uniform(0.2, 0.45),
            transmurality: draw.uniform(0.5, 1.3),
            core: if draw.chance(0.3) { draw.uniform(0.2, 0.5) } else { 0.0 },
        }
    }

    /// Scar tissue at a point whose depth in the wall is 0 inside and 1 outside.
    pub(crate) fn at(&self, point: Vector, depth: f64) -> Option<Tissue> {
        let [u, v, w] = point;
        let distance = radius(u, v).max(1e-6);
        let turn = 1.0 - (u * self.direction[0] + v * self.direction[1]) / distance;
        let along = (w - self.centre) / self.half_length;
        let reach = self.transmurality * (1.0 - turn / self.opening - along * along);
        if depth > reach {
            return None;
        }
        let core = depth > 0.15 && depth < 0.75 && reach > 1.0 - self.core;
        Some(if core { Tissue::ScarCore } else { Tissue::Scar })
    }
}
