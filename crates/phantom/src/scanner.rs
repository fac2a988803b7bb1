//! What the scanner makes of a body: partial volume, coil shading, noise, interpolation.

use crate::anatomy::Anatomy;
use crate::anatomy::tissue::Tissue;
use crate::contrast::Contrast;
use crate::draw::Draw;
use crate::protocol::{LEAST_SIDE, Protocol};
use crate::resample::resample;
use crate::vector::{Vector, add, dot, scale, subtract};

/// Distance over which a surface coil's sensitivity falls, millimetres.
const COIL_REACH_MM: f64 = 85.0;

/// Physics of the detector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Detector {
    /// Complex signal with Gaussian noise in both parts; the magnitude has Rician noise.
    Magnitude,
    /// Signed values with Gaussian noise, as in CT.
    Signed,
}

/// A scan on the protocol's grid, `[D, H, W]`.
pub(crate) struct Scan {
    pub(crate) voxels: Vec<i16>,
    pub(crate) tissues: Vec<Option<Tissue>>,
}

/// Scans slice by slice; each slice is its own breath hold.
pub(crate) fn scan(
    anatomy: &Anatomy,
    contrast: &Contrast,
    protocol: &Protocol,
    detector: Detector,
    draw: &mut Draw,
) -> Scan {
    let [slices, rows, columns] = protocol.shape;
    let coils = Coils::new(anatomy.half_depth(), draw);
    // Drawn before any noise, so that the resolution does not change how the patient breathes.
    let holds: Vec<Hold> = (0..slices).map(|slice| Hold::new(slice, protocol, draw)).collect();
    let gain = match detector {
        Detector::Magnitude => protocol.gain / contrast.mean(Tissue::LeftVentricle).abs(),
        Detector::Signed => 1.0,
    };
    let noise = protocol.noise * protocol.gain;
    let mut voxels = Vec::with_capacity(slices * rows * columns);
    let mut tissues = Vec::with_capacity(slices * rows * columns);
    for hold in &holds {
        let acquired = Acquired::new(protocol, hold);
        let mut signal = acquired.signal(anatomy, contrast, &coils);
        for value in &mut signal {
            *value *= hold.strength * gain;
        }
        let grids = ([acquired.rows, acquired.columns], [rows, columns]);
        voxels.extend(detect(signal, noise, detector, grids, draw));
        for h in 0..rows {
            for w in 0..columns {
                let point = protocol.position(hold.slice, h as f64, w as f64);
                tissues.push(anatomy.heart_tissue(add(point, hold.shift)));
            }
        }
    }
    Scan { voxels, tissues }
}

/// One breath hold: where the body is and how strong the signal.
struct Hold {
    slice: f64,
    shift: Vector,
    strength: f64,
}

impl Hold {
    fn new(slice: usize, protocol: &Protocol, draw: &mut Draw) -> Self {
        let shift = draw.normal_vector(protocol.breath_mm);
        let strength = if protocol.breath_mm > 0.0 { draw.normal(1.0, 0.05) } else { 1.0 };
        Self { slice: slice as f64, shift, strength }
    }
}

/// The coarser grid on which a slice is really measured.
struct Acquired<'a> {
    protocol: &'a Protocol,
    hold: &'a Hold,
    rows: usize,
    columns: usize,
}

impl<'a> Acquired<'a> {
    fn new(protocol: &'a Protocol, hold: &'a Hold) -> Self {
        let measured = |count: usize| {
            crate::vector::rounded(count as f64 / protocol.interpolation).clamp(LEAST_SIDE, count)
        };
        let [_, rows, columns] = protocol.shape;
        Self { protocol, hold, rows: measured(rows), columns: measured(columns) }
    }

