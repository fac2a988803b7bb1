//! One scan in memory.

use duomo_data::Geometry;

use crate::anatomy::Anatomy;
use crate::anatomy::tissue::{short_axis_label, whole_heart_label};
use crate::contrast::Contrast;
use crate::draw::Draw;
use crate::protocol::Protocol;
use crate::scanner::{Detector, scan};
use crate::{Error, Kind, Modality, Options};

/// One scan of one patient with its labels.
#[derive(Clone, Debug)]
pub struct SimulatedCase {
    /// Grid of both volumes.
    pub geometry: Geometry,
    /// Grey values `[D, H, W]`, as a scanner stores them.
    pub voxels: Vec<i16>,
    /// Label values of the imitated data set, `[D, H, W]`.
    pub labels: Vec<u16>,
}

/// Simulates the scan of a patient, numbered from 1.
///
/// Of `options` only the data set, the seed and the resolution matter, not the number of patients.
///
/// # Errors
///
/// - [`Error::MatrixScale`] if the resolution is out of range
/// - [`Error::ForeignModality`] if the data set has no such modality
///
/// # Examples
///
/// ```
/// use duomo_phantom::{Kind, Modality, Options, simulate};
///
/// let options = Options { matrix_scale: 0.15, ..Options::new(Kind::Mscmr, 1) };
/// let case = simulate(&options, Modality::Bssfp, 1)?;
/// assert_eq!(case.voxels.len(), case.geometry.voxel_count());
/// assert!(case.labels.contains(&600)); // some right ventricle
/// # Ok::<(), duomo_phantom::Error>(())
/// ```
pub fn simulate(
    options: &Options,
    modality: Modality,
    patient: usize,
) -> Result<SimulatedCase, Error> {
    options.check()?;
    if !options.kind.modalities().contains(&modality) {
        return Err(Error::ForeignModality { modality, kind: options.kind });
    }
    let part = |part: Part| Draw::new(options.seed, stream(modality, patient, part));
    let anatomy = Anatomy::new(&mut part(Part::Body));
    let contrast = Contrast::new(modality, &mut part(Part::Contrast));
    let mut plan = part(Part::Protocol);
    let protocol = Protocol::new(modality, options.matrix_scale, &anatomy.frame, &mut plan);
    let detector = if modality == Modality::Ct { Detector::Signed } else { Detector::Magnitude };
    let scan = scan(&anatomy, &contrast, &protocol, detector, &mut part(Part::Scan));

    let label = match options.kind {
        Kind::Mscmr => short_axis_label,
        Kind::Mmwhs => whole_heart_label,
    };
    let labels = scan.tissues.into_iter().map(|tissue| tissue.map_or(0, label)).collect();
    let geometry = Geometry::from_affine(protocol.shape, protocol.affine());
    Ok(SimulatedCase { geometry, voxels: scan.voxels, labels })
}

/// What a random stream decides. Separate streams keep a body the same when a protocol changes.
#[derive(Clone, Copy)]
enum Part {
    Body,
    Contrast,
    Protocol,
    Scan,
}

/// Streams do not collide below 2^32 patients.
fn stream(modality: Modality, patient: usize, part: Part) -> u64 {
    (modality as u64) << 40 | (patient as u64) << 4 | part as u64
}
