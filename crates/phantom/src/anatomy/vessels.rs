//! Atria and great vessels, placed around the centre of the mitral plane.
//!
//! Offsets are millimetres along right, front and head (RAS) of an average heart.

use crate::anatomy::tissue::Tissue;
use crate::draw::Draw;
use crate::vector::{Vector, add, dot, mix, scale, subtract};

/// Nothing outside a structure's box is measured; farther points count as this far away.
pub(crate) const MARGIN_MM: f64 = 10.0;

/// A chamber or vessel with blood inside and a wall.
pub(crate) struct Structure {
    shape: Shape,
    blood: Tissue,
    wall_mm: f64,
    low: Vector,
    high: Vector,
}

enum Shape {
    Ellipsoid {
        centre: Vector,
        radii: Vector,
    },
    /// A chain of round cones: points and the radius at each.
    Tube(Vec<(Vector, f64)>),
}

impl Structure {
    pub(crate) fn ellipsoid(blood: Tissue, centre: Vector, radii: Vector) -> Self {
        let low = subtract(centre, radii);
        let high = add(centre, radii);
        Self { shape: Shape::Ellipsoid { centre, radii }, blood, wall_mm: 2.0, low, high }
    }

    pub(crate) fn tube(blood: Tissue, wall_mm: f64, points: Vec<(Vector, f64)>) -> Self {
        let (mut low, mut high) = ([f64::MAX; 3], [f64::MIN; 3]);
        for &(point, radius) in &points {
            for axis in 0..3 {
                low[axis] = low[axis].min(point[axis] - radius);
                high[axis] = high[axis].max(point[axis] + radius);
            }
        }
        Self { shape: Shape::Tube(points), blood, wall_mm, low, high }
    }

    /// Signed distance to the outer surface, `MARGIN_MM` when clearly outside.
    fn distance(&self, point: Vector) -> f64 {
        let far = (0..3).any(|axis| {
            point[axis] < self.low[axis] - MARGIN_MM || point[axis] > self.high[axis] + MARGIN_MM
        });
        if far {
            return MARGIN_MM;
        }
        match &self.shape {
            Shape::Ellipsoid { centre, radii } => {
                let offset = subtract(point, *centre);
                let unit: Vector = std::array::from_fn(|axis| offset[axis] / radii[axis]);
                let smallest = radii[0].min(radii[1]).min(radii[2]);
                (dot(unit, unit).sqrt() - 1.0) * smallest
            }
            Shape::Tube(points) => points
                .windows(2)
                .map(|ends| cone_distance(point, ends[0], ends[1]))
                .fold(f64::MAX, f64::min),
        }
    }
}

/// The tissue at a point, or the distance to the nearest structure.
///
/// The first blood wins, and it wins over walls, so that vessels open into the chambers they run
/// into. Only an atrium stops at the walls of what came before it: that is its septum.
pub(crate) fn tissue_at(structures: &[Structure], point: Vector) -> Result<Tissue, f64> {
    let mut nearest = MARGIN_MM;
    for structure in structures {
        let distance = structure.distance(point);
        let is_chamber = matches!(structure.shape, Shape::Ellipsoid { .. });
        if is_chamber && distance < 0.0 && nearest < 0.0 {
            return Ok(Tissue::VesselWall);
        }
        if distance < -structure.wall_mm {
            return Ok(structure.blood);
        }
        nearest = nearest.min(distance);
    }
    if nearest < 0.0 { Ok(Tissue::VesselWall) } else { Err(nearest) }
}

fn cone_distance(point: Vector, from: (Vector, f64), to: (Vector, f64)) -> f64 {
    let axis = subtract(to.0, from.0);
    let offset = subtract(point, from.0);
    let along = (dot(offset, axis) / dot(axis, axis)).clamp(0.0, 1.0);
    let off_axis = subtract(offset, scale(axis, along));
    dot(off_axis, off_axis).sqrt() - mix(from.1, to.1, along)
}

/// Points `[right, front, head, radius]` of the tubes that take precedence over the atria.
const TRUNKS: [Route; 5] = [
    Route {
        blood: Tissue::AscendingAorta,
        wall_mm: 1.5,
        points: &[
            [4.0, 9.0, 4.0, 13.0],
            [8.0, 11.0, 16.0, 16.5],
            [15.0, 10.0, 34.0, 14.5],
            [20.0, 8.0, 52.0, 15.0],
            [18.0, 3.0, 66.0, 14.5],
        ],
    },
    Route {
        // The outflow tract belongs to the right ventricle.
        blood: Tissue::RightVentricle,
        wall_mm: 2.5,
        points: &[[12.0, 28.0, 10.0, 15.0], [4.0, 26.0, 27.0, 14.5], [1.0, 23.0, 36.0, 13.5]],
    },
    Route {
        blood: Tissue::PulmonaryArtery,
        wall_mm: 1.5,
        points: &[[1.0, 23.0, 38.0, 13.0], [-8.0, 15.0, 53.0, 13.0], [-11.0, -4.0, 60.0, 12.0]],
    },
    Route {
        blood: Tissue::PulmonaryArtery,
        wall_mm: 1.5,
        points: &[[-11.0, -4.0, 60.0, 10.0], [18.0, -18.0, 60.0, 9.0], [52.0, -22.0, 52.0, 7.0]],
    },
    Route {
        blood: Tissue::PulmonaryArtery,
        wall_mm: 1.5,
        points: &[[-11.0, -4.0, 60.0, 10.0], [-34.0, -24.0, 63.0, 9.0], [-58.0, -32.0, 56.0, 6.5]],
    },
];

