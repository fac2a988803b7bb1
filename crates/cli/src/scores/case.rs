//! One pair of label maps, compared.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result};
use duomo_data::{Geometry, Labels, Preparation, read_labels};
use duomo_metrics::{ClassResult, Convention, Metric, Options, Summary, evaluate, evaluate_slices};
use duomo_train::voxel_mm3;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::{Classes, Indexed, Pair};
use crate::console;
use crate::exit::Fault;

/// How pairs are compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measure {
    /// What a surface is made of.
    pub convention: Convention,
    /// Tolerances of the normalised surface distance, in millimetres; a distance longer by less than
    /// [`SLACK`] is within.
    pub tolerances_mm: Vec<f64>,
    /// Whether distances between all voxels are measured, too.
    pub hausdorff_volume: bool,
    /// What is compared at once.
    pub extent: Extent,
    /// Corner distance up to which two grids count as one; `None` trusts the voxels.
    pub geometry_tolerance_mm: Option<f64>,
}

/// What is compared at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The whole volume, in 3D.
    Volume,
    /// Every slice on its own, in 2D.
    Slice,
}

/// By what share of itself a tolerance may be exceeded. Headers hold reals of 32 bits, so that a voxel
/// of 1 mm that is turned by 5° is 1.00000002 mm long; without slack it would be beyond 1 mm.
const SLACK: f64 = 1e-6;

impl Measure {
    fn options(&self, spacing_mm: [f64; 3], voxel_mm3: f64) -> Options {
        let tolerances = self.tolerances_mm.iter();
        Options {
            tolerances_mm: tolerances.map(|tolerance| tolerance * (1.0 + SLACK)).collect(),
            convention: self.convention,
            hausdorff_volume: self.hausdorff_volume,
            voxel_mm3,
            ..Options::new(spacing_mm)
        }
    }

    /// Metrics with one value per class.
    fn single_metrics(&self) -> impl Iterator<Item = Metric> {
        let volume = self.hausdorff_volume.then_some(Metric::HausdorffVolumeMm);
        Metric::ALL.into_iter().chain(volume)
    }
}

/// Scores of one case, or of one slice of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CaseScores {
    pub case: String,
    /// Slice along the file's last axis, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice: Option<usize>,
    pub reference: PathBuf,
    pub prediction: PathBuf,
    /// In the file's order of axes: `[x, y, z]`.
    pub spacing_mm: [f64; 3],
    /// By label value.
    pub classes: BTreeMap<u16, ClassScores>,
}

/// Scores of one class; an undefined value is `null` and the status says why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClassScores {
    pub name: String,
    pub result: ClassResult,
    /// How `result` was measured.
    measure: Measure,
}

/// A compared case with its label maps, for pictures.
#[derive(Debug)]
pub(crate) struct Compared {
    /// One entry, or one per slice.
    pub scores: Vec<CaseScores>,
    /// The reference's grid.
    pub geometry: Geometry,
    /// Both label maps on class indices.
    pub indexed: Indexed,
}

/// Reads and compares a pair.
///
/// # Errors
///
/// Files that cannot be read, grids that differ, labels that no class names.
pub(crate) fn compare(pair: &Pair, classes: &Classes, measure: &Measure) -> Result<Compared> {
    let (reference, prediction) = thread::scope(|scope| {
        let reference = scope.spawn(|| read_labels(&pair.reference));
        let prediction = read_labels(&pair.prediction);
        (reference.join().unwrap_or_else(|panic| resume_unwind(panic)), prediction)
    });
    let (reference, prediction) = (reference?, prediction?);
    warn(&pair.reference, &reference);
    warn(&pair.prediction, &prediction);
    check_grids(pair, &reference.geometry, &prediction.geometry, measure)?;
    let geometry = reference.geometry.clone();
    if geometry.is_sheared() {
        console::warn(&format!(
            "case {}: the axes are not at right angles; distances are measured as if they were",
            pair.case
        ));
    }
    let indexed = classes.index([(reference, &pair.reference), (prediction, &pair.prediction)])?;
    let scores = scores(pair, &indexed, measure, &geometry)?;
    Ok(Compared { scores, geometry, indexed })
}