    /// Mean signal of every acquired voxel, shaded by the coils.
    fn signal(&self, anatomy: &Anatomy, contrast: &Contrast, coils: &Coils) -> Vec<f64> {
        let offsets = offsets(self.protocol.samples);
        let mut signal = Vec::with_capacity(self.rows * self.columns);
        for row in 0..self.rows {
            for column in 0..self.columns {
                let mean = offsets
                    .iter()
                    .map(|&offset| {
                        let point = self.position(row as f64, column as f64, offset);
                        contrast.at(anatomy.tissue(point), point, &anatomy.texture)
                    })
                    .sum::<f64>()
                    / offsets.len() as f64;
                let shading = if self.protocol.shading > 0.0 {
                    let centre = self.position(row as f64, column as f64, [0.0; 3]);
                    coils.sensitivity(centre).powf(self.protocol.shading)
                } else {
                    1.0
                };
                signal.push(mean * shading);
            }
        }
        signal
    }

    /// A point of an acquired voxel; `offset` is a fraction of the voxel along D, H and W.
    fn position(&self, row: f64, column: f64, offset: Vector) -> Vector {
        let [_, rows, columns] = self.protocol.shape;
        let stretch = |index: f64, acquired: usize, count: usize| {
            (index + 0.5) * count as f64 / acquired as f64 - 0.5
        };
        let h = stretch(row + offset[1], self.rows, rows);
        let w = stretch(column + offset[2], self.columns, columns);
        add(self.protocol.position(self.hold.slice + offset[0], h, w), self.hold.shift)
    }
}

/// Evenly spread points in a voxel: strata through the slice, the R2 sequence in plane.
fn offsets(samples: usize) -> Vec<Vector> {
    let spread = |index: usize, step: f64| ((index as f64 + 0.5) * step).fract() - 0.5;
    (0..samples)
        .map(|index| {
            let through = (index as f64 + 0.5) / samples as f64 - 0.5;
            [through, spread(index, 0.754_877_666), spread(index, 0.569_840_291)]
        })
        .collect()
}

/// Adds noise on the acquired grid, interpolates to the reconstructed one and rounds.
fn detect(
    signal: Vec<f64>,
    noise: f64,
    detector: Detector,
    (acquired, reconstructed): ([usize; 2], [usize; 2]),
    draw: &mut Draw,
) -> Vec<i16> {
    let mut real = signal;
    let mut imaginary = vec![0.0; real.len()];
    for (re, im) in real.iter_mut().zip(&mut imaginary) {
        let (first, second) = draw.normal_pair();
        *re += noise * first;
        *im = noise * second;
    }
    let real = resample(&real, acquired, reconstructed);
    match detector {
        Detector::Signed => real.into_iter().map(stored).collect(),
        Detector::Magnitude => {
            let imaginary = resample(&imaginary, acquired, reconstructed);
            real.iter().zip(&imaginary).map(|(re, im)| stored(re.hypot(*im))).collect()
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to the range of the file's type")]
fn stored(value: f64) -> i16 {
    value.round().clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
}

/// A phased array in front of and behind the chest.
struct Coils {
    centres: Vec<Vector>,
    /// Sensitivity at the body's origin, so that shading is 1 there.
    reference: f64,
}

impl Coils {
    fn new(half_depth: f64, draw: &mut Draw) -> Self {
        let mut centres = Vec::new();
        for side in [-1.0, 1.0] {
            for x in [-80.0, 10.0, 95.0] {
                for z in [-85.0, 5.0, 95.0] {
                    let y = side * (half_depth + 25.0);
                    centres.push(add([x, y, z], draw.normal_vector(12.0)));
                }
            }
        }
        let mut coils = Self { centres, reference: 1.0 };
        coils.reference = coils.sensitivity([-20.0, 20.0, -20.0]);
        coils
    }

    /// Root of the summed squares, as the magnitude combination of coil images has it.
    fn sensitivity(&self, point: Vector) -> f64 {
        let squares: f64 = self
            .centres
            .iter()
            .map(|centre| {
                let offset = scale(subtract(point, *centre), 1.0 / COIL_REACH_MM);
                (1.0 + dot(offset, offset)).powi(-3)
            })
            .sum();
        squares.sqrt() / self.reference
    }
}
