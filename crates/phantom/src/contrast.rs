//! How bright each tissue is in each modality, from the signal equation of the sequence.
//!
//! Relaxation times are for 1.5 T, in milliseconds. Signals keep their sign until the magnitude is
//! taken: in bSSFP fat points against water, which draws the dark line around every organ, and in
//! late enhancement tissue that relaxes more slowly than myocardium is still inverted.

use crate::Modality;
use crate::anatomy::tissue::Tissue;
use crate::draw::Draw;
use crate::texture::Texture;
use crate::vector::Vector;

/// What makes a tissue bright or dark.
#[derive(Clone, Copy)]
struct Material {
    proton_density: f64,
    t1_ms: f64,
    /// T1 ten to fifteen minutes after gadolinium.
    enhanced_t1_ms: f64,
    t2_ms: f64,
    /// CT number with contrast medium in the left heart.
    hounsfield: f64,
    /// Relative standard deviation of the tissue's own texture.
    grain: f64,
    grain_mm: f64,
}

/// Signal of every tissue in one scan of one patient.
pub(crate) struct Contrast {
    /// Indexed by `Tissue as usize`: mean signal, texture amplitude, texture wavelength.
    signals: Vec<(f64, f64, f64)>,
}

impl Contrast {
    pub(crate) fn new(modality: Modality, draw: &mut Draw) -> Self {
        let sequence = Sequence::new(modality, draw);
        // Dose, delay and oxygen make the blood of patients differ more than other tissues.
        let blood = Blood {
            enhanced_t1: draw.uniform(0.78, 1.06),
            venous: draw.normal(1.0, 0.07),
            t2: draw.normal(1.0, 0.15),
        };
        let signals = TISSUES
            .iter()
            .map(|&tissue| {
                let mut material = vary(material(tissue), draw);
                if is_blood(tissue) {
                    material = blood.apply(material, tissue);
                }
                let signal = sequence.signal(tissue, material);
                let size = if modality == Modality::Ct { 55.0 } else { signal.abs() };
                (signal, material.grain * size, material.grain_mm)
            })
            .collect();
        Self { signals }
    }

    /// Mean signal, without texture.
    pub(crate) fn mean(&self, tissue: Tissue) -> f64 {
        self.signals[tissue as usize].0
    }

    /// Signal at a point, with the tissue's texture.
    pub(crate) fn at(&self, tissue: Tissue, point: Vector, texture: &Texture) -> f64 {
        let (signal, amplitude, wavelength_mm) = self.signals[tissue as usize];
        if amplitude == 0.0 {
            return signal;
        }
        signal + amplitude * texture.sample(point, wavelength_mm)
    }
}

/// What all the blood of one patient shares.
struct Blood {
    enhanced_t1: f64,
    venous: f64,
    t2: f64,
}

impl Blood {
    fn apply(&self, material: Material, tissue: Tissue) -> Material {
        let venous = if is_arterial(tissue) { 1.0 } else { self.venous };
        Material {
            enhanced_t1_ms: material.enhanced_t1_ms * self.enhanced_t1 * venous,
            t2_ms: material.t2_ms * self.t2,
            ..material
        }
    }
}

/// A pulse sequence with the patient's settings.
enum Sequence {
    /// Inversion recovery: inversion and repetition time.
    InversionRecovery { ti_ms: f64, tr_ms: f64 },
    /// Balanced steady-state free precession at a flip angle in radians.
    Balanced { flip: f64 },
    /// Black-blood turbo spin echo: echo time and the blood signal that is left.
    SpinEcho { te_ms: f64, blood: f64 },
    /// Three-dimensional balanced sequence with T2 preparation and fat saturation.
    WholeHeart { flip: f64, preparation_ms: f64, fat: f64 },
    /// CT angiography: arterial and venous enhancement in Hounsfield units.
    Tomography { arterial: f64, venous: f64 },
}

impl Sequence {
    fn new(modality: Modality, draw: &mut Draw) -> Self {
        match modality {
            Modality::Lge => {
                let tr_ms = draw.uniform(800.0, 1100.0);
                // The operator nulls the myocardium, more or less.
                let myocardium = material(Tissue::Myocardium).enhanced_t1_ms;
                let null = myocardium * (2.0 / (1.0 + (-tr_ms / myocardium).exp())).ln();
                Self::InversionRecovery { ti_ms: null * draw.normal(1.16, 0.1), tr_ms }
            }
            Modality::Bssfp => Self::Balanced { flip: draw.uniform(45.0, 65.0_f64).to_radians() },
            Modality::T2 => {
                Self::SpinEcho { te_ms: draw.uniform(50.0, 75.0), blood: draw.uniform(0.05, 0.3) }
            }
            Modality::Mr => Self::WholeHeart {
                flip: draw.uniform(60.0, 90.0_f64).to_radians(),
                preparation_ms: draw.uniform(20.0, 50.0),
                fat: draw.uniform(0.1, 0.4),
            },
            Modality::Ct => Self::Tomography {
                arterial: draw.normal(380.0, 60.0),
                venous: draw.normal(230.0, 90.0),
            },
        }
    }