/// Passes on what reading a file revealed.
fn warn(path: &Path, labels: &Labels) {
    for warning in &labels.warnings {
        console::warn(&format!("{}: {warning}", path.display()));
    }
}

/// Refuses grids of another shape or at another place, and warns of those half a voxel apart.
fn check_grids(
    pair: &Pair,
    reference: &Geometry,
    prediction: &Geometry,
    measure: &Measure,
) -> Result<()> {
    // One box whose axes have another order or direction.
    let is_turned = reference.max_box_distance_mm(prediction) <= Preparation::TOLERANCE_MM;
    let remedy = if is_turned {
        "both cover the same box with their axes turned; reorient the prediction like the reference"
    } else {
        "resample the prediction onto the reference's grid"
    };
    if reference.shape != prediction.shape {
        let [[depth, height, width], [d, h, w]] = [reference.shape, prediction.shape];
        return Err(Fault::Data(format!(
            "prediction has {w}×{h}×{d} voxels but reference has {width}×{height}×{depth}; {remedy}"
        ))
        .into());
    }
    let distance_mm = reference.max_corner_distance_mm(prediction);
    match measure.geometry_tolerance_mm {
        Some(tolerance_mm) if distance_mm > tolerance_mm => {
            let trust = ", or give --trust-voxels if only a header is wrong";
            Err(Fault::Data(format!(
                "the headers place a corner of prediction and reference {distance_mm:.2} mm apart \
                 (at most {tolerance_mm} mm); {remedy}{}",
                if is_turned { "" } else { trust }
            ))
            .into())
        }
        Some(_) => {
            let voxel_mm = reference.spacing_mm.into_iter().fold(f64::INFINITY, f64::min);
            if distance_mm > voxel_mm / 2.0 {
                console::warn(&format!(
                    "case {}: the headers place a corner of prediction and reference \
                     {distance_mm:.2} mm apart, more than half a voxel; voxels are compared as they \
                     are stored",
                    pair.case
                ));
            }
            Ok(())
        }
        None => Ok(()),
    }
}

fn scores(
    pair: &Pair,
    indexed: &Indexed,
    measure: &Measure,
    geometry: &Geometry,
) -> Result<Vec<CaseScores>> {
    let [reference, prediction] = &indexed.maps;
    let indices: Vec<u16> = (1..).take(indexed.values.len()).collect();
    let named = || indexed.values.iter().zip(&indexed.names);
    let options = measure.options(geometry.spacing_mm, voxel_mm3(geometry));
    let [depth, height, width] = geometry.spacing_mm;
    let entry = |slice: Option<usize>, results: &[ClassResult]| CaseScores {
        case: pair.case.clone(),
        slice,
        reference: pair.reference.clone(),
        prediction: pair.prediction.clone(),
        spacing_mm: [width, height, depth],
        classes: results
            .iter()
            .zip(named())
            .map(|(result, (&value, name))| (value, ClassScores::of(name.clone(), result, measure)))
            .collect(),
    };
    Ok(match measure.extent {
        Extent::Volume => {
            let results = evaluate(prediction, reference, geometry.shape, &indices, &options);
            vec![entry(None, &results.context("cannot compare")?)]
        }
        Extent::Slice => {
            let slices = evaluate_slices(prediction, reference, geometry.shape, &indices, &options);
            let slices = slices.context("cannot compare slice by slice")?;
            slices.iter().enumerate().map(|(at, results)| entry(Some(at), results)).collect()
        }
    })
}

impl ClassScores {
    fn of(name: String, result: &ClassResult, measure: &Measure) -> Self {
        Self { name, result: result.clone(), measure: measure.clone() }
    }

