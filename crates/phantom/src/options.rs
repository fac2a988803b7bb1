//! Which data set to make.

use crate::Error;
use crate::protocol::is_large_enough;

/// Scales are proposed in steps of one by this.
const STEPS: u32 = 10_000;

/// The public data set whose layout and look are imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// MS-CMRSeg 2019: short-axis LGE, bSSFP (and T2) of the ventricles.
    Mscmr,
    /// MM-WHS 2017: CT angiography and MR of the whole heart, stored as axial slices.
    Mmwhs,
}

/// How a scan was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modality {
    /// Late gadolinium enhancement: dark myocardium, bright scar, mid-bright blood.
    Lge,
    /// Balanced steady-state free precession: bright blood, dark-grey myocardium.
    Bssfp,
    /// Black-blood T2-weighted spin echo, few thick slices.
    T2,
    /// Computed tomography with contrast medium in the left heart, in Hounsfield units.
    Ct,
    /// Three-dimensional balanced MR with T2 preparation and fat saturation.
    Mr,
}

impl Kind {
    /// The modalities of the data set, in the order of the paper.
    ///
    /// # Examples
    ///
    /// ```
    /// use duomo_phantom::{Kind, Modality};
    ///
    /// assert_eq!(Kind::Mmwhs.modalities(), [Modality::Ct, Modality::Mr]);
    /// ```
    pub fn modalities(self) -> &'static [Modality] {
        match self {
            Self::Mscmr => &[Modality::Lge, Modality::Bssfp, Modality::T2],
            Self::Mmwhs => &[Modality::Ct, Modality::Mr],
        }
    }
}

/// What to make; the same options make the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Data set to imitate.
    pub kind: Kind,
    /// Seed of every random stream.
    pub seed: u64,
    /// Number of patients per modality.
    pub patients: Vec<(Modality, usize)>,
    /// Voxels per edge relative to the official matrix, in `(0, 1]`, with at least 2 left; the field of view
    /// stays. It acts in plane, and for MM-WHS, whose slices are recut, along the third axis too.
    pub matrix_scale: f64,
}

impl Options {
    /// The full-resolution data set: 16 LGE and 14 bSSFP patients, or 8 CT and 8 MR.
    ///
    /// # Examples
    ///
    /// ```
    /// use duomo_phantom::{Kind, Modality, Options};
    ///
    /// let options = Options::new(Kind::Mscmr, 7);
    /// assert_eq!(options.patients, [(Modality::Lge, 16), (Modality::Bssfp, 14)]);
    /// assert_eq!(options.matrix_scale, 1.0);
    /// ```
    pub fn new(kind: Kind, seed: u64) -> Self {
        let patients = match kind {
            Kind::Mscmr => vec![(Modality::Lge, 16), (Modality::Bssfp, 14)],
            Kind::Mmwhs => vec![(Modality::Ct, 8), (Modality::Mr, 8)],
        };
        Self { kind, seed, patients, matrix_scale: 1.0 }
    }

    /// Checks that there is such a data set.
    ///
    /// # Errors
    ///
    /// [`Error::MatrixScale`], [`Error::TooCoarse`], [`Error::ForeignModality`]
    pub fn check(&self) -> Result<(), Error> {
        if !(self.matrix_scale > 0.0 && self.matrix_scale <= 1.0) {
            return Err(Error::MatrixScale(self.matrix_scale));
        }
        let foreign = self.patients.iter().find(|(m, _)| !self.kind.modalities().contains(m));
        if let Some(&(modality, _)) = foreign {
            return Err(Error::ForeignModality { modality, kind: self.kind });
        }
        let fits = |scale| self.kind.modalities().iter().all(|&m| is_large_enough(m, scale));
        if fits(self.matrix_scale) {
            return Ok(());
        }
        let smallest =
            (1..=STEPS).map(|step| f64::from(step) / f64::from(STEPS)).find(|&scale| fits(scale));
        Err(Error::TooCoarse { given: self.matrix_scale, smallest: smallest.unwrap_or(1.0) })
    }
}
