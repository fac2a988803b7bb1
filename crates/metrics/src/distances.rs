//! All distances of one class, in either convention of what a surface is.

use crate::surface::{ElementPair, Pair, Planes, Statistics};
use crate::{ElementDistances, Metric, Options};

/// What the surface of a mask is made of, and what its parts weigh.
///
/// Numbers of different conventions are not comparable: on a coarse grid they differ by tenths of a
/// millimetre and by several hundredths of the normalised surface distance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convention {
    /// Surface voxels, which all count the same: [`SurfaceDistances`](crate::SurfaceDistances). So do MedPy, MONAI,
    /// MetricsReloaded and scipy.
    #[default]
    Voxel,
    /// Surface elements between voxels, which count by their area: [`ElementDistances`]. So does
    /// Google `DeepMind`'s surface-distance.
    DeepMind,
}

impl Convention {
    /// Returns the name used in reports: `voxel` or `deepmind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Voxel => "voxel",
            Self::DeepMind => "deepmind",
        }
    }

    /// Returns whether a metric has a value by this convention where both sides hold the class.
    ///
    /// # Examples
    ///
    /// ```
    /// use duomo_metrics::{Convention, Metric};
    ///
    /// assert!(Convention::Voxel.defines(Metric::Hausdorff95PooledMm));
    /// assert!(!Convention::DeepMind.defines(Metric::Hausdorff95PooledMm));
    /// ```
    pub fn defines(self, metric: Metric) -> bool {
        self == Self::Voxel || metric != Metric::Hausdorff95PooledMm
    }
}

/// Distances of a class that both sides have.
#[derive(Debug)]
pub(crate) struct Distances {
    pub(crate) hausdorff_mm: f64,
    pub(crate) hausdorff95_mm: f64,
    /// Only defined for surface voxels.
    pub(crate) hausdorff95_pooled_mm: Option<f64>,
    pub(crate) assd_mm: f64,
    pub(crate) masd_mm: f64,
    /// One per tolerance.
    pub(crate) nsd: Vec<f64>,
    pub(crate) hausdorff_voxels: f64,
}

impl Distances {
    /// Measures one class of packed label maps; `None` if a side is empty.
    pub(crate) fn of(planes: &Planes, index: usize, options: &Options) -> Option<Self> {
        let spacings = [options.spacing_mm, [1.0; 3]];
        match options.convention {
            Convention::Voxel => {
                let pair = Pair::new(planes, index, options.mode, &spacings)?;
                let (statistics, hausdorff_voxels) =
                    pair.statistics(&spacings[0], &options.tolerances_mm, &spacings[1]);
                Some(Self::between_voxels(statistics, hausdorff_voxels))
            }
            Convention::DeepMind => {
                let pair = ElementPair::new(planes, index, options.mode, &spacings)?;
                let distances = pair.distances(&spacings[0]);
                let hausdorff_voxels = pair.hausdorff(&spacings[1], &distances, &spacings[0]);
                Some(Self::between_elements(&distances, hausdorff_voxels, options))
            }
        }
    }

    fn between_voxels(statistics: Statistics, hausdorff_voxels: f64) -> Self {
        Self {
            hausdorff_mm: statistics.hausdorff_mm,
            hausdorff95_mm: statistics.hausdorff95_mm,
            hausdorff95_pooled_mm: Some(statistics.hausdorff95_pooled_mm),
            assd_mm: statistics.assd_mm,
            masd_mm: statistics.masd_mm,
            nsd: statistics.nsd,
            hausdorff_voxels,
        }
    }

    fn between_elements(
        distances: &ElementDistances,
        hausdorff_voxels: f64,
        options: &Options,
    ) -> Self {
        let tolerances_mm = options.tolerances_mm.iter();
        Self {
            hausdorff_mm: distances.hausdorff_mm(),
            hausdorff95_mm: distances.hausdorff95_mm(),
            hausdorff95_pooled_mm: None,
            assd_mm: distances.assd_mm(),
            masd_mm: distances.masd_mm(),
            nsd: tolerances_mm.map(|&tolerance_mm| distances.nsd(tolerance_mm)).collect(),
            hausdorff_voxels,
        }
    }
}