const ATRIA: [(Tissue, Vector, Vector); 2] = [
    (Tissue::LeftAtrium, [13.0, -15.0, 9.0], [33.0, 22.0, 29.0]),
    (Tissue::RightAtrium, [48.0, 13.0, 2.0], [24.0, 27.0, 31.0]),
];

/// Aortic arch, caval veins, four pulmonary veins, three coronary arteries.
const BRANCHES: [Route; 10] = [
    Route {
        blood: Tissue::Artery,
        wall_mm: 1.5,
        points: &[
            [18.0, 3.0, 66.0, 14.5],
            [8.0, -10.0, 78.0, 14.0],
            [-6.0, -30.0, 80.0, 13.0],
            [-16.0, -50.0, 68.0, 12.5],
            [-18.0, -56.0, 40.0, 12.0],
            [-17.0, -57.0, -30.0, 11.0],
            [-12.0, -54.0, -170.0, 10.0],
        ],
    },
    vein(&[[46.0, 6.0, 20.0, 9.5], [43.0, 2.0, 50.0, 9.0], [38.0, 4.0, 120.0, 8.5]]),
    vein(&[[44.0, 2.0, -20.0, 12.0], [38.0, -8.0, -60.0, 12.0], [30.0, -20.0, -170.0, 11.0]]),
    pulmonary_vein(&[
        [-8.0, -26.0, 22.0, 7.5],
        [-34.0, -34.0, 34.0, 6.0],
        [-70.0, -45.0, 50.0, 3.5],
    ]),
    pulmonary_vein(&[
        [-8.0, -28.0, 2.0, 7.5],
        [-34.0, -38.0, -4.0, 6.0],
        [-70.0, -52.0, -22.0, 3.5],
    ]),
    pulmonary_vein(&[
        [36.0, -26.0, 22.0, 7.5],
        [64.0, -32.0, 30.0, 6.0],
        [100.0, -40.0, 40.0, 3.5],
    ]),
    pulmonary_vein(&[
        [36.0, -28.0, 2.0, 7.5],
        [64.0, -36.0, -6.0, 6.0],
        [100.0, -48.0, -24.0, 3.5],
    ]),
    coronary(&[[-4.0, 26.0, 14.0, 2.2], [-38.0, 44.0, -2.0, 2.0], [-60.0, 62.0, -30.0, 1.4]]),
    coronary(&[[24.0, 26.0, 16.0, 2.2], [52.0, 36.0, -6.0, 2.2], [40.0, 24.0, -36.0, 2.0]]),
    coronary(&[[-18.0, 4.0, 26.0, 2.0], [-36.0, -6.0, 10.0, 2.0], [-34.0, -4.0, -14.0, 1.8]]),
];

/// The course of one tube.
struct Route {
    blood: Tissue,
    wall_mm: f64,
    points: &'static [[f64; 4]],
}

const fn vein(points: &'static [[f64; 4]]) -> Route {
    Route { blood: Tissue::Vein, wall_mm: 0.8, points }
}

const fn pulmonary_vein(points: &'static [[f64; 4]]) -> Route {
    Route { blood: Tissue::PulmonaryVein, wall_mm: 0.8, points }
}

const fn coronary(points: &'static [[f64; 4]]) -> Route {
    Route { blood: Tissue::Artery, wall_mm: 0.3, points }
}

/// Atria and vessels of one patient; `place` maps an offset to the body.
pub(crate) fn draw_structures(draw: &mut Draw, place: impl Fn(Vector) -> Vector) -> Vec<Structure> {
    let mut structures = Vec::new();
    for route in &TRUNKS {
        structures.push(draw_tube(route, draw, &place));
    }
    for (blood, offset, radii) in ATRIA {
        let size = draw.normal(1.0, 0.07);
        let centre = place(add(offset, draw.normal_vector(2.0)));
        structures.push(Structure::ellipsoid(blood, centre, scale(radii, size)));
    }
    for route in &BRANCHES {
        structures.push(draw_tube(route, draw, &place));
    }
    structures
}

fn draw_tube(route: &Route, draw: &mut Draw, place: impl Fn(Vector) -> Vector) -> Structure {
    let size = draw.normal(1.0, 0.06);
    let points = route
        .points
        .iter()
        .map(|&[x, y, z, radius]| (place(add([x, y, z], draw.normal_vector(1.2))), size * radius))
        .collect();
    Structure::tube(route.blood, route.wall_mm, points)
}