    /// Scores of a class that a case lacks on both sides; `None` if the measure makes no sense.
    pub(super) fn absent(value: u16, name: String, measure: &Measure) -> Option<Self> {
        let options = measure.options([1.0; 3], 1.0);
        let background = [0_u16];
        let results = evaluate(&background, &background, [1; 3], &[value], &options).ok()?;
        Some(Self::of(name, results.first()?, measure))
    }

    /// Every metric under the name it has in reports.
    pub(super) fn metrics(&self) -> Vec<(String, Metric)> {
        let single =
            self.measure.single_metrics().map(|metric| (metric.as_str().to_owned(), metric));
        let tolerances = self.measure.tolerances_mm.iter().enumerate();
        let nsd = tolerances.map(|(at, tolerance)| (format!("nsd@{tolerance}"), Metric::Nsd(at)));
        single.chain(nsd).collect()
    }
}

impl Serialize for ClassScores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let result = &self.result;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("status", result.status.as_str())?;
        for metric in self.measure.single_metrics() {
            map.serialize_entry(metric.as_str(), &metric.of(result))?;
        }
        let tolerances = self.measure.tolerances_mm.iter().map(ToString::to_string);
        let nsd: serde_json::Map<_, _> =
            tolerances.zip(result.nsd.iter().map(|value| json!(value))).collect();
        map.serialize_entry("nsd", &nsd)?;
        map.serialize_entry("volume_reference_mm3", &result.volume_reference_mm3)?;
        map.serialize_entry("volume_prediction_mm3", &result.volume_prediction_mm3)?;
        map.end()
    }
}

impl Compared {
    /// The scores of a slice: its own, if slices were compared one by one, else those of the volume.
    pub(crate) fn scores_of(&self, slice: usize) -> Option<&CaseScores> {
        self.scores.iter().find(|scores| scores.slice.is_none_or(|at| at == slice))
    }

    /// Mean Dice over the slices, or of the volume, where it is defined.
    pub(crate) fn mean_dice(&self) -> Option<f64> {
        mean(self.scores.iter().filter_map(CaseScores::mean_dice))
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    Summary::of(&values.collect::<Vec<_>>()).mean
}

impl CaseScores {
    /// Mean Dice over the classes for which it is defined.
    fn mean_dice(&self) -> Option<f64> {
        mean(self.classes.values().filter_map(|class| class.result.dice))
    }

    /// The case's name, with the slice if there is one.
    pub(crate) fn title(&self) -> String {
        match self.slice {
            Some(slice) => format!("{} slice {slice}", self.case),
            None => self.case.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use duomo_data::write_labels;

    use super::*;

    #[test]
    fn slices_have_scores_of_their_own_and_a_mean() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let geometry = Geometry::from_spacing([3, 1, 2], [1.0; 3]);
        write_labels(&path("r.nii"), &geometry, &[1, 1, 1, 1, 0, 0]).unwrap();
        write_labels(&path("p.nii"), &geometry, &[1, 0, 1, 1, 0, 0]).unwrap();
        let pair = Pair { case: "p".into(), reference: path("r.nii"), prediction: path("p.nii") };
        let compared = |extent| {
            let measure = Measure {
                convention: Convention::Voxel,
                tolerances_mm: vec![1.0],
                hausdorff_volume: false,
                extent,
                geometry_tolerance_mm: None,
            };
            compare(&pair, &Classes::parse(None).unwrap(), &measure).unwrap()
        };

        let (slices, volume) = (compared(Extent::Slice), compared(Extent::Volume));

        let dice = |compared: &Compared, slice| compared.scores_of(slice)?.mean_dice();
        let of_slices = [0, 1, 2].map(|slice| dice(&slices, slice));
        assert_eq!(of_slices, [Some(2.0 / 3.0), Some(1.0), None]);
        assert_eq!(slices.mean_dice(), Some(f64::midpoint(2.0 / 3.0, 1.0)));
        assert_eq!(dice(&volume, 2), Some(6.0 / 7.0));
        assert_eq!(volume.mean_dice(), Some(6.0 / 7.0));
    }
}