    fn signal(&self, tissue: Tissue, material: Material) -> f64 {
        match *self {
            Self::InversionRecovery { ti_ms, tr_ms } => {
                let t1 = material.enhanced_t1_ms;
                material.proton_density * (1.0 - 2.0 * (-ti_ms / t1).exp() + (-tr_ms / t1).exp())
            }
            Self::Balanced { flip } => {
                let sign = if is_fatty(tissue) { -1.0 } else { 1.0 };
                sign * balanced(flip, material)
            }
            Self::SpinEcho { te_ms, blood } => {
                let left = if is_blood(tissue) { blood } else { 1.0 };
                left * material.proton_density * (-te_ms / material.t2_ms).exp()
            }
            Self::WholeHeart { flip, preparation_ms, fat } => {
                let left = if is_fatty(tissue) { fat } else { 1.0 };
                left * balanced(flip, material) * (-preparation_ms / material.t2_ms).exp()
            }
            Self::Tomography { arterial, venous } => match tissue {
                tissue if is_arterial(tissue) => arterial,
                tissue if is_blood(tissue) => venous,
                _ => material.hounsfield,
            },
        }
    }
}

/// Steady-state signal for a repetition time far below T1 and T2.
///
/// # Source
///
/// Scheffler and Lehnhardt, Eur. Radiol. 13 (2003), on resonance with TR far below T2.
fn balanced(flip: f64, material: Material) -> f64 {
    let ratio = material.t1_ms / material.t2_ms;
    material.proton_density * flip.sin() / (1.0 + flip.cos() + (1.0 - flip.cos()) * ratio)
}

fn is_fatty(tissue: Tissue) -> bool {
    matches!(tissue, Tissue::Fat | Tissue::Marrow)
}

fn is_arterial(tissue: Tissue) -> bool {
    use Tissue::{Artery, AscendingAorta, LeftAtrium, LeftVentricle, PulmonaryVein};
    matches!(tissue, AscendingAorta | Artery | LeftAtrium | LeftVentricle | PulmonaryVein)
}

fn is_blood(tissue: Tissue) -> bool {
    use Tissue::{LiverVessel, LungVessel, PulmonaryArtery, RightAtrium, RightVentricle, Vein};
    is_arterial(tissue)
        || matches!(
            tissue,
            LiverVessel | LungVessel | PulmonaryArtery | RightAtrium | RightVentricle | Vein
        )
}

/// The same tissue in another patient.
fn vary(material: Material, draw: &mut Draw) -> Material {
    Material {
        proton_density: material.proton_density * draw.normal(1.0, 0.04),
        t1_ms: material.t1_ms * draw.normal(1.0, 0.05),
        enhanced_t1_ms: material.enhanced_t1_ms * draw.normal(1.0, 0.04),
        t2_ms: material.t2_ms * draw.normal(1.0, 0.07),
        hounsfield: material.hounsfield + draw.normal(0.0, 8.0),
        ..material
    }
}

/// `[density, T1, enhanced T1, T2, HU, grain, grain wavelength]` of the average patient.
fn material(tissue: Tissue) -> Material {
    let values = match tissue {
        Tissue::Air => [0.0, 1000.0, 1000.0, 50.0, -1000.0, 0.0, 1.0],
        Tissue::Skin => [0.5, 700.0, 400.0, 30.0, 20.0, 0.1, 8.0],
        Tissue::Fat => [0.6, 290.0, 275.0, 80.0, -90.0, 0.15, 20.0],
        Tissue::Muscle => [0.85, 950.0, 500.0, 36.0, 60.0, 0.15, 7.0],
        Tissue::Bone => [0.08, 500.0, 450.0, 10.0, 480.0, 0.2, 6.0],
        Tissue::Marrow => [0.5, 450.0, 350.0, 60.0, 200.0, 0.25, 6.0],
        Tissue::SpinalFluid => [1.0, 3000.0, 2800.0, 1500.0, 10.0, 0.0, 1.0],
        Tissue::Lung => [0.16, 1100.0, 480.0, 40.0, -840.0, 0.45, 9.0],
        Tissue::LungVessel => [0.9, 1400.0, 330.0, 140.0, 60.0, 0.0, 1.0],
        Tissue::Liver => [0.9, 640.0, 395.0, 33.0, 95.0, 0.07, 7.0],
        Tissue::LiverVessel => [0.9, 1400.0, 340.0, 110.0, 130.0, 0.0, 1.0],
        Tissue::Spleen => [0.9, 1050.0, 375.0, 65.0, 115.0, 0.06, 7.0],
        Tissue::Stomach => [0.8, 900.0, 420.0, 60.0, 30.0, 0.45, 8.0],
        Tissue::Pericardium => [0.3, 900.0, 500.0, 25.0, 30.0, 0.0, 1.0],
        Tissue::VesselWall => [0.8, 1000.0, 430.0, 45.0, 80.0, 0.0, 1.0],
        Tissue::LeftVentricle => [0.95, 1450.0, 335.0, 205.0, 380.0, 0.13, 10.0],
        Tissue::Papillary => [0.85, 1050.0, 440.0, 50.0, 110.0, 0.0, 1.0],
        Tissue::Myocardium => [0.85, 1020.0, 440.0, 50.0, 110.0, 0.07, 12.0],
        Tissue::Scar => [0.88, 1200.0, 275.0, 62.0, 70.0, 0.15, 6.0],
        Tissue::ScarCore => [0.85, 1150.0, 560.0, 60.0, 60.0, 0.0, 1.0],
        Tissue::RightVentricle => [0.95, 1450.0, 365.0, 122.0, 230.0, 0.13, 12.0],
        Tissue::RightTrabecula | Tissue::RightWall => [0.8, 1020.0, 440.0, 48.0, 105.0, 0.0, 1.0],
        Tissue::LeftAtrium => [0.95, 1450.0, 335.0, 190.0, 380.0, 0.07, 18.0],
        Tissue::RightAtrium => [0.95, 1450.0, 365.0, 120.0, 230.0, 0.1, 20.0],
        Tissue::AscendingAorta => [0.93, 1450.0, 335.0, 200.0, 380.0, 0.06, 18.0],
        Tissue::Artery => [0.9, 1450.0, 335.0, 190.0, 370.0, 0.06, 18.0],
        Tissue::PulmonaryArtery => [0.92, 1450.0, 365.0, 120.0, 230.0, 0.08, 18.0],
        Tissue::PulmonaryVein => [0.9, 1450.0, 335.0, 190.0, 370.0, 0.06, 12.0],
        Tissue::Vein => [0.92, 1450.0, 365.0, 115.0, 180.0, 0.1, 18.0],
    };
    let [proton_density, t1_ms, enhanced_t1_ms, t2_ms, hounsfield, grain, grain_mm] = values;
    Material { proton_density, t1_ms, enhanced_t1_ms, t2_ms, hounsfield, grain, grain_mm }
}

/// Every tissue, in the order of the enumeration.
const TISSUES: [Tissue; 30] = [
    Tissue::Air,
    Tissue::Skin,
    Tissue::Fat,
    Tissue::Muscle,
    Tissue::Bone,
    Tissue::Marrow,
    Tissue::SpinalFluid,
    Tissue::Lung,
    Tissue::LungVessel,
    Tissue::Liver,
    Tissue::LiverVessel,
    Tissue::Spleen,
    Tissue::Stomach,
    Tissue::Pericardium,
    Tissue::VesselWall,
    Tissue::LeftVentricle,
    Tissue::Papillary,
    Tissue::Myocardium,
    Tissue::Scar,
    Tissue::ScarCore,
    Tissue::RightVentricle,
    Tissue::RightTrabecula,
    Tissue::RightWall,
    Tissue::LeftAtrium,
    Tissue::RightAtrium,
    Tissue::AscendingAorta,
    Tissue::Artery,
    Tissue::PulmonaryArtery,
    Tissue::PulmonaryVein,
    Tissue::Vein,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_every_tissue_at_its_own_index() {
        for (index, tissue) in TISSUES.into_iter().enumerate() {
            assert_eq!(tissue as usize, index);
        }
        assert_eq!(Tissue::Vein as usize + 1, TISSUES.len());
    }

    #[test]
    fn late_enhancement_darkens_myocardium_and_brightens_scar() {
        let mut sums = [0.0; 3];
        for patient in 0..20 {
            let contrast = Contrast::new(Modality::Lge, &mut Draw::new(3, patient));
            let tissues = [Tissue::LeftVentricle, Tissue::Myocardium, Tissue::Scar];
            for (sum, tissue) in sums.iter_mut().zip(tissues) {
                *sum += contrast.mean(tissue).abs() / 20.0;
            }
        }
        let [blood, myocardium, scar] = sums;
        assert!(myocardium < 0.5 * blood, "{myocardium} against {blood}");
        assert!(scar > blood, "{scar} against {blood}");
    }

    #[test]
    fn balanced_imaging_makes_fat_oppose_water_and_blood_twice_as_bright_as_myocardium() {
        let contrast = Contrast::new(Modality::Bssfp, &mut Draw::new(3, 0));
        let ratio = contrast.mean(Tissue::Myocardium) / contrast.mean(Tissue::LeftVentricle);
        assert!((0.33..0.6).contains(&ratio), "{ratio}");
        assert!(contrast.mean(Tissue::Fat) < 0.0);
    }

    #[test]
    fn spin_echo_blackens_blood() {
        let contrast = Contrast::new(Modality::T2, &mut Draw::new(3, 0));
        assert!(contrast.mean(Tissue::LeftVentricle) < contrast.mean(Tissue::Myocardium));
    }

    #[test]
    fn tomography_enhances_the_left_heart_most() {
        let contrast = Contrast::new(Modality::Ct, &mut Draw::new(3, 0));
        assert!(contrast.mean(Tissue::LeftVentricle) > contrast.mean(Tissue::Myocardium) + 100.0);
        assert!(contrast.mean(Tissue::Lung) < -700.0);
    }
}
